//! Requests for a decision read straight from their bytes: no text is copied, no message is built.
//!
//! `None` where anything is wrong, unusual, or about more than a plain decision: then the library
//! decodes the message and [`super::request`] says what is wrong with it. A test holds the two
//! against each other.

use crate::api::path::Path;
use crate::api::pb::ExplainLevel;
use crate::domain::limits::{
    COMPONENTS_MAX, EARLIER_MAX, ENTRIES_MAX, EVIDENCE_MAX, LINES_MAX, PROMISED_ACTUAL_MAX, SHORT_TEXT_BYTES_MAX,
    TENDERS_MAX,
};
use crate::domain::request::{
    Claim, Component, EarlierAmount, Evidence, Fraction, InputValue, Line, Money, Order, PromisedActual, Refundability,
    Request, Tender,
};
use crate::domain::time::{Elapsed, Timestamp};
use crate::domain::violations::Violations;
use crate::server::fast_path::fields::{
    B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B15, END, Fields, N1, N2, N3, N4, N5, N13, N14, text,
};
use crate::server::wire::words::{amount_kind, liable_party, order_stage, request_type};

/// A request for one decision without an explanation, beside what it says about order and claim;
/// and the bytes that its identity is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PlainRequest<'m> {
    pub(crate) request_id: &'m str,
    pub(crate) policy_id: &'m str,
    pub(crate) policy_digest: &'m str,
    pub(crate) min_generation: u64,
    pub(crate) language: &'m str,
    /// The order as the library would write it.
    pub(crate) order: &'m [u8],
    /// The claim as the library would write it.
    pub(crate) claim: &'m [u8],
}

/// Reads an `EvaluateRefundRequest`. What it says about order and claim takes the place of what was
/// said before, in the same lists.
pub(crate) fn read<'m>(message: &'m [u8], request: &mut Request<'m>) -> Option<PlainRequest<'m>> {
    let [mut request_id, mut policy_id, mut policy_digest, mut language] = [""; 4];
    let (mut min_generation, mut order, mut claim) = (0, None, None);
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            B1 => request_id = fields.said().filter(|id| id.len() <= SHORT_TEXT_BYTES_MAX)?,
            B2 => policy_id = fields.said()?,
            B3 => policy_digest = fields.said()?,
            N4 => min_generation = fields.number()?.cast_unsigned(),
            N5 if fields.small_number()? == ExplainLevel::None as i32 => {}
            B6 => order = Some(read_order(fields.bytes()?, &mut request.order)?),
            B7 => claim = Some(read_claim(fields.bytes()?, &mut request.claim)?),
            B8 => language = fields.said()?,
            END => break,
            _ => return None,
        }
    }
    let (order, claim) = (order?, claim?);
    Some(PlainRequest { request_id, policy_id, policy_digest, min_generation, language, order, claim })
}

fn read_order<'m>(message: &'m [u8], order: &mut Order<'m>) -> Option<&'m [u8]> {
    empty_order(order);
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            B1 => order.id = fields.said()?,
            B2 => order.placed_at = Some(timestamp(fields.bytes()?)?),
            B3 => order.paid_at = Some(timestamp(fields.bytes()?)?),
            B4 => entry(&mut order.times, fields.item()?, |moment| timestamp(moment.unwrap_or_default()))?,
            B5 => order.customer_caused_delay = Some(elapsed(fields.bytes()?)?),
            B6 => line(fields.item()?, room(&mut order.lines, LINES_MAX)?.push_mut(Line::default()))?,
            B7 => room(&mut order.tenders, TENDERS_MAX)?.push(tender(fields.item()?)?),
            B8 => room(&mut order.components, COMPONENTS_MAX)?.push(component(fields.item()?)?),
            B9 => room(&mut order.tags, ENTRIES_MAX)?.push(text(fields.item()?)?),
            B10 => entry(&mut order.inputs, fields.item()?, |value| input_value(value?))?,
            B11 => room(&mut order.earlier, EARLIER_MAX)?.push(earlier(fields.item()?)?),
            END => return Some(message),
            _ => return None,
        }
    }
}

/// Nothing is said any more; the lists keep their room.
fn empty_order(order: &mut Order<'_>) {
    let Order {
        id,
        placed_at,
        paid_at,
        times,
        customer_caused_delay,
        lines,
        tenders,
        components,
        tags,
        inputs,
        earlier,
    } = order;
    (*id, *placed_at, *paid_at, *customer_caused_delay) = ("", None, None, None);
    times.clear();
    lines.clear();
    tenders.clear();
    components.clear();
    tags.clear();
    inputs.clear();
    earlier.clear();
}

