//! Calls from begin to end: how many, how they ended, how long they took, who made them.
//!
//! Counted in shards without a lock, as decisions are. A call costs three additions and one look at
//! the clock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::telemetry::caller::{CallerLabel, LABELS_MAX};
use crate::telemetry::codes::CODES;
use crate::telemetry::counts::add_one;
use crate::telemetry::instruments::instruments;
use crate::telemetry::log_limit::LogLimiter;
use crate::telemetry::sharded::{SHARDS, Shard, Sharded};

const OK: usize = 0;
const CANCELLED: usize = 1;
const UNKNOWN: usize = 2;

/// Upper bounds of the request histogram, in nanoseconds: from a plain call to the longest that is
/// allowed.
pub(super) const REQUEST_NANOS: [u64; 15] = [
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// A method that callers may call, as metrics tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestMethod {
    /// One decision.
    EvaluateRefund,
    /// Many decisions.
    BatchEvaluateRefund,
    /// A check of evidence.
    ValidateEvidence,
    /// Information about the server and its policies.
    GetServerInfo,
    /// Anything else below the name of the data service.
    UnknownDataMethod,
    /// Health, asked once.
    HealthCheck,
    /// Health, watched.
    HealthWatch,
    /// Reflection, of either version.
    Reflection,
    /// Anything else.
    Unknown,
}

/// Methods whose requests are counted by caller: those of the data service, which come first.
const DATA_METHODS: usize = RequestMethod::UnknownDataMethod as usize + 1;

const METHODS: usize = RequestMethod::ALL.len();

impl RequestMethod {
    /// All of them, by their positions.
    pub const ALL: [Self; 9] = [
        Self::EvaluateRefund,
        Self::BatchEvaluateRefund,
        Self::ValidateEvidence,
        Self::GetServerInfo,
        Self::UnknownDataMethod,
        Self::HealthCheck,
        Self::HealthWatch,
        Self::Reflection,
        Self::Unknown,
    ];

    /// The value of the label `method`: the full name where there is one.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::EvaluateRefund => "requite.v1.RefundPolicyService/EvaluateRefund",
            Self::BatchEvaluateRefund => "requite.v1.RefundPolicyService/BatchEvaluateRefund",
            Self::ValidateEvidence => "requite.v1.RefundPolicyService/ValidateEvidence",
            Self::GetServerInfo => "requite.v1.RefundPolicyService/GetServerInfo",
            Self::UnknownDataMethod => "requite.v1.RefundPolicyService/unknown",
            Self::HealthCheck => "grpc.health.v1.Health/Check",
            Self::HealthWatch => "grpc.health.v1.Health/Watch",
            Self::Reflection => "grpc.reflection/ServerReflectionInfo",
            Self::Unknown => "unknown",
        }
    }

    /// True if a call of the method may stay open without an end.
    #[must_use]
    pub const fn is_open_ended(self) -> bool {
        matches!(self, Self::HealthWatch | Self::Reflection)
    }

    /// The method that the path of a call names, outside of the data service.
    #[must_use]
    pub fn beside_data(path: &str) -> Self {
        match path.strip_prefix('/').unwrap_or_default() {
            "grpc.health.v1.Health/Check" => Self::HealthCheck,
            "grpc.health.v1.Health/Watch" => Self::HealthWatch,
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
            | "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => Self::Reflection,
            _ => Self::Unknown,
        }
    }
}

/// Counters of every call.
struct Calls {
    begun: [AtomicU64; METHODS],
    /// By caller, method and code.
    data: [AtomicU64; LABELS_MAX * DATA_METHODS * CODES.len()],
    /// By method and code: the other methods, whoever calls.
    beside_data: [AtomicU64; (METHODS - DATA_METHODS) * CODES.len()],
    durations: [[AtomicU64; REQUEST_NANOS.len() + 1]; METHODS],
    nanos: [AtomicU64; METHODS],
}

static CALLS: Sharded<Calls> = Sharded(
    [const {
        Shard(Calls {
            begun: [const { AtomicU64::new(0) }; METHODS],
            data: [const { AtomicU64::new(0) }; LABELS_MAX * DATA_METHODS * CODES.len()],
            beside_data: [const { AtomicU64::new(0) }; (METHODS - DATA_METHODS) * CODES.len()],
            durations: [const { [const { AtomicU64::new(0) }; REQUEST_NANOS.len() + 1] }; METHODS],
            nanos: [const { AtomicU64::new(0) }; METHODS],
        })
    }; SHARDS],
);

impl Calls {
    /// The counter of calls that ended so.
    fn ended(&self, method: RequestMethod, code: usize, caller: CallerLabel) -> Option<&AtomicU64> {
        let method = method as usize;
        match method.checked_sub(DATA_METHODS) {
            None => self.data.get((caller.index() * DATA_METHODS + method) * CODES.len() + code),
            Some(method) => self.beside_data.get(method * CODES.len() + code),
        }
    }
}

/// A call that was begun and has not ended. Dropping it counts it as `CANCELLED`: its caller went
/// away.
#[must_use]
#[derive(Debug)]
pub struct ActiveRequest {
    method: RequestMethod,
    caller: CallerLabel,
    begun: Instant,
    code: usize,
}

impl ActiveRequest {
    /// Counts a call that begins; `begun` is when its headers were read.
    pub fn begin(method: RequestMethod, begun: Instant) -> Self {
        add_one(CALLS.own().begun.get(method as usize));
        Self { method, caller: CallerLabel::UNNAMED, begun, code: CANCELLED }
    }

    /// The same call, made by this caller.
    pub const fn by(mut self, caller: CallerLabel) -> Self {
        self.caller = caller;
        self
    }

    /// Notes who makes the call.
    pub const fn set_caller(&mut self, caller: CallerLabel) {
        self.caller = caller;
    }

