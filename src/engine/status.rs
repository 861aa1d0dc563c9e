//! Status of a replica's policies, as data: made by the task that puts bundles in force, shown to
//! everyone who asks.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::money::Currency;
use crate::domain::time::Timestamp;
use crate::domain::words::{Outcome, ReasonCode};
use crate::engine::Engine;
use crate::engine::activations::{Activated, Withdrawal};
use crate::engine::snapshot::Snapshot;
use crate::plan::Plan;
use crate::policy::bundle::Digest;
use crate::policy::diagnostic::Diagnostic;
use crate::policy::diff::{Changes, Content, SemanticDigest};
use crate::telemetry::labels::ReloadTrigger;
use crate::telemetry::reloads::LastAttempt;

/// Activations that a status tells of; the list of revisions has all that are kept.
pub const RECENT_ACTIVATIONS_MAX: usize = 5;

/// Status of a replica.
#[derive(Clone, PartialEq, Debug)]
pub struct Status {
    /// The active revision.
    pub in_force: Revision,
    /// Its withdrawal, if it was rolled back from: only a start activates it again unasked; `None`: it was not.
    pub withdrawal: Option<Withdrawal>,
    /// The policies in it, in all their versions.
    pub policies: Vec<PolicyLabel>,
    /// Errors that would refuse it if it were new: mistakes that earlier versions accepted. Empty: none.
    pub stricter_errors: Arc<[Diagnostic]>,
    /// Claims decided since it came into force.
    pub decisions: u64,
    /// Origin of the first policies of this run.
    pub started_from: StartedFrom,
    /// When the program was started.
    pub started_at: Timestamp,
    /// The source.
    pub source: SourceStatus,
    /// The last attempt that failed, until one succeeds.
    pub last_failure: Option<Arc<Failed>>,
    /// Expected result of a restart now.
    pub restart: RestartForecast,
    /// The revision that a start falls back to.
    pub last_known_good: Option<Revision>,
    /// The candidate, as it stood when the status was made.
    pub candidate: Option<CandidateReport>,
    /// The latest activations, the last one first; at most [`RECENT_ACTIVATIONS_MAX`].
    pub activations: Vec<Activated>,
    /// Result of the last attempt to put policies in force. The number of attempts is counted elsewhere.
    pub last_attempt: LastAttempt,
    /// Further notices for the admin, such as a state directory that cannot be written; a sentence
    /// each.
    pub notices: Vec<String>,
}

impl Status {
    /// The same with the figures of now: claims are decided, and the candidate is asked, while nobody
    /// puts anything in force. What is not of the revision and the candidate shown is left out.
    #[must_use]
    pub fn as_of(mut self, now: Timestamp, engine: &Engine) -> Self {
        let current = engine.current();
        if current.generation == self.in_force.generation {
            self.decisions = current.decisions();
        }
        if let (Some(shown), Some(asked)) = (&mut self.candidate, engine.candidate()) {
            let report = asked.report(now, &self.in_force);
            if (report.digest, report.staged_at) == (shown.digest, shown.staged_at) {
                *shown = CandidateReport { withdrawal: shown.withdrawal.take(), ..report };
            }
        }
        self
    }
}

/// A bundle that was in force, or is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revision {
    /// The identity of its content.
    pub digest: Digest,
    /// Semantic digest; `None` where an earlier run did not keep it.
    pub semantic: Option<SemanticDigest>,
    /// The last generation it was in force as; 0: not in this run.
    pub generation: u64,
    /// When it last came into force.
    pub activated_at: Timestamp,
    /// Trigger of the last activation.
    pub trigger: ReloadTrigger,
    /// Admin who put it in force; empty where nobody asked.
    pub actor: String,
    /// Reason that the admin gave; empty where none was given. Where nobody asked: the admin's activation that it
    /// replaces.
    pub reason: String,
    /// Yes once it has served and decided enough.
    pub known_good: KnownGood,
}

impl Revision {
    /// Digest and semantic digest of the revision.
    #[must_use]
    pub const fn content(&self) -> Content {
        Content { digest: self.digest, semantic: self.semantic }
    }
}

/// Revisions that were active, and the activations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revisions {
    /// The revisions that can be gone back to, the latest first, each with its withdrawal where it has one; the first
    /// one is in force.
    pub kept: Vec<(Revision, Option<Withdrawal>)>,
    /// Every activation that is remembered, the latest first.
    pub activations: Vec<Activated>,
}

