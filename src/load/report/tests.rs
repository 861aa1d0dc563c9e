//! Reports of runs with known figures.

use super::*;
use crate::load::record::{Code, Fault};

fn recorder() -> Recorder {
    let mut recorder = Recorder::new(Duration::from_secs(3)).unwrap();
    for number in 0..1_000_u64 {
        let at = Duration::from_millis(number * 3);
        recorder.intended += 1;
        recorder.answered(at, at + Duration::from_micros(number + 1));
    }
    recorder
}

#[test]
fn percentiles_are_those_of_what_was_recorded() {
    let figures = latency(&recorder().latency_ns);
    assert_eq!((figures.p99_9_us, figures.p99_99_us), (None, None), "a thousand answers are too few");
    for (got, expected) in [
        (figures.min_us, 1.0),
        (figures.p50_us.unwrap(), 500.0),
        (figures.p90_us.unwrap(), 900.0),
        (figures.p99_us.unwrap(), 990.0),
        (figures.max_us, 1_000.0),
    ] {
        assert!((got - expected).abs() <= expected * 0.002, "{got} is not {expected}: {figures:?}");
    }
}

#[test]
fn a_percentile_is_told_once_ten_answers_lie_above_it() {
    let shares = latency(&recorder().latency_ns).percentiles().map(|(_, share, _)| answers_needed(share));
    assert_eq!(shares, [20, 100, 1_000, 10_000, 100_000]);
    let mut nanos = Histogram::<u64>::new(3).unwrap();
    assert_eq!((percentile(&nanos, 0.5), percentile(&nanos, 0.9)), (None, None));
    nanos.record_n(1_000, 19).unwrap();
    assert_eq!(percentile(&nanos, 0.5), None);
    nanos.record(1_000).unwrap();
    assert_eq!(percentile(&nanos, 0.5), Some(1.0));
    nanos.record_n(1_000, 79).unwrap();
    assert_eq!(percentile(&nanos, 0.9), None);
    nanos.record(1_000).unwrap();
    assert_eq!(percentile(&nanos, 0.9), Some(1.0));
}

#[test]
fn the_curve_rises_to_the_slowest() {
    let curve = curve(&recorder().latency_ns);
    assert!(curve.is_sorted_by(|a, b| a.share <= b.share && a.latency_us <= b.latency_us), "{curve:?}");
    let last = curve.last().unwrap();
    assert!((last.share - 1.0).abs() < 1e-9 && (last.latency_us - 1_000.0).abs() < 2.0, "{last:?}");
}

#[test]
fn shares_count_items_of_batches_one_by_one() {
    let mut recorder = recorder();
    recorder.failed(Duration::ZERO, Fault::Unsent);
    recorder.intended += 1;
    recorder.item_errors.insert(Code::of(5), 10);
    let requests = requests(&recorder, 333, 10, Duration::from_secs(3));
    assert!((requests.error_share - 20.0 / 10_010.0).abs() < 1e-12, "{}", requests.error_share);
    assert_eq!(requests.errors, BTreeMap::from([("unsent", 1)]));
    assert_eq!((requests.intended, requests.answered, requests.failed), (1_001, 1_000, 1));
}

#[test]
fn late_answers_stretch_the_time_that_throughput_is_of() {
    let mut recorder = recorder();
    recorder.answered(Duration::ZERO, Duration::from_secs(10));
    assert!((requests(&recorder, 333, 1, Duration::from_secs(3)).answered_per_s - 100.1).abs() < 0.01);
}

#[test]
fn an_early_end_leaves_out_what_was_not_measured() {
    let slices = slices(&recorder(), Duration::from_millis(1_500));
    assert_eq!(slices.len(), 2);
    assert!((slices[1].length_s - 0.5).abs() < 1e-9);
    assert!(slices[1].p50_us.unwrap() <= slices[1].max_us, "{slices:?}");
    assert_eq!(slices[1].p99_us, None, "a third of a thousand answers are too few");
}
