//! Claims on one order, one after the other: in every order, overlapping, repeated, on lines that went back before. However
//! it is cut, the order gets the same in all.

use requite::domain::decision::{Decision, DeductionSource, RuleRef};
use requite::domain::request::{Claim, Component, EarlierAmount, Fraction, Line, Order, Request};
use requite::domain::time::Timestamp;
use requite::domain::words::{AmountKind, RequestType};
use requite::plan::Plan;
use requite::plan::rule::Action;

use crate::support::decide::{cny, decided, inline, minor};

const IDS: [&str; 3] = ["a", "b", "c"];

/// An order of three lines at these prices, and a claim on all of it.
fn order(prices: [i64; 3], components: &[(&'static str, i64, &'static str)]) -> Request<'static> {
    let line = |(id, paid): (&'static str, i64)| Line { id, paid: Some(cny(paid)), ..Line::default() };
    let component = |&(name, paid, line_id): &(&'static str, i64, &'static str)| Component {
        name,
        paid: Some(cny(paid)),
        line_id,
        refunded: None,
    };
    Request {
        order: Order {
            lines: IDS.into_iter().zip(prices).map(line).collect(),
            components: components.iter().map(component).collect(),
            ..Order::default()
        },
        claim: Claim { requested_at: Some(Timestamp::parse("2026-03-02T10:00:00Z").unwrap()), ..Claim::default() },
    }
}

/// What went back of an order in all, and what was given beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Sum {
    refund: i64,
    beside: i64,
}

/// Decides a claim on these lines and notes the answer, as a careful caller does.
fn ask(plan: &Plan, request: &mut Request<'static>, lines: &[&'static str], sum: &mut Sum) {
    request.claim.line_ids = lines.to_vec();
    let decision = decided(plan, request);
    sum.refund += decision.refund.minor();
    for line in &decision.lines {
        let of = &mut request.order.lines[usize::from(line.line)];
        of.refunded = Some(cny(minor(of.refunded) + line.refund.minor()));
    }
    for (of, component) in request.order.components.iter_mut().zip(&decision.components) {
        of.refunded = Some(cny(minor(of.refunded) + component.refund.minor()));
    }
    for (name, line_id, amount, what) in named(plan, &decision) {
        match what {
            // A line holds it back in all: the newest answer takes the place of those before it.
            AmountKind::Deduction => {
                request.order.earlier.retain(|entry| (entry.line_id, entry.what) != (line_id, Some(what)));
            }
            AmountKind::Compensation | AmountKind::AmountDue => sum.beside += amount,
        }
        request.order.earlier.push(EarlierAmount { name, line_id, amount: Some(cny(amount)), what: Some(what) });
    }
}

/// The amounts of an answer that have the name of an amount of the order.
fn named(plan: &Plan, decision: &Decision) -> Vec<(&'static str, &'static str, i64, AmountKind)> {
    let mut named = Vec::new();
    for line in &decision.lines {
        let id = IDS[usize::from(line.line)];
        let RuleRef::Rule(place) = line.rule else { continue };
        let effect = &plan.rules[place as usize].effect;
        let Action::Refund(steps) = &effect.action else { continue };
        for deduction in &line.deductions {
            if let DeductionSource::Step { step, .. } = deduction.source
                && steps[usize::from(step)].order_amount.is_some()
            {
                named.push(("fee", id, deduction.amount.minor(), AmountKind::Deduction));
            }
        }
        let given = line.compensations.iter().map(|amount| amount.amount.minor());
        named.extend(given.map(|amount| ("goodwill", id, amount, AmountKind::Compensation)));
    }
    named
}

/// The lines of a set, as bits.
fn lines(set: usize) -> Vec<&'static str> {
    (0..3).filter(|line| set >> line & 1 == 1).map(|line| IDS[line]).collect()
}

/// Every sequence of three claims on some of three lines, and then one on all of them, comes to `expected`.
fn every_sequence(plan: &Plan, start: &Request<'static>, expected: Sum) {
    for sequence in 0..7usize.pow(3) {
        let sets = [1 + sequence % 7, 1 + sequence / 7 % 7, 1 + sequence / 49];
        let (mut request, mut sum) = (start.clone(), Sum::default());
        for set in sets {
            ask(plan, &mut request, &lines(set), &mut sum);
            let before = sum;
            ask(plan, &mut request, &lines(set), &mut sum);
            assert_eq!(sum, before, "asked again, {sets:?}: {request:#?}");
        }
        ask(plan, &mut request, &IDS, &mut sum);
        assert_eq!(sum, expected, "{sets:?}: {request:#?}");
    }
}

const FEE: &str = "order_amounts: { fee: { amount: 10.00 }, goodwill: { amount: 5.00 } }\n";

#[test]
fn a_fee_of_the_order_is_taken_once_however_it_is_claimed() {
    let plan = inline(
        "CNY",
        FEE,
        "  - id: cancel\n    refund: { deduct: [{ kind: cancellation_fee, order_amount: fee }] }\n    compensate: { goodwill: order_amount }\n",
    );
    // 3 × 30.00 − 10.00 = 80.00; the goodwill of 5.00 once.
    every_sequence(&plan, &order([3_000, 3_000, 3_000], &[]), Sum { refund: 8_000, beside: 500 });
    // 4.00 + 30.00 + 0.00 − 10.00 = 24.00: what of the fee does not fit the first line waits for the second.
    every_sequence(&plan, &order([400, 3_000, 0], &[]), Sum { refund: 2_400, beside: 500 });
    // 4.00 + 3.00 + 2.00 are less than the fee.
    every_sequence(&plan, &order([400, 300, 200], &[]), Sum { refund: 0, beside: 500 });
}

