//! What is in force: one snapshot at a time, swapped by one writer, read without a lock.

pub mod admit;
pub mod candidate;
pub mod snapshot;
pub mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};

use crate::engine::admit::Admission;
use crate::engine::candidate::Candidate;
use crate::engine::snapshot::Snapshot;
use crate::policy::bundle::Digest;

/// Reads what is in force. Cheap to clone; every clone sees the same.
#[derive(Clone, Debug)]
pub struct Engine {
    current: Arc<ArcSwap<Snapshot>>,
    staged: Arc<Staged>,
}

/// Puts admitted bundles in force. There is one for each [`Engine`], so there is one writer.
#[derive(Debug)]
pub struct Activator {
    current: Arc<ArcSwap<Snapshot>>,
    staged: Arc<Staged>,
}

/// The candidate, beside what is in force.
#[derive(Debug, Default)]
struct Staged {
    /// Whether there is one: what most requests ever look at, and what costs them nothing.
    there: AtomicBool,
    candidate: ArcSwapOption<Candidate>,
}

/// What an activation changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Activation {
    /// The digest in force before.
    pub before: Digest,
    /// The digest in force now.
    pub after: Digest,
    /// The generation in force now.
    pub generation: u64,
}

/// An engine with a first bundle in force, as generation 1, and the only writer to it.
#[must_use]
pub fn open(first: Admission) -> (Engine, Activator) {
    let current = Arc::new(ArcSwap::from_pointee(Snapshot::new(first, 1)));
    let staged = Arc::<Staged>::default();
    (Engine { current: Arc::clone(&current), staged: Arc::clone(&staged) }, Activator { current, staged })
}

impl Engine {
    /// What is in force now. A request takes it once and stays with it, so that no answer mixes
    /// two bundles.
    #[must_use]
    pub fn current(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The candidate. `None`, the usual case, costs one load.
    #[must_use]
    pub fn candidate(&self) -> Option<Arc<Candidate>> {
        if self.staged.there.load(Ordering::Acquire) { self.staged.candidate.load_full() } else { None }
    }
}

impl Activator {
    /// Puts a bundle in force: one store. Requests that have begun finish on the snapshot they took.
    pub fn activate(&mut self, admission: Admission) -> Activation {
        let before = self.current.load_full();
        let snapshot = Snapshot::new(admission, before.generation.saturating_add(1));
        let activation = Activation { before: before.digest, after: snapshot.digest, generation: snapshot.generation };
        self.current.store(Arc::new(snapshot));
        activation
    }

    /// Takes a candidate in the place of the one before, or none, and gives back the one before. What
    /// waits to be held against that one is dropped.
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
        self.current.load().digest
    }
}
