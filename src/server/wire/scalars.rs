//! Moments and counts as messages have them.

use crate::domain::time::Timestamp;

/// A moment as a message.
pub(crate) fn moment(timestamp: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = timestamp.unix();
    prost_types::Timestamp { seconds, nanos }
}

/// A count as the wire has it. A bundle has far fewer cases than bytes, which are bounded.
pub(crate) fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