/// One version of a policy in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyLabel {
    /// The policy's slug.
    pub id: String,
    /// The author's label of the version.
    pub version: String,
    /// From when on it governs orders; `None`: it governs all of them.
    pub effective_from: Option<Timestamp>,
}

impl PolicyLabel {
    /// The policies of a snapshot, in all their versions.
    #[must_use]
    pub fn all_of(snapshot: &Snapshot) -> Vec<Self> {
        let label = |plan: &Plan| Self {
            id: plan.id.clone(),
            version: plan.version.clone(),
            effective_from: plan.effective.map(|effective| effective.from),
        };
        snapshot.plans().map(label).collect()
    }
}

/// State of knowledge about a revision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KnownGood {
    /// It served long enough, and decided enough.
    Yes,
    /// Not yet.
    NotYet,
}

/// Origin of the first policies of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartedFrom {
    /// From the source.
    Source,
    /// The source was broken: from the last revision known to be good.
    LastKnownGood,
}

/// The source of the policies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceStatus {
    /// Location for people, such as a directory, or `embedded`.
    pub location: String,
    /// When it was last read, with success or not.
    pub checked_at: Timestamp,
    /// When it last held what was in force then.
    pub in_sync_at: Option<Timestamp>,
    /// Digest of its content when it was last read; `None`: it could not be read.
    pub digest: Option<Digest>,
    /// Hold on its content.
    pub hold: Hold,
}

/// Hold on the content of the source, with the reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// Nothing is kept out.
    None,
    /// It changes between good and bad too often: it is tried again then, if it stays as it is.
    Flapping {
        /// When it is tried again.
        until: Timestamp,
    },
    /// An admin put something else in force: it stays out until it changes or is asked for.
    Overridden,
}

/// An attempt to put something in force that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// When.
    pub at: Timestamp,
    /// Trigger of the attempt.
    pub trigger: ReloadTrigger,
    /// Cause.
    pub why: WhyFailed,
}

/// Cause of a failed attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WhyFailed {
    /// The source could not be read: each problem, with what to do about it.
    Unreadable(Vec<String>),
    /// Its content may not be put in force.
    Rejected {
        /// The identity of its content.
        digest: Digest,
        /// Everything that is wrong or worth a look.
        diagnostics: Vec<Diagnostic>,
        /// Cases that came out as expected.
        cases_passed: usize,
    },
}

/// Expected result of a restart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RestartForecast {
    /// The same policies.
    Same,
    /// The content of the source, which differs.
    Other(Digest),
    /// The source is broken: this revision, known to be good.
    LastKnownGood(Digest),
    /// It would fail.
    Failure,
}

/// Result of an activation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActivationReport {
    /// The digest in force before.
    pub before: Digest,
    /// The digest in force now; the same where nothing changed.
    pub after: Digest,
    /// The generation in force now.
    pub generation: u64,
    /// When it came into force.
    pub at: Timestamp,
    /// Warnings about it.
    pub warnings: Vec<Diagnostic>,
    /// Changes to the policies.
    pub changes: Changes,
    /// Its own cases that came out as expected.
    pub cases_passed: usize,
    /// Further notices for the admin, a sentence each.
    pub notices: Vec<String>,
}

/// Assessment of policies that might be put in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assessment {
    /// The identity of their content.
    pub digest: Digest,
    /// Verdict.
    pub verdict: Admissible,
    /// Everything that is wrong or worth a look.
    pub diagnostics: Vec<Diagnostic>,
    /// Their own cases that came out as expected.
    pub cases_passed: usize,
    /// Changes they would make; empty where they are not admissible.
    pub changes: Changes,
    /// Digest they were compared with: the active one.
    pub in_force: Digest,
}

/// Verdict on policies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admissible {
    /// They may be put in force.
    Yes,
    /// They may not be put in force.
    No,
}