    /// Counts that the call ended with this status code of gRPC.
    pub fn finish(mut self, code: i32) {
        self.code = usize::try_from(code).ok().filter(|&code| code < CODES.len()).unwrap_or(UNKNOWN);
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let Self { method, caller, begun, code } = *self;
        let elapsed = begun.elapsed();
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let own = CALLS.own();
        add_one(own.ended(method, code, caller));
        let bucket = REQUEST_NANOS.partition_point(|&bound| bound < nanos);
        add_one(own.durations.get(method as usize).and_then(|buckets| buckets.get(bucket)));
        if let Some(sum) = own.nanos.get(method as usize) {
            sum.fetch_add(nanos, Relaxed);
        }
        if let Some(instruments) = instruments() {
            instruments.request_finished(method.text(), elapsed);
        }
        if code != OK {
            log_failure(method, code, caller);
        }
    }
}

/// Writes a line about a call that failed, unless there were many of its code.
#[cold]
fn log_failure(method: RequestMethod, code: usize, caller: CallerLabel) {
    static LIMITERS: [LogLimiter; CODES.len()] = [const { LogLimiter::new() }; CODES.len()];
    let Some(suppressed) = LIMITERS.get(code).and_then(LogLimiter::permit) else { return };
    let (method, caller) = (method.text(), caller.text());
    let code = CODES.get(code).copied().unwrap_or_default();
    tracing::info!(method, code, caller, suppressed, "a call failed");
}

/// Number of calls of a method that ended with one code, for one caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ended {
    pub(super) method: RequestMethod,
    pub(super) code: &'static str,
    pub(super) caller: CallerLabel,
    pub(super) count: u64,
}

/// Calls that have ended. Every code of every method is there for callers without a name, and every
/// code of the methods that a named caller has called.
pub(super) fn ended() -> Vec<Ended> {
    let mut all = Vec::new();
    for caller in CallerLabel::all() {
        for method in RequestMethod::ALL {
            if caller != CallerLabel::UNNAMED && DATA_METHODS <= method as usize {
                continue;
            }
            let codes = CODES.iter().enumerate().map(|(place, &code)| Ended {
                method,
                code,
                caller,
                count: CALLS.sum(|calls| calls.ended(method, place, caller)),
            });
            let codes: Vec<_> = codes.collect();
            if caller == CallerLabel::UNNAMED || codes.iter().any(|ended| ended.count != 0) {
                all.extend(codes);
            }
        }
    }
    all
}

/// Calls of each method that have begun and not ended.
pub(super) fn in_flight() -> Vec<(RequestMethod, u64)> {
    let count = |method: RequestMethod| {
        // In this order: one that ends in between must not make more ended than begun.
        let ended: u64 = durations(method).buckets.iter().sum();
        let begun = CALLS.sum(|calls| calls.begun.get(method as usize));
        (method, begun.saturating_sub(ended))
    };
    RequestMethod::ALL.into_iter().map(count).collect()
}

/// Histogram of the durations of the calls of a method.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Durations {
    /// Calls that took at most each of [`REQUEST_NANOS`] and more than the one before; the last bucket is for those
    /// that took longer than all of them.
    pub(super) buckets: Vec<u64>,
    /// All of them together, in nanoseconds.
    pub(super) nanos: u64,
}

/// Reads the histogram of the durations of the calls of a method.
pub(super) fn durations(method: RequestMethod) -> Durations {
    let bucket = |place: usize| CALLS.sum(|calls| calls.durations.get(method as usize)?.get(place));
    Durations {
        buckets: (0..=REQUEST_NANOS.len()).map(bucket).collect(),
        nanos: CALLS.sum(|calls| calls.nanos.get(method as usize)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(method: RequestMethod, code: &str, caller: CallerLabel) -> u64 {
        let of = |ended: &Ended| (ended.method, ended.code, ended.caller) == (method, code, caller);
        ended().into_iter().find(of).map_or(0, |ended| ended.count)
    }

    #[test]
    fn a_call_is_in_flight_until_it_ends_and_then_counted_once() {
        let method = RequestMethod::Reflection;
        let flying = || in_flight().into_iter().find(|(found, _)| *found == method).unwrap().1;
        let before = (flying(), count(method, "NOT_FOUND", CallerLabel::UNNAMED));
        let active = ActiveRequest::begin(method, Instant::now());
        assert_eq!(flying(), before.0 + 1);
        active.finish(5);
        assert_eq!((flying(), count(method, "NOT_FOUND", CallerLabel::UNNAMED)), (before.0, before.1 + 1));
    }

    #[test]
    fn a_call_whose_caller_went_away_is_cancelled_and_an_unheard_of_code_is_unknown() {
        let method = RequestMethod::UnknownDataMethod;
        let caller = CallerLabel::of_name("went-away");
        drop(ActiveRequest::begin(method, Instant::now()).by(caller));
        ActiveRequest::begin(method, Instant::now()).by(caller).finish(17);
        ActiveRequest::begin(method, Instant::now()).by(caller).finish(-1);
        let counts = ["CANCELLED", "UNKNOWN", "OK"].map(|code| count(method, code, caller));
        assert_eq!(counts, [1, 2, 0], "by {}", caller.text());
    }

    #[test]
    fn methods_count_at_their_own_position() {
        let positions = RequestMethod::ALL.map(|method| method as usize);
        assert!(positions.iter().copied().eq(0..METHODS), "{positions:?}");
        for method in RequestMethod::ALL.into_iter().skip(DATA_METHODS) {
            let named = RequestMethod::beside_data(&format!("/{}", method.text()));
            assert!(named == method || method == RequestMethod::Reflection, "{method:?}");
        }
    }
}
