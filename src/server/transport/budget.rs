//! The budget of bytes: a bound on what all calls of a listener may hold at once while they wait, for
//! the rest of a request or for a reader of the answer.
//!
//! No connection takes all of it. What one may hold falls with the square of what is free: alone it may
//! hold a good part, and beside a hundred greedy ones a connection that holds nothing yet still finds
//! room for a request, and a small one always does. Where each could take a fixed part of what is free, twenty would leave nothing.
//!
//! All connections of one peer together leave a quarter to others: so many small parts would come to all of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::server::limits::{HELD_BYTES_ALWAYS, LEFT_BY_PEER_DIVISOR};
use crate::server::transport::peer::Peer;
use crate::telemetry::event::{BufferedBytes, Shed};
use crate::telemetry::labels::{BufferKind, ShedReason};

/// The bytes that the calls of one listener may hold.
#[derive(Debug)]
pub(crate) struct ByteBudget {
    /// Bytes held at once, at most.
    max: usize,
    /// A connection may hold `max / divisor`, times the square of the part that is free.
    divisor: usize,
    held: AtomicUsize,
    /// Bytes held by the connections of each peer; an entry dies with the last connection.
    peers: Mutex<HashMap<Peer, Weak<AtomicUsize>>>,
}

impl ByteBudget {
    /// A budget of `max` bytes; a connection may hold `max / divisor`, times the square of the part that is free.
    pub(crate) fn new(max: usize, divisor: usize) -> Arc<Self> {
        Arc::new(Self { max, divisor: divisor.max(1), held: AtomicUsize::new(0), peers: Mutex::default() })
    }

    /// A budget that only counts, for calls that something else bounds. All that is permitted fits into
    /// a quarter of what can be counted.
    pub(crate) fn counting() -> Arc<Self> {
        Self::new(isize::MAX.unsigned_abs(), 1)
    }

    /// Returns true if a connection may hold `own` bytes while those of its peer hold `of_peer`, and all hold `all`.
    fn permits(&self, own: usize, of_peer: usize, all: usize) -> bool {
        let wide = |bytes: usize| u128::try_from(bytes).unwrap_or(u128::MAX);
        let free = wide(self.max.saturating_sub(all));
        let is_in_part = wide(own) * wide(self.max) * wide(self.divisor) <= free * free;
        own <= HELD_BYTES_ALWAYS
            || (all <= self.max && of_peer <= self.max - self.max / LEFT_BY_PEER_DIVISOR && is_in_part)
    }

    /// The part of one connection, which holds nothing yet, of a peer that has no other.
    pub(crate) fn account(self: &Arc<Self>) -> Arc<Account> {
        Arc::new(Account { budget: Arc::clone(self), held: AtomicUsize::new(0), of_peer: Arc::default() })
    }

    /// The part of one connection of this peer, which holds nothing yet.
    pub(crate) fn account_of(self: &Arc<Self>, peer: Peer) -> Arc<Account> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.len() == peers.capacity() {
            peers.retain(|_, held| held.strong_count() != 0);
        }
        let known = peers.get(&peer).and_then(Weak::upgrade);
        let of_peer = known.unwrap_or_else(|| {
            let new = Arc::default();
            peers.insert(peer, Arc::downgrade(&new));
            new
        });
        Arc::new(Account { budget: Arc::clone(self), held: AtomicUsize::new(0), of_peer })
    }
}

/// The bytes that the calls of one connection hold.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Arc<ByteBudget>,
    held: AtomicUsize,
    /// Bytes held by all connections of its peer.
    of_peer: Arc<AtomicUsize>,
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

    /// The bytes held now.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    fn take(&self, bytes: usize) -> Result<(), Exhausted> {
        let [own, of_peer, all] = self.counts().map(|held| held.fetch_add(bytes, Relaxed).saturating_add(bytes));
        if !self.budget.permits(own, of_peer, all) {
            self.release(bytes);
            Shed { reason: ShedReason::BytesHeld }.record();
            return Err(Exhausted);
        }
        Ok(())
    }

    fn release(&self, bytes: usize) {
        for held in self.counts() {
            held.fetch_sub(bytes, Relaxed);
        }
    }

    /// Bytes held by this connection, its peer and all.
    fn counts(&self) -> [&AtomicUsize; 3] {
        [&self.held, &self.of_peer, &self.budget.held]
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
    use crate::server::limits::{HELD_BYTES_DIVISOR, HELD_BYTES_MAX};

    #[test]
    fn what_was_set_aside_is_given_back() {
        let budget = ByteBudget::new(100_000, 1);
        let account = budget.account();
        let mut held = account.reserve(BufferKind::Requests, 30_000).unwrap();
        assert_eq!(held.grow(10_000), Err(Exhausted));
        assert_eq!((held.bytes(), budget.held.load(Relaxed)), (30_000, 30_000));
        drop(held);
        assert_eq!((account.held.load(Relaxed), budget.held.load(Relaxed)), (0, 0));
    }

    #[test]
    fn one_peer_leaves_a_quarter_however_many_connections_it_has() {
        let budget = ByteBudget::new(HELD_BYTES_MAX, HELD_BYTES_DIVISOR);
        let address = |last: u8| Peer::from(std::net::SocketAddr::from(([192, 0, 2, last], 7)));
        let greedy: Vec<_> = (0..400)
            .map(|_| {
                let account = budget.account_of(address(1));
                let held: Vec<_> = std::iter::from_fn(|| account.reserve(BufferKind::Requests, 8_192).ok()).collect();
                (account, held)
            })
            .collect();
        let held = greedy.iter().map(|(_, held)| held.len()).sum::<usize>() * 8_192;
        // Each connection has its small part in any case.
        assert!((HELD_BYTES_MAX / 2..HELD_BYTES_MAX * 3 / 4 + 400 * HELD_BYTES_ALWAYS).contains(&held), "{held}");
        assert!(budget.account_of(address(2)).reserve(BufferKind::Requests, 256 * 1_024).is_ok());
        drop(greedy);
        assert_eq!(budget.held.load(Relaxed), 0);
        // Peers that are gone take no room.
        (0..200).for_each(|last| drop(budget.account_of(address(last))));
        assert!(budget.peers.lock().unwrap().len() < 20);
    }

    #[test]
    fn a_connection_that_holds_nothing_finds_room_beside_many_greedy_ones() {
        let budget = ByteBudget::new(HELD_BYTES_MAX, HELD_BYTES_DIVISOR);
        const { assert!(HELD_BYTES_ALWAYS < 20 * 1_024) };
        let greedy: Vec<_> = (0..100)
            .map(|_| {
                let account = budget.account();
                let held: Vec<_> = std::iter::from_fn(|| account.reserve(BufferKind::Requests, 256).ok()).collect();
                (account, held)
            })
            .collect();
        assert!(greedy.iter().map(|(_, held)| held.len()).sum::<usize>() * 256 < HELD_BYTES_MAX);
        assert!(budget.account().reserve(BufferKind::Requests, 20 * 1_024).is_ok());
    }
}
