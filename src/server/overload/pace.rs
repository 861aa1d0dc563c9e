//! The pace of one connection: how much of it is done in one turn, and whether it is read from.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::server::limits::{CALLS_PER_TURN, READ_BYTES_PER_TURN};
use crate::server::overload::admission::Admission;
use crate::server::overload::caller::Caller;
use crate::server::overload::limits::{OVER_SHARE_READ_BYTES, OVER_SHARE_TURN_NANOS, TURN_NANOS};

/// Number of bytes that may be read from a connection now. The reader takes them; the pace gives them.
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

    fn allow(&self, bytes: usize) {
        self.0.store(bytes, Relaxed);
    }
}

/// The pace of one connection.
pub(crate) struct Pace {
    /// `None`: its calls are not limited.
    admission: Option<Admission>,
    reading: Reading,
    /// The place to read that it needs while its caller is over its share; held until what was read is answered.
    reader: Asked,
    /// The turn among the connections of its caller; held while all others go first.
    turn: Asked,
    /// Since when the calls that are now answered could have been read.
    waiting_since: Option<Instant>,
    /// Calls that were read by then and not begun; none where all that is read is one wait.
    ahead: usize,
    /// Calls begun since then.
    answered: usize,
}

/// A permit that is asked for over several polls, first come, first served.
enum Asked {
    No,
    Waiting(Waiting),
    /// It is there and not used yet.
    HandedOn(OwnedSemaphorePermit),
    Held {
        _permit: OwnedSemaphorePermit,
    },
}

type Waiting = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

impl Asked {
    /// Asks for a permit where that was not done, and says whether it is there.
    fn poll(&mut self, permits: &Arc<Semaphore>, cx: &mut Context<'_>) -> Permit {
        let (mut waiting, waited) = match std::mem::replace(self, Self::No) {
            Self::No => (Box::pin(Arc::clone(permits).acquire_owned()) as Waiting, false),
            Self::Waiting(waiting) => (waiting, true),
            Self::HandedOn(permit) | Self::Held { _permit: permit } => {
                *self = Self::Held { _permit: permit };
                return Permit::Held;
            }
        };
        let (asked, permit) = match waiting.as_mut().poll(cx) {
            Poll::Ready(Ok(permit)) if waited => (Self::HandedOn(permit), Permit::HandedOn),
            Poll::Ready(Ok(permit)) => (Self::Held { _permit: permit }, Permit::Held),
            // That would mean that there are no permits any more, which never happens.
            Poll::Ready(Err(_)) => (Self::No, Permit::Held),
            Poll::Pending => (Self::Waiting(waiting), Permit::Awaited),
        };
        *self = asked;
        permit
    }

    const fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }

    /// Gives the permit back, or asks for none any more.
    fn end(&mut self) {
        *self = Self::No;
    }
}

/// State of a permit to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Permit {
    /// It was there at once, or has been for a while.
    Held,
    /// Another connection has just handed it on.
    HandedOn,
    /// Not yet: whoever asked is polled again when it is.
    Awaited,
}

impl Permit {
    /// The order after this turn; `with_it` is the one for a holder of the permit.
    const fn order(self, with_it: Order) -> Order {
        match self {
            Self::Held => with_it,
            Self::HandedOn => Order::Next,
            Self::Awaited => Order::Waits,
        }
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("admission", &self.admission).finish_non_exhaustive()
    }
}

/// Work that a connection may do in one turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Turn {
    /// Calls that are answered before others get the thread.
    pub(crate) calls: usize,
    pub(crate) order: Order,
}

impl Turn {
    /// True if so many calls are enough to let others go first even if no more are left.
    pub(crate) const fn is_long(self, calls: usize) -> bool {
        self.calls.div_ceil(2) <= calls
    }
}

/// The order of work after a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// More, until the calls of the turn are used up.
    Free,
    /// All others go first; calls already read are answered before more is read.
    OthersFirst {
        /// True if this turn reads.
        reads: bool,
    },
    /// Nothing yet: all others go first. Connections that hand a permit from one to the next would have the thread
    /// until each of them had it, before anybody looks whose bytes have come.
    Next,
    /// Nothing: there is no place to read.
    Waits,
}

