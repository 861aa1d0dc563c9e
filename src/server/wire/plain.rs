//! Requests for a decision read straight from their bytes: no text is copied, no message is built.
//!
//! `None` where anything is wrong, unusual, or about more than a plain decision: then the library
//! decodes the message and [`super::request`] says what is wrong with it. A test holds the two
//! against each other.

use crate::domain::limits::SHORT_TEXT_BYTES_MAX;
use crate::domain::request::{
    Claim, Component, Evidence, Fraction, InputValue, Line, Money, Order, PromisedActual, Refundability, Request,
    Tender,
};
use crate::domain::time::{Elapsed, Timestamp};
use crate::server::pb::ExplainLevel;
use crate::server::wire::fields::{Field, Fields, number, said, small_number, text};
use crate::server::wire::path::{Path, Violations};
use crate::server::wire::words::{liable_party, order_stage, request_type};

/// A request for one decision without an explanation, and the bytes that its identity is made of.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct PlainRequest<'m> {
    pub(crate) request_id: &'m str,
    pub(crate) policy_id: &'m str,
    pub(crate) policy_digest: &'m str,
    pub(crate) min_generation: u64,
    pub(crate) language: &'m str,
    pub(crate) said: Request<'m>,
    /// The order as the library would write it.
    pub(crate) order: &'m [u8],
    /// The claim as the library would write it.
    pub(crate) claim: &'m [u8],
}

/// Reads an `EvaluateRefundRequest`.
pub(crate) fn read(message: &[u8]) -> Option<PlainRequest<'_>> {
    let [mut request_id, mut policy_id, mut policy_digest, mut language] = [""; 4];
    let (mut min_generation, mut order, mut claim) = (0, None, None);
    let mut fields = Fields::of(message, &[]);
    loop {
        match fields.next()? {
            Field::Bytes(1, bytes) if bytes.len() <= SHORT_TEXT_BYTES_MAX => request_id = said(bytes)?,
            Field::Bytes(2, bytes) => policy_id = said(bytes)?,
            Field::Bytes(3, bytes) => policy_digest = said(bytes)?,
            Field::Number(4, value) if value != 0 => min_generation = value,
            Field::Number(5, level) if level == ExplainLevel::None as u64 => {}
            Field::Bytes(6, bytes) => order = Some((bytes, self::order(bytes)?)),
            Field::Bytes(7, bytes) => claim = Some((bytes, self::claim(bytes)?)),
            Field::Bytes(8, bytes) => language = said(bytes)?,
            Field::End => break,
            Field::Number(..) | Field::Bytes(..) => return None,
        }
    }
    let ((order, order_said), (claim, claim_said)) = (order?, claim?);
    let said = Request { order: order_said, claim: claim_said };
    Some(PlainRequest { request_id, policy_id, policy_digest, min_generation, language, said, order, claim })
}

fn order(message: &[u8]) -> Option<Order<'_>> {
    let mut order = Order::default();
    let mut fields = Fields::of(message, &[4, 6, 7, 8, 9, 10]);
    loop {
        match fields.next()? {
            Field::Bytes(1, bytes) => order.id = said(bytes)?,
            Field::Bytes(2, bytes) => order.placed_at = Some(timestamp(bytes)?),
            Field::Bytes(3, bytes) => order.paid_at = Some(timestamp(bytes)?),
            Field::Bytes(4, bytes) => entry(&mut order.times, bytes, |moment| timestamp(moment.unwrap_or_default()))?,
            Field::Bytes(5, bytes) => order.customer_caused_delay = Some(elapsed(bytes)?),
            Field::Bytes(6, bytes) => order.lines.push(line(bytes)?),
            Field::Bytes(7, bytes) => order.tenders.push(tender(bytes)?),
            Field::Bytes(8, bytes) => order.components.push(component(bytes)?),
            Field::Bytes(9, bytes) => order.tags.push(text(bytes)?),
            Field::Bytes(10, bytes) => entry(&mut order.inputs, bytes, |value| input_value(value?))?,
            Field::End => return Some(order),
            Field::Number(..) | Field::Bytes(..) => return None,
        }
    }
}