#[test]
fn a_line_that_went_back_before_takes_no_part_of_a_fee() {
    let named = "  - id: cancel\n    refund: { deduct: [{ kind: cancellation_fee, order_amount: fee }] }\n";
    let unnamed =
        "  - id: cancel\n    refund: { deduct: [{ kind: cancellation_fee, scope: order, amount: \"10.00\" }] }\n";
    for (head, rules) in [(FEE, named), ("", unnamed)] {
        let plan = inline("CNY", head, rules);
        let mut request = order([2_000, 2_000, 2_000], &[]);
        request.order.lines[0].refunded = Some(cny(2_000));
        request.order.lines[1].refunded = Some(cny(2_000));
        // 20.00 − 10.00 = 10.00, and not 20.00 less a third of the fee.
        let mut sum = Sum::default();
        ask(&plan, &mut request, &IDS, &mut sum);
        assert_eq!(sum.refund, 1_000, "{rules}");
    }
}

#[test]
fn a_fee_that_was_given_back_with_its_line_is_taken_of_the_next() {
    let plan = inline(
        "CNY",
        FEE,
        "  - id: late\n    when: { request_type: dispute }\n    refund: full\n  - id: cancel\n    refund: { deduct: [{ kind: consumed_value, amount: \"paid * completed_share\" }, { kind: cancellation_fee, order_amount: fee }] }\n",
    );
    let start = |completed: i64| {
        let mut request = order([3_000, 3_000, 3_000], &[]);
        for line in &mut request.order.lines {
            line.completed = Some(Fraction { numerator: completed, denominator: 2 });
        }
        request.claim.request_type = Some(RequestType::Refund);
        request
    };
    // 30.00 − 10.00 = 20.00, then the fee goes back, then the next line (alone or with the first) pays it.
    for next in [&["b"][..], &["a", "b"]] {
        let (mut request, mut sum) = (start(0), Sum::default());
        ask(&plan, &mut request, &["a"], &mut sum);
        assert_eq!(sum.refund, 2_000);
        request.claim.request_type = Some(RequestType::Dispute);
        ask(&plan, &mut request, &["a"], &mut sum);
        assert_eq!(sum.refund, 3_000);
        request.claim.request_type = Some(RequestType::Refund);
        ask(&plan, &mut request, next, &mut sum);
        assert_eq!(sum.refund, 5_000, "{next:?}");
        let before = sum;
        ask(&plan, &mut request, next, &mut sum);
        assert_eq!(sum, before, "{next:?}");
    }
    // What is used of the first line has eaten up what was its fee: 15.00 − 10.00 = 5.00 go back of the second.
    let (mut request, mut sum) = (start(0), Sum::default());
    ask(&plan, &mut request, &["a"], &mut sum);
    request.order.lines = start(1).order.lines;
    request.order.lines[0].refunded = Some(cny(2_000));
    ask(&plan, &mut request, &["a", "b"], &mut sum);
    assert_eq!(sum.refund, 2_500);
}

#[test]
fn deductions_of_a_line_are_taken_once_however_it_is_claimed() {
    let plan = inline(
        "CNY",
        "",
        "  - id: half\n    refund:\n      deduct:\n        - { kind: consumed_value, amount: \"paid / 3\" }\n        - { kind: cancellation_fee, amount: \"remaining * 10% + 1.00\" }\n",
    );
    // 10.00: 3.33, then 0.67 + 1.00 = 1.67 → 5.00. 0.01: nothing, then 1.00 of 0.01 → 0.00.
    // 200.00: 66.67, then 13.33 + 1.00 = 14.33 → 119.00.
    every_sequence(&plan, &order([1_000, 1, 20_000], &[]), Sum { refund: 12_400, beside: 0 });
}

#[test]
fn components_come_to_the_same_however_the_lines_are_claimed() {
    let plan = |refund: &str| {
        let head = format!("components: {{ shipping: {{ refund: {refund} }} }}\n");
        inline("CNY", &head, "  - id: all\n    refund: full\n")
    };
    // 10.00 of shipping for the order, 1.01 for the second line alone; the third line is free.
    let start = order([1_000, 2_000, 0], &[("shipping", 1_000, ""), ("shipping", 101, "b")]);
    for (refund, expected) in [("never", 3_000), ("always", 4_101), ("when_full", 4_101), ("in_proportion", 4_101)] {
        every_sequence(&plan(refund), &start, Sum { refund: expected, beside: 0 });
    }
}

#[test]
fn a_component_follows_what_is_held_back_of_its_lines() {
    let plan = |refund: &str| {
        let head = format!("components: {{ shipping: {{ refund: {refund} }} }}\n");
        let rules = "  - id: quarter\n    refund: { deduct: [{ kind: consumed_value, amount: \"paid / 4\" }] }\n";
        inline("CNY", &head, rules)
    };
    // 7.50 + 15.00 + 22.50 = 45.00 of 60.00; a component of 10.00: three quarters are 7.50.
    let start = order([1_000, 2_000, 3_000], &[("shipping", 1_000, "")]);
    for (refund, expected) in [("never", 4_500), ("always", 5_500), ("when_full", 4_500), ("in_proportion", 5_250)] {
        every_sequence(&plan(refund), &start, Sum { refund: expected, beside: 0 });
    }
}
