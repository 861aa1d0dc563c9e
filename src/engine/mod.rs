//! The active snapshot: one at a time, swapped by one writer, read without a lock.

pub mod activations;
pub mod admit;
pub mod candidate;
pub mod history;
pub mod snapshot;
pub mod snapshot_cell;
pub mod status;
pub mod unnoticed;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::engine::admit::Admission;
use crate::engine::candidate::Candidate;
use crate::engine::snapshot::{Plans, Snapshot};
use crate::engine::snapshot_cell::SnapshotCell;
use crate::policy::bundle::Digest;

/// Reads what is in force. Cheap to clone; every clone sees the same.
#[derive(Debug)]
pub struct Engine<P = ArcSwap<Snapshot>> {
    current: Arc<P>,
    staged: Arc<Staged>,
}

/// Puts admitted bundles in force. There is one for each [`Engine`], so there is one writer.
#[derive(Debug)]
pub struct Activator<P = ArcSwap<Snapshot>> {
    current: Arc<P>,
    staged: Arc<Staged>,
}

/// The candidate, beside what is in force.
#[derive(Debug, Default)]
struct Staged {
    /// Set while there is a candidate: most requests read only this, which costs nothing.
    there: AtomicBool,
    candidate: ArcSwapOption<Candidate>,
}

/// Change made by an activation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Activation {
    /// The digest in force before.
    pub before: Digest,
    /// The digest in force now.
    pub after: Digest,
    /// The generation in force now.
    pub generation: u64,
}

/// Conflict: nothing was put in force, since another activation came first after the work began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{found} is in force by now, as generation {generation}")]
pub struct Conflict {
    /// The digest in force.
    pub found: Digest,
    /// Its generation.
    pub generation: u64,
}

/// An engine with a first bundle in force, as generation 1, and the only writer to it.
#[must_use]
pub fn open(first: Admission) -> (Engine, Activator) {
    open_in(first)
}

/// The same, with the snapshot kept in a place of the caller's choice.
#[must_use]
pub fn open_in<P: SnapshotCell>(first: impl Into<Arc<Plans>>) -> (Engine<P>, Activator<P>) {
    let current = Arc::new(P::holding(Arc::new(Snapshot::new(first, 1))));
    let activator = Activator { current, staged: Arc::default() };
    (activator.engine(), activator)
}

impl<P> Clone for Engine<P> {
    fn clone(&self) -> Self {
        Self { current: Arc::clone(&self.current), staged: Arc::clone(&self.staged) }
    }
}

impl<P> Engine<P> {
    /// The candidate. `None`, the usual case, costs one load.
    #[must_use]
    pub fn candidate(&self) -> Option<Arc<Candidate>> {
        if self.staged.there.load(Ordering::Acquire) { self.staged.candidate.load_full() } else { None }
    }
}

impl<P: SnapshotCell> Engine<P> {
    /// The active snapshot. A request takes it once and stays with it, so that no answer mixes
    /// two bundles.
    #[must_use]
    pub fn current(&self) -> P::Taken {
        self.current.take()
    }
}

impl<P: SnapshotCell> Activator<P> {
    /// Puts policies in force in the place of `over`, as the next generation: one store. Requests
    /// that have begun finish on the snapshot they took.
    ///
    /// `over` is the snapshot that was active when the work on these policies began. If it is not active any
    /// more, nothing changes: a plan made for an earlier state never replaces a later one.
    pub fn activate(&mut self, over: &Arc<Snapshot>, plans: impl Into<Arc<Plans>>) -> Result<Activation, Conflict> {
        let next = Snapshot::new(plans, over.generation.saturating_add(1));
        let activation = Activation { before: over.digest, after: next.digest, generation: next.generation };
        if self.current.replace(over, Arc::new(next)) {
            return Ok(activation);
        }
        let found = self.current();
        Err(Conflict { found: found.digest, generation: found.generation })
    }

    /// A reader of the same.
    #[must_use]
    pub fn engine(&self) -> Engine<P> {
        Engine { current: Arc::clone(&self.current), staged: Arc::clone(&self.staged) }
    }

    /// The active snapshot: to be taken before the work on its successor.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.take())
    }

    /// Takes a candidate in the place of the one before, or none, and gives back the one before. What
    /// waits to be checked against that one is dropped.
    pub fn stage(&mut self, candidate: Option<Arc<Candidate>>) -> Option<Arc<Candidate>> {
        let there = candidate.is_some();
        let before = self.staged.candidate.swap(candidate);
        self.staged.there.store(there, Ordering::Release);
        before
    }

    /// The candidate.
    #[must_use]
    pub fn candidate(&self) -> Option<Arc<Candidate>> {
        self.staged.candidate.load_full()
    }

    /// The digest in force.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.current.take().digest
    }
}
