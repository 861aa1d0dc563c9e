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
use crate::server::fast_path::fields::{END, Fields, text};
use crate::server::fast_path::keys::{
    claim, component, duration, earlier_amount, entry, evaluation, evidence, fact_value, fraction, money, order,
    order_line, promised_actual, tender, timestamp,
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
            evaluation::REQUEST_ID => request_id = fields.said().filter(|id| id.len() <= SHORT_TEXT_BYTES_MAX)?,
            evaluation::POLICY_ID => policy_id = fields.said()?,
            evaluation::POLICY_DIGEST => policy_digest = fields.said()?,
            evaluation::MIN_GENERATION => min_generation = fields.number()?.cast_unsigned(),
            evaluation::EXPLAIN if fields.small_number()? == ExplainLevel::None as i32 => {}
            evaluation::ORDER => order = Some(read_order(fields.bytes()?, &mut request.order)?),
            evaluation::CLAIM => claim = Some(read_claim(fields.bytes()?, &mut request.claim)?),
            evaluation::LANGUAGE => language = fields.said()?,
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
            order::ORDER_ID => order.id = fields.said()?,
            order::PLACED_AT => order.placed_at = Some(timestamp(fields.bytes()?)?),
            order::PAID_AT => order.paid_at = Some(timestamp(fields.bytes()?)?),
            order::TIMES => entry(&mut order.times, fields.item()?, |moment| timestamp(moment.unwrap_or_default()))?,
            order::CUSTOMER_CAUSED_DELAY => order.customer_caused_delay = Some(elapsed(fields.bytes()?)?),
            order::LINES => line(fields.item()?, room(&mut order.lines, LINES_MAX)?.push_mut(Line::default()))?,
            order::TENDERS => room(&mut order.tenders, TENDERS_MAX)?.push(tender(fields.item()?)?),
            order::COMPONENTS => room(&mut order.components, COMPONENTS_MAX)?.push(component(fields.item()?)?),
            order::TAGS => room(&mut order.tags, ENTRIES_MAX)?.push(text(fields.item()?)?),
            order::INPUTS => entry(&mut order.inputs, fields.item()?, |value| input_value(value?))?,
            order::EARLIER => room(&mut order.earlier, EARLIER_MAX)?.push(earlier(fields.item()?)?),
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
            earlier_amount::NAME => earlier.name = fields.said()?,
            earlier_amount::LINE_ID => earlier.line_id = fields.said()?,
            earlier_amount::AMOUNT => earlier.amount = Some(money(fields.bytes()?)?),
            earlier_amount::WHAT => earlier.what = Some(word(fields.small_number()?, amount_kind)?),
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
            order_line::LINE_ID => line.id = fields.said()?,
            order_line::PRODUCT_TYPE => line.product_type = fields.said()?,
            order_line::STAGE => line.stage = Some(word(fields.small_number()?, order_stage)?),
            order_line::SUB_STAGE => line.sub_stage = fields.said()?,
            order_line::PAID => line.paid = Some(money(fields.bytes()?)?),
            order_line::LIST_PRICE => line.list_price = Some(money(fields.bytes()?)?),
            order_line::REFUNDED => line.refunded = Some(money(fields.bytes()?)?),
            order_line::COMPLETED => line.completed = Some(fraction(fields.bytes()?)?),
            order_line::DECLARED_COST => line.declared_cost = Some(money(fields.bytes()?)?),
            order_line::TAGS => room(&mut line.tags, ENTRIES_MAX)?.push(text(fields.item()?)?),
            order_line::INPUTS => entry(&mut line.inputs, fields.item()?, |value| input_value(value?))?,
            order_line::SETTLED => line.settled = Some(money(fields.bytes()?)?),
            order_line::QUANTITY => line.quantity = fields.number()?,
            order_line::RETURNED_QUANTITY => line.returned_quantity = fields.number()?,
            order_line::RETURNED_REFUNDED => line.returned_refunded = Some(money(fields.bytes()?)?),
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
            tender::TENDER_ID => tender.id = fields.said()?,
            tender::METHOD => tender.method = fields.said()?,
            tender::PAID => tender.paid = Some(money(fields.bytes()?)?),
            tender::REFUNDED => tender.refunded = Some(money(fields.bytes()?)?),
            tender::NOT_REFUNDABLE if fields.varint()? == 1 => tender.refundability = Refundability::NotRefundable,
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
            component::NAME => component.name = fields.said()?,
            component::PAID => component.paid = Some(money(fields.bytes()?)?),
            component::REFUNDED => component.refunded = Some(money(fields.bytes()?)?),
            component::LINE_ID => component.line_id = fields.said()?,
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
            claim::REQUEST_TYPE => claim.request_type = Some(word(fields.small_number()?, request_type)?),
            claim::REASON => claim.reason = fields.said()?,
            claim::LIABLE_PARTY => claim.liable_party = Some(word(fields.small_number()?, liable_party)?),
            claim::TEXT => claim.text = fields.said()?,
            claim::PROMISED_ACTUAL => {
                room(&mut claim.promised_actual, PROMISED_ACTUAL_MAX)?.push(comparison(fields.item()?)?)
            }
            claim::EVIDENCE => room(&mut claim.evidence, EVIDENCE_MAX)?.push(evidence(fields.item()?)?),
            claim::CHANNEL => claim.channel = fields.said()?,
            claim::REQUESTED_AT => claim.requested_at = Some(timestamp(fields.bytes()?)?),
            claim::REQUESTED_AMOUNT => claim.requested_amount = Some(money(fields.bytes()?)?),
            claim::LINE_IDS => room(&mut claim.line_ids, LINES_MAX)?.push(text(fields.item()?)?),
            claim::COMPONENTS => room(&mut claim.components, COMPONENTS_MAX)?.push(text(fields.item()?)?),
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
            promised_actual::SUBJECT => pair.subject = fields.said()?,
            promised_actual::PROMISED => pair.promised = fields.said()?,
            promised_actual::ACTUAL => pair.actual = fields.said()?,
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
            evidence::EVIDENCE_ID => piece.id = fields.said()?,
            evidence::KIND => piece.kind = fields.said()?,
            evidence::MEDIA_TYPE => piece.media_type = fields.said()?,
            evidence::SIZE_BYTES => piece.size_bytes = fields.number()?,
            evidence::SHA256 => piece.sha256 = fields.said()?,
            evidence::CAPTURED_AT => piece.captured_at = Some(timestamp(fields.bytes()?)?),
            evidence::ORDER_ID => piece.order_id = fields.said()?,
            evidence::SOURCE => piece.source = fields.said()?,
            evidence::FIELDS => entry(&mut piece.fields, fields.item()?, |value| text(value.unwrap_or_default()))?,
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
            entry::KEY => key = fields.said()?,
            // A value that is the default is not written.
            entry::VALUE => value = Some(fields.bytes().filter(|value| !value.is_empty())?),
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
        fact_value::TEXT => InputValue::Text(text(fields.bytes()?)?),
        fact_value::FLAG => InputValue::Flag(flag(fields.varint()?)?),
        fact_value::DECIMAL => InputValue::Decimal(text(fields.bytes()?)?),
        fact_value::MONEY => InputValue::Money(money(fields.bytes()?)?),
        fact_value::FRACTION => InputValue::Fraction(fraction(fields.bytes()?)?),
        fact_value::TIMESTAMP => InputValue::Timestamp(timestamp(fields.bytes()?)?),
        fact_value::DURATION => InputValue::Duration(elapsed(fields.bytes()?)?),
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
            money::CURRENCY_CODE => money.currency = fields.said()?,
            money::UNITS => money.units = fields.number()?,
            money::NANOS => money.nanos = fields.small_number()?,
            END => return Some(money),
            _ => return None,
        }
    }
}

