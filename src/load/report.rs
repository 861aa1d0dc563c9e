//! The report of a run, for programs: every figure has its unit in its name.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{Counter, Histogram};
use serde::Serialize;

use crate::load::record::{OUTCOMES, Recorder};

/// Outcomes by their numbers on the wire.
const OUTCOME_NAMES: [&str; OUTCOMES] =
    ["unknown", "approved_full", "approved_partial", "more_info_required", "manual_review", "denied"];

/// Points of the curve for each halving of what is above it.
const CURVE_TICKS: u32 = 8;

/// The whole report.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Settings of the run.
    pub run: Run,
    /// Numbers of requests, and rates per second.
    pub requests: Requests,
    /// From the intended moment of a request to its answer; only answered requests are in it.
    pub latency: Latency,
    /// Influence of the generator itself on the figures.
    pub generator: Generator,
    /// Decisions by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Policies, as the answers name them.
    pub policies: Policies,
    /// Changes of the policies; absent where there were none.
    pub reloads: Option<Reloads>,
    /// The time measured, in parts.
    pub slices: Vec<SliceFigures>,
    /// The latency below which a share of the answers lies, from the fastest to the slowest.
    pub percentile_curve: Vec<Point>,
}

/// Settings of the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Run {
    /// The version of this program.
    pub bench_version: &'static str,
    /// Address of the server.
    pub address: String,
    /// The version that the server says it has.
    pub server_version: String,
    /// The method called.
    pub method: &'static str,
    /// Origin of the requests.
    pub requests_from: String,
    /// Number of different requests.
    pub examples: usize,
    /// Distribution of the requests over time.
    pub arrivals: &'static str,
    /// Seed of the arrivals and of a generated mix.
    pub seed: u64,
    /// Items of each batch; one for single requests.
    pub batch_items: usize,
    /// Connections.
    pub connections: usize,
    /// Threads of the generator.
    pub threads: usize,
    /// Most requests in flight.
    pub in_flight_max: usize,
    /// The deadline of a call.
    pub timeout_ms: u64,
    /// Time that is not counted.
    pub warm_up_ms: u64,
    /// Time that was to be measured.
    pub duration_asked_ms: u64,
    /// Time that was measured.
    pub duration_ms: u64,
    /// True if someone ended it before.
    pub ended_early: bool,
}

/// Requests of the time measured.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Requests {
    /// The rate asked for.
    pub asked_per_s: u32,
    /// Requests whose moment came.
    pub intended: u64,
    /// Of those, answered.
    pub answered: u64,
    /// Of those, failed; together they are the intended ones.
    pub failed: u64,
    /// Answers a second, until the last one.
    pub answered_per_s: f64,
    /// Decisions in the answers.
    pub decisions: u64,
    /// Decisions a second.
    pub decisions_per_s: f64,
    /// Share of failures in all that was asked, items of batches counted one by one; from 0 to 1.
    pub error_share: f64,
    /// Failed requests: codes of gRPC in capitals, our own words in small letters.
    pub errors: BTreeMap<&'static str, u64>,
    /// Items of answered batches that have an error for an answer, by code.
    pub item_errors: BTreeMap<&'static str, u64>,
}

/// Answers that have to lie above a percentile: of fewer, it says how slow a few single requests were.
const ANSWERS_ABOVE_MIN: f64 = 10.0;

/// Number of answers needed to tell a percentile, given as a share of all below 1.
#[must_use]
pub fn answers_needed(share: f64) -> u64 {
    // At most some billions: no share here leaves less than a ten-thousandth above it.
    (ANSWERS_ABOVE_MIN / (1.0 - share)).round() as u64
}

/// Percentiles, in microseconds; `null` where fewer than ten answers lie above.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Latency {
    /// The fastest.
    pub min_us: f64,
    /// The mean.
    pub mean_us: f64,
    /// Half are faster. From 20 answers on.
    pub p50_us: Option<f64>,
    /// One of 10 is slower. From 100 answers on.
    pub p90_us: Option<f64>,
    /// One of 100 is slower. From 1 000 answers on.
    pub p99_us: Option<f64>,
    /// One of 1 000 is slower. From 10 000 answers on.
    pub p99_9_us: Option<f64>,
    /// One of 10 000 is slower. From 100 000 answers on.
    pub p99_99_us: Option<f64>,
    /// The slowest.
    pub max_us: f64,
}

