//! The pace of one connection: how much of it is done in one turn, and whether it is read from.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::{AcquireError, OwnedSemaphorePermit};

use crate::server::limits::{CALLS_PER_TURN, READ_BYTES_PER_TURN};
use crate::server::overload::admission::Admission;
use crate::server::overload::caller::Caller;
use crate::server::overload::limits::{LONG_CALLS_PER_TURN, OVER_SHARE_TURN_NANOS, TURN_NANOS};

/// How many bytes of a connection may be read now. What reads takes them; what paces gives them.
#[derive(Clone, Debug)]
pub(crate) struct Reading(Arc<AtomicUsize>);

impl Reading {
    /// Bytes that may be read. A connection without any is polled again when it has some.
    pub(crate) fn allowed(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Notes that so many bytes were read.
    pub(crate) fn took(&self, bytes: usize) {
        self.0.store(self.allowed().saturating_sub(bytes), Relaxed);
    }

    fn allow(&self, allowed: bool) {
        self.0.store(if allowed { READ_BYTES_PER_TURN } else { 0 }, Relaxed);
    }
}

type Acquiring = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// The pace of one connection.
pub(crate) struct Pace {
    /// `None`: its calls are not limited.
    admission: Option<Admission>,
    reading: Reading,
    reader: Reader,
    /// Since when the calls that are now answered could have been read.
    waiting_since: Option<Instant>,
    /// Calls that were read by then and not begun; none where all that is read is one wait.
    ahead: usize,
    /// Calls begun since then.
    answered: usize,
}

/// The place to read that a connection needs while its caller is over its share.
enum Reader {
    /// It has none, and does not ask for one.
    None,
    Acquiring(Acquiring),
    /// Until the calls that were read are answered.
    Held {
        _permit: OwnedSemaphorePermit,
    },
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("admission", &self.admission).finish_non_exhaustive()
    }
}

/// What a connection may do in one turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Turn {
    /// Calls that are answered before others get the thread.
    pub(crate) calls: usize,
    pub(crate) order: Order,
}

impl Turn {
    /// Whether so many calls that were begun in it have taken all of its time: such calls take long, and
    /// another turn at a stretch would keep others waiting for as long again.
    pub(crate) const fn is_used_up(self, calls: usize) -> bool {
        self.calls <= LONG_CALLS_PER_TURN && self.calls <= calls
    }
}

/// What comes after a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// The next turn, as long as there are not too many at a stretch.
    Free,
    /// What has been read is answered before more is read, and all others go first.
    OthersFirst {
        /// Whether this turn reads.
        reads: bool,
    },
    /// Nothing: there is no place to read.
    Waits,
}

/// Whether a turn has read all that was there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MoreToRead {
    /// It was stopped before it knew.
    Maybe,
    /// It has, or it did not read.
    No,
}

impl Pace {
    /// The pace of a connection with this admission.
    pub(crate) fn new(admission: Option<Admission>) -> Self {
        let reading = Reading(Arc::new(AtomicUsize::new(READ_BYTES_PER_TURN)));
        Self { admission, reading, reader: Reader::None, waiting_since: None, ahead: 0, answered: 0 }
    }

    /// What the reader of the connection asks.
    pub(crate) fn reading(&self) -> Reading {
        self.reading.clone()
    }

    /// Begins a turn of the connection, with so many calls that are read and not begun. Where its caller
    /// is over its share, more is read only with a place to read, and only when there are none.
    pub(crate) fn begin(&mut self, unanswered: usize, cx: &mut Context<'_>) -> Turn {
        let Some(admission) = &self.admission else {
            self.reading.allow(true);
            return Turn { calls: CALLS_PER_TURN, order: Order::Free };
        };
        let caller = admission.caller();
        let held = matches!(self.reader, Reader::Held { .. });
        if !caller.is_over_share() && !held {
            self.reader = Reader::None;
            self.reading.allow(true);
            return Turn { calls: calls_within(TURN_NANOS, &caller), order: Order::Free };
        }
        let calls = calls_within(OVER_SHARE_TURN_NANOS, &caller);
        if held || unanswered != 0 {
            self.reading.allow(false);
            return Turn { calls, order: Order::OthersFirst { reads: false } };
        }
        self.waiting_since.get_or_insert_with(Instant::now);
        let mut acquiring = match std::mem::replace(&mut self.reader, Reader::None) {
            Reader::Acquiring(acquiring) => acquiring,
            Reader::None | Reader::Held { .. } => Box::pin(Arc::clone(&admission.limiter().readers).acquire_owned()),
        };
        let polled = acquiring.as_mut().poll(cx);
        self.reading.allow(polled.is_ready());
        let order = match polled {
            Poll::Ready(permit) => {
                // An error would mean that it is closed, which it never is.
                self.reader = permit.map_or(Reader::None, |permit| Reader::Held { _permit: permit });
                Order::OthersFirst { reads: true }
            }
            Poll::Pending => {
                self.reader = Reader::Acquiring(acquiring);
                Order::Waits
            }
        };
        Turn { calls, order }
    }

    /// A connection was polled, and has so many calls that are not begun. Says whether there may be more to
    /// read than one turn reads.
    pub(crate) fn polled(&mut self, turn: Turn, unanswered: usize) -> MoreToRead {
        let more = match turn.order {
            Order::Free | Order::OthersFirst { reads: true } if self.reading.allowed() == 0 => MoreToRead::Maybe,
            Order::Free | Order::OthersFirst { .. } | Order::Waits => MoreToRead::No,
        };
        match turn.order {
            Order::Free if unanswered <= turn.calls || self.admission.is_none() => {}
            // Where more is read all the time, there is no end: it is measured how long those wait that are here now.
            Order::Free if self.waiting_since.is_none() => {
                (self.waiting_since, self.ahead, self.answered) = (Some(Instant::now()), unanswered, 0);
            }
            Order::Free => {}
            Order::OthersFirst { .. } | Order::Waits => self.reading.allow(false),
        }
        more
    }

    /// So many calls were begun.
    pub(crate) fn begun(&mut self, calls: usize) {
        self.answered += calls;
        if self.ahead != 0 && self.ahead <= self.answered {
            self.record();
        }
    }

    /// All calls that were read have been begun.
    pub(crate) fn end(&mut self) {
        self.reader = Reader::None;
        self.record();
    }

    /// Tells how long calls waited: each as long as the last of them.
    fn record(&mut self) {
        let calls = std::mem::take(&mut self.answered);
        self.ahead = 0;
        if let (Some(since), Some(admission)) = (self.waiting_since.take(), &self.admission) {
            let waited = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let waited = waited.saturating_mul(calls as u64);
            admission.limiter().callers.totals().delay_nanos.fetch_add(waited, Relaxed);
        }
    }
}

/// Lets all others that have something to do go first.
pub(crate) fn yield_to_others(cx: &mut Context<'_>) {
    // The first look is what registers the task. It is never the last one.
    if pin!(tokio::task::yield_now()).poll(cx).is_ready() {
        cx.waker().wake_by_ref();
    }
}

/// Calls of this caller that take about so long; at least one.
fn calls_within(nanos: u64, caller: &Caller) -> usize {
    let calls = usize::try_from(nanos / caller.mean_cost()).unwrap_or(usize::MAX);
    calls.clamp(1, CALLS_PER_TURN)
}