fn line(message: &[u8]) -> Option<Line<'_>> {
    let mut line = Line::default();
    let mut fields = Fields::of(message, &[10, 11]);
    loop {
        match fields.next()? {
            Field::Bytes(1, bytes) => line.id = said(bytes)?,
            Field::Bytes(2, bytes) => line.product_type = said(bytes)?,
            Field::Number(3, value) => line.stage = Some(word(value, order_stage)?),
            Field::Bytes(4, bytes) => line.sub_stage = said(bytes)?,
            Field::Bytes(5, bytes) => line.paid = Some(money(bytes)?),
            Field::Bytes(6, bytes) => line.list_price = Some(money(bytes)?),
            Field::Bytes(7, bytes) => line.refunded = Some(money(bytes)?),
            Field::Bytes(8, bytes) => line.completed = Some(fraction(bytes)?),
            Field::Bytes(9, bytes) => line.declared_cost = Some(money(bytes)?),
            Field::Bytes(10, bytes) => line.tags.push(text(bytes)?),
            Field::Bytes(11, bytes) => entry(&mut line.inputs, bytes, |value| input_value(value?))?,
            Field::End => return Some(line),
            Field::Number(..) | Field::Bytes(..) => return None,
        }
    }
}

fn tender(message: &[u8]) -> Option<Tender<'_>> {
    let mut tender = Tender::default();
    let mut fields = Fields::of(message, &[]);
    loop {
        match fields.next()? {
            Field::Bytes(1, bytes) => tender.id = said(bytes)?,
            Field::Bytes(2, bytes) => tender.method = said(bytes)?,
            Field::Bytes(3, bytes) => tender.paid = Some(money(bytes)?),
            Field::Bytes(4, bytes) => tender.refunded = Some(money(bytes)?),
            Field::Number(5, 1) => tender.refundability = Refundability::NotRefundable,
            Field::End => return Some(tender),
            Field::Number(..) | Field::Bytes(..) => return None,
        }
    }
}

fn component(message: &[u8]) -> Option<Component<'_>> {
    let mut component = Component::default();
    let mut fields = Fields::of(message, &[]);
    loop {
        match fields.next()? {
            Field::Bytes(1, bytes) => component.name = said(bytes)?,
            Field::Bytes(2, bytes) => component.paid = Some(money(bytes)?),
            Field::Bytes(3, bytes) => component.refunded = Some(money(bytes)?),
            Field::Bytes(4, bytes) => component.line_id = said(bytes)?,
            Field::End => return Some(component),
            Field::Number(..) | Field::Bytes(..) => return None,
        }
    }
}

fn claim(message: &[u8]) -> Option<Claim<'_>> {
    let mut claim = Claim::default();
    let mut fields = Fields::of(message, &[5, 6, 10]);
    loop {
        match fields.next()? {
            Field::Number(1, value) => claim.request_type = Some(word(value, request_type)?),
            Field::Bytes(2, bytes) => claim.reason = said(bytes)?,
            Field::Number(3, value) => claim.liable_party = Some(word(value, liable_party)?),
            Field::Bytes(4, bytes) => claim.text = said(bytes)?,
            Field::Bytes(5, bytes) => claim.promised_actual.push(comparison(bytes)?),
            Field::Bytes(6, bytes) => claim.evidence.push(evidence(bytes)?),
            Field::Bytes(7, bytes) => claim.channel = said(bytes)?,
            Field::Bytes(8, bytes) => claim.requested_at = Some(timestamp(bytes)?),
            Field::Bytes(9, bytes) => claim.requested_amount = Some(money(bytes)?),
            Field::Bytes(10, bytes) => claim.line_ids.push(text(bytes)?),
            Field::End => return Some(claim),
            Field::Number(..) | Field::Bytes(..) => return None,
        }
    }
}

fn comparison(message: &[u8]) -> Option<PromisedActual<'_>> {
    let mut pair = PromisedActual::default();
    let mut fields = Fields::of(message, &[]);
    loop {
        match fields.next()? {
            Field::Bytes(1, bytes) => pair.subject = said(bytes)?,
            Field::Bytes(2, bytes) => pair.promised = said(bytes)?,
            Field::Bytes(3, bytes) => pair.actual = said(bytes)?,
            Field::End => return Some(pair),
            Field::Number(..) | Field::Bytes(..) => return None,
        }
    }
}

