//! Tests of the differences that are counted, the sums, and the sampling of orders.

use super::*;
use crate::engine::admit::Admission;
use crate::engine::status::KnownGood;
use crate::policy::bundle::{Bundle, BundleFile};
use crate::telemetry::labels::ReloadTrigger;

fn candidate(sample_per_thousand: u16) -> Candidate {
    let files = vec![BundleFile { path: "guide.policy.yaml".into(), bytes: b"-".to_vec() }];
    let admission = Admission {
        digest: Bundle::new(files).unwrap().digest(),
        default_policy: "guide".into(),
        plans: Vec::new(),
        warnings: Vec::new(),
        stricter_errors: Vec::new(),
        cases_passed: 0,
    };
    let over = admission.digest;
    Candidate::new(admission, Staging { at: at(1_000), actor: "ann".into(), over, sample_per_thousand })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds, 0).unwrap()
}

fn in_force(generation: u64, since: i64) -> Revision {
    Revision {
        digest: candidate(1).digest(),
        semantic: None,
        generation,
        activated_at: at(since),
        trigger: ReloadTrigger::FileChange,
        actor: String::new(),
        reason: String::new(),
        known_good: KnownGood::NotYet,
    }
}

fn cny() -> Currency {
    Currency::iso("CNY").unwrap()
}

/// One line, approved by the rule `r`.
fn refunded(minor: i64) -> Observed {
    let refund = Amount::from_minor(minor);
    Observed {
        policy: "guide".into(),
        currency: cny(),
        outcome: (Outcome::ApprovedFull, None),
        refund,
        lines: vec![(0, "r".into(), refund)],
    }
}

fn denied(reason: ReasonCode) -> Observed {
    Observed { outcome: (Outcome::Denied, Some(reason)), lines: vec![(0, "no".into(), Amount::ZERO)], ..refunded(0) }
}

fn report(candidate: &Candidate) -> CandidateReport {
    candidate.report(at(1_060), &in_force(7, 10))
}

fn rule_row(live: &str, candidate: &str, lines: u64, difference: i128) -> RuleDifference {
    RuleDifference {
        policy: "guide".into(),
        live: live.into(),
        candidate: candidate.into(),
        lines,
        difference: vec![(cny(), difference)],
    }
}

#[test]
fn sums_and_differences_are_exact() {
    let candidate = candidate(1_000);
    candidate.compare(7, &refunded(100), &refunded(100));
    candidate.compare(7, &refunded(100), &refunded(130));
    candidate.compare(7, &refunded(50), &denied(ReasonCode::WindowExpired));
    candidate.not_comparable(7);
    let report = report(&candidate);
    assert_eq!((report.compared, report.different, report.not_comparable), (3, 2, 1));
    assert_eq!(report.money, [MoneyDifference { currency: cny(), live: 250, candidate: 230, above: 30, below: 50 }]);
    assert_eq!(report.by_rule, [rule_row("r", "no", 1, -50), rule_row("r", "r", 1, 30)]);
    let approved = (Outcome::ApprovedFull, None);
    let denied = (Outcome::Denied, Some(ReasonCode::WindowExpired));
    assert_eq!(
        report.by_reason,
        [
            ReasonDifference { live: approved, candidate: approved, requests: 1 },
            ReasonDifference { live: approved, candidate: denied, requests: 1 },
        ]
    );
    assert_eq!(report.observed, Duration::from_secs(60));
}

#[test]
fn the_largest_sums_do_not_overflow() {
    let candidate = candidate(1_000);
    for _ in 0..1_000 {
        candidate.compare(7, &refunded(i64::MAX), &refunded(0));
    }
    let most = i128::from(i64::MAX) * 1_000;
    let row = MoneyDifference { currency: cny(), live: most, candidate: 0, above: 0, below: most };
    assert_eq!(report(&candidate).money, [row]);
}

#[test]
fn a_renamed_rule_is_a_difference_without_money() {
    let candidate = candidate(1_000);
    let renamed = Observed { lines: vec![(0, "s".into(), Amount::from_minor(100))], ..refunded(100) };
    candidate.compare(7, &refunded(100), &renamed);
    let report = report(&candidate);
    assert_eq!(report.different, 1);
    assert_eq!(report.by_rule, [rule_row("r", "s", 1, 0)]);
}

#[test]
fn another_policy_is_a_difference_and_its_rules_are_told_apart() {
    let candidate = candidate(1_000);
    candidate.compare(7, &refunded(100), &Observed { policy: "house".into(), ..refunded(100) });
    let report = report(&candidate);
    assert_eq!(report.different, 1);
    assert_eq!(report.by_rule, [rule_row("r", "house/r", 1, 0)]);
}

