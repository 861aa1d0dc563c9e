//! Callers: who they are, what they have brought lately, and what they may still bring.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::server::overload::limits::{
    ACTIVE_WINDOWS, BURST, CALLERS_MAX, DEBT_MAX, OVER_SHARE_PERCENT, REFUSAL_BALANCE_MAX, REFUSAL_NANOS,
    TRANSPORT_NANOS,
};
use crate::server::overload::share::Share;
use crate::telemetry::caller::CallerLabel;

/// Longest value of a header that names a caller, in bytes; the rest of a longer one is not looked at.
const NAME_BYTES_MAX: usize = 128;

/// The mean cost of a call follows the last calls, about so many.
const MEAN_COST_CALLS: u64 = 8;

/// The identity of a caller.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum CallerKey {
    /// The address that it calls from; of IPv6 the first 64 bits, since one host has all of the others.
    Peer(IpAddr),
    /// The name in its header.
    Name(Box<[u8]>),
    /// Callers that nothing is known of.
    Unknown,
}

impl CallerKey {
    /// The caller behind an address.
    pub(crate) fn of_address(address: IpAddr) -> Self {
        Self::Peer(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        })
    }

    /// The caller of a name.
    pub(crate) fn of_name(name: &[u8]) -> Self {
        Self::Name(name.get(..NAME_BYTES_MAX).unwrap_or(name).into())
    }

    /// The name in metrics. An address is none.
    fn label(&self) -> CallerLabel {
        match self {
            Self::Peer(_) | Self::Unknown => CallerLabel::UNNAMED,
            Self::Name(name) => std::str::from_utf8(name).map_or(CallerLabel::OTHER, CallerLabel::of_name),
        }
    }
}

/// Counters for all callers together.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) admitted: AtomicU64,
    pub(super) finished: AtomicU64,
    /// Times that calls waited, each as nanoseconds.
    pub(super) delay_nanos: AtomicU64,
    /// Callers with a call in the last second.
    pub(super) active: AtomicUsize,
    /// A share is in force.
    pub(super) limited: AtomicBool,
}

impl Totals {
    /// Calls admitted whose answers are not sent.
    pub(super) fn in_flight(&self) -> u64 {
        // In this order: one that ends in between must not make more finished than admitted.
        let finished = self.finished.load(Relaxed);
        self.admitted.load(Relaxed).saturating_sub(finished)
    }
}

/// The caller of a call, as far as work is charged to it that is done on another thread than the call, and goes
/// on when the call has ended. Two of them are equal where they are the same caller.
#[derive(Clone, Debug)]
pub(crate) struct Payer(pub(super) Arc<Caller>);

impl Payer {
    /// The name in metrics.
    pub(crate) fn label(&self) -> CallerLabel {
        self.0.label
    }

    /// Charges work that was done for a call.
    pub(crate) fn charge(&self, work: Duration) {
        let nanos = u64::try_from(work.as_nanos()).unwrap_or(u64::MAX);
        let Self(caller) = self;
        caller.charge(nanos);
        // As if it were part of what the call itself is noted with.
        caller.mean_cost.fetch_add(nanos / MEAN_COST_CALLS, Relaxed);
        if caller.totals.limited.load(Relaxed) {
            caller.credit.fetch_sub(signed(nanos), Relaxed);
        }
    }
}

impl PartialEq for Payer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Payer {}

impl Hash for Payer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// One caller. Work is in nanoseconds of a thread.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(super) label: CallerLabel,
    pub(super) totals: Arc<Totals>,
    /// Turns of its connections that have much to do: one for each thread.
    pub(super) turns: Arc<Semaphore>,
    /// Work since the last window.
    work: AtomicU64,
    /// Refusals since the last window.
    refused: AtomicU64,
    /// Cost of a call, smoothed.
    mean_cost: AtomicU64,
    /// Work that it may still bring; below zero where it has brought more.
    credit: AtomicI64,
    /// Work done for it, less what refusing it has cost.
    balance: AtomicI64,
    /// Calls admitted whose answers are not sent; kept only under a fixed limit.
    pub(super) in_flight: AtomicUsize,
    /// Calls were refused in the last window.
    over_share: AtomicBool,
    /// It asks for more than others do.
    greedy: AtomicBool,
    /// Work requested per window, smoothed.
    demand: AtomicU64,
    idle_windows: AtomicU32,
}

