//! Where a replica stands with its policies, as data: made by the one who puts bundles in force,
//! shown by everyone who is asked.

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
use crate::telemetry::event::ReloadTrigger;
use crate::telemetry::reloads::LastAttempt;

/// Activations that a status tells of; the list of revisions has all that are kept.
pub const RECENT_ACTIVATIONS_MAX: usize = 5;

/// Where a replica stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Status {
    /// What is in force.
    pub in_force: Revision,
    /// That it was rolled back from, which only a start puts in force again unasked; `None`: it was not.
    pub withdrawal: Option<Withdrawal>,
    /// The policies in it, in all their versions.
    pub policies: Vec<PolicyLabel>,
    /// What would refuse it if it were new: mistakes that earlier versions of the program took. Empty: nothing.
    pub stricter_errors: Arc<[Diagnostic]>,
    /// Claims decided since it came into force.
    pub decisions: u64,
    /// Where the first policies of this run came from.
    pub started_from: StartedFrom,
    /// When the program was started.
    pub started_at: Timestamp,
    /// The source.
    pub source: SourceStatus,
    /// The last attempt that failed, until one succeeds.
    pub last_failure: Option<Arc<Failed>>,
    /// What a restart would come to now.
    pub restart: RestartForecast,
    /// The revision that a start falls back to.
    pub last_known_good: Option<Revision>,
    /// The candidate, as it stood when the status was made.
    pub candidate: Option<CandidateReport>,
    /// The latest activations, the last one first; at most [`RECENT_ACTIVATIONS_MAX`].
    pub activations: Vec<Activated>,
    /// How the last attempt to put policies in force came out. How many there were is counted elsewhere.
    pub last_attempt: LastAttempt,
    /// What else the admin should know, such as a state directory that cannot be written; a sentence
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
    /// What it says; `None` of an earlier run that did not keep it.
    pub semantic: Option<SemanticDigest>,
    /// The last generation it was in force as; 0: not in this run.
    pub generation: u64,
    /// When it last came into force.
    pub activated_at: Timestamp,
    /// What put it in force.
    pub trigger: ReloadTrigger,
    /// Who put it in force; empty where nobody asked.
    pub actor: String,
    /// Why, as they said it; empty where they did not say. Where nobody asked: what it replaces that an admin had put in
    /// force.
    pub reason: String,
    /// Whether it served long enough to be known as good.
    pub known_good: KnownGood,
}

impl Revision {
    /// What it is by its bytes, and by what it says.
    #[must_use]
    pub const fn content(&self) -> Content {
        Content { digest: self.digest, semantic: self.semantic }
    }
}

/// What was in force, and what became of it.
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

/// Whether a revision is known to be good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KnownGood {
    /// It served long enough, and decided enough.
    Yes,
    /// Not yet.
    NotYet,
}

/// Where the first policies of a run came from.
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
    /// What it is, for people: a directory, or `embedded`.
    pub location: String,
    /// When it was last read, with success or not.
    pub checked_at: Timestamp,
    /// When it last held what was in force then.
    pub in_sync_at: Option<Timestamp>,
    /// What it held when it was last read; `None`: it could not be read.
    pub digest: Option<Digest>,
    /// Whether what it holds is kept out.
    pub hold: Hold,
}

/// Whether what the source holds is kept out, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// It is not.
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
    /// What asked for it.
    pub trigger: ReloadTrigger,
    /// Why.
    pub why: WhyFailed,
}

/// Why an attempt failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WhyFailed {
    /// The source could not be read: each problem, with what to do about it.
    Unreadable(Vec<String>),
    /// What it holds may not be put in force.
    Rejected {
        /// The identity of its content.
        digest: Digest,
        /// Everything that is wrong or worth a look.
        diagnostics: Vec<Diagnostic>,
        /// Cases that came out as expected.
        cases_passed: usize,
    },
}

/// What a restart would come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RestartForecast {
    /// The same policies.
    Same,
    /// What the source holds, which is something else.
    Other(Digest),
    /// The source is broken: this revision, known to be good.
    LastKnownGood(Digest),
    /// It would fail.
    Failure,
}

/// What putting something in force came to.
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
    /// What is worth a look in it.
    pub warnings: Vec<Diagnostic>,
    /// What changed.
    pub changes: Changes,
    /// Its own cases that came out as expected.
    pub cases_passed: usize,
    /// What follows that the admin should know, a sentence each.
    pub notices: Vec<String>,
}

/// What policies would do if they were put in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assessment {
    /// The identity of their content.
    pub digest: Digest,
    /// Whether they may be put in force.
    pub verdict: Admissible,
    /// Everything that is wrong or worth a look.
    pub diagnostics: Vec<Diagnostic>,
    /// Their own cases that came out as expected.
    pub cases_passed: usize,
    /// What they would change; empty where they are not admissible.
    pub changes: Changes,
    /// What they were held against: the digest in force.
    pub in_force: Digest,
}

/// Whether policies may be put in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admissible {
    /// They may.
    Yes,
    /// They may not.
    No,
}

/// Why something that an admin asked for was not done. Nothing has changed then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Something else is in force than was expected.
    OtherInForce {
        /// What was expected.
        expected: Digest,
        /// What is in force.
        found: Digest,
    },
    /// Something else is staged than was meant; `None`: nothing is.
    OtherCandidate {
        /// What is staged.
        found: Option<Digest>,
    },
    /// A colleague's candidate is staged, and was not named.
    StagedByOther {
        /// The candidate.
        found: Digest,
        /// Who staged it.
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
        /// What there is, the latest first.
        choices: Vec<Withdrawal>,
    },
    /// What the source holds is kept out, and whoever asked did not say that they know of it.
    HeldBack(Box<HeldBack>),
    /// There is no such revision here, or none to go back to.
    NoRevision {
        /// What was asked for.
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

/// Why an ask does not let in what the source holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldBack {
    /// What the source holds.
    pub source: Digest,
    /// That it was rolled back from; `None`: an admin put something else in force.
    pub withdrawal: Option<Withdrawal>,
    /// What is in force instead.
    pub in_force: Revision,
}

/// A candidate, and how live requests would have been decided by it.
#[derive(Clone, PartialEq, Debug)]
pub struct CandidateReport {
    /// The identity of its content.
    pub digest: Digest,
    /// When it was staged.
    pub staged_at: Timestamp,
    /// Who staged it.
    pub actor: String,
    /// What was in force then.
    pub staged_over: Digest,
    /// What it is compared with: what is in force now.
    pub compared_with: Digest,
    /// That it, or what says the same, was rolled back from; `None`: it was not.
    pub withdrawal: Option<Withdrawal>,
    /// How many of a thousand live requests it is asked about.
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
    /// What the candidate would have refunded.
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
    /// How many lines.
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
    /// How many requests.
    pub requests: u64,
}