/// Result of the reading in a turn.
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
        let (reader, turn) = (Asked::No, Asked::No);
        Self { admission, reading, reader, turn, waiting_since: None, ahead: 0, answered: 0 }
    }

    /// The handle for the connection's reader.
    pub(crate) fn reading(&self) -> Reading {
        self.reading.clone()
    }

    /// Begins a turn of the connection, with so many calls that are read and not begun. Where its caller
    /// is over its share, more is read only with a place to read, and only when there are none. Where another
    /// connection of its caller has had its turn and lets all others go first, it waits for that one.
    pub(crate) fn begin(&mut self, unanswered: usize, cx: &mut Context<'_>) -> Turn {
        let Some(admission) = &self.admission else {
            self.reading.allow(READ_BYTES_PER_TURN);
            return Turn { calls: CALLS_PER_TURN, order: Order::Free };
        };
        let caller = admission.caller();
        if !caller.is_over_share() && !self.reader.is_held() {
            self.reader.end();
            let asks = !matches!(self.turn, Asked::No) || caller.turns.available_permits() == 0;
            let order = if asks { self.turn.poll(&caller.turns, cx).order(Order::Free) } else { Order::Free };
            if order != Order::Free {
                self.waiting_since.get_or_insert_with(Instant::now);
                self.reading.allow(0);
                return Turn { calls: 0, order };
            }
            self.reading.allow(READ_BYTES_PER_TURN);
            return Turn { calls: calls_within(TURN_NANOS, &caller), order };
        }
        self.turn.end();
        let calls = calls_within(OVER_SHARE_TURN_NANOS, &caller);
        if self.reader.is_held() || unanswered != 0 {
            self.reading.allow(0);
            return Turn { calls, order: Order::OthersFirst { reads: false } };
        }
        self.waiting_since.get_or_insert_with(Instant::now);
        let order = self.reader.poll(&admission.limiter().readers, cx).order(Order::OthersFirst { reads: true });
        self.reading.allow(if order == (Order::OthersFirst { reads: true }) { OVER_SHARE_READ_BYTES } else { 0 });
        Turn { calls, order }
    }

    /// A connection was polled, and has so many calls that are not begun. Says whether there may be more to
    /// read than one turn reads.
    pub(crate) fn polled(&mut self, turn: Turn, unanswered: usize) -> MoreToRead {
        let more = match turn.order {
            Order::Free | Order::OthersFirst { reads: true } if self.reading.allowed() == 0 => MoreToRead::Maybe,
            Order::Free | Order::OthersFirst { .. } | Order::Next | Order::Waits => MoreToRead::No,
        };
        match turn.order {
            // It has waited for its turn.
            Order::Free if self.waiting_since.is_some() && self.ahead == 0 => self.ahead = self.answered + unanswered,
            Order::Free if unanswered <= turn.calls || self.admission.is_none() => {}
            // Where more is read all the time, there is no end: it is measured how long those wait that are here now.
            Order::Free if self.waiting_since.is_none() => {
                (self.waiting_since, self.ahead, self.answered) = (Some(Instant::now()), unanswered, 0);
            }
            Order::Free => {}
            Order::OthersFirst { .. } | Order::Next | Order::Waits => self.reading.allow(0),
        }
        more
    }

    /// Nothing is read until the next turn.
    pub(crate) fn read_no_more(&self) {
        self.reading.allow(0);
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
        self.reader.end();
        self.turn.end();
        self.record();
    }

    /// A turn was long: all others go first, and the other connections of the caller before it. Says whether it is the
    /// next one of its caller; otherwise it is polled again when it is.
    pub(crate) fn stand_back(&mut self, cx: &mut Context<'_>) -> bool {
        self.turn.end();
        let caller = self.admission.as_ref().map(Admission::caller);
        caller.is_none_or(|caller| caller.is_over_share() || self.turn.poll(&caller.turns, cx) != Permit::Awaited)
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
