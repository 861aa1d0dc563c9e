//! The budget of bytes: a bound on what all calls of a listener may hold at once while they wait, for
//! the rest of a request or for a reader of the answer.
//!
//! No connection takes all of it. One may hold at most a share of what is still free, so that a
//! connection which holds nothing yet always finds something, however greedy the others are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::telemetry::event::{BufferKind, BufferedBytes, Shed, ShedReason};

/// The bytes that the calls of one listener may hold.
#[derive(Debug)]
pub(crate) struct ByteBudget {
    /// Bytes held at once, at most.
    max: usize,
    /// A connection may hold what is free divided by this.
    divisor: usize,
    held: AtomicUsize,
}

impl ByteBudget {
    /// A budget of `max` bytes; a connection may hold what is free divided by `divisor`.
    pub(crate) fn new(max: usize, divisor: usize) -> Arc<Self> {
        Arc::new(Self { max, divisor: divisor.max(1), held: AtomicUsize::new(0) })
    }

    /// The part of one connection, which holds nothing yet.
    pub(crate) fn account(self: &Arc<Self>) -> Arc<Account> {
        Arc::new(Account { budget: Arc::clone(self), held: AtomicUsize::new(0) })
    }
}

/// The bytes that the calls of one connection hold.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Arc<ByteBudget>,
    held: AtomicUsize,
}

/// There is no room for more bytes now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Exhausted;

impl Account {
    /// Sets bytes aside until the reservation is dropped.
    pub(crate) fn reserve(self: &Arc<Self>, kind: BufferKind, bytes: usize) -> Result<Reservation, Exhausted> {
        let counted = BufferedBytes::hold(kind, 0);
        let mut reservation = Reservation { account: Arc::clone(self), bytes: 0, counted };
        reservation.grow(bytes)?;
        Ok(reservation)
    }

    fn take(&self, bytes: usize) -> Result<(), Exhausted> {
        let Self { budget, held } = self;
        let own = held.fetch_add(bytes, Relaxed).saturating_add(bytes);
        let all = budget.held.fetch_add(bytes, Relaxed).saturating_add(bytes);
        if budget.max < all || (budget.max - all) / budget.divisor < own {
            held.fetch_sub(bytes, Relaxed);
            budget.held.fetch_sub(bytes, Relaxed);
            Shed { reason: ShedReason::BytesHeld }.record();
            return Err(Exhausted);
        }
        Ok(())
    }

    fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
        self.budget.held.fetch_sub(bytes, Relaxed);
    }
}

/// Bytes that are set aside; given back when dropped.
#[must_use]
#[derive(Debug)]
pub(crate) struct Reservation {
    account: Arc<Account>,
    bytes: usize,
    counted: BufferedBytes,
}

impl Reservation {
    /// Sets more bytes aside, all or none.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.account.take(bytes)?;
        self.bytes += bytes;
        self.counted.grow(count(bytes));
        Ok(())
    }

    /// The bytes set aside.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_aside_is_given_back() {
        let budget = ByteBudget::new(1_000, 1);
        let account = budget.account();
        let mut held = account.reserve(BufferKind::Requests, 300).unwrap();
        assert_eq!(held.grow(500), Err(Exhausted));
        assert_eq!((held.bytes(), budget.held.load(Relaxed)), (300, 300));
        drop(held);
        assert_eq!((account.held.load(Relaxed), budget.held.load(Relaxed)), (0, 0));
    }

    #[test]
    fn a_connection_that_holds_nothing_finds_room_beside_many_greedy_ones() {
        let budget = ByteBudget::new(1 << 20, 4);
        let greedy: Vec<_> = (0..100)
            .map(|_| {
                let account = budget.account();
                let held: Vec<_> = std::iter::from_fn(|| account.reserve(BufferKind::Requests, 256).ok()).collect();
                (account, held)
            })
            .collect();
        assert!(greedy.iter().map(|(_, held)| held.len()).sum::<usize>() * 256 < 1 << 20);
        assert!(budget.account().reserve(BufferKind::Requests, 4_096).is_ok());
    }
}
