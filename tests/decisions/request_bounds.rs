//! Every bound of a request from both sides: what just fits is decided, one more is refused by the name of its field;
//! what is missing, and what stands where it does not belong.

use std::sync::LazyLock;

use requite::decision::{Purpose, intake};
use requite::domain::limits::{
    AMOUNT_MINOR_UNITS_MAX, CLAIM_TEXT_BYTES_MAX, COMPONENTS_MAX, DECIMAL_DIGITS_MAX, DECIMAL_PLACES_MAX, EARLIER_MAX,
    ENTRIES_MAX, EVIDENCE_MAX, LINES_MAX, PROMISED_ACTUAL_MAX, SHORT_TEXT_BYTES_MAX, TENDERS_MAX,
};
use requite::domain::request::{
    Claim, Component, EarlierAmount, Evidence, Fraction, InputValue, Line, Money, Order, PromisedActual, Refundability,
    Request, Tender,
};
use requite::domain::time::{Elapsed, Timestamp};
use requite::domain::words::AmountKind;
use requite::plan::Plan;

use crate::support::decide::{cny, inline, money};

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    inline(
        "CNY, JPY",
        r"product_types: [goods]
sub_stages: [packed]
tags: [gift, sale]
times: [departs_at]
components: { shipping: { refund: always } }
order_amounts: { booking: { amount: 5.00 } }
reasons: { broken: {} }
evidence: { kinds: { photo: { fields: [subject] } } }
inputs:
  trial: { type: flag }
  seat: { type: enum, values: [first, second] }
  remark: { type: text }
  factor: { type: number }
  wear: { type: ratio }
  uses: { type: count }
  fee: { type: money }
  playtime: { type: duration }
  begins: { type: timestamp }
  damage: { type: money, scope: line }
",
        "  - id: all\n    refund: full\n",
    )
});

/// An order that is accepted: two lines, a component and two tenders, and a claim on all of it.
fn accepted() -> Request<'static> {
    let line = |id, paid| Line { id, product_type: "goods", paid: Some(cny(paid)), ..Line::default() };
    let tender = |id, paid| Tender { id, method: "card", paid: Some(cny(paid)), ..Tender::default() };
    Request {
        order: Order {
            id: "o-1",
            lines: vec![line("a", 10_000), line("b", 5_000)],
            tenders: vec![tender("t-1", 9_000), tender("t-2", 7_000)],
            components: vec![Component { name: "shipping", paid: Some(cny(1_000)), ..Component::default() }],
            ..Order::default()
        },
        claim: Claim { requested_at: Some(moment()), channel: "app", ..Claim::default() },
    }
}

fn moment() -> Timestamp {
    Timestamp::parse("2026-03-02T10:00:00Z").unwrap()
}

fn text(bytes: usize) -> &'static str {
    "x".repeat(bytes).leak()
}

fn numbered(prefix: &str, count: usize) -> Vec<&'static str> {
    (0..count).map(|place| &*format!("{prefix}{place}").leak()).collect()
}

fn piece(id: &'static str) -> Evidence<'static> {
    Evidence { id, kind: "photo", ..Evidence::default() }
}

fn set_lines(order: &mut Order<'static>, count: usize) {
    let line = |id| Line { id, paid: Some(cny(100)), ..Line::default() };
    order.lines = numbered("l", count).into_iter().map(line).collect();
    order.components.clear();
    order.tenders.clear();
}

fn set_tenders(order: &mut Order<'static>, count: usize) {
    let tender = |id| Tender { id, paid: Some(cny(0)), ..Tender::default() };
    order.tenders = numbered("t", count).into_iter().map(tender).collect();
    order.tenders[0].paid = Some(cny(16_000));
}

fn set_earlier(order: &mut Order<'static>, count: usize) {
    let what = Some(AmountKind::Compensation);
    order.earlier = vec![EarlierAmount { name: "booking", line_id: "a", amount: Some(cny(1)), what }; count];
}

fn set_components(order: &mut Order<'static>, count: usize) {
    let component = Component { name: "shipping", paid: Some(cny(0)), ..Component::default() };
    order.components = vec![component; count];
    order.tenders.clear();
}

fn input(name: &'static str, value: InputValue<'static>) -> impl Fn(&mut Request<'static>) {
    move |request| request.order.inputs = vec![(name, value)]
}

fn paid(minor: i64) -> impl Fn(&mut Request<'static>) {
    move |request| {
        request.order.lines[0].paid = Some(cny(minor));
        request.order.tenders.clear();
    }
}

fn amount(units: i64, nanos: i32) -> impl Fn(&mut Request<'static>) {
    move |request| {
        request.order.lines[0].paid = Some(Money { currency: "CNY", units, nanos });
        request.order.tenders.clear();
    }
}

type Change = Box<dyn Fn(&mut Request<'static>)>;

/// What is changed of the accepted request, and the fields for which it is refused then; none: it is decided.
struct Case {
    what: &'static str,
    change: Change,
    refused: &'static [&'static str],
}

fn fits(what: &'static str, change: impl Fn(&mut Request<'static>) + 'static) -> Case {
    Case { what, change: Box::new(change), refused: &[] }
}

