//! Commands of the admin service to the one task that puts bundles in force, and the channels of
//! its answers. The code that carries them out is not known here.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::engine::snapshot::Snapshot;
use crate::engine::status::{ActivationReport, Assessment, CandidateReport, Refusal, Revisions};
use crate::policy::bundle::{Bundle, Digest};
use crate::policy::diagnostic::Diagnostic;
use crate::policy::diff::Changes;
use crate::reload::status_view::StatusHandle;

/// Channel for the answer. If the caller is gone, the command is still carried out.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// Gives an answer. Whoever asked may be gone: what was done is done all the same.
pub(super) fn answer<T>(reply: Reply<T>, result: Result<T, Refusal>) {
    let _ = reply.send(result);
}

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
        /// Admin and reason.
        requester: Requester,
        /// The answer.
        reply: Reply<ActivationReport>,
    },
    /// Put an earlier revision in force again.
    Rollback {
        /// Target; `None`: the latest one before that was not rolled back from.
        to: Option<Digest>,
        /// Only if this is still in force.
        expected: Digest,
        /// Admin and reason.
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
        /// Digest; `None`: the active revision.
        digest: Option<Digest>,
        /// The answer.
        reply: Reply<Files>,
    },
    /// Take a candidate.
    Stage {
        /// The policies; `None`: what the source holds.
        bundle: Option<Upload>,
        /// Sampled orders per thousand: 1 to 1000.
        sample_per_thousand: u16,
        /// Permission to replace a colleague's candidate.
        replace: Replace,
        /// Admin and reason.
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
        /// Obstacles that the admin accepts.
        knowing: Knowing,
        /// Admin and reason.
        requester: Requester,
        /// The answer.
        reply: Reply<(ActivationReport, CandidateReport)>,
    },
    /// Let the candidate go.
    Discard {
        /// The candidate meant; `None`: the asker's own.
        digest: Option<Digest>,
        /// Admin and reason.
        requester: Requester,
        /// The answer.
        reply: Reply<CandidateReport>,
    },
}

/// Admin who asks, and the reason.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Requester {
    /// The name of the admin.
    pub actor: String,
    /// Reason that the admin gave; empty where none was given.
    pub reason: String,
}

impl From<&str> for Requester {
    /// Someone who gives no reason.
    fn from(actor: &str) -> Self {
        Self { actor: actor.to_owned(), reason: String::new() }
    }
}

/// Handling of a colleague's candidate when one is staged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replace {
    /// It stays, and nothing is staged.
    OwnOnly,
    /// It is replaced.
    Anyones,
}

/// Promotion of a candidate that has been compared with the active revision on no request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Untried {
    /// It is refused.
    Refused,
    /// It is allowed.
    Allowed,
}

/// Promotion of a candidate that was rolled back from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Withdrawn {
    /// It is refused.
    Refused,
    /// It is allowed.
    Allowed,
}

/// Obstacles to a promotion that an admin accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Knowing {
    /// That it was asked about no request yet.
    pub untried: Untried,
    /// That it was rolled back from.
    pub withdrawn: Withdrawn,
}

impl Knowing {
    /// No obstacle.
    pub const NOTHING: Self = Self { untried: Untried::Refused, withdrawn: Withdrawn::Refused };

    /// All obstacles.
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
    /// Changes it would make to the active revision.
    pub changes: Changes,
    /// Warnings about it.
    pub warnings: Vec<Diagnostic>,
    /// Further notices for the admin, such as that it was rolled back from; a sentence each.
    pub notices: Vec<String>,
}

/// The server's side: sends commands, and reads the status of the replica.
#[derive(Clone, Debug)]
pub struct ReloadHandle {
    /// Takes what is asked.
    pub commands: mpsc::Sender<ReloadCommand>,
    /// Status of the replica.
    pub shown: StatusHandle,
}
