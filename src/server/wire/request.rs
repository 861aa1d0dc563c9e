//! From messages to a request of the core. Texts stay where they are and are borrowed.
//!
//! What is checked here is what the core cannot be told: moments and lengths of time out of range,
//! numbers that are no word of a closed set, parts that are not there. All else is for `intake`.

use std::collections::BTreeMap;

use prost_types::{Duration as PbDuration, Timestamp as PbTimestamp};

use crate::api::path::Path;
use crate::api::pb;
use crate::domain::request::{
    Claim, Component, EarlierAmount, Evidence, FieldViolation, Fraction, InputValue, Line, Money, Order,
    PromisedActual, Refundability, Request, Tender,
};
use crate::domain::time::{Elapsed, Timestamp};
use crate::domain::violations::Violations;
use crate::server::wire::words::{amount_kind, liable_party, order_stage, request_type};

/// The request for a decision, and what is wrong with it: order and claim are mandatory.
pub(crate) fn for_decision<'a>(
    order: Option<&'a pb::Order>,
    claim: Option<&'a pb::Claim>,
) -> (Request<'a>, Vec<FieldViolation>) {
    let mut violations = Violations::default();
    if order.is_none() {
        violations.add(Path::Root.field("order"), "is mandatory");
    }
    let request = convert(order, claim, &mut violations);
    (request, violations.into_list())
}

/// The request for an assessment of evidence, and what is wrong with it: only the claim is mandatory.
pub(crate) fn for_assessment<'a>(
    order: Option<&'a pb::Order>,
    claim: Option<&'a pb::Claim>,
) -> (Request<'a>, Vec<FieldViolation>) {
    let mut violations = Violations::default();
    let request = convert(order, claim, &mut violations);
    (request, violations.into_list())
}

fn convert<'a>(order: Option<&'a pb::Order>, claim: Option<&'a pb::Claim>, violations: &mut Violations) -> Request<'a> {
    if claim.is_none() {
        violations.add(Path::Root.field("claim"), "is mandatory");
    }
    let (order_at, claim_at) = (Path::Root.field("order"), Path::Root.field("claim"));
    Request {
        order: order.map(|order| self::order(order, &order_at, violations)).unwrap_or_default(),
        claim: claim.map(|claim| self::claim(claim, &claim_at, violations)).unwrap_or_default(),
    }
}

fn order<'a>(order: &'a pb::Order, at: &Path<'_>, violations: &mut Violations) -> Order<'a> {
    let pb::Order {
        order_id,
        placed_at,
        paid_at,
        times,
        customer_caused_delay,
        lines,
        tenders,
        components,
        tags,
        inputs,
        earlier: amounts,
    } = order;
    let times_at = at.field("times");
    Order {
        id: order_id,
        placed_at: optional(placed_at, &at.field("placed_at"), violations, timestamp),
        paid_at: optional(paid_at, &at.field("paid_at"), violations, timestamp),
        times: times
            .iter()
            .filter_map(|(name, moment)| Some((name.as_str(), timestamp(moment, &times_at.key(name), violations)?)))
            .collect(),
        customer_caused_delay: optional(customer_caused_delay, &at.field("customer_caused_delay"), violations, elapsed),
        lines: list(lines, &at.field("lines"), violations, line),
        tenders: tenders.iter().map(tender).collect(),
        components: components.iter().map(component).collect(),
        tags: texts(tags),
        inputs: input_values(inputs, &at.field("inputs"), violations),
        earlier: list(amounts, &at.field("earlier"), violations, earlier),
    }
}

fn earlier<'a>(earlier: &'a pb::EarlierAmount, at: &Path<'_>, violations: &mut Violations) -> EarlierAmount<'a> {
    let pb::EarlierAmount { name, line_id, amount, what } = earlier;
    let what = amount_kind(*what, &at.field("what"), violations);
    EarlierAmount { name, line_id, amount: amount.as_ref().map(money), what }
}

fn line<'a>(line: &'a pb::OrderLine, at: &Path<'_>, violations: &mut Violations) -> Line<'a> {
    let pb::OrderLine {
        line_id,
        product_type,
        stage,
        sub_stage,
        paid,
        list_price,
        refunded,
        completed,
        declared_cost,
        tags,
        inputs,
        settled,
        quantity,
        returned_quantity,
        returned_refunded,
    } = line;
    Line {
        id: line_id,
        product_type,
        stage: order_stage(*stage, &at.field("stage"), violations),
        sub_stage,
        paid: paid.as_ref().map(money),
        list_price: list_price.as_ref().map(money),
        refunded: refunded.as_ref().map(money),
        completed: completed.as_ref().map(fraction),
        declared_cost: declared_cost.as_ref().map(money),
        tags: texts(tags),
        inputs: input_values(inputs, &at.field("inputs"), violations),
        settled: settled.as_ref().map(money),
        quantity: *quantity,
        returned_quantity: *returned_quantity,
        returned_refunded: returned_refunded.as_ref().map(money),
    }
}

