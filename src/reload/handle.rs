//! What the admin service can ask of the one task that puts bundles in force, and how the answer
//! comes back. Who works through it is not known here.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::engine::snapshot::Snapshot;
use crate::engine::status::{ActivationReport, Assessment, CandidateReport, Refusal, Revisions};
use crate::policy::bundle::{Bundle, Digest};
use crate::policy::diagnostic::Diagnostic;
use crate::policy::diff::Changes;
use crate::reload::status_view::StatusHandle;

/// Where the answer goes. Whoever asked may be gone: what was asked for is done all the same.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// Something asked of the one task.
#[derive(Debug)]
pub enum ReloadCommand {
    /// Hold policies against everything, and change nothing.
    Validate {
        /// The policies; `None`: what the source holds.
        bundle: Option<Upload>,
        /// The answer.
        reply: Reply<Assessment>,
    },
    /// Read the source again and put what it holds in force.
    Reload {
        /// Only if this is still in force.
        expected: Option<Digest>,
        /// Who asks, and why.
        requester: Requester,
        /// The answer.
        reply: Reply<ActivationReport>,
    },
    /// Put an earlier revision in force again.
    Rollback {
        /// Which; `None`: the latest one before that was not rolled back from.
        to: Option<Digest>,
        /// Only if this is still in force.
        expected: Digest,
        /// Who asks, and why.
        requester: Requester,
        /// The answer.
        reply: Reply<ActivationReport>,
    },
    /// List the revisions that can be gone back to, and the activations.
    Revisions {
        /// The answer.
        reply: Reply<Revisions>,
    },
    /// Give the files of a revision, or of the candidate.
    Files {
        /// Which; `None`: what is in force.
        digest: Option<Digest>,
        /// The answer.
        reply: Reply<Files>,
    },
    /// Take a candidate.
    Stage {
        /// The policies; `None`: what the source holds.
        bundle: Option<Upload>,
        /// How many of a thousand live requests it is asked about: 1 to 1000.
        sample_per_thousand: u16,
        /// Whether it may take the place of a colleague's.
        replace: Replace,
        /// Who asks, and why.
        requester: Requester,
        /// The answer.
        reply: Reply<Staged>,
    },
    /// Put the candidate in force.
    Promote {
        /// The candidate meant.
        digest: Digest,
        /// Only if this is still in force.
        expected: Digest,
        /// What may be in the way of it all the same.
        knowing: Knowing,
        /// Who asks, and why.
        requester: Requester,
        /// The answer.
        reply: Reply<(ActivationReport, CandidateReport)>,
    },
    /// Let the candidate go.
    Discard {
        /// The candidate meant; `None`: the asker's own.
        digest: Option<Digest>,
        /// Who asks, and why.
        requester: Requester,
        /// The answer.
        reply: Reply<CandidateReport>,
    },
}

/// Who asks for something, and why.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Requester {
    /// The name of the admin.
    pub actor: String,
    /// Why, as they said it; empty where they did not say.
    pub reason: String,
}

impl From<&str> for Requester {
    /// Someone who gives no reason.
    fn from(actor: &str) -> Self {
        Self { actor: actor.to_owned(), reason: String::new() }
    }
}

/// What becomes of a colleague's candidate when one is staged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replace {
    /// It stays, and nothing is staged.
    OwnOnly,
    /// It is replaced.
    Anyones,
}

/// Whether a candidate may be put in force that was asked about no request beside what is in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Untried {
    /// It may not.
    Refused,
    /// It may.
    Allowed,
}

/// Whether a candidate may be put in force that was rolled back from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Withdrawn {
    /// It may not.
    Refused,
    /// It may.
    Allowed,
}

/// What an admin says that they know of a candidate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Knowing {
    /// That it was asked about no request yet.
    pub untried: Untried,
    /// That it was rolled back from.
    pub withdrawn: Withdrawn,
}

impl Knowing {
    /// That there is nothing in its way.
    pub const NOTHING: Self = Self { untried: Untried::Refused, withdrawn: Withdrawn::Refused };

    /// All that may be in its way.
    pub const ALL: Self = Self { untried: Untried::Allowed, withdrawn: Withdrawn::Allowed };
}

/// Policies that an admin sent. Their share of the memory for large calls is given back when they are gone, not when
/// their sender is: whoever sends and leaves, again and again, fills nothing.
#[derive(Debug)]
pub struct Upload {
    /// The policies.
    pub bundle: Bundle,
    /// The share; small calls have none.
    pub share: Option<Arc<OwnedSemaphorePermit>>,
}

impl From<Bundle> for Upload {
    fn from(bundle: Bundle) -> Self {
        Self { bundle, share: None }
    }
}

/// The files of a revision.
#[derive(Clone, Debug)]
pub struct Files {
    /// The files.
    pub bundle: Arc<Bundle>,
    /// The policies in them.
    pub snapshot: Arc<Snapshot>,
}

/// A candidate that was taken.
#[derive(Clone, PartialEq, Debug)]
pub struct Staged {
    /// The candidate.
    pub candidate: CandidateReport,
    /// What it would change of what is in force.
    pub changes: Changes,
    /// What is worth a look in it.
    pub warnings: Vec<Diagnostic>,
    /// What else the admin should know, such as that it was rolled back from; a sentence each.
    pub notices: Vec<String>,
}

/// The server's side: asks, and sees where the replica stands.
#[derive(Clone, Debug)]
pub struct ReloadHandle {
    /// Takes what is asked.
    pub asks: mpsc::Sender<ReloadCommand>,
    /// Where the replica stands.
    pub shown: StatusHandle,
}
