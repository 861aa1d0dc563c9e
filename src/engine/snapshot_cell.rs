//! Cell of the active snapshot: read by everyone at any time, replaced by one writer.
//!
//! A trait only so that the protocol around it can be explored over every interleaving; the
//! program has one implementation.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::engine::snapshot::Snapshot;

/// Holds the snapshot in force.
pub trait SnapshotCell {
    /// A snapshot that was in force when it was taken.
    type Taken: Deref<Target = Arc<Snapshot>>;

    /// A place that holds this.
    fn holding(first: Arc<Snapshot>) -> Self;

    /// The active snapshot.
    fn take(&self) -> Self::Taken;

    /// Puts `next` there if `expected`, this very one, still is; says whether it did.
    fn replace(&self, expected: &Arc<Snapshot>, next: Arc<Snapshot>) -> bool;
}

impl SnapshotCell for ArcSwap<Snapshot> {
    type Taken = Guard<Arc<Snapshot>>;

    fn holding(first: Arc<Snapshot>) -> Self {
        Self::new(first)
    }

    fn take(&self) -> Self::Taken {
        self.load()
    }

    fn replace(&self, expected: &Arc<Snapshot>, next: Arc<Snapshot>) -> bool {
        Arc::ptr_eq(&self.compare_and_swap(expected, next), expected)
    }
}
