//! What goes back adds up to what was paid, to the last cent, however a claim is cut.

use requite::domain::decision::{Decision, ReasonCodes};
use requite::domain::request::{Claim, Component, InputValue, Line, Order, Refundability, Request};
use requite::domain::words::{Outcome, ReasonCode};
use requite::plan::Plan;

use crate::support::decide::{LINE_IDS, cny, decided, inline, minor, pay, placed};

const FULL: &str = "  - { id: all, refund: full }\n";

fn order(lines: &[i64]) -> Request<'static> {
    let lines = lines.iter().zip(LINE_IDS).map(|(paid, id)| Line { id, paid: Some(cny(*paid)), ..Line::default() });
    let claim = Claim { requested_at: Some(placed()), ..Claim::default() };
    Request { order: Order { lines: lines.collect(), ..Order::default() }, claim }
}

/// Writes into the order what a decision returned, after holding it against what each part paid.
fn carry_out(request: &mut Request<'static>, decision: &Decision) -> i64 {
    let order = &mut request.order;
    let add = |earlier, more: i64| Some(cny(minor(earlier) + more));
    for line in &decision.lines {
        let of = &mut order.lines[usize::from(line.line)];
        of.refunded = add(of.refunded, line.refund.minor());
        assert!(minor(of.refunded) <= minor(of.paid));
    }
    for component in &decision.components {
        let of = &mut order.components[usize::from(component.component)];
        of.refunded = add(of.refunded, component.refund.minor());
        assert!(minor(of.refunded) <= minor(of.paid));
    }
    for (tender, back) in order.tenders.iter_mut().zip(&decision.tenders) {
        tender.refunded = add(tender.refunded, back.amount.minor());
        assert!(minor(tender.refunded) <= minor(tender.paid), "more than the tender paid");
    }
    decision.refund.minor()
}

#[test]
fn three_refunds_of_a_third_return_what_was_paid() {
    let plan = inline("CNY", "", FULL);
    let tenders = [(1, Refundability::Refundable), (1, Refundability::Refundable), (1, Refundability::Refundable)];
    for count in [1, 3] {
        for by_line in [true, false] {
            let mut request = order(if by_line { &[3_333, 3_333, 3_334] } else { &[10_000] });
            request.order.tenders = pay(&request.order.lines, &tenders[..count]);
            let mut refunded = 0;
            for (part, id) in LINE_IDS.into_iter().take(3).enumerate() {
                match by_line {
                    true => request.claim.line_ids = vec![id],
                    false => request.claim.requested_amount = (part < 2).then(|| cny(3_333)),
                }
                let decision = decided(&plan, &request);
                refunded += carry_out(&mut request, &decision);
            }
            assert_eq!(refunded, 10_000);
            for tender in &request.order.tenders {
                assert_eq!(minor(tender.refunded), minor(tender.paid));
            }
        }
    }
}

#[test]
fn goods_with_discount_and_tax_go_back_to_the_cent_in_any_order() {
    // Five lines of two at 23.90 each, 10 % off, with 7 % tax on top, rounded once for the order.
    let plan = inline("CNY", "components: { tax: { refund: in_proportion } }\n", FULL);
    let whole = || {
        let mut request = order(&[4_302; 5]);
        request.order.components = vec![Component { name: "tax", paid: Some(cny(1_506)), refunded: None, line_id: "" }];
        request
    };
    let paid = 5 * 4_302 + 1_506;
    assert_eq!(decided(&plan, &whole()).refund.minor(), paid);
    let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..5 {
        let longer = |begun: &Vec<usize>| {
            let begun = begun.clone();
            (0..5).filter(|at| !begun.contains(at)).map(|at| [begun.clone(), vec![at]].concat()).collect::<Vec<_>>()
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    assert_eq!(orders.len(), 120);
    for places in orders {
        let mut request = whole();
        let mut refunded = 0;
        for place in places {
            request.claim.line_ids = vec![LINE_IDS[place]];
            let decision = decided(&plan, &request);
            refunded += carry_out(&mut request, &decision);
        }
        assert_eq!(refunded, paid);
    }
}

#[test]
fn ten_of_a_kind_with_discount_and_tax_go_back_to_the_cent() {
    // Ten at 23.90, 10 % off: 21.51 each; 7 % tax on 215.10 is 15.057, collected as 15.06.
    const IDS: [&str; 10] = ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"];
    let plan = inline("CNY", "components: { tax: { refund: in_proportion } }\n", FULL);
    let whole = || {
        let mut request = order(&[2_151]);
        let line = request.order.lines[0].clone();
        request.order.lines = IDS.iter().map(|id| Line { id, ..line.clone() }).collect();
        request.order.components = vec![Component { name: "tax", paid: Some(cny(1_506)), refunded: None, line_id: "" }];
        request
    };
    let paid = 10 * 2_151 + 1_506;
    assert_eq!(decided(&plan, &whole()).refund.minor(), paid);
    for (first, step) in [(0, 1), (9, 9), (3, 7), (5, 3)] {
        let mut request = whole();
        let mut refunded = 0;
        for at in 0..IDS.len() {
            request.claim.line_ids = vec![IDS[(first + at * step) % IDS.len()]];
            let decision = decided(&plan, &request);
            refunded += carry_out(&mut request, &decision);
        }
        assert_eq!(refunded, paid, "beginning with {first}, every {step}th");
    }
}

fn fee(amount: &str) -> Plan {
    let rules =
        format!("  - {{ id: fee, refund: {{ deduct: [{{ kind: cancellation_fee, amount: \"{amount}\" }}] }} }}\n");
    inline("CNY", "inputs: { x: { type: number } }\n", &rules)
}

fn not_computable(amount: &str, x: &'static str) {
    let mut request = order(&[10_000]);
    request.order.inputs = vec![("x", InputValue::Decimal(x))];
    let decision = decided(&fee(amount), &request);
    assert_eq!(decision.outcome, Outcome::ManualReview, "{amount}");
    assert_eq!(decision.reason_codes, ReasonCodes::of(&[ReasonCode::NotComputable]), "{amount}");
    assert_eq!(decision.refund.minor(), 0);
}

#[test]
fn a_number_too_large_is_for_a_person_and_never_a_wrong_figure() {
    not_computable("paid * x * x * x", "999999999999999999");
    not_computable("min(paid, paid * x * x * x)", "999999999999999999");
}

#[test]
fn a_division_by_zero_is_for_a_person() {
    not_computable("paid / x", "0");
    not_computable("min(paid, paid / (x - x))", "5");
}
