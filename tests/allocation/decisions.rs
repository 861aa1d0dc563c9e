//! A decision on an order of one line takes nothing from the heap, whatever the answer.
//!
//! A program of its own, because the counter stands in for its allocator.

use std::collections::BTreeMap;
use std::hint::black_box;

use allocation_counter::measure;
use requite::decision::explain::Silent;
use requite::decision::{Purpose, decide, intake};
use requite::domain::decision::Decision;
use requite::domain::request::{Claim, Evidence, Fraction, Line, Order, Request, Tender};
use requite::domain::time::Timestamp;
use requite::domain::words::{LiableParty, OrderStage, Outcome, RequestType};

use crate::support::decide::{STANDARD, after, bad_piece, cny, good_piece, placed};

/// Late delivery of an order of 200.00 by two tenders, with the two records that prove it.
fn late() -> Request<'static> {
    let due = after(placed(), 80 * crate::support::decide::HOUR);
    Request {
        order: Order {
            id: "order-1",
            placed_at: Some(placed()),
            times: vec![("promised_at", due)],
            lines: vec![Line {
                id: "line-1",
                product_type: "boosting",
                stage: Some(OrderStage::InProgress),
                paid: Some(cny(20_000)),
                completed: Some(Fraction { numerator: 3, denominator: 8 }),
                declared_cost: Some(cny(3_333)),
                ..Line::default()
            }],
            tenders: vec![
                Tender { id: "t1", method: "alipay", paid: Some(cny(15_000)), ..Tender::default() },
                Tender { id: "t2", method: "balance", paid: Some(cny(5_000)), ..Tender::default() },
            ],
            ..Order::default()
        },
        claim: Claim {
            request_type: Some(RequestType::Refund),
            reason: "late_delivery",
            liable_party: Some(LiableParty::Platform),
            channel: "app",
            requested_at: Some(after(due, 17 * crate::support::decide::HOUR)),
            evidence: vec![good_piece("a", "order_record"), good_piece("b", "promised_time_record")],
            ..Claim::default()
        },
    }
}

/// The decision, and how often it asked the heap for something.
fn counted(request: &Request<'_>) -> (Decision, u64) {
    let facts = intake(&STANDARD, request, Purpose::Decision).unwrap_or_else(|bad| panic!("{bad:?}"));
    let mut decision = None;
    let counted = measure(|| decision = Some(decide(&STANDARD, black_box(&facts), &mut Silent)));
    (decision.unwrap(), counted.count_total)
}

fn with(change: impl Fn(&mut Request<'static>)) -> Request<'static> {
    let mut request = late();
    change(&mut request);
    request
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(black_box(Box::new(1)))).count_total, 1);
}

#[test]
fn no_answer_on_one_line_takes_anything_from_the_heap() {
    let cases = [
        ("a part goes back", Outcome::ApprovedPartial, late()),
        (
            "all of it goes back at once",
            Outcome::ApprovedFull,
            with(|of| {
                of.order.lines[0].stage = Some(OrderStage::NotStarted);
                of.claim = Claim {
                    reason: "",
                    evidence: Vec::new(),
                    requested_at: Some(after(placed(), crate::support::decide::HOUR)),
                    ..of.claim.clone()
                };
            }),
        ),
        (
            "all of it goes back after a review",
            Outcome::ApprovedFull,
            with(|of| of.order.lines[0].stage = Some(OrderStage::NotStarted)),
        ),
        (
            "a customer's own cancellation costs the greater of two",
            Outcome::ApprovedPartial,
            with(|of| {
                of.claim.reason = "no_longer_needed";
                of.claim.evidence = vec![good_piece("a", "chat_record"), good_piece("b", "order_record")];
            }),
        ),
        (
            "denied: the order is finished",
            Outcome::Denied,
            with(|of| of.order.lines[0].stage = Some(OrderStage::Completed)),
        ),
        ("denied: another channel", Outcome::Denied, with(|of| of.claim.channel = "phone")),
        (
            "denied: all of it was had",
            Outcome::Denied,
            with(|of| of.order.lines[0].completed = Some(Fraction { numerator: 7, denominator: 7 })),
        ),
        ("a reason is missing", Outcome::MoreInfoRequired, with(|of| of.claim.reason = "")),
        ("evidence is missing", Outcome::MoreInfoRequired, with(|of| of.claim.evidence.truncate(1))),
        (
            "one of three kinds of evidence is missing",
            Outcome::MoreInfoRequired,
            with(|of| {
                of.claim.reason = "core_promise_unmet";
                of.claim.evidence = vec![good_piece("a", "order_record")];
            }),
        ),
        (
            "a piece of evidence cannot be accepted",
            Outcome::MoreInfoRequired,
            with(|of| of.claim.evidence[1] = bad_piece("b", "promised_time_record")),
        ),
        ("a fact is missing", Outcome::MoreInfoRequired, with(|of| of.order.lines[0].completed = None)),
        ("a moment is missing", Outcome::MoreInfoRequired, with(|of| of.order.times.clear())),
        ("a person decides", Outcome::ManualReview, with(|of| of.claim.liable_party = Some(LiableParty::Shared))),
        (
            "a person decides a dispute",
            Outcome::ManualReview,
            with(|of| of.claim.request_type = Some(RequestType::Dispute)),
        ),
        (
            "the calendar ends before the money arrives",
            Outcome::ApprovedPartial,
            with(|of| of.claim.requested_at = Timestamp::parse("2026-12-30T10:00:00+08:00")),
        ),
    ];
    // What is worked out once for the process is not part of a decision.
    counted(&late());
    let taken: BTreeMap<&str, u64> = cases
        .iter()
        .filter_map(|(name, outcome, request)| {
            let (decision, taken) = counted(request);
            assert_eq!(decision.outcome, *outcome, "{name}");
            (0 < taken).then_some((*name, taken))
        })
        .collect();
    assert!(taken.is_empty(), "taken from the heap: {taken:?}");
}

#[test]
fn evidence_up_to_four_pieces_stays_off_the_heap() {
    let kinds = ["order_record", "promised_time_record", "chat_record", "status_change_screenshot"];
    let request = with(|of| {
        let pieces = kinds.iter().zip(["a", "b", "c", "d"]);
        of.claim.evidence =
            pieces.map(|(&kind, id)| Evidence { captured_at: of.claim.requested_at, ..good_piece(id, kind) }).collect();
    });
    let (decision, taken) = counted(&request);
    assert_eq!((decision.outcome, taken), (Outcome::ApprovedPartial, 0));
}