fn evidence(message: &[u8]) -> Option<Evidence<'_>> {
    let mut piece = Evidence::default();
    let mut fields = Fields::of(message, &[9]);
    loop {
        match fields.next()? {
            Field::Bytes(1, bytes) => piece.id = said(bytes)?,
            Field::Bytes(2, bytes) => piece.kind = said(bytes)?,
            Field::Bytes(3, bytes) => piece.media_type = said(bytes)?,
            Field::Number(4, value) => piece.size_bytes = number(value)?,
            Field::Bytes(5, bytes) => piece.sha256 = said(bytes)?,
            Field::Bytes(6, bytes) => piece.captured_at = Some(timestamp(bytes)?),
            Field::Bytes(7, bytes) => piece.order_id = said(bytes)?,
            Field::Bytes(8, bytes) => piece.source = said(bytes)?,
            Field::Bytes(9, bytes) => entry(&mut piece.fields, bytes, |value| text(value.unwrap_or_default()))?,
            Field::End => return Some(piece),
            Field::Number(..) | Field::Bytes(..) => return None,
        }
    }
}

/// Adds an entry to a map, whose entries are in the order of their keys.
fn entry<'m, T>(
    entries: &mut Vec<(&'m str, T)>,
    message: &'m [u8],
    read: impl FnOnce(Option<&'m [u8]>) -> Option<T>,
) -> Option<()> {
    let (mut key, mut value) = ("", None);
    let mut fields = Fields::of(message, &[]);
    loop {
        match fields.next()? {
            Field::Bytes(1, bytes) => key = said(bytes)?,
            // A value that is the default is not written.
            Field::Bytes(2, bytes) if !bytes.is_empty() => value = Some(bytes),
            Field::End => break,
            Field::Number(..) | Field::Bytes(..) => return None,
        }
    }
    let in_order = entries.last().is_none_or(|(before, _)| *before < key);
    if in_order {
        entries.push((key, read(value)?));
    }
    in_order.then_some(())
}

/// One of several kinds of values, so that also a default one is written.
fn input_value(message: &[u8]) -> Option<InputValue<'_>> {
    let mut fields = Fields::of(message, &[]);
    let value = match fields.next()? {
        Field::Bytes(1, bytes) => InputValue::Text(text(bytes)?),
        Field::Number(2, flag @ (0 | 1)) => InputValue::Flag(flag == 1),
        Field::Bytes(3, bytes) => InputValue::Decimal(text(bytes)?),
        Field::Bytes(4, bytes) => InputValue::Money(money(bytes)?),
        Field::Bytes(5, bytes) => InputValue::Fraction(fraction(bytes)?),
        Field::Bytes(6, bytes) => InputValue::Timestamp(timestamp(bytes)?),
        Field::Bytes(7, bytes) => InputValue::Duration(elapsed(bytes)?),
        Field::Number(..) | Field::Bytes(..) | Field::End => return None,
    };
    (fields.next()? == Field::End).then_some(value)
}

fn money(message: &[u8]) -> Option<Money<'_>> {
    let mut money = Money { currency: "", units: 0, nanos: 0 };
    let mut fields = Fields::of(message, &[]);
    loop {
        match fields.next()? {
            Field::Bytes(1, bytes) => money.currency = said(bytes)?,
            Field::Number(2, value) => money.units = number(value)?,
            Field::Number(3, value) => money.nanos = small_number(value)?,
            Field::End => return Some(money),
            Field::Number(..) | Field::Bytes(..) => return None,
        }
    }
}

fn fraction(message: &[u8]) -> Option<Fraction> {
    let (numerator, denominator) = two_numbers(message)?;
    Some(Fraction { numerator, denominator })
}

fn timestamp(message: &[u8]) -> Option<Timestamp> {
    let (seconds, nanos) = two_numbers(message)?;
    Timestamp::from_unix(seconds, i32::try_from(nanos).ok()?)
}

fn elapsed(message: &[u8]) -> Option<Elapsed> {
    let (seconds, nanos) = two_numbers(message)?;
    Elapsed::from_seconds(seconds, i32::try_from(nanos).ok()?)
}

fn two_numbers(message: &[u8]) -> Option<(i64, i64)> {
    let mut numbers = (0, 0);
    let mut fields = Fields::of(message, &[]);
    loop {
        match fields.next()? {
            Field::Number(1, value) => numbers.0 = number(value)?,
            Field::Number(2, value) => numbers.1 = number(value)?,
            Field::End => return Some(numbers),
            Field::Number(..) | Field::Bytes(..) => return None,
        }
    }
}