fn earlier(message: &[u8]) -> Option<EarlierAmount<'_>> {
    let mut earlier = EarlierAmount::default();
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            B1 => earlier.name = fields.said()?,
            B2 => earlier.line_id = fields.said()?,
            B3 => earlier.amount = Some(money(fields.bytes()?)?),
            N4 => earlier.what = Some(word(fields.small_number()?, amount_kind)?),
            END => return Some(earlier),
            _ => return None,
        }
    }
}

/// Reads a line where it will stand: it is large to move.
fn line<'m>(message: &'m [u8], line: &mut Line<'m>) -> Option<()> {
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            B1 => line.id = fields.said()?,
            B2 => line.product_type = fields.said()?,
            N3 => line.stage = Some(word(fields.small_number()?, order_stage)?),
            B4 => line.sub_stage = fields.said()?,
            B5 => line.paid = Some(money(fields.bytes()?)?),
            B6 => line.list_price = Some(money(fields.bytes()?)?),
            B7 => line.refunded = Some(money(fields.bytes()?)?),
            B8 => line.completed = Some(fraction(fields.bytes()?)?),
            B9 => line.declared_cost = Some(money(fields.bytes()?)?),
            B10 => room(&mut line.tags, ENTRIES_MAX)?.push(text(fields.item()?)?),
            B11 => entry(&mut line.inputs, fields.item()?, |value| input_value(value?))?,
            B12 => line.settled = Some(money(fields.bytes()?)?),
            N13 => line.quantity = fields.number()?,
            N14 => line.returned_quantity = fields.number()?,
            B15 => line.returned_refunded = Some(money(fields.bytes()?)?),
            END => return Some(()),
            _ => return None,
        }
    }
}

fn tender(message: &[u8]) -> Option<Tender<'_>> {
    let mut tender = Tender::default();
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            B1 => tender.id = fields.said()?,
            B2 => tender.method = fields.said()?,
            B3 => tender.paid = Some(money(fields.bytes()?)?),
            B4 => tender.refunded = Some(money(fields.bytes()?)?),
            N5 if fields.varint()? == 1 => tender.refundability = Refundability::NotRefundable,
            END => return Some(tender),
            _ => return None,
        }
    }
}

fn component(message: &[u8]) -> Option<Component<'_>> {
    let mut component = Component::default();
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            B1 => component.name = fields.said()?,
            B2 => component.paid = Some(money(fields.bytes()?)?),
            B3 => component.refunded = Some(money(fields.bytes()?)?),
            B4 => component.line_id = fields.said()?,
            END => return Some(component),
            _ => return None,
        }
    }
}

fn read_claim<'m>(message: &'m [u8], claim: &mut Claim<'m>) -> Option<&'m [u8]> {
    empty_claim(claim);
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            N1 => claim.request_type = Some(word(fields.small_number()?, request_type)?),
            B2 => claim.reason = fields.said()?,
            N3 => claim.liable_party = Some(word(fields.small_number()?, liable_party)?),
            B4 => claim.text = fields.said()?,
            B5 => room(&mut claim.promised_actual, PROMISED_ACTUAL_MAX)?.push(comparison(fields.item()?)?),
            B6 => room(&mut claim.evidence, EVIDENCE_MAX)?.push(evidence(fields.item()?)?),
            B7 => claim.channel = fields.said()?,
            B8 => claim.requested_at = Some(timestamp(fields.bytes()?)?),
            B9 => claim.requested_amount = Some(money(fields.bytes()?)?),
            B10 => room(&mut claim.line_ids, LINES_MAX)?.push(text(fields.item()?)?),
            B11 => room(&mut claim.components, COMPONENTS_MAX)?.push(text(fields.item()?)?),
            END => return Some(message),
            _ => return None,
        }
    }
}

/// As [`empty_order`].
fn empty_claim(claim: &mut Claim<'_>) {
    let Claim {
        request_type,
        reason,
        liable_party,
        text,
        promised_actual,
        evidence,
        channel,
        requested_at,
        requested_amount,
        line_ids,
        components,
    } = claim;
    (*reason, *text, *channel) = ("", "", "");
    (*request_type, *liable_party, *requested_at, *requested_amount) = (None, None, None, None);
    promised_actual.clear();
    evidence.clear();
    line_ids.clear();
    components.clear();
}