fn refused(
    what: &'static str,
    fields: &'static [&'static str],
    change: impl Fn(&mut Request<'static>) + 'static,
) -> Case {
    Case { what, change: Box::new(change), refused: fields }
}

fn check(cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for case in cases {
        let mut request = accepted();
        (case.change)(&mut request);
        let fields: Vec<String> = match intake(&PLAN, &request, Purpose::Decision) {
            Ok(_) => Vec::new(),
            Err(bad) => bad.into_iter().map(|bad| bad.field.clone()).collect(),
        };
        if fields != case.refused {
            wrong.push(format!("{}: refused for {fields:?} instead of {:?}", case.what, case.refused));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn counts_are_bounded() {
    check(vec![
        fits("as many lines as there may be", |request| set_lines(&mut request.order, LINES_MAX)),
        refused("a line more", &["order.lines"], |request| set_lines(&mut request.order, LINES_MAX + 1)),
        refused("no line", &["order.lines"], |request| set_lines(&mut request.order, 0)),
        fits("as many tenders as there may be", |request| set_tenders(&mut request.order, TENDERS_MAX)),
        refused("a tender more", &["order.tenders"], |request| set_tenders(&mut request.order, TENDERS_MAX + 1)),
        fits("no tender", |request| request.order.tenders.clear()),
        fits("as many earlier amounts as there may be", |request| set_earlier(&mut request.order, EARLIER_MAX)),
        refused("an earlier amount more", &["order.earlier"], |request| {
            set_earlier(&mut request.order, EARLIER_MAX + 1);
        }),
        fits("as many components as there may be", |request| set_components(&mut request.order, COMPONENTS_MAX)),
        refused("a component more", &["order.components"], |request| {
            set_components(&mut request.order, COMPONENTS_MAX + 1);
        }),
        fits("as many pieces as there may be", |request| {
            request.claim.evidence = numbered("e", EVIDENCE_MAX).into_iter().map(piece).collect();
        }),
        refused("a piece more", &["claim.evidence"], |request| {
            request.claim.evidence = numbered("e", EVIDENCE_MAX + 1).into_iter().map(piece).collect();
        }),
        fits("as many pairs as there may be", |request| {
            request.claim.promised_actual = vec![PromisedActual::default(); PROMISED_ACTUAL_MAX];
        }),
        refused("a pair more", &["claim.promised_actual"], |request| {
            request.claim.promised_actual = vec![PromisedActual::default(); PROMISED_ACTUAL_MAX + 1];
        }),
        fits("as many fields of a piece as there may be", |request| {
            let fields = numbered("f", ENTRIES_MAX).into_iter().map(|name| (name, "x")).collect();
            request.claim.evidence = vec![Evidence { fields, ..piece("e") }];
        }),
        refused("a field of a piece more", &["claim.evidence[0].fields"], |request| {
            let fields = numbered("f", ENTRIES_MAX + 1).into_iter().map(|name| (name, "x")).collect();
            request.claim.evidence = vec![Evidence { fields, ..piece("e") }];
        }),
        fits("a tag as often as there may be entries", |request| request.order.tags = vec!["gift"; ENTRIES_MAX]),
        refused("a tag more", &["order.tags"], |request| request.order.tags = vec!["gift"; ENTRIES_MAX + 1]),
        fits("a tag of a line as often", |request| request.order.lines[0].tags = vec!["gift"; ENTRIES_MAX]),
        refused("a tag of a line more", &["order.lines[0].tags"], |request| {
            request.order.lines[0].tags = vec!["gift"; ENTRIES_MAX + 1];
        }),
    ]);
}

#[test]
fn texts_are_bounded() {
    let (long, longer) = (text(SHORT_TEXT_BYTES_MAX), text(SHORT_TEXT_BYTES_MAX + 1));
    check(vec![
        fits("a text as long as it may be", |request| request.claim.text = text(CLAIM_TEXT_BYTES_MAX)),
        refused("a byte more", &["claim.text"], |request| request.claim.text = text(CLAIM_TEXT_BYTES_MAX + 1)),
        fits("an order with a long id", move |request| request.order.id = long),
        refused("an order with too long an id", &["order.order_id"], move |request| request.order.id = longer),
        fits("a line with a long id", move |request| request.order.lines[1].id = long),
        refused("a line with too long an id", &["order.lines[1].line_id"], move |request| {
            request.order.lines[1].id = longer;
        }),
        fits("a tender with a long id", move |request| request.order.tenders[1].id = long),
        refused("a tender with too long an id", &["order.tenders[1].tender_id"], move |request| {
            request.order.tenders[1].id = longer;
        }),
        fits("a long method", move |request| request.order.tenders[1].method = long),
        refused("too long a method", &["order.tenders[1].method"], move |request| {
            request.order.tenders[1].method = longer;
        }),
        fits("a piece with long texts", move |request| {
            let fields = vec![(long, long)];
            let texts = Evidence { media_type: long, order_id: long, source: long, fields, ..piece(long) };
            request.claim.evidence = vec![texts];
        }),
        refused("a piece with too long an id", &["claim.evidence[0].evidence_id"], move |request| {
            request.claim.evidence = vec![piece(longer)];
        }),
        refused("too long a media type", &["claim.evidence[0].media_type"], move |request| {
            request.claim.evidence = vec![Evidence { media_type: longer, ..piece("e") }];
        }),
        refused("too long an order id in a piece", &["claim.evidence[0].order_id"], move |request| {
            request.claim.evidence = vec![Evidence { order_id: longer, ..piece("e") }];
        }),
        refused("too long a source", &["claim.evidence[0].source"], move |request| {
            request.claim.evidence = vec![Evidence { source: longer, ..piece("e") }];
        }),
    ]);
}

#[test]
fn amounts_are_bounded() {
    check(vec![
        fits("the largest amount", paid(AMOUNT_MINOR_UNITS_MAX)),
        refused("a cent more", &["order.lines[0].paid"], paid(AMOUNT_MINOR_UNITS_MAX + 1)),
        fits("a line that costs nothing", paid(0)),
        refused("less than nothing", &["order.lines[0].paid"], amount(0, -10_000_000)),
        refused("less than nothing, in units", &["order.lines[0].paid"], amount(-1, 0)),
        refused("finer than a cent", &["order.lines[0].paid"], amount(1, 1_000_000)),
        refused("signs that differ", &["order.lines[0].paid"], amount(1, -10_000_000)),
        fits("all nanos of a unit but one cent", amount(0, 990_000_000)),
        refused("a unit of nanos", &["order.lines[0].paid"], amount(0, 1_000_000_000)),
        refused("no price", &["order.lines[0].paid"], |request| request.order.lines[0].paid = None),
        refused("two currencies", &["order.lines[1].paid.currency_code"], |request| {
            request.order.lines[1].paid = Some(money("JPY", 5_000));
        }),
        refused("a currency that the policy does not know", &["order.lines[0].paid.currency_code"], |request| {
            request.order.lines[0].paid = Some(money("EUR", 100));
        }),
        fits("everything went back", |request| {
            request.order.lines[0].refunded = Some(cny(10_000));
            request.order.tenders.clear();
        }),
        refused("more than everything", &["order.lines[0].refunded"], |request| {
            request.order.lines[0].refunded = Some(cny(10_001));
            request.order.tenders.clear();
        }),
        fits("all of a component went back", |request| {
            request.order.components[0].refunded = Some(cny(1_000));
            request.order.tenders.clear();
        }),
        refused("more than all of a component", &["order.components[0].refunded"], |request| {
            request.order.components[0].refunded = Some(cny(1_001));
            request.order.tenders.clear();
        }),
        fits("all that can be asked for", |request| request.claim.requested_amount = Some(cny(16_000))),
        refused("nothing is asked for", &["claim.requested_amount"], |request| {
            request.claim.requested_amount = Some(cny(0));
        }),
        refused("less than nothing is asked for", &["claim.requested_amount"], |request| {
            request.claim.requested_amount = Some(cny(-100));
        }),
    ]);
}

#[test]
fn tenders_pay_exactly_the_order() {
    check(vec![
        refused("a cent less than the order", &["order.tenders"], |request| {
            request.order.tenders[1].paid = Some(cny(6_999));
        }),
        refused("a cent more than the order", &["order.tenders"], |request| {
            request.order.tenders[1].paid = Some(cny(7_001));
        }),
        refused("a tender without an amount", &["order.tenders[1].paid"], |request| {
            request.order.tenders[1].paid = None;
        }),
        fits("what went back of a line went back to a tender", |request| {
            request.order.lines[0].refunded = Some(cny(9_000));
            request.order.tenders[0].refunded = Some(cny(9_000));
        }),
        refused("more went back to a tender than it paid", &["order.tenders[0].refunded"], |request| {
            request.order.lines[0].refunded = Some(cny(9_001));
            request.order.tenders[0].refunded = Some(cny(9_001));
        }),
        refused("less went back to tenders than of lines", &["order.tenders"], |request| {
            request.order.lines[0].refunded = Some(cny(9_000));
            request.order.tenders[0].refunded = Some(cny(8_999));
        }),
        refused("more went back to tenders than of lines", &["order.tenders"], |request| {
            request.order.lines[0].refunded = Some(cny(8_999));
            request.order.tenders[0].refunded = Some(cny(9_000));
        }),
        refused("a tender without an id beside another", &["order.tenders[0].tender_id"], |request| {
            request.order.tenders[0].id = "";
        }),
        refused("two tenders without ids", &["order.tenders[0].tender_id", "order.tenders[1].tender_id"], |request| {
            request.order.tenders.iter_mut().for_each(|tender| tender.id = "");
        }),
        refused("two tenders of one id", &["order.tenders[1].tender_id"], |request| {
            request.order.tenders[1].id = "t-1";
        }),
        fits("one tender without an id", |request| {
            request.order.tenders = vec![Tender { paid: Some(cny(16_000)), ..Tender::default() }];
        }),
        fits("a tender that takes nothing back", |request| {
            request.order.tenders[0].refundability = Refundability::NotRefundable;
        }),
    ]);
}

#[test]
fn words_and_ids_are_those_that_are_known() {
    check(vec![
        fits("words that the policy declares", |request| {
            let line = &mut request.order.lines[0];
            (line.sub_stage, line.tags) = ("packed", vec!["gift"]);
            request.order.tags = vec!["sale"];
            request.order.times = vec![("departs_at", moment()), ("promised_at", moment())];
            (request.claim.reason, request.claim.line_ids) = ("broken", vec!["b"]);
            request.order.components[0].line_id = "a";
            request.claim.components = vec!["shipping"];
            request.claim.evidence = vec![piece("e-1"), piece("e-2")];
        }),
        refused("another product", &["order.lines[0].product_type"], |request| {
            request.order.lines[0].product_type = "course";
        }),
        refused("another sub-stage", &["order.lines[0].sub_stage"], |request| {
            request.order.lines[0].sub_stage = "shipped";
        }),
        refused("another tag of a line", &["order.lines[0].tags[1]"], |request| {
            request.order.lines[0].tags = vec!["gift", "vip"];
        }),
        refused("another tag of the order", &["order.tags[0]"], |request| request.order.tags = vec!["vip"]),
        refused("another time", &["order.times[\"arrives_at\"]"], |request| {
            request.order.times = vec![("arrives_at", moment())];
        }),
        refused("another reason", &["claim.reason"], |request| request.claim.reason = "late"),
        refused("another channel", &["claim.channel"], |request| request.claim.channel = "web"),
        refused("another component", &["order.components[0].name"], |request| {
            request.order.components[0].name = "tax";
        }),
        refused("a component of no line", &["order.components[0].line_id"], |request| {
            request.order.components[0].line_id = "c";
        }),
        refused("a component without a name", &["order.components[0].name"], |request| {
            request.order.components[0].name = "";
        }),
        refused("a component without a price", &["order.components[0].paid"], |request| {
            request.order.components[0].paid = None;
        }),
        refused("another line", &["claim.line_ids[1]"], |request| request.claim.line_ids = vec!["a", "c"]),
        refused("a line twice", &["claim.line_ids[1]"], |request| request.claim.line_ids = vec!["a", "a"]),
        refused("a component that the order does not have", &["claim.components[0]"], |request| {
            request.claim.components = vec!["tax"];
        }),
        refused("a line without an id beside another", &["order.lines[1].line_id"], |request| {
            request.order.lines[1].id = "";
        }),
        refused("two lines without ids", &["order.lines[0].line_id", "order.lines[1].line_id"], |request| {
            request.order.lines.iter_mut().for_each(|line| line.id = "");
        }),
        refused("two lines of one id", &["order.lines[1].line_id"], |request| request.order.lines[1].id = "a"),
        fits("one line without an id", |request| {
            request.order.lines = vec![Line { paid: Some(cny(15_000)), ..Line::default() }];
        }),
        refused("two pieces of one id", &["claim.evidence[1].evidence_id"], |request| {
            request.claim.evidence = vec![piece("e"), piece("e")];
        }),
        refused("a piece of another kind", &["claim.evidence[0].kind"], |request| {
            request.claim.evidence = vec![Evidence { kind: "video", ..piece("e") }];
        }),
        refused("a piece of less than nothing", &["claim.evidence[0].size_bytes"], |request| {
            request.claim.evidence = vec![Evidence { size_bytes: -1, ..piece("e") }];
        }),
        refused("no moment of the request", &["claim.requested_at"], |request| request.claim.requested_at = None),
        refused("a delay below zero", &["order.customer_caused_delay"], |request| {
            request.order.customer_caused_delay = Elapsed::from_seconds(-1, 0);
        }),
        fits("no delay", |request| request.order.customer_caused_delay = Elapsed::from_seconds(0, 0)),
    ]);
}

#[test]
fn shares_and_inputs_lie_in_their_bounds() {
    let done = |numerator, denominator| {
        move |request: &mut Request<'static>| {
            request.order.lines[0].completed = Some(Fraction { numerator, denominator });
        }
    };
    let digits: &'static str = text(DECIMAL_DIGITS_MAX).replace('x', "9").leak();
    let more_digits: &'static str = format!("{digits}9").leak();
    let places: &'static str = format!("0.{}", text(DECIMAL_PLACES_MAX).replace('x', "1")).leak();
    let more_places: &'static str = format!("{places}1").leak();
    let fraction = |numerator, denominator| InputValue::Fraction(Fraction { numerator, denominator });
    check(vec![
        fits("all units done", done(8, 8)),
        fits("no unit done", done(0, 8)),
        refused("a unit more than all", &["order.lines[0].completed"], done(9, 8)),
        refused("less than no unit", &["order.lines[0].completed.numerator"], done(-1, 8)),
        refused("units of none", &["order.lines[0].completed.denominator"], done(0, 0)),
        fits("a number of many digits", input("factor", InputValue::Decimal(digits))),
        refused("a digit more", &["order.inputs[\"factor\"]"], input("factor", InputValue::Decimal(more_digits))),
        fits("a number of many places", input("factor", InputValue::Decimal(places))),
        refused("a place more", &["order.inputs[\"factor\"]"], input("factor", InputValue::Decimal(more_places))),
        refused("no number", &["order.inputs[\"factor\"]"], input("factor", InputValue::Decimal("1e3"))),
        refused("a number without a digit", &["order.inputs[\"factor\"]"], input("factor", InputValue::Decimal(".5"))),
        refused("a fraction of nothing", &["order.inputs[\"factor\"].denominator"], input("factor", fraction(1, 0))),
        fits("a share of all", input("wear", fraction(3, 3))),
        fits("a share of nothing", input("wear", InputValue::Decimal("0"))),
        refused("more than all", &["order.inputs[\"wear\"]"], input("wear", fraction(4, 3))),
        refused("a share below zero", &["order.inputs[\"wear\"]"], input("wear", InputValue::Decimal("-0.1"))),
        fits("a count", input("uses", InputValue::Decimal("0"))),
        refused("half a count", &["order.inputs[\"uses\"]"], input("uses", InputValue::Decimal("0.5"))),
        refused("a count below zero", &["order.inputs[\"uses\"]"], input("uses", InputValue::Decimal("-1"))),
        fits("an amount of nothing", input("fee", InputValue::Money(cny(0)))),
        refused("an amount below zero", &["order.inputs[\"fee\"]"], input("fee", InputValue::Money(cny(-100)))),
        refused("an amount of another currency", &["order.inputs[\"fee\"].currency_code"], {
            input("fee", InputValue::Money(money("JPY", 100)))
        }),
        fits("a word", input("seat", InputValue::Text("first"))),
        refused("another word", &["order.inputs[\"seat\"]"], input("seat", InputValue::Text("third"))),
        refused("a word for a flag", &["order.inputs[\"trial\"]"], input("trial", InputValue::Text("true"))),
        refused("a flag for a word", &["order.inputs[\"seat\"]"], input("seat", InputValue::Flag(true))),
        refused("a flag for a moment", &["order.inputs[\"begins\"]"], input("begins", InputValue::Flag(true))),
        refused("a moment for a length", &["order.inputs[\"playtime\"]"], {
            input("playtime", InputValue::Timestamp(moment()))
        }),
        refused("an unknown input", &["order.inputs[\"colour\"]"], input("colour", InputValue::Flag(true))),
        refused("an input of a line on the order", &["order.inputs[\"damage\"]"], {
            input("damage", InputValue::Money(cny(1)))
        }),
        fits("an input of a line", |request| {
            request.order.lines[0].inputs = vec![("damage", InputValue::Money(cny(1)))];
        }),
        refused("an input of the order on a line", &["order.lines[0].inputs[\"trial\"]"], |request| {
            request.order.lines[0].inputs = vec![("trial", InputValue::Flag(true))];
        }),
        refused("an unknown input on a line", &["order.lines[1].inputs[\"colour\"]"], |request| {
            request.order.lines[1].inputs = vec![("colour", InputValue::Flag(true))];
        }),
    ]);
}

#[test]
fn what_has_no_meaning_yet_is_refused() {
    check(vec![
        fits("one unit", |request| request.order.lines[0].quantity = 1),
        refused("two units", &["order.lines[0].quantity"], |request| request.order.lines[0].quantity = 2),
        refused("less than no unit", &["order.lines[0].quantity"], |request| request.order.lines[0].quantity = -1),
        refused("a unit that came back", &["order.lines[0].returned_quantity"], |request| {
            request.order.lines[0].returned_quantity = 1;
        }),
        refused("what went back for it", &["order.lines[0].returned_refunded"], |request| {
            request.order.lines[0].returned_refunded = Some(cny(0));
        }),
        refused("what an exchange settled", &["order.lines[0].settled"], |request| {
            request.order.lines[0].settled = Some(cny(0));
        }),
    ]);
}

#[test]
fn every_mistake_is_named_at_once() {
    let mut request = accepted();
    request.claim.requested_at = None;
    request.order.lines[0].product_type = "course";
    request.order.lines[1].refunded = Some(cny(5_001));
    request.order.components[0].name = "tax";
    request.claim.reason = "late";
    let bad = intake(&PLAN, &request, Purpose::Decision).unwrap_err();
    let mut fields: Vec<&str> = bad.iter().map(|bad| bad.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "claim.reason",
            "claim.requested_at",
            "order.components[0].name",
            "order.lines[0].product_type",
            "order.lines[1].refunded"
        ]
    );
}
