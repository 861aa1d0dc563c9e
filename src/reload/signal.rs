//! Hints that the source may have changed. Nobody waits for an answer, and none is ever lost: what
//! has not been heard yet is the strongest of them.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::telemetry::labels::ReloadTrigger;

/// Takes signals from everyone, gives them to one.
#[derive(Clone, Debug, Default)]
pub struct ReloadSignal {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    pending: Mutex<Option<ReloadTrigger>>,
    wake: Notify,
}

impl ReloadSignal {
    /// Something may have changed.
    pub fn notify(&self, trigger: ReloadTrigger) {
        let mut pending = self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner);
        *pending = (*pending).max(Some(trigger));
        drop(pending);
        self.inner.wake.notify_one();
    }

    /// The strongest signal since the last one was taken, if there is any.
    #[must_use]
    pub fn take(&self) -> Option<ReloadTrigger> {
        self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for a signal, and takes it.
    pub async fn recv(&self) -> ReloadTrigger {
        loop {
            if let Some(trigger) = self.take() {
                return trigger;
            }
            self.inner.wake.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_strongest_of_many_hints_is_heard_once() {
        let signal = ReloadSignal::default();
        for trigger in [ReloadTrigger::FileChange, ReloadTrigger::Signal, ReloadTrigger::Poll] {
            signal.notify(trigger);
        }
        assert_eq!(signal.recv().await, ReloadTrigger::Signal);
        assert_eq!(signal.take(), None);
    }
}
