//! The fast path against the library, on whole, damaged and random requests.

use std::collections::BTreeSet;

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Value};

use super::*;
use crate::api::{descriptors, pb};
use crate::server::fast_path::keys;
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
    let moment = Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 5 });
    claim.evidence[0] = pb::Evidence {
        evidence_id: "e-1".into(),
        media_type: "image/png".into(),
        size_bytes: i64::MAX,
        sha256: "0f".repeat(32),
        captured_at: moment,
        order_id: "o-1".into(),
        source: "chat".into(),
        ..claim.evidence[0].clone()
    };
    claim.promised_actual = vec![
        pb::PromisedActual { subject: "段位".into(), ..Default::default() },
        pb::PromisedActual { subject: String::new(), promised: "王者".into(), actual: "钻石".into() },
    ];
    (claim.channel, claim.text) = ("app".into(), "太慢了".into());
    claim.line_ids = vec!["l-1".into(), String::new()];
    claim.components = vec!["shipping".into(), String::new()];
    let amount = pb::Money { currency_code: "CNY".into(), units: 2, nanos: 0 };
    order.components.push(pb::Component {
        name: "tax".into(),
        paid: Some(amount.clone()),
        refunded: Some(amount.clone()),
        line_id: "l-1".into(),
    });
    order.tenders[0].refunded = Some(amount.clone());
    order.earlier = vec![
        pb::EarlierAmount::default(),
        pb::EarlierAmount {
            name: "fee".into(),
            line_id: "l-1".into(),
            amount: Some(amount.clone()),
            what: pb::AmountKind::Deduction.into(),
        },
    ];
    let line = &mut order.lines[0];
    line.list_price = Some(amount.clone());
    line.refunded = Some(amount.clone());
    line.declared_cost = Some(amount.clone());
    line.settled = Some(amount.clone());
    line.returned_refunded = Some(amount);
    (line.quantity, line.returned_quantity) = (3, -1);
    (line.sub_stage, line.tags) = ("packed".into(), vec!["gift".into()]);
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
    assert_eq!(timestamp(&[timestamp::SECONDS, 0x80, 0x80, 0x80, 0x80, 0]), None);
    assert_eq!(timestamp(&[timestamp::SECONDS, 0x80, 0x80, 0x80, 0x80, 1, timestamp::SECONDS, 1]), None);
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

/// Notes the fields that a message sets, and those of the messages in it.
fn note_fields(message: &DynamicMessage, set: &mut BTreeSet<String>) {
    for (field, value) in message.fields() {
        set.insert(field.full_name().to_owned());
        note_value(value, set);
    }
}

fn note_value(value: &Value, set: &mut BTreeSet<String>) {
    match value {
        Value::Message(inner) => note_fields(inner, set),
        Value::List(items) => items.iter().for_each(|item| note_value(item, set)),
        Value::Map(entries) => entries.values().for_each(|value| note_value(value, set)),
        Value::Bool(_)
        | Value::I32(_)
        | Value::I64(_)
        | Value::U32(_)
        | Value::U64(_)
        | Value::F32(_)
        | Value::F64(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::EnumNumber(_) => {}
    }
}

/// A field that is added to the proto files must be added here, and is then read by `what_the_library_writes_is_read`.
#[test]
fn the_whole_request_has_every_field() {
    let root = descriptors::pool().unwrap().get_message_by_name("requite.v1.EvaluateRefundRequest").unwrap();
    let message = DynamicMessage::decode(root, whole().encode_to_vec().as_slice()).unwrap();
    let mut set = BTreeSet::new();
    note_fields(&message, &mut set);
    let expected: BTreeSet<String> = keys::every_message()
        .iter()
        .flat_map(|message| message.fields())
        .map(|field| field.full_name().to_owned())
        .collect();
    let left_out: Vec<_> = expected.difference(&set).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
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
    assert!(without(
        |request| request.order.as_mut().unwrap().placed_at = Some(prost_types::Timestamp { seconds: 0, nanos: -1 })
    ));
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
