//! A bound on log lines of one kind: a fault that comes a thousand times a second leaves a few lines
//! and a number, not a thousand lines.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Lines of one kind in one window: enough to see what happens, few enough for any log.
pub const LINES_PER_WINDOW_MAX: u64 = 5;

/// Length of a window. It begins with the first line after the window before it.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Low bits of the packed window that hold the number of lines.
const LINES_BITS: u32 = 8;

const LINES_MASK: u64 = (1 << LINES_BITS) - 1;

const _: () = assert!(LINES_PER_WINDOW_MAX <= LINES_MASK, "the number of lines fits its bits");

/// A limiter for one kind of line; lives in a `static` beside the line. Costs nothing until it is
/// asked.
///
/// ```
/// use requite::telemetry::log_limit::LogLimiter;
///
/// static REFUSED: LogLimiter = LogLimiter::new();
/// if let Some(suppressed) = REFUSED.permit() {
///     tracing::info!(suppressed, "a connection was refused");
/// }
/// ```
#[derive(Debug, Default)]
pub struct LogLimiter {
    /// When the window began, in milliseconds of the process plus one, and the lines in it.
    window: AtomicU64,
    suppressed: AtomicU64,
}

impl LogLimiter {
    /// A limiter that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { window: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Asks to write a line now. `Some` permits it, with the number of lines suppressed since the
    /// last one that was written; `None` suppresses and counts it.
    pub fn permit(&self) -> Option<u64> {
        self.permit_at(process_age())
    }

    fn permit_at(&self, age: Duration) -> Option<u64> {
        let now = u64::try_from(age.as_millis()).unwrap_or(u64::MAX >> LINES_BITS).saturating_add(1);
        let permitted = self.window.try_update(Relaxed, Relaxed, |window| {
            let (began, lines) = (window >> LINES_BITS, window & LINES_MASK);
            let over = began == 0 || WINDOW.as_millis() <= u128::from(now.saturating_sub(began));
            match over {
                true => Some((now << LINES_BITS) | 1),
                false => (lines < LINES_PER_WINDOW_MAX).then(|| window + 1),
            }
        });
        match permitted {
            Ok(_) => Some(self.suppressed.swap(0, Relaxed)),
            Err(_) => {
                self.suppressed.fetch_add(1, Relaxed);
                None
            }
        }
    }
}

/// Time since the first limiter of the process was asked.
fn process_age() -> Duration {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_leaves_a_few_lines_and_the_number_of_the_others() {
        let limiter = LogLimiter::new();
        let begun = Duration::from_secs(3);
        let permits: Vec<_> = (0..1_000).map(|_| limiter.permit_at(begun)).collect();
        let written = usize::try_from(LINES_PER_WINDOW_MAX).unwrap();
        assert_eq!(permits.iter().flatten().copied().collect::<Vec<_>>(), vec![0; written]);
        assert_eq!(limiter.permit_at(begun + WINDOW - Duration::from_millis(1)), None);
        assert_eq!(limiter.permit_at(begun + WINDOW), Some(1_001 - LINES_PER_WINDOW_MAX));
        assert_eq!(limiter.permit_at(begun + WINDOW), Some(0));
    }

    #[test]
    fn a_clock_that_stands_still_permits_the_first_lines() {
        let limiter = LogLimiter::new();
        assert_eq!(limiter.permit_at(Duration::ZERO), Some(0));
        assert_eq!(limiter.permit_at(Duration::MAX), Some(0));
    }

    #[test]
    fn every_line_of_many_threads_is_written_or_counted() {
        static LIMITER: LogLimiter = LogLimiter::new();
        let written: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let permits = (0..1_000).filter_map(|_| LIMITER.permit_at(Duration::from_secs(1)));
                        permits.map(|suppressed| 1 + suppressed).sum::<u64>()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(written + LIMITER.suppressed.load(Relaxed), 4_000);
    }
}
