//! The bounds of the limiter, each with its unit and its reason.

use std::time::Duration;

/// Interval in which the limiter measures its lag and gives callers new credit.
pub const TICK: Duration = Duration::from_millis(5);

/// Interval for computing the share anew, long enough to tell a burst from a standing queue. While nobody calls, the
/// limiter wakes only this often: an idle process sleeps.
pub const WINDOW: Duration = Duration::from_millis(50);

/// Windows of waiting before anybody is refused: 100 ms, the interval of controlled delay (RFC 8289).
pub const PRESSED_WINDOWS: u32 = 2;

/// Windows without a refusal after which nobody is limited any more: one second.
pub const CALM_WINDOWS: u32 = 20;

/// Target for the mean wait of a runnable task for a thread. Without load it is below 0.1 ms.
pub const LAG_TARGET: Duration = Duration::from_millis(2);

/// Target for the mean wait of a readable call for its answer, where callers send more than they
/// may: it also bounds the time from its headers to its refusal.
pub const DELAY_TARGET: Duration = Duration::from_millis(4);

/// Target for the mean wait of a heavy call for its own thread: a few times what such a call takes.
pub const HEAVY_DELAY_TARGET: Duration = Duration::from_millis(50);

/// Below this part of the threads' time, waiting has other reasons than too many calls, and a refused
/// call could have been answered.
pub const UTILIZATION_MIN: f64 = 0.85;

/// Below this part of the threads' time spent on calls, something else keeps the threads busy (another
/// process, a flood of frames without calls), and refusing calls would help nobody.
pub const CALL_WORK_MIN: f64 = 0.2;

/// The least share, in nanoseconds of work per second: 0.1 % of a thread.
pub const SHARE_MIN: u64 = 1_000_000;

/// A caller may always bring what the threads can do, divided by the callers that are active and by this: a queue that one
/// of them has filled is no reason to refuse the others. Reading and refusing take the rest.
pub const FAIR_DIVISOR: u64 = 4;

/// Under a fixed limit, the part of the places that one caller leaves for others to come: one of so many.
pub const PLACES_LEFT_DIVISOR: usize = 10;

/// Credit that a caller can save up: what its share comes to in this time. Callers come in bursts.
pub const BURST: Duration = Duration::from_millis(50);

/// Debt that a caller can run into: what its share comes to in this time. After it, its calls are taken again.
pub const DEBT_MAX: Duration = Duration::from_millis(250);

/// Cost of reading a call and sending its answer, without making the answer, in nanoseconds.
pub const TRANSPORT_NANOS: u64 = 5_000;

/// Cost of refusing a call, in nanoseconds.
pub const REFUSAL_NANOS: u64 = 4_000;

/// Work that refusals may be set against, in nanoseconds: a caller's refusals never cost more than the
/// work that is done for it, or a server that is asked often enough would do nothing but refuse.
pub const REFUSAL_BALANCE_MAX: i64 = 2_000_000;

/// Callers that are told apart; all others are one caller.
pub const CALLERS_MAX: usize = 4_096;

/// Windows without a call after which a caller is not counted as active: one second.
pub const ACTIVE_WINDOWS: u32 = 20;

/// A caller is told that it is over its share where it asks for more than this part of what callers ask
/// for on average, in percent; the others are told that the server is overloaded.
pub const OVER_SHARE_PERCENT: u64 = 125;

/// Work that a connection does in one turn before others get the thread, in nanoseconds.
pub const TURN_NANOS: u64 = 250_000;

/// The same for one whose caller is over its share: others wait no longer than this.
pub const OVER_SHARE_TURN_NANOS: u64 = 100_000;

/// Bytes that are read at once of a connection whose caller is over its share: some fifty plain calls. All that are
/// refused among them are answered before others get the thread.
pub const OVER_SHARE_READ_BYTES: usize = 8 * 1024;
