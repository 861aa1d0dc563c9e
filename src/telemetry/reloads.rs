//! The result of the last attempt to put policies in force, for the status and for the collector. The number of
//! attempts is counted with everything else.

use std::sync::{Mutex, PoisonError};

use crate::domain::time::Timestamp;
use crate::telemetry::labels::{ReloadResult, Success};

/// The result of the last attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastAttempt {
    /// Success of the attempt.
    pub success: Success,
    /// When one last did; `None`: none has yet.
    pub succeeded_at: Option<Timestamp>,
}

/// The values of the gauges of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigGauges {
    /// The result of the last attempt.
    pub last_attempt: LastAttempt,
    /// The digest in force.
    pub digest: String,
    /// Mistakes in it that would refuse it if it were new, as many as the status names.
    pub stricter_errors: u64,
}

static GAUGES: Mutex<Option<ConfigGauges>> = Mutex::new(None);

impl LastAttempt {
    /// The first attempt.
    #[must_use]
    pub fn first(result: ReloadResult, at: Timestamp) -> Self {
        Self { success: Success::No, succeeded_at: None }.then(result, at)
    }

    /// The same after another attempt.
    #[must_use]
    pub fn then(self, result: ReloadResult, at: Timestamp) -> Self {
        let success = result.success();
        let succeeded_at = match success {
            Success::Yes => Some(at),
            Success::No => self.succeeded_at,
        };
        Self { success, succeeded_at }
    }
}

impl ConfigGauges {
    /// From now on, the gauges show this.
    pub fn show(self) {
        *GAUGES.lock().unwrap_or_else(PoisonError::into_inner) = Some(self);
    }

    /// The values that the gauges show; `None` before anything is in force.
    pub(super) fn shown() -> Option<Self> {
        GAUGES.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_the_time_of_the_last_success() {
        let at = |seconds| Timestamp::from_unix(seconds, 0).unwrap();
        let failed = LastAttempt::first(ReloadResult::Unreadable, at(1));
        assert_eq!(failed, LastAttempt { success: Success::No, succeeded_at: None });
        let succeeded = failed.then(ReloadResult::Unchanged, at(2));
        assert_eq!(succeeded, LastAttempt { success: Success::Yes, succeeded_at: Some(at(2)) });
        let failed = succeeded.then(ReloadResult::Rejected, at(3));
        assert_eq!(failed, LastAttempt { success: Success::No, succeeded_at: Some(at(2)) });
    }
}
