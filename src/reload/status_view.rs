//! Status of the replica, as shown to admins and pages. Set by the task that puts policies in force.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::time::Timestamp;
use crate::engine::Engine;
use crate::engine::status::Status;

/// Handle on the status of the replica.
#[derive(Clone, Debug)]
pub struct StatusHandle {
    /// As it was told, after every change.
    pub told: watch::Receiver<Arc<Status>>,
    /// Engine, for the counts of now.
    pub engine: Engine,
    /// The time of day.
    pub clock: fn() -> Timestamp,
}

impl StatusHandle {
    /// Status at this moment. Never waits: the task that sets it may be busy for long.
    #[must_use]
    pub fn now(&self) -> Status {
        let told = Arc::clone(&self.told.borrow());
        Status::clone(&told).as_of((self.clock)(), &self.engine)
    }
}