fn comparison(message: &[u8]) -> Option<PromisedActual<'_>> {
    let mut pair = PromisedActual::default();
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            B1 => pair.subject = fields.said()?,
            B2 => pair.promised = fields.said()?,
            B3 => pair.actual = fields.said()?,
            END => return Some(pair),
            _ => return None,
        }
    }
}

fn evidence(message: &[u8]) -> Option<Evidence<'_>> {
    let mut piece = Evidence::default();
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            B1 => piece.id = fields.said()?,
            B2 => piece.kind = fields.said()?,
            B3 => piece.media_type = fields.said()?,
            N4 => piece.size_bytes = fields.number()?,
            B5 => piece.sha256 = fields.said()?,
            B6 => piece.captured_at = Some(timestamp(fields.bytes()?)?),
            B7 => piece.order_id = fields.said()?,
            B8 => piece.source = fields.said()?,
            B9 => entry(&mut piece.fields, fields.item()?, |value| text(value.unwrap_or_default()))?,
            END => return Some(piece),
            _ => return None,
        }
    }
}

/// A list that has room for one more item. Items above the bound take no memory: they are counted
/// elsewhere.
fn room<T>(list: &mut Vec<T>, most: usize) -> Option<&mut Vec<T>> {
    if list.len() < most { Some(list) } else { None }
}

/// Adds an entry to a map, whose entries are in the order of their keys.
fn entry<'m, T>(
    entries: &mut Vec<(&'m str, T)>,
    message: &'m [u8],
    read: impl FnOnce(Option<&'m [u8]>) -> Option<T>,
) -> Option<()> {
    let (mut key, mut value) = ("", None);
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            B1 => key = fields.said()?,
            // A value that is the default is not written.
            B2 => value = Some(fields.bytes().filter(|value| !value.is_empty())?),
            END => break,
            _ => return None,
        }
    }
    let in_order = entries.last().is_none_or(|(before, _)| *before < key);
    if in_order {
        room(entries, ENTRIES_MAX)?.push((key, read(value)?));
    }
    in_order.then_some(())
}

/// One of several kinds of values, so that also a default one is written.
fn input_value(message: &[u8]) -> Option<InputValue<'_>> {
    let mut fields = Fields::of(message);
    let value = match fields.key()? {
        B1 => InputValue::Text(text(fields.bytes()?)?),
        N2 => InputValue::Flag(flag(fields.varint()?)?),
        B3 => InputValue::Decimal(text(fields.bytes()?)?),
        B4 => InputValue::Money(money(fields.bytes()?)?),
        B5 => InputValue::Fraction(fraction(fields.bytes()?)?),
        B6 => InputValue::Timestamp(timestamp(fields.bytes()?)?),
        B7 => InputValue::Duration(elapsed(fields.bytes()?)?),
        _ => return None,
    };
    (fields.key()? == END).then_some(value)
}

const fn flag(value: u64) -> Option<bool> {
    match value {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn money(message: &[u8]) -> Option<Money<'_>> {
    let mut money = Money { currency: "", units: 0, nanos: 0 };
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            B1 => money.currency = fields.said()?,
            N2 => money.units = fields.number()?,
            N3 => money.nanos = fields.small_number()?,
            END => return Some(money),
            _ => return None,
        }
    }
}

fn fraction(message: &[u8]) -> Option<Fraction> {
    let (numerator, denominator) = two_numbers(message)?;
    Some(Fraction { numerator, denominator })
}

fn timestamp(message: &[u8]) -> Option<Timestamp> {
    // Whole seconds of the years 1978 to 3058 take five times seven bits, and nearly all moments are such.
    if let [N1, a @ (0x80..), b @ (0x80..), c @ (0x80..), d @ (0x80..), e @ 1..0x80] = *message {
        let seven_bits = |byte: u8, place: u32| i64::from(byte & 0x7f) << (7 * place);
        let seconds = seven_bits(a, 0) | seven_bits(b, 1) | seven_bits(c, 2) | seven_bits(d, 3) | seven_bits(e, 4);
        return Timestamp::from_unix(seconds, 0);
    }
    let (seconds, nanos) = two_numbers(message)?;
    Timestamp::from_unix(seconds, i32::try_from(nanos).ok()?)
}