impl Latency {
    /// The percentiles by name and share, the lowest first.
    #[must_use]
    pub const fn percentiles(&self) -> [(&'static str, f64, Option<f64>); 5] {
        [
            ("p50", 0.5, self.p50_us),
            ("p90", 0.9, self.p90_us),
            ("p99", 0.99, self.p99_us),
            ("p99.9", 0.999, self.p99_9_us),
            ("p99.99", 0.9999, self.p99_99_us),
        ]
    }
}

/// The generator itself.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Generator {
    /// From the intended moment to when it got to it: half.
    pub late_p50_us: f64,
    /// One of 100 was later.
    pub late_p99_us: f64,
    /// The latest.
    pub late_max_us: f64,
    /// Its processor time for each request sent, warm-up included.
    pub cpu_us_per_request: f64,
    /// Share of time that its busiest thread was busy, from 0 to 1.
    pub busiest_thread_share: f64,
    /// Reasons to doubt the figures, for people. Empty: none were found.
    pub warnings: Vec<String>,
}

/// Policies, as the answers name them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Policies {
    /// The default policy of the server.
    pub default_policy: String,
    /// The digest before the run.
    pub digest_before: String,
    /// The digest after it; empty where the server did not say.
    pub digest_after: String,
    /// Digests in the answers.
    pub digests_seen: usize,
    /// Generations in the answers.
    pub generations_seen: usize,
    /// When each was first seen.
    pub generations: Vec<Seen>,
    /// Answers that disagree with others about what decided them.
    pub mixed_answers: u64,
    /// The first of them, for people.
    pub mixed_told: Vec<String>,
}

/// A generation in an answer.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Seen {
    /// The server's counter.
    pub generation: u64,
    /// From the beginning of the time measured.
    pub first_seen_s: f64,
}

/// Changes of the policies.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Reloads {
    /// The period asked for.
    pub every_ms: u64,
    /// The file that was changed and put back.
    pub file: String,
    /// Changes made, in warm-up as well.
    pub made: u32,
    /// When, from the beginning of the time measured; those of the warm-up are left out.
    pub at_s: Vec<f64>,
    /// Reason why the changes ended before the run; absent where they did not.
    pub problem: Option<String>,
}

/// A part of the time measured, by the intended moment of requests.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct SliceFigures {
    /// Beginning of the slice, from the beginning of the time measured.
    pub start_s: f64,
    /// Length of the slice.
    pub length_s: f64,
    /// Requests answered.
    pub answered: u64,
    /// Requests failed.
    pub failed: u64,
    /// Half are faster; `null` for fewer than 20 answers.
    pub p50_us: Option<f64>,
    /// One of 100 is slower; `null` for fewer than 1 000 answers.
    pub p99_us: Option<f64>,
    /// The slowest; zero without answers.
    pub max_us: f64,
}

/// A point of the curve.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Point {
    /// The share of answers at or below it, from 0 to 1.
    pub share: f64,
    /// The latency.
    pub latency_us: f64,
}

/// The percentiles of a histogram of nanoseconds.
#[must_use]
pub fn latency(nanos: &Histogram<u64>) -> Latency {
    let at = |share| percentile(nanos, share);
    Latency {
        min_us: micros(nanos.min()),
        mean_us: rounded(nanos.mean() / 1e3, 1),
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p99_9_us: at(0.999),
        p99_99_us: at(0.9999),
        max_us: micros(nanos.max()),
    }
}

/// The curve of a histogram of nanoseconds.
#[must_use]
pub fn curve(nanos: &Histogram<u64>) -> Vec<Point> {
    let point = |share, nanos| Point { share, latency_us: micros(nanos) };
    let values = nanos.iter_quantiles(CURVE_TICKS);
    values.map(|step| point(step.quantile_iterated_to(), step.value_iterated_to().min(nanos.max()))).collect()
}

/// The parts of what was measured for so long.
#[must_use]
pub fn slices(recorder: &Recorder, measured: Duration) -> Vec<SliceFigures> {
    let width = recorder.slice_width.as_secs_f64();
    let figures = recorder.slices.iter().enumerate().map(|(index, slice)| {
        let start_s = u32::try_from(index).map_or(0.0, f64::from) * width;
        SliceFigures {
            start_s,
            length_s: rounded(width.min(measured.as_secs_f64() - start_s), 3),
            answered: slice.latency_ns.len(),
            failed: slice.faults,
            p50_us: percentile(&slice.latency_ns, 0.5),
            p99_us: percentile(&slice.latency_ns, 0.99),
            max_us: micros(slice.latency_ns.max()),
        }
    });
    // Those that an early end left out.
    figures.filter(|figures| 0.0 < figures.length_s).collect()
}

