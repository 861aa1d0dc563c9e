//! The time of day, for what is told to people. Lengths of time are measured by another clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::time::Timestamp;

/// Now.
#[must_use]
pub fn now() -> Timestamp {
    after(Duration::ZERO)
}

/// Now, and so much later. A clock that stands outside the years 1 to 9999 is shown as 1970.
#[must_use]
pub fn after(wait: Duration) -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(wait);
    i128::try_from(since.as_nanos()).ok().and_then(Timestamp::from_nanos).unwrap_or(Timestamp::EPOCH)
}