fn elapsed(message: &[u8]) -> Option<Elapsed> {
    let (seconds, nanos) = two_numbers(message)?;
    Elapsed::from_seconds(seconds, i32::try_from(nanos).ok()?)
}

fn two_numbers(message: &[u8]) -> Option<(i64, i64)> {
    let mut numbers = (0, 0);
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            N1 => numbers.0 = fields.number()?,
            N2 => numbers.1 = fields.number()?,
            END => return Some(numbers),
            _ => return None,
        }
    }
}

/// The word that a number stands for.
fn word<T>(number: i32, known: impl Fn(i32, &Path<'_>, &mut Violations) -> Option<T>) -> Option<T> {
    known(number, &Path::Root, &mut Violations::default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::api::pb;
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
        claim.components = vec!["shipping".into(), String::new()];
        let amount = pb::Money { currency_code: "CNY".into(), units: 2, nanos: 0 };
        order.earlier = vec![
            pb::EarlierAmount::default(),
            pb::EarlierAmount {
                name: "fee".into(),
                line_id: "l-1".into(),
                amount: Some(amount.clone()),
                what: pb::AmountKind::Deduction.into(),
            },
        ];
        order.lines[0].settled = Some(amount.clone());
        order.lines[0].returned_refunded = Some(amount);
        (order.lines[0].quantity, order.lines[0].returned_quantity) = (3, -1);
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

    fn nothing<'m>() -> Request<'m> {
        Request { order: Order::default(), claim: Claim::default() }
    }

    #[test]
    fn moments_are_read_as_the_library_writes_them() {
        let edges = [0, 7, 14, 21, 28, 35, 37].map(|bits| 1i64 << bits);
        for seconds in edges.into_iter().flat_map(|edge| [edge - 1, edge, edge + 1, -edge]) {
            for nanos in [0, 1, 999_999_999] {
                let moment = prost_types::Timestamp { seconds, nanos };
                assert_eq!(timestamp(&moment.encode_to_vec()), Timestamp::from_unix(seconds, nanos), "{moment:?}");
            }
        }
        // Longer than it has to be, or of more than one field.
        assert_eq!(timestamp(&[N1, 0x80, 0x80, 0x80, 0x80, 0]), None);
        assert_eq!(timestamp(&[N1, 0x80, 0x80, 0x80, 0x80, 1, N1, 1]), None);
    }

    /// Whatever is read at all is read as the library reads it.
    fn holds(message: &[u8]) -> Result<(), TestCaseError> {
        // What was said before leaves nothing behind.
        let before = whole().encode_to_vec();
        let mut said = nothing();
        prop_assert!(read(&before, &mut said).is_some());
        let Some(plain) = read(message, &mut said) else { return Ok(()) };
        let decoded = pb::EvaluateRefundRequest::decode(message).expect("what is plain is a message");
        let (expected_said, violations) = request::for_decision(decoded.order.as_ref(), decoded.claim.as_ref());
        prop_assert_eq!(violations, []);
        let expected = PlainRequest {
            request_id: &decoded.request_id,
            policy_id: &decoded.policy_id,
            policy_digest: &decoded.policy_digest,
            min_generation: decoded.min_generation,
            language: &decoded.language,
            order: &decoded.order.as_ref().unwrap().encode_to_vec(),
            claim: &decoded.claim.as_ref().unwrap().encode_to_vec(),
        };
        prop_assert_eq!(plain, expected);
        prop_assert_eq!(&said, &expected_said);
        prop_assert!(matches!(decoded.explain(), pb::ExplainLevel::Unspecified | pb::ExplainLevel::None));
        Ok(())
    }

    #[test]
    fn what_the_library_writes_is_read() {
        let bytes = whole().encode_to_vec();
        assert!(read(&bytes, &mut nothing()).is_some());
        holds(&bytes).unwrap();
        let least = pb::EvaluateRefundRequest {
            order: Some(pb::Order::default()),
            claim: Some(pb::Claim::default()),
            ..Default::default()
        };
        assert!(read(&least.encode_to_vec(), &mut nothing()).is_some());
    }

    #[test]
    fn an_explanation_or_a_missing_part_is_left_to_others() {
        let without = |change: fn(&mut pb::EvaluateRefundRequest)| {
            let mut request = whole();
            change(&mut request);
            read(&request.encode_to_vec(), &mut nothing()).is_none()
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