#[test]
fn a_currency_declared_otherwise_is_a_row_of_its_own() {
    let candidate = candidate(1_000);
    let points = |exponent| Currency { code: "PTS".into(), exponent };
    let said = |exponent| Observed { currency: points(exponent), ..refunded(100) };
    candidate.compare(7, &said(0), &said(2));
    let row = |exponent, live, candidate| MoneyDifference {
        currency: points(exponent),
        live,
        candidate,
        above: candidate,
        below: live,
    };
    let report = report(&candidate);
    assert_eq!(report.money, [row(0, 100, 0), row(2, 0, 100)]);
    assert_eq!(report.by_rule[0].difference, [(points(0), -100), (points(2), 100)]);
}

#[test]
fn only_lines_that_differ_are_told_by_rule() {
    let line = |place, rule: &str, minor| (place, rule.to_owned(), Amount::from_minor(minor));
    let live = Observed { lines: vec![line(0, "r", 60), line(2, "t", 40)], ..refunded(100) };
    let own = Observed { lines: vec![line(0, "r", 60), line(2, "t", 10)], ..refunded(70) };
    let candidate = candidate(1_000);
    candidate.compare(7, &live, &own);
    assert_eq!(report(&candidate).by_rule, [rule_row("t", "t", 1, -30)]);
}

#[test]
fn rows_beyond_the_bound_are_counted() {
    let candidate = candidate(1_000);
    let pairs = RULE_PAIRS_MAX + 10;
    for rule in 0..pairs {
        let own = Observed { lines: vec![(0, format!("r-{rule}"), Amount::ZERO)], ..refunded(100) };
        candidate.compare(7, &refunded(100), &own);
    }
    let most = Observed { lines: vec![(0, "r-77".into(), Amount::ZERO)], ..refunded(100) };
    candidate.compare(7, &refunded(100), &most);
    let report = report(&candidate);
    assert_eq!(report.by_rule.len(), RULE_ROWS_MAX);
    assert_eq!(report.by_rule[0], rule_row("r", "r-77", 2, -200));
    let shown: u64 = report.by_rule.iter().map(|row| row.lines).sum();
    assert_eq!(shown + report.further_rules, u64::try_from(pairs).unwrap() + 1);
    assert_eq!(candidate.tally().rules.len(), RULE_PAIRS_MAX);
}

#[test]
fn figures_are_about_what_is_in_force() {
    let candidate = candidate(1_000);
    candidate.compare(7, &refunded(100), &refunded(90));
    candidate.shed();
    candidate.failed();
    let after_a_reload = candidate.report(at(1_060), &in_force(8, 1_050));
    assert_eq!((after_a_reload.compared, after_a_reload.observed), (0, Duration::from_secs(10)));
    assert_eq!((after_a_reload.shed, after_a_reload.failed), (1, 1));
    candidate.compare(8, &refunded(100), &refunded(100));
    candidate.compare(7, &refunded(100), &refunded(90));
    let later = candidate.report(at(1_060), &in_force(8, 1_050));
    assert_eq!((later.compared, later.different), (1, 0));
}

#[test]
fn a_clock_set_back_is_no_time_at_all() {
    assert_eq!(candidate(1).report(at(900), &in_force(7, 10)).observed, Duration::ZERO);
}

#[test]
fn an_order_is_sampled_always_or_never() {
    let candidate = candidate(100);
    let sampled: Vec<String> =
        (0..20_000).map(|n| format!("o-{n}")).filter(|id| candidate.samples(id, "r") == Sampled::Yes).collect();
    assert!((1_800..2_200).contains(&sampled.len()), "a tenth of the orders, got {}", sampled.len());
    for id in sampled {
        assert_eq!(candidate.samples(&id, "another request"), Sampled::Yes);
    }
}

#[test]
fn requests_without_ids_are_drawn_one_by_one() {
    let candidate = candidate(500);
    let by_request = (0..2_000).filter(|n| candidate.samples("", &format!("r-{n}")) == Sampled::Yes).count();
    let by_itself = (0..2_000).filter(|_| candidate.samples("", "") == Sampled::Yes).count();
    assert!((850..1_150).contains(&by_request), "{by_request}");
    assert!((850..1_150).contains(&by_itself), "{by_itself}");
}

#[test]
fn all_of_a_thousand_is_every_request() {
    assert!((0..2_000).all(|n| candidate(1_000).samples(&format!("o-{n}"), "") == Sampled::Yes));
}

#[test]
fn too_many_failures_and_it_is_given_up() {
    let candidate = candidate(1_000);
    for _ in 1..FAILURES_MAX {
        candidate.failed();
    }
    assert!(!candidate.is_given_up());
    candidate.failed();
    assert!(candidate.is_given_up());
}
