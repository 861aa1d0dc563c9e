//! Things that happened, each a named fact with typed fields; labels are enums, never user text.

use std::time::Duration;

use crate::domain::words::{Outcome, ReasonCode};

/// A claim was decided.
#[derive(Clone, Copy, Debug)]
pub struct Decided {
    /// The answer.
    pub outcome: Outcome,
    /// Why, where it is not "all of it".
    pub reason: Option<ReasonCode>,
    /// From facts to decision.
    pub elapsed: Duration,
}

impl Decided {
    /// Counts it.
    pub fn record(self) {}
}

/// A handler panicked: a bug.
#[derive(Clone, Copy, Debug)]
pub struct Panicked {
    /// The full gRPC method name.
    pub method: &'static str,
}

impl Panicked {
    /// Counts it.
    pub fn record(self) {}
}