fn tender(tender: &pb::Tender) -> Tender<'_> {
    let pb::Tender { tender_id, method, paid, refunded, not_refundable } = tender;
    Tender {
        id: tender_id,
        method,
        paid: paid.as_ref().map(money),
        refunded: refunded.as_ref().map(money),
        refundability: if *not_refundable { Refundability::NotRefundable } else { Refundability::Refundable },
    }
}

fn component(component: &pb::Component) -> Component<'_> {
    let pb::Component { name, paid, refunded, line_id } = component;
    Component { name, paid: paid.as_ref().map(money), refunded: refunded.as_ref().map(money), line_id }
}

fn claim<'a>(claim: &'a pb::Claim, at: &Path<'_>, violations: &mut Violations) -> Claim<'a> {
    let pb::Claim {
        request_type: requested,
        reason,
        liable_party: liable,
        text,
        promised_actual,
        evidence: pieces,
        channel,
        requested_at,
        requested_amount,
        line_ids,
        components,
    } = claim;
    Claim {
        request_type: request_type(*requested, &at.field("request_type"), violations),
        reason,
        liable_party: liable_party(*liable, &at.field("liable_party"), violations),
        text,
        promised_actual: promised_actual.iter().map(comparison).collect(),
        evidence: list(pieces, &at.field("evidence"), violations, evidence),
        channel,
        requested_at: optional(requested_at, &at.field("requested_at"), violations, timestamp),
        requested_amount: requested_amount.as_ref().map(money),
        line_ids: texts(line_ids),
        components: texts(components),
    }
}

fn comparison(pair: &pb::PromisedActual) -> PromisedActual<'_> {
    let pb::PromisedActual { subject, promised, actual } = pair;
    PromisedActual { subject, promised, actual }
}

fn evidence<'a>(piece: &'a pb::Evidence, at: &Path<'_>, violations: &mut Violations) -> Evidence<'a> {
    let pb::Evidence { evidence_id, kind, media_type, size_bytes, sha256, captured_at, order_id, source, fields } =
        piece;
    Evidence {
        id: evidence_id,
        kind,
        media_type,
        size_bytes: *size_bytes,
        sha256,
        captured_at: optional(captured_at, &at.field("captured_at"), violations, timestamp),
        order_id,
        source,
        fields: fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
    }
}

fn input_values<'a>(
    inputs: &'a BTreeMap<String, pb::FactValue>,
    at: &Path<'_>,
    violations: &mut Violations,
) -> Vec<(&'a str, InputValue<'a>)> {
    inputs
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), input_value(value, &at.key(name), violations)?)))
        .collect()
}

fn input_value<'a>(value: &'a pb::FactValue, at: &Path<'_>, violations: &mut Violations) -> Option<InputValue<'a>> {
    use pb::fact_value::Kind;
    let pb::FactValue { kind } = value;
    match kind {
        Some(Kind::Text(text)) => Some(InputValue::Text(text)),
        Some(Kind::Flag(flag)) => Some(InputValue::Flag(*flag)),
        Some(Kind::Decimal(decimal)) => Some(InputValue::Decimal(decimal)),
        Some(Kind::Money(amount)) => Some(InputValue::Money(money(amount))),
        Some(Kind::Fraction(value)) => Some(InputValue::Fraction(fraction(value))),
        Some(Kind::Timestamp(moment)) => {
            timestamp(moment, &at.field("timestamp"), violations).map(InputValue::Timestamp)
        }
        Some(Kind::Duration(length)) => elapsed(length, &at.field("duration"), violations).map(InputValue::Duration),
        None => {
            violations.add(
                at,
                "has no value: one of text, flag, decimal, money, fraction, timestamp and duration must be set",
            );
            None
        }
    }
}

fn money(money: &pb::Money) -> Money<'_> {
    let pb::Money { currency_code, units, nanos } = money;
    Money { currency: currency_code, units: *units, nanos: *nanos }
}

fn fraction(fraction: &pb::Fraction) -> Fraction {
    let pb::Fraction { numerator, denominator } = *fraction;
    Fraction { numerator, denominator }
}