impl Caller {
    fn new(label: CallerLabel, totals: Arc<Totals>, threads: usize, credit: i64) -> Self {
        Self {
            label,
            totals,
            turns: Arc::new(Semaphore::new(threads)),
            work: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            mean_cost: AtomicU64::new(2 * TRANSPORT_NANOS),
            credit: AtomicI64::new(credit),
            balance: AtomicI64::new(0),
            in_flight: AtomicUsize::new(0),
            over_share: AtomicBool::new(false),
            greedy: AtomicBool::new(false),
            demand: AtomicU64::new(0),
            idle_windows: AtomicU32::new(ACTIVE_WINDOWS),
        }
    }

    /// Takes the cost of a call from the credit; `None` where there is none left, or where refusing has
    /// already cost as much as the work that was done.
    pub(super) fn reserve(&self) -> Option<u64> {
        let cost = self.mean_cost();
        let signed = signed(cost);
        let balance = self.balance.load(Relaxed);
        if self.credit.load(Relaxed) <= 0 && signed_refusal() <= balance {
            self.balance.store(balance - signed_refusal(), Relaxed);
            return None;
        }
        self.credit.fetch_sub(signed, Relaxed);
        self.balance.store((balance + signed).min(REFUSAL_BALANCE_MAX), Relaxed);
        Some(cost)
    }

    /// Replaces what was reserved for a call by what it has cost.
    pub(super) fn settle(&self, reserved: u64, cost: u64) {
        self.credit.fetch_add(signed(reserved) - signed(cost), Relaxed);
    }

    /// Notes a refusal.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
        self.over_share.store(true, Relaxed);
    }

    /// Charges work that was done.
    pub(super) fn charge(&self, nanos: u64) {
        self.work.fetch_add(nanos, Relaxed);
    }

    /// Notes what a whole call has cost.
    pub(super) fn note_cost(&self, nanos: u64) {
        let mean = self.mean_cost.load(Relaxed);
        // A note that is lost to another thread changes little.
        let next = (mean - mean / MEAN_COST_CALLS).saturating_add(nanos / MEAN_COST_CALLS);
        self.mean_cost.store(next, Relaxed);
    }

    /// Cost of a call, smoothed; never zero.
    pub(super) fn mean_cost(&self) -> u64 {
        self.mean_cost.load(Relaxed).max(1)
    }

    /// True while calls of it are refused.
    pub(super) fn is_over_share(&self) -> bool {
        self.over_share.load(Relaxed)
    }

    /// True while it asks for more than others do.
    pub(super) fn is_greedy(&self) -> bool {
        self.greedy.load(Relaxed)
    }

    fn refill(&self, share: Share, elapsed: Duration) {
        let credit = self.credit.load(Relaxed).saturating_add(signed(work_in(share, elapsed)));
        let bounded = credit.clamp(-signed(work_in(share, DEBT_MAX)), signed(work_in(share, BURST.max(elapsed))));
        // What is charged meanwhile by others stays charged.
        self.credit.fetch_add(bounded - self.credit.load(Relaxed), Relaxed);
    }

    /// Ends a window: what was brought in it, and refused.
    fn end_window(&self) -> (u64, u64) {
        let (work, refused) = (self.work.swap(0, Relaxed), self.refused.swap(0, Relaxed));
        self.over_share.store(refused != 0, Relaxed);
        let idle = if work == 0 && refused == 0 { self.idle_windows.load(Relaxed).saturating_add(1) } else { 0 };
        self.idle_windows.store(idle, Relaxed);
        let asked = work.saturating_add(refused.saturating_mul(self.mean_cost()));
        let demand = self.demand.load(Relaxed);
        self.demand.store(demand - demand / 4 + asked / 4, Relaxed);
        (work, refused)
    }

    /// True if it called in the last second, or holds a place.
    fn is_active(&self) -> bool {
        self.idle_windows.load(Relaxed) < ACTIVE_WINDOWS || self.in_flight.load(Relaxed) != 0
    }
}

const fn signed_refusal() -> i64 {
    REFUSAL_NANOS as i64
}

fn signed(nanos: u64) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

/// The work that a share allows in a time.
fn work_in(share: Share, time: Duration) -> u64 {
    let nanos = u128::from(share) * time.as_nanos() / 1_000_000_000;
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// Work that all callers brought in a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Brought {
    /// Calls refused.
    pub(super) refused: u64,
    /// Work of the busiest caller.
    pub(super) busiest: u64,
    /// Work of all callers.
    pub(super) work: u64,
}

/// All callers of late: a bounded number.
#[derive(Debug)]
pub(super) struct Callers {
    known: Mutex<HashMap<CallerKey, Arc<Caller>>>,
    /// All those for whom there is no room.
    others: Arc<Caller>,
    totals: Arc<Totals>,
    threads: usize,
}

