//! The load of the data service: the last measurements of its limiter.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const NANOS_PER_SECOND: f64 = 1e9;

/// No share is in force.
const UNLIMITED: u64 = u64::MAX;

static QUEUE_DELAY_NANOS: AtomicU64 = AtomicU64::new(0);
static SHARE_NANOS: AtomicU64 = AtomicU64::new(UNLIMITED);

/// Takes what was measured: how long calls waited, and the work per second that one caller may
/// bring, in nanoseconds of a thread per second; `None` where there is no limit.
pub fn observe(queue_delay: Duration, share_nanos: Option<u64>) {
    QUEUE_DELAY_NANOS.store(u64::try_from(queue_delay.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    SHARE_NANOS.store(share_nanos.unwrap_or(UNLIMITED), Relaxed);
}

/// Time that calls waited, in the last window that was measured.
pub(super) fn queue_delay() -> Duration {
    Duration::from_nanos(QUEUE_DELAY_NANOS.load(Relaxed))
}

/// Threads that one caller may keep busy, as the format of Prometheus writes it.
pub(super) fn share_threads() -> String {
    match SHARE_NANOS.load(Relaxed) {
        UNLIMITED => "+Inf".to_owned(),
        nanos => (nanos as f64 / NANOS_PER_SECOND).to_string(),
    }
}
