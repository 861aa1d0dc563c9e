//! Processor time that was used: what work costs, however many share the processor meanwhile.

use std::time::Duration;

/// Whose time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Clock {
    /// This thread.
    Thread,
    /// All threads of the process.
    Process,
}

/// Processor time used until now.
#[cfg(unix)]
pub(crate) fn used(clock: Clock) -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(match clock {
        Clock::Thread => ClockId::ThreadCPUTime,
        Clock::Process => ClockId::ProcessCPUTime,
    });
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}