fn timestamp(moment: &PbTimestamp, at: &Path<'_>, violations: &mut Violations) -> Option<Timestamp> {
    let PbTimestamp { seconds, nanos } = *moment;
    let timestamp = Timestamp::from_unix(seconds, nanos);
    if timestamp.is_none() {
        violations.add(
            at,
            format_args!(
                "must lie in the years 1 to 9999 with nanos from 0 to 999999999, got {seconds} s and {nanos} ns"
            ),
        );
    }
    timestamp
}

fn elapsed(length: &PbDuration, at: &Path<'_>, violations: &mut Violations) -> Option<Elapsed> {
    let PbDuration { seconds, nanos } = *length;
    let elapsed = Elapsed::from_seconds(seconds, nanos);
    if elapsed.is_none() {
        violations.add(
            at,
            format_args!(
                "must lie within 315576000000 seconds with nanos of the same sign below one second, \
                 got {seconds} s and {nanos} ns"
            ),
        );
    }
    elapsed
}

fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// A part that may be absent.
fn optional<'a, M, T>(
    message: &'a Option<M>,
    at: &Path<'_>,
    violations: &mut Violations,
    convert: impl FnOnce(&'a M, &Path<'_>, &mut Violations) -> Option<T>,
) -> Option<T> {
    message.as_ref().and_then(|message| convert(message, at, violations))
}

/// Parts that stand in a list, each at its place.
fn list<'a, M, T>(
    messages: &'a [M],
    at: &Path<'_>,
    violations: &mut Violations,
    convert: impl Fn(&'a M, &Path<'_>, &mut Violations) -> T,
) -> Vec<T> {
    messages.iter().enumerate().map(|(place, message)| convert(message, &at.item(place), violations)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::words::{LiableParty, OrderStage, RequestType};
    use crate::server::wire::samples;

    #[test]
    fn a_good_request_arrives_whole() {
        let (order, claim) = (samples::order(), samples::claim());
        let (request, violations) = for_decision(Some(&order), Some(&claim));
        assert_eq!(violations, []);
        assert_eq!(request.order.id, "o-1");
        assert_eq!(request.order.times, [("promised_at", Timestamp::from_unix(2_000, 0).unwrap())]);
        assert_eq!(request.order.customer_caused_delay, Elapsed::from_seconds(60, 0));
        let line = &request.order.lines[0];
        assert_eq!((line.id, line.stage), ("l-1", Some(OrderStage::InProgress)));
        assert_eq!(line.paid, Some(Money { currency: "CNY", units: 125, nanos: 500_000_000 }));
        assert_eq!(line.refunded, None);
        assert_eq!(line.completed, Some(Fraction { numerator: 1, denominator: 3 }));
        assert_eq!(line.inputs, [("grade", InputValue::Decimal("12.50"))]);
        assert_eq!(request.order.tenders[1].refundability, Refundability::NotRefundable);
        assert_eq!(request.claim.request_type, Some(RequestType::Refund));
        assert_eq!(request.claim.liable_party, Some(LiableParty::Platform));
        assert_eq!(request.claim.evidence[0].fields, [("promised", "2026-11-01")]);
        assert_eq!(request.claim.requested_at, Timestamp::from_unix(3_000, 5));
    }

    #[test]
    fn every_bad_field_is_named_at_once() {
        let (mut order, mut claim) = (samples::order(), samples::claim());
        order.placed_at = Some(PbTimestamp { seconds: i64::MAX, nanos: 0 });
        order.paid_at = Some(PbTimestamp { seconds: 0, nanos: -1 });
        order.times.insert("late".into(), PbTimestamp { seconds: 0, nanos: 1_000_000_000 });
        order.customer_caused_delay = Some(PbDuration { seconds: 1, nanos: -1 });
        order.lines[0].stage = 99;
        order.lines[0].inputs.insert("empty".into(), pb::FactValue { kind: None });
        claim.request_type = -1;
        claim.evidence[0].captured_at = Some(PbTimestamp { seconds: i64::MIN, nanos: 0 });
        let (_, violations) = for_decision(Some(&order), Some(&claim));
        let fields: Vec<_> = violations.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "order.placed_at",
                "order.paid_at",
                "order.times[\"late\"]",
                "order.customer_caused_delay",
                "order.lines[0].stage",
                "order.lines[0].inputs[\"empty\"]",
                "claim.request_type",
                "claim.evidence[0].captured_at",
            ]
        );
    }

    #[test]
    fn order_and_claim_are_mandatory_for_a_decision() {
        let fields: Vec<_> = for_decision(None, None).1.into_iter().map(|it| it.field).collect();
        assert_eq!(fields, ["order", "claim"]);
        assert_eq!(for_assessment(None, Some(&samples::claim())).1, []);
    }
}