/// Refusal of a request of an admin. Nothing has changed then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Something else is in force than was expected.
    OtherInForce {
        /// Expected digest.
        expected: Digest,
        /// Active digest.
        found: Digest,
        /// The activation that introduced it; later ones say the same. `None`: it is not known.
        origin: Option<Box<Activated>>,
    },
    /// Something else is staged than was meant; `None`: nothing is.
    OtherCandidate {
        /// Staged digest.
        found: Option<Digest>,
    },
    /// A colleague's candidate is staged, and was not named.
    StagedByOther {
        /// The candidate.
        found: Digest,
        /// Admin who staged it.
        actor: String,
        /// When.
        at: Timestamp,
    },
    /// The candidate has not been asked about any request beside what is in force now that both could decide.
    Untried {
        /// The candidate.
        candidate: Digest,
        /// Requests that it was asked about and could not read.
        not_comparable: u64,
    },
    /// The candidate, or what says the same, was rolled back from, and whoever asked did not say that they know of it.
    CandidateWithdrawn {
        /// The candidate.
        candidate: Digest,
        /// That it was rolled back from.
        withdrawal: Box<Withdrawal>,
    },
    /// Everything that could be gone back to was rolled back from.
    AllWithdrawn {
        /// Choices, the latest first.
        choices: Vec<Withdrawal>,
    },
    /// The content of the source is kept out, and the caller did not say that they know of it.
    HeldBack(Box<HeldBack>),
    /// There is no such revision here, or none to go back to.
    NoRevision {
        /// Digest asked for.
        wanted: Option<Digest>,
    },
    /// There is no candidate.
    NoCandidate,
    /// The policies may not be put in force, or the source cannot be read.
    Failed(Arc<Failed>),
    /// The files sent are no bundle.
    NoBundle(String),
    /// A bug; all of it is in the log.
    Bug,
}

/// Hold that blocks a reload of the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldBack {
    /// Digest of the source.
    pub source: Digest,
    /// Its withdrawal; `None`: an admin put something else in force.
    pub withdrawal: Option<Withdrawal>,
    /// The active revision.
    pub in_force: Revision,
}

/// A candidate, and how live requests would have been decided by it.
#[derive(Clone, PartialEq, Debug)]
pub struct CandidateReport {
    /// The identity of its content.
    pub digest: Digest,
    /// When it was staged.
    pub staged_at: Timestamp,
    /// Admin who staged it.
    pub actor: String,
    /// Digest that was active then.
    pub staged_over: Digest,
    /// Digest it is compared with: the active one.
    pub compared_with: Digest,
    /// Withdrawal of it, or of content that says the same; `None`: there is none.
    pub withdrawal: Option<Withdrawal>,
    /// Sampled orders per thousand.
    pub sample_per_thousand: u16,
    /// For how long.
    pub observed: Duration,
    /// Requests decided by both.
    pub compared: u64,
    /// Of these, the ones with another outcome, reason, rule or amount.
    pub different: u64,
    /// Requests that the candidate could not read.
    pub not_comparable: u64,
    /// Sampled requests let go because there was no time for them.
    pub shed: u64,
    /// Requests on which the candidate panicked.
    pub failed: u64,
    /// By how much money they differ.
    pub money: Vec<MoneyDifference>,
    /// By rule, most lines first.
    pub by_rule: Vec<RuleDifference>,
    /// Differing lines under rules beyond `by_rule`.
    pub further_rules: u64,
    /// By reason, most requests first.
    pub by_reason: Vec<ReasonDifference>,
}

/// By how much the refunds of one currency differ; sums over many orders, in minor units.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MoneyDifference {
    /// The currency.
    pub currency: Currency,
    /// Refunded in the compared answers.
    pub live: i128,
    /// Refunds that the candidate would have given.
    pub candidate: i128,
    /// By how much the candidate is above, where it is.
    pub above: i128,
    /// By how much the candidate is below, where it is.
    pub below: i128,
}

/// Lines that the candidate decides otherwise, by the two rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleDifference {
    /// The policy.
    pub policy: String,
    /// The rule in force.
    pub live: String,
    /// The rule of the candidate.
    pub candidate: String,
    /// Number of lines.
    pub lines: u64,
    /// The candidate's refunds less the live ones, in minor units of each currency.
    pub difference: Vec<(Currency, i128)>,
}

/// Requests that the candidate decides otherwise, by the two outcomes and primary reasons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReasonDifference {
    /// The outcome that was answered, and its primary reason.
    pub live: (Outcome, Option<ReasonCode>),
    /// Those of the candidate.
    pub candidate: (Outcome, Option<ReasonCode>),
    /// Number of requests.
    pub requests: u64,
}