/// Counts of the time measured.
#[must_use]
pub fn requests(recorder: &Recorder, asked_per_s: u32, items: usize, measured: Duration) -> Requests {
    let answered = recorder.latency_ns.len();
    // Answers that came later than the last request stretch the time: a server that cannot keep up
    // must not look as if it could.
    let time_s = recorder.last_answer.max(measured).as_secs_f64();
    let per_s = |count: u64| if 0.0 < time_s { rounded(count as f64 / time_s, 1) } else { 0.0 };
    let failed = recorder.faults_total();
    let item_errors: u64 = recorder.item_errors.values().sum();
    let asked = recorder.intended.saturating_mul(items as u64);
    let wrong = failed.saturating_mul(items as u64).saturating_add(item_errors);
    Requests {
        asked_per_s,
        intended: recorder.intended,
        answered,
        failed,
        answered_per_s: per_s(answered),
        decisions: recorder.decisions,
        decisions_per_s: per_s(recorder.decisions),
        error_share: if asked == 0 { 0.0 } else { wrong as f64 / asked as f64 },
        errors: recorder.faults.iter().map(|(fault, count)| (fault.name(), *count)).collect(),
        item_errors: recorder.item_errors.iter().map(|(code, count)| (code.0, *count)).collect(),
    }
}

/// Decisions by outcome, those that occurred.
#[must_use]
pub fn outcomes(recorder: &Recorder) -> BTreeMap<&'static str, u64> {
    OUTCOME_NAMES.into_iter().zip(recorder.outcomes).filter(|(_, count)| 0 < *count).collect()
}

/// A percentile in microseconds; `None` where too few answers lie above it to say anything.
#[must_use]
pub fn percentile<T: Counter>(nanos: &Histogram<T>, share: f64) -> Option<f64> {
    (answers_needed(share) <= nanos.len()).then(|| micros(nanos.value_at_quantile(share).min(nanos.max())))
}

/// Digits in threes.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if 0 < index && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Microseconds with one digit behind the point.
#[must_use]
pub fn micros(nanos: u64) -> f64 {
    rounded(nanos as f64 / 1e3, 1)
}

/// A number with so many digits behind the point.
#[must_use]
pub fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}

/// Reports that tests begin with.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    /// Two seconds with a reload and a failed request.
    pub(crate) fn report() -> Report {
        let slice = |start_s, failed| SliceFigures {
            start_s,
            length_s: 1.0,
            answered: 500 - failed,
            failed,
            p50_us: Some(250.0),
            p99_us: None,
            max_us: 12_000.0,
        };
        let point = |share, latency_us| Point { share, latency_us };
        Report {
            run: run(),
            requests: Requests {
                asked_per_s: 500,
                intended: 1_000,
                answered: 999,
                failed: 1,
                answered_per_s: 499.5,
                decisions: 999,
                decisions_per_s: 499.5,
                error_share: 0.001,
                errors: BTreeMap::from([("UNAVAILABLE", 1)]),
                item_errors: BTreeMap::new(),
            },
            latency: Latency {
                min_us: 120.0,
                mean_us: 280.0,
                p50_us: Some(250.0),
                p90_us: Some(400.0),
                p99_us: None,
                p99_9_us: None,
                p99_99_us: None,
                max_us: 12_000.0,
            },
            generator: Generator {
                late_p50_us: 20.0,
                late_p99_us: 90.0,
                late_max_us: 300.0,
                cpu_us_per_request: 30.5,
                busiest_thread_share: 0.02,
                warnings: Vec::new(),
            },
            outcomes: BTreeMap::from([("approved_full", 400), ("denied", 599)]),
            policies: Policies {
                default_policy: "standard".into(),
                digest_before: "blake3:aa".into(),
                digest_after: "blake3:aa".into(),
                digests_seen: 2,
                generations_seen: 3,
                generations: [(1, 0.0), (2, 0.9), (3, 1.4)]
                    .map(|(generation, first_seen_s)| Seen { generation, first_seen_s })
                    .to_vec(),
                mixed_answers: 0,
                mixed_told: Vec::new(),
            },
            reloads: Some(Reloads {
                every_ms: 500,
                file: "policies/shop.policy.yaml".into(),
                made: 2,
                at_s: vec![0.7, 1.2],
                problem: None,
            }),
            slices: vec![slice(0.0, 0), slice(1.0, 1)],
            percentile_curve: vec![point(0.0, 120.0), point(0.5, 250.0), point(0.99, 900.0), point(1.0, 12_000.0)],
        }
    }

    fn run() -> Run {
        Run {
            bench_version: "0.1.0",
            address: "127.0.0.1:50051".into(),
            server_version: "0.1.0".into(),
            method: "EvaluateRefund",
            requests_from: "generated for the standard policy, seed 1".into(),
            examples: 240,
            arrivals: "constant",
            seed: 1,
            batch_items: 1,
            connections: 8,
            threads: 1,
            in_flight_max: 10_000,
            timeout_ms: 10_000,
            warm_up_ms: 5_000,
            duration_asked_ms: 2_000,
            duration_ms: 2_000,
            ended_early: false,
        }
    }
}

#[cfg(test)]
mod tests;
