//! The share: how much work one caller may bring when there is more than can be done in time. Pure:
//! it sees one window of measurements after the other, and no clock.

use std::time::Duration;

use crate::server::overload::limits::{
    CALL_WORK_MIN, CALM_WINDOWS, DELAY_TARGET, HEAVY_DELAY_TARGET, LAG_TARGET, PRESSED_WINDOWS, SHARE_MIN,
    UTILIZATION_MIN,
};

/// Factor for the share after a window in which calls waited for too long.
const DECREASE: f64 = 0.95;

/// Factor for the share after a window without long waits, while calls are still refused.
const INCREASE: f64 = 1.02;

/// The same where the threads had time for more.
const CATCH_UP: f64 = 1.1;

/// Factor for the share after a window in which nothing was refused.
const RELEASE: f64 = 1.25;

/// First share, as a part of the work of the busiest caller.
const FIRST: f64 = 0.9;

/// Work per second that one caller may bring, in nanoseconds of a thread per second.
pub(super) type Share = u64;

/// Measurements of one window.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Window {
    /// The part of all threads' time in which they were busy, 0 to 1.
    pub(super) utilization: f64,
    /// The part of all threads' time that was spent on calls; above 1 where heavy calls take more threads.
    pub(super) call_work: f64,
    /// The mean time from when a task could run to when it did.
    pub(super) lag: Duration,
    /// The mean time from when a call could be read to its answer.
    pub(super) delay: Duration,
    /// The part of the time in which heavy calls waited for a thread of their own, 0 to 1.
    pub(super) heavy_crowded: f64,
    /// The mean time that they waited for it.
    pub(super) heavy_delay: Duration,
    /// Calls that were refused.
    pub(super) refused: u64,
    /// Work of the busiest caller, in nanoseconds per second.
    pub(super) busiest: Share,
    /// Work that each active caller may always bring, in the same unit.
    pub(super) fair: Share,
}

impl Window {
    /// True for a standing queue: the threads are busy with calls, and calls wait.
    /// Threads for heavy calls are busy with nothing else.
    fn is_pressed(&self) -> bool {
        let calls_wait = CALL_WORK_MIN <= self.call_work
            && UTILIZATION_MIN <= self.utilization
            && (LAG_TARGET < self.lag || DELAY_TARGET < self.delay);
        calls_wait || (UTILIZATION_MIN <= self.heavy_crowded && HEAVY_DELAY_TARGET < self.heavy_delay)
    }

    /// The longest of the mean times that something waited.
    pub(super) fn waited(&self) -> Duration {
        self.lag.max(self.delay).max(self.heavy_delay)
    }
}

/// Finds the share in steps: down while calls wait too long and longer, up while they do not.
///
/// One share for all callers gives each what it asks for or the same as the others, whichever is less,
/// so a caller below it never notices.
#[derive(Clone, Debug, Default)]
pub(super) struct Controller {
    /// `None`: nobody is limited.
    share: Option<f64>,
    pressed: u32,
    calm: u32,
    /// Wait of calls in the last window.
    waited: Duration,
}

impl Controller {
    /// Takes a window into account and gives the share for the next one; `None`: no limit.
    pub(super) fn update(&mut self, window: &Window) -> Option<Share> {
        let pressed = window.is_pressed();
        self.pressed = if pressed { self.pressed + 1 } else { 0 };
        self.calm = if pressed || window.refused != 0 { 0 } else { self.calm.saturating_add(1) };
        let waited = window.waited();
        // A queue that shrinks needs no smaller share.
        let shrinks = waited < self.waited;
        self.waited = waited;
        self.share = match self.share {
            // One bad window may be a hiccup of the host.
            None if PRESSED_WINDOWS <= self.pressed => Some(window.busiest as f64 * FIRST),
            None => None,
            Some(_) if CALM_WINDOWS <= self.calm => None,
            Some(share) if pressed && shrinks => Some(share),
            Some(share) if pressed => Some(share * DECREASE),
            Some(share) => Some(Self::grown(share, window)),
        };
        self.share = self.share.map(|share| share.max(window.fair as f64).max(SHARE_MIN as f64));
        // Far below 2^64: work per second is at most a second for each thread, and steps end with calm.
        self.share.map(|share| share as Share)
    }

    fn grown(share: f64, window: &Window) -> f64 {
        match window.refused {
            // A share above what anybody brings limits nobody, and would have to fall as far before it does again.
            0 => (share * RELEASE).min(window.busiest as f64).max(share),
            _ if window.utilization.max(window.heavy_crowded) < UTILIZATION_MIN => share * CATCH_UP,
            _ => share * INCREASE,
        }
    }
}