impl Callers {
    /// Nobody yet, on so many threads.
    pub(super) fn new(threads: usize) -> Self {
        let (totals, threads) = (Arc::new(Totals::default()), threads.max(1));
        let others = Arc::new(Caller::new(CallerLabel::OTHER, Arc::clone(&totals), threads, 0));
        Self { known: Mutex::default(), others, totals, threads }
    }

    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The caller of this key; a new one has what a share comes to in a burst.
    pub(super) fn get(&self, key: CallerKey, share: Option<Share>) -> Arc<Caller> {
        let mut known = self.known();
        if let Some(caller) = known.get(&key) {
            return Arc::clone(caller);
        }
        if CALLERS_MAX <= known.len() {
            return Arc::clone(&self.others);
        }
        let credit = share.map_or(0, |share| signed(work_in(share, BURST)));
        let caller = Arc::new(Caller::new(key.label(), Arc::clone(&self.totals), self.threads, credit));
        known.insert(key, Arc::clone(&caller));
        caller
    }

    /// Gives every caller the credit of a time.
    pub(super) fn refill(&self, share: Share, elapsed: Duration) {
        self.known().values().chain([&self.others]).for_each(|caller| caller.refill(share, elapsed));
    }

    /// Ends a window. Callers who have not called for a while and hold nothing are forgotten.
    pub(super) fn end_window(&self) -> Brought {
        let mut known = self.known();
        let (mut brought, mut active, mut demand) = (Brought::default(), 0_u64, 0_u64);
        for caller in known.values().chain([&self.others]) {
            let (work, refused) = caller.end_window();
            brought.refused = brought.refused.saturating_add(refused);
            brought.busiest = brought.busiest.max(work);
            brought.work = brought.work.saturating_add(work);
            if caller.is_active() {
                active += 1;
                demand = demand.saturating_add(caller.demand.load(Relaxed));
            }
        }
        // The others are there from the start, and idle unless there are too many callers.
        let fair = demand.checked_div(active).unwrap_or(0).saturating_mul(OVER_SHARE_PERCENT) / 100;
        for caller in known.values().chain([&self.others]) {
            caller.greedy.store(1 < active && fair < caller.demand.load(Relaxed), Relaxed);
        }
        known.retain(|_, caller| caller.is_active() || 1 < Arc::strong_count(caller));
        self.totals.active.store(usize::try_from(active).unwrap_or(usize::MAX), Relaxed);
        brought
    }

    fn known(&self) -> MutexGuard<'_, HashMap<CallerKey, Arc<Caller>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_ipv6_is_one_caller() {
        let key = |text: &str| CallerKey::of_address(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn callers_are_bounded_and_idle_ones_forgotten() {
        let callers = Callers::new(1);
        let key = |number: usize| CallerKey::of_name(number.to_string().as_bytes());
        let kept = callers.get(key(0), None);
        (0..2 * CALLERS_MAX).for_each(|number| drop(callers.get(key(number), None)));
        assert_eq!(callers.known().len(), CALLERS_MAX);
        assert!(Arc::ptr_eq(&callers.get(key(CALLERS_MAX + 1), None), &callers.others));
        for _ in 0..=ACTIVE_WINDOWS {
            let _ = callers.end_window();
        }
        assert_eq!(callers.known().len(), 1, "whoever is connected is remembered");
        drop(kept);
        let _ = callers.end_window();
        assert_eq!(callers.known().len(), 0);
    }

    #[test]
    fn what_is_done_on_other_threads_is_charged_too() {
        let callers = Callers::new(1);
        let caller = callers.get(CallerKey::Unknown, None);
        let (work, payer) = (Duration::from_millis(8), Payer(Arc::clone(&caller)));
        let mean = caller.mean_cost();
        payer.charge(work);
        assert_eq!(caller.credit.load(Relaxed), 0, "nobody has a credit where there is no limit");
        assert_eq!(caller.mean_cost(), mean + 1_000_000);
        callers.totals().limited.store(true, Relaxed);
        payer.charge(work);
        assert_eq!(caller.credit.load(Relaxed), -8_000_000);
        assert_eq!(callers.end_window().busiest, 16_000_000);
    }

    #[test]
    fn refusing_never_costs_more_than_what_is_done() {
        let callers = Callers::new(1);
        let caller = callers.get(CallerKey::Unknown, None);
        let calls: Vec<bool> = (0..10_000).map(|_| caller.reserve().is_some()).collect();
        let done = calls.iter().filter(|done| **done).count() as u64;
        let refused = calls.len() as u64 - done;
        assert!(refused * REFUSAL_NANOS <= done * caller.mean_cost(), "{done} done, {refused} refused");
        assert!(1_000 < refused, "without credit most are refused: {refused}");
    }
}
