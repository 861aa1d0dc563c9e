//! Where the replica stands, as admins and pages show it. Who puts policies in force tells it here.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::time::Timestamp;
use crate::engine::Engine;
use crate::engine::status::Status;

/// Where the replica stands.
#[derive(Clone, Debug)]
pub struct StatusHandle {
    /// As it was told, after every change.
    pub told: watch::Receiver<Arc<Status>>,
    /// What counts while nothing changes.
    pub engine: Engine,
    /// The time of day.
    pub clock: fn() -> Timestamp,
}

impl StatusHandle {
    /// Where it stands at this moment. Waits for nobody: who tells it may be at something that takes
    /// long.
    #[must_use]
    pub fn now(&self) -> Status {
        let told = Arc::clone(&self.told.borrow());
        Status::clone(&told).as_of((self.clock)(), &self.engine)
    }
}