fn fraction(message: &[u8]) -> Option<Fraction> {
    let (numerator, denominator) = two_numbers::<{ fraction::NUMERATOR }, { fraction::DENOMINATOR }>(message)?;
    Some(Fraction { numerator, denominator })
}

fn timestamp(message: &[u8]) -> Option<Timestamp> {
    // Whole seconds of the years 1978 to 3058 take five times seven bits, and nearly all moments are such.
    if let [timestamp::SECONDS, a @ (0x80..), b @ (0x80..), c @ (0x80..), d @ (0x80..), e @ 1..0x80] = *message {
        let seven_bits = |byte: u8, place: u32| i64::from(byte & 0x7f) << (7 * place);
        let seconds = seven_bits(a, 0) | seven_bits(b, 1) | seven_bits(c, 2) | seven_bits(d, 3) | seven_bits(e, 4);
        return Timestamp::from_unix(seconds, 0);
    }
    let (seconds, nanos) = two_numbers::<{ timestamp::SECONDS }, { timestamp::NANOS }>(message)?;
    Timestamp::from_unix(seconds, i32::try_from(nanos).ok()?)
}

fn elapsed(message: &[u8]) -> Option<Elapsed> {
    let (seconds, nanos) = two_numbers::<{ duration::SECONDS }, { duration::NANOS }>(message)?;
    Elapsed::from_seconds(seconds, i32::try_from(nanos).ok()?)
}

/// Two numbers with these keys; one that is not written is 0.
fn two_numbers<const FIRST: u8, const SECOND: u8>(message: &[u8]) -> Option<(i64, i64)> {
    let mut numbers = (0, 0);
    let mut fields = Fields::of(message);
    loop {
        match fields.key()? {
            END => return Some(numbers),
            key if key == FIRST => numbers.0 = fields.number()?,
            key if key == SECOND => numbers.1 = fields.number()?,
            _ => return None,
        }
    }
}

/// The word that a number stands for.
fn word<T>(number: i32, known: impl Fn(i32, &Path<'_>, &mut Violations) -> Option<T>) -> Option<T> {
    known(number, &Path::Root, &mut Violations::default())
}

#[cfg(test)]
mod tests;