/// The word that a number stands for.
fn word<T>(value: u64, known: impl Fn(i32, &Path<'_>, &mut Violations) -> Option<T>) -> Option<T> {
    known(small_number(value)?, &Path::Root, &mut Violations::default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::server::pb;
    use crate::server::wire::{request, samples};

    fn whole() -> pb::EvaluateRefundRequest {
        let (mut order, mut claim) = (samples::order(), samples::claim());
        let kinds = [
            ("decimal", pb::fact_value::Kind::Decimal("1.5".into())),
            ("flag", pb::fact_value::Kind::Flag(false)),
            ("fraction", pb::fact_value::Kind::Fraction(pb::Fraction { numerator: -1, denominator: 3 })),
            ("money", pb::fact_value::Kind::Money(pb::Money { currency_code: "CNY".into(), units: -1, nanos: -5 })),
            ("moment", pb::fact_value::Kind::Timestamp(prost_types::Timestamp { seconds: -9, nanos: 1 })),
            ("span", pb::fact_value::Kind::Duration(prost_types::Duration { seconds: -9, nanos: -1 })),
            ("text", pb::fact_value::Kind::Text(String::new())),
        ];
        order.inputs = kinds.map(|(name, kind)| (name.to_owned(), pb::FactValue { kind: Some(kind) })).into();
        order.times.insert(String::new(), prost_types::Timestamp::default());
        order.tags = vec![String::new(), "vip".into()];
        order.components =
            vec![pb::Component { name: "shipping".into(), paid: Some(pb::Money::default()), ..Default::default() }];
        claim.evidence[0].fields.insert("empty".into(), String::new());
        claim.evidence[0].size_bytes = i64::MAX;
        claim.promised_actual = vec![pb::PromisedActual { subject: "段位".into(), ..Default::default() }];
        claim.line_ids = vec!["l-1".into(), String::new()];
        claim.requested_amount = Some(pb::Money { currency_code: "CNY".into(), units: 1, nanos: 0 });
        pb::EvaluateRefundRequest {
            request_id: "r-1".into(),
            policy_id: "guide".into(),
            policy_digest: "blake3:00".into(),
            min_generation: 3,
            explain: pb::ExplainLevel::None.into(),
            order: Some(order),
            claim: Some(claim),
            language: "en".into(),
        }
    }

    /// Whatever is read at all is read as the library reads it.
    fn holds(message: &[u8]) -> Result<(), TestCaseError> {
        let Some(plain) = read(message) else { return Ok(()) };
        let decoded = pb::EvaluateRefundRequest::decode(message).expect("what is plain is a message");
        let (said, violations) = request::for_decision(decoded.order.as_ref(), decoded.claim.as_ref());
        prop_assert_eq!(violations, []);
        let expected = PlainRequest {
            request_id: &decoded.request_id,
            policy_id: &decoded.policy_id,
            policy_digest: &decoded.policy_digest,
            min_generation: decoded.min_generation,
            language: &decoded.language,
            said,
            order: &decoded.order.as_ref().unwrap().encode_to_vec(),
            claim: &decoded.claim.as_ref().unwrap().encode_to_vec(),
        };
        prop_assert_eq!(&plain, &expected);
        prop_assert!(matches!(decoded.explain(), pb::ExplainLevel::Unspecified | pb::ExplainLevel::None));
        Ok(())
    }

    #[test]
    fn what_the_library_writes_is_read() {
        let bytes = whole().encode_to_vec();
        assert!(read(&bytes).is_some());
        holds(&bytes).unwrap();
        let least = pb::EvaluateRefundRequest {
            order: Some(pb::Order::default()),
            claim: Some(pb::Claim::default()),
            ..Default::default()
        };
        assert!(read(&least.encode_to_vec()).is_some());
    }

    #[test]
    fn an_explanation_or_a_missing_part_is_left_to_others() {
        let without = |change: fn(&mut pb::EvaluateRefundRequest)| {
            let mut request = whole();
            change(&mut request);
            read(&request.encode_to_vec()).is_none()
        };
        assert!(without(|request| request.explain = pb::ExplainLevel::Full.into()));
        assert!(without(|request| request.order = None));
        assert!(without(|request| request.claim = None));
        assert!(without(|request| request.request_id = "x".repeat(SHORT_TEXT_BYTES_MAX + 1)));
        assert!(without(|request| request.claim.as_mut().unwrap().request_type = 99));
        assert!(without(|request| request.order.as_mut().unwrap().placed_at =
            Some(prost_types::Timestamp { seconds: 0, nanos: -1 })));
    }

    proptest! {
        /// One byte changed, taken out or put in, anywhere.
        #[test]
        fn a_damaged_message_is_read_as_the_library_reads_it_or_not_at_all(
            at in 0usize..2_000, byte in any::<u8>(), how in 0..3,
        ) {
            let mut bytes = whole().encode_to_vec();
            let at = at % bytes.len();
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
            holds(&bytes)?;
        }
    }
}
