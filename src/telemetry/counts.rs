//! Counters since the start of the process, for the pages and for the instruments of a collector.
//!
//! Deciding must not wait for counting: what happens with every decision is counted in shards, without a lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::words::{Outcome, ReasonCode};
use crate::telemetry::codes::CODES;
use crate::telemetry::labels::LineLoss;
use crate::telemetry::labels::{BufferKind, Closure, Listener, Refusal, ReloadResult, ReloadTrigger, ShedReason};
use crate::telemetry::sharded::{SHARDS, Shard, Sharded};

/// Upper bounds of the evaluation histogram, in nanoseconds: a decision takes microseconds, a
/// stall milliseconds.
pub(super) const EVALUATION_NANOS: [u64; 15] = [
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

/// Every reason, and none.
const REASONS: usize = ReasonCode::ALL.len() + 1;

/// Counters of every decision.
struct Decisions {
    decisions: [AtomicU64; Outcome::ALL.len() * REASONS],
    evaluations: [AtomicU64; EVALUATION_NANOS.len() + 1],
    evaluation_nanos: AtomicU64,
}

static DECISIONS: Sharded<Decisions> = Sharded(
    [const {
        Shard(Decisions {
            decisions: [const { AtomicU64::new(0) }; Outcome::ALL.len() * REASONS],
            evaluations: [const { AtomicU64::new(0) }; EVALUATION_NANOS.len() + 1],
            evaluation_nanos: AtomicU64::new(0),
        })
    }; SHARDS],
);

static RELOADS: [[AtomicU64; ReloadResult::ALL.len()]; ReloadTrigger::ALL.len()] =
    [const { [const { AtomicU64::new(0) }; ReloadResult::ALL.len()] }; ReloadTrigger::ALL.len()];

static CONNECTIONS: [Connections; Listener::ALL.len()] =
    [const { Connections { taken: AtomicU64::new(0), ended: AtomicU64::new(0) } }; Listener::ALL.len()];

static REFUSED: [[AtomicU64; Refusal::ALL.len()]; Listener::ALL.len()] =
    [const { [const { AtomicU64::new(0) }; Refusal::ALL.len()] }; Listener::ALL.len()];

static CLOSED: [[AtomicU64; Closure::ALL.len()]; Listener::ALL.len()] =
    [const { [const { AtomicU64::new(0) }; Closure::ALL.len()] }; Listener::ALL.len()];

static SHED: [AtomicU64; ShedReason::ALL.len()] = [const { AtomicU64::new(0) }; ShedReason::ALL.len()];

static BUFFERED_BYTES: [AtomicU64; BufferKind::ALL.len()] = [const { AtomicU64::new(0) }; BufferKind::ALL.len()];

static LOG_LINES_LOST: [AtomicU64; LineLoss::ALL.len()] = [const { AtomicU64::new(0) }; LineLoss::ALL.len()];

static HEADERS_REFUSED: [AtomicU64; Listener::ALL.len()] = [const { AtomicU64::new(0) }; Listener::ALL.len()];
static NOT_GRPC: [AtomicU64; Listener::ALL.len()] = [const { AtomicU64::new(0) }; Listener::ALL.len()];

static THREADS_HELD: AtomicU64 = AtomicU64::new(0);
static ANSWERS_NOT_READ: AtomicU64 = AtomicU64::new(0);
static NOT_KEPT: AtomicU64 = AtomicU64::new(0);
static FLAPS: AtomicU64 = AtomicU64::new(0);
static PANICS: Named<1> = Named::new();
static ADMIN_CALLS: Named<2> = Named::new();
static ADMIN_UNAUTHENTICATED: Named<1> = Named::new();

struct Connections {
    taken: AtomicU64,
    ended: AtomicU64,
}

/// Counters of what happens seldom, by words known when the program was built.
pub(super) struct Named<const N: usize>(Mutex<BTreeMap<[&'static str; N], u64>>);

impl<const N: usize> Named<N> {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Makes counters for these names, at 0 where there is none yet.
    fn declare(&self, names: impl IntoIterator<Item = [&'static str; N]>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.into_iter().for_each(|names| {
            counts.entry(names).or_default();
        });
    }

    fn add(&self, names: [&'static str; N]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(names).or_default();
        *count = count.saturating_add(1);
    }

    /// All that were counted.
    pub(super) fn all(&self) -> Vec<([&'static str; N], u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(names, count)| (*names, *count)).collect()
    }
}

/// Adds one to a counter, if there is one.
pub(super) fn add_one(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Relaxed);
    }
}

/// Counts a decision.
pub(super) fn decided(outcome: Outcome, reason: Option<ReasonCode>, elapsed: Duration) {
    let own = DECISIONS.own();
    let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
    let reason = reason.map_or(0, |reason| usize::from(reason.index()) + 1);
    add_one(own.decisions.get(usize::from(outcome.index()) * REASONS + reason));
    add_one(own.evaluations.get(EVALUATION_NANOS.partition_point(|&bound| bound < nanos)));
    own.evaluation_nanos.fetch_add(nanos, Relaxed);
}

/// Counts a look at the bundle.
pub(super) fn reloaded(trigger: ReloadTrigger, result: ReloadResult) {
    add_one(RELOADS.get(trigger as usize).and_then(|results| results.get(result as usize)));
}

/// Counts a panic.
pub(super) fn panicked(method: &'static str) {
    PANICS.add([method]);
}

/// Counts that the source was held down because it flaps.
pub(super) fn flapped() {
    FLAPS.fetch_add(1, Relaxed);
}

/// Counts an answer that was given up because nobody read it in time.
pub(super) fn answer_not_read() {
    add_one(Some(&ANSWERS_NOT_READ));
}

/// Answers that were given up because nobody read them in time.
pub(super) fn answers_not_read() -> u64 {
    ANSWERS_NOT_READ.load(Relaxed)
}

/// Counts a call that was refused because its headers are too long.
pub(super) fn headers_refused(listener: Listener) {
    add_one(HEADERS_REFUSED.get(listener as usize));
}

/// Calls that were refused because their headers are too long, by listener: where HTTP/2 is spoken.
pub(super) fn all_headers_refused() -> Vec<(Listener, u64)> {
    where_http2_is_spoken(&HEADERS_REFUSED)
}

/// Counts a request that was refused because it is not gRPC.
pub(super) fn not_grpc(listener: Listener) {
    add_one(NOT_GRPC.get(listener as usize));
}

/// Requests that were refused because they are not gRPC, by listener: where HTTP/2 is spoken.
pub(super) fn all_not_grpc() -> Vec<(Listener, u64)> {
    where_http2_is_spoken(&NOT_GRPC)
}

/// These counts, without those of the pages.
fn where_http2_is_spoken(counts: &[AtomicU64; Listener::ALL.len()]) -> Vec<(Listener, u64)> {
    let counts = Listener::ALL.into_iter().zip(counts).map(|(listener, count)| (listener, count.load(Relaxed)));
    counts.filter(|(listener, _)| *listener != Listener::Pages).collect()
}

/// Counts that a call kept a thread for too long.
pub(super) fn thread_held() {
    add_one(Some(&THREADS_HELD));
}

/// Number of calls that kept a thread for too long.
pub(super) fn threads_held() -> u64 {
    THREADS_HELD.load(Relaxed)
}

/// Counts a revision that could not be kept.
pub(super) fn not_kept() {
    add_one(Some(&NOT_KEPT));
}

/// Names where panics are caught.
pub(super) fn declare_panics(methods: impl IntoIterator<Item = &'static str>) {
    PANICS.declare(methods.into_iter().map(|method| [method]));
}

/// Names the methods of admins, each with every status code.
pub(super) fn declare_admin_calls(methods: impl IntoIterator<Item = &'static str>) {
    ADMIN_CALLS.declare(methods.into_iter().flat_map(|method| CODES.map(|code| [method, code])));
}

/// Names what can be wrong with the credentials of admins.
pub(super) fn declare_admin_unauthenticated(causes: impl IntoIterator<Item = &'static str>) {
    ADMIN_UNAUTHENTICATED.declare(causes.into_iter().map(|cause| [cause]));
}

/// Counts a call of an admin.
pub(super) fn admin_called(method: &'static str, code: &'static str) {
    ADMIN_CALLS.add([method, code]);
}

/// Counts a caller of the admin service who did not show who they are.
pub(super) fn admin_unauthenticated(cause: &'static str) {
    ADMIN_UNAUTHENTICATED.add([cause]);
}

/// Counts a connection that was taken.
pub(super) fn connection_taken(listener: Listener) {
    add_one(CONNECTIONS.get(listener as usize).map(|connections| &connections.taken));
}

/// Counts a connection that has ended.
pub(super) fn connection_ended(listener: Listener) {
    add_one(CONNECTIONS.get(listener as usize).map(|connections| &connections.ended));
}

/// Counts a connection that was not taken.
pub(super) fn connection_refused(listener: Listener, refusal: Refusal) {
    add_one(REFUSED.get(listener as usize).and_then(|counts| counts.get(refusal as usize)));
}

/// Counts a connection that was closed from here.
pub(super) fn connection_closed(listener: Listener, closure: Closure) {
    add_one(CLOSED.get(listener as usize).and_then(|counts| counts.get(closure as usize)));
}

/// Counts a call that was turned away for lack of room.
pub(super) fn shed(reason: ShedReason) {
    add_one(SHED.get(reason as usize));
}

/// Counts log lines that nobody will read.
pub(super) fn log_lines_lost(loss: LineLoss, lines: u64) {
    if let Some(lost) = LOG_LINES_LOST.get(loss as usize) {
        lost.fetch_add(lines, Relaxed);
    }
}

/// Adds bytes that are held.
pub(super) fn bytes_added(kind: BufferKind, bytes: u64) {
    if let Some(held) = BUFFERED_BYTES.get(kind as usize) {
        held.fetch_add(bytes, Relaxed);
    }
}

/// Takes bytes away that are held no more.
pub(super) fn bytes_released(kind: BufferKind, bytes: u64) {
    if let Some(held) = BUFFERED_BYTES.get(kind as usize) {
        held.fetch_sub(bytes, Relaxed);
    }
}

/// Decisions by outcome and primary reason, whether there are any or not.
pub(super) fn decisions() -> Vec<(Outcome, Option<ReasonCode>, u64)> {
    let reasons = || std::iter::once(None).chain(ReasonCode::ALL.iter().copied().map(Some));
    let kinds = Outcome::ALL.iter().flat_map(|&outcome| reasons().map(move |reason| (outcome, reason)));
    kinds
        .enumerate()
        .map(|(place, (outcome, reason))| {
            let count = DECISIONS.sum(|shard| shard.decisions.get(place));
            (outcome, reason, count)
        })
        .collect()
}

/// Histogram of the durations of decisions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Evaluations {
    /// Decisions that took at most each of [`EVALUATION_NANOS`] and more than the one before; the last bucket is for
    /// those that took longer than all of them.
    pub(super) buckets: Vec<u64>,
    /// All of them together, in nanoseconds.
    pub(super) nanos: u64,
}

/// Reads the histogram of the durations of decisions.
pub(super) fn evaluations() -> Evaluations {
    let bucket = |place: usize| DECISIONS.sum(|shard| shard.evaluations.get(place));
    Evaluations {
        buckets: (0..=EVALUATION_NANOS.len()).map(bucket).collect(),
        // Five hundred years of deciding fit.
        nanos: DECISIONS.sum(|shard| Some(&shard.evaluation_nanos)),
    }
}

/// Looks at the bundle, by what asked for it and what came of it.
pub(super) fn reloads() -> Vec<(ReloadTrigger, ReloadResult, u64)> {
    let counted = ReloadTrigger::ALL.into_iter().zip(&RELOADS).flat_map(|(trigger, counts)| {
        let results = ReloadResult::ALL.into_iter().zip(counts);
        results.map(move |(result, count)| (trigger, result, count.load(Relaxed)))
    });
    counted.collect()
}

/// Connections by listener: taken since the start, and open now.
pub(super) fn connections() -> Vec<(Listener, u64, u64)> {
    let row = |(listener, counts): (Listener, &Connections)| {
        // In this order: one that ends in between must not make more ended than taken.
        let ended = counts.ended.load(Relaxed);
        let taken = counts.taken.load(Relaxed);
        (listener, taken, taken.saturating_sub(ended))
    };
    Listener::ALL.into_iter().zip(&CONNECTIONS).map(row).collect()
}

/// Connections that were not taken, by listener and reason.
pub(super) fn connections_refused() -> Vec<(Listener, Refusal, u64)> {
    let row = |(listener, counts): (Listener, &'static [AtomicU64; Refusal::ALL.len()])| {
        Refusal::ALL.into_iter().zip(counts).map(move |(refusal, count)| (listener, refusal, count.load(Relaxed)))
    };
    Listener::ALL.into_iter().zip(&REFUSED).flat_map(row).collect()
}

/// Connections that were closed from here, by listener and reason.
pub(super) fn connections_closed() -> Vec<(Listener, Closure, u64)> {
    let row = |(listener, counts): (Listener, &'static [AtomicU64; Closure::ALL.len()])| {
        Closure::ALL.into_iter().zip(counts).map(move |(closure, count)| (listener, closure, count.load(Relaxed)))
    };
    Listener::ALL.into_iter().zip(&CLOSED).flat_map(row).collect()
}

/// Calls that were turned away for lack of room, by reason.
pub(super) fn all_shed() -> Vec<(ShedReason, u64)> {
    ShedReason::ALL.into_iter().zip(&SHED).map(|(reason, count)| (reason, count.load(Relaxed))).collect()
}

/// Log lines that nobody will read, by kind.
pub(super) fn all_log_lines_lost() -> Vec<(LineLoss, u64)> {
    LineLoss::ALL.into_iter().zip(&LOG_LINES_LOST).map(|(loss, lines)| (loss, lines.load(Relaxed))).collect()
}

/// Bytes that are held, by kind.
pub(super) fn buffered_bytes() -> Vec<(BufferKind, u64)> {
    BufferKind::ALL.into_iter().zip(&BUFFERED_BYTES).map(|(kind, bytes)| (kind, bytes.load(Relaxed))).collect()
}

/// Number of times that the source was held down because it flaps.
pub(super) fn all_flaps() -> u64 {
    FLAPS.load(Relaxed)
}

/// Revisions that could not be kept in the state directory.
pub(super) fn all_not_kept() -> u64 {
    NOT_KEPT.load(Relaxed)
}

/// Panics by where they were caught.
pub(super) fn panics() -> Vec<([&'static str; 1], u64)> {
    PANICS.all()
}

/// Calls of admins by method and status code.
pub(super) fn admin_calls() -> Vec<([&'static str; 2], u64)> {
    ADMIN_CALLS.all()
}

/// Callers of the admin service who did not show who they are, by cause.
pub(super) fn admin_unauthenticated_all() -> Vec<([&'static str; 1], u64)> {
    ADMIN_UNAUTHENTICATED.all()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The counters are those of the process: other tests of this program may count as well, so
    // each test looks at kinds of its own.

    #[test]
    fn decisions_of_all_threads_add_up() {
        let kind = (Outcome::ManualReview, Some(ReasonCode::CalendarNotCovered));
        let count =
            || decisions().into_iter().find(|(outcome, reason, _)| (*outcome, *reason) == kind).map_or(0, |it| it.2);
        let before = count();
        let threads: Vec<_> = (0..2 * SHARDS)
            .map(|_| {
                std::thread::spawn(move || (0..100).for_each(|_| decided(kind.0, kind.1, Duration::from_micros(3))))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(count() - before, 2 * SHARDS as u64 * 100);
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let place = |nanos: u64| EVALUATION_NANOS.partition_point(|&bound| bound < nanos);
        assert_eq!((place(0), place(1_000), place(1_001)), (0, 0, 1));
        assert_eq!((place(1_000_000_000), place(1_000_000_001)), (14, 15));
    }

    #[test]
    fn words_count_at_their_own_place() {
        let listeners = Listener::ALL.map(|listener| listener as usize);
        let triggers = ReloadTrigger::ALL.map(|trigger| trigger as usize);
        let results = ReloadResult::ALL.map(|result| result as usize);
        for places in [listeners.as_slice(), &triggers, &results] {
            assert!(places.iter().copied().eq(0..places.len()), "{places:?}");
        }
        assert_eq!(reloads().len(), triggers.len() * results.len());
    }
}
