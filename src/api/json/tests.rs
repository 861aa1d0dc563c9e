//! Reading and writing, against the library that does it less strictly.

#![allow(clippy::cast_possible_truncation, reason = "numbers from a seed are small")]

use proptest::prelude::*;
use prost_reflect::{DeserializeOptions, Kind, MapKey, MessageDescriptor, Value};

use super::*;
use crate::api::samples;
use crate::domain::limits::{LINES_MAX, VIOLATIONS_MAX};

#[test]
fn a_request_survives_the_way_to_json_and_back() {
    let request = pb::EvaluateRefundRequest {
        request_id: "r-1".into(),
        explain: pb::ExplainLevel::Full.into(),
        order: Some(samples::order()),
        claim: Some(samples::claim()),
        ..pb::EvaluateRefundRequest::default()
    };
    let text = request_to_json(&request);
    assert!(text.contains("\"requestType\": \"REQUEST_TYPE_REFUND\""), "{text}");
    assert!(text.contains("\"requestedAt\": \"1970-01-01T00:50:00.000000005Z\""), "{text}");
    assert_eq!(request_from_json(&text), Ok(request));
}

#[test]
fn both_spellings_of_a_name_are_read() {
    let camel = request_from_json(r#"{"requestId": "r", "order": {"orderId": "o"}}"#);
    let proto = request_from_json(r#"{"request_id": "r", "order": {"order_id": "o"}}"#);
    assert!(camel.is_ok());
    assert_eq!(camel, proto);
}

#[test]
fn a_response_is_written_with_the_names_of_its_words() {
    let response = pb::EvaluateRefundResponse {
        outcome: pb::Outcome::ApprovedPartial.into(),
        refund: Some(pb::Money { currency_code: "CNY".into(), units: 83, nanos: 670_000_000 }),
        ..pb::EvaluateRefundResponse::default()
    };
    let text = response_to_json(&response);
    assert!(text.contains("\"outcome\": \"OUTCOME_APPROVED_PARTIAL\""), "{text}");
    assert!(text.contains("\"currencyCode\": \"CNY\""), "{text}");
}

/// Numbers from a seed: the same seed gives the same messages.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

const TEXTS: [&str; 6] = ["", "a", "退款", "a\"b\\c\n\u{1}", "é\u{1f600}", "with blanks and / slashes"];

/// A message of any content that JSON can hold.
fn random_message(descriptor: &MessageDescriptor, chance: &mut Chance) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    match descriptor.full_name() {
        "google.protobuf.Timestamp" | "google.protobuf.Duration" => {
            message.set_field_by_name("seconds", Value::I64(chance.below(4_000_000_000) as i64));
            message.set_field_by_name("nanos", Value::I32([0, 1, 500_000_000, 999_999_999][chance.below(4) as usize]));
            return message;
        }
        _ => {}
    }
    for field in descriptor.fields() {
        let taken =
            field.containing_oneof().is_some_and(|choice| choice.fields().any(|other| message.has_field(&other)));
        if taken || chance.below(3) == 0 {
            continue;
        }
        let kind = field.kind();
        let content = if field.is_map() {
            let kind = kind.as_message().unwrap().map_entry_value_field().kind();
            let entries =
                (0..chance.below(3)).map(|place| (MapKey::String(format!("k{place}")), random_value(&kind, chance)));
            Value::Map(entries.collect())
        } else if field.is_list() {
            Value::List((0..chance.below(3)).map(|_| random_value(&kind, chance)).collect())
        } else {
            random_value(&kind, chance)
        };
        message.set_field(&field, content);
    }
    message
}

fn random_value(kind: &Kind, chance: &mut Chance) -> Value {
    let edge = |chance: &mut Chance, edges: &[i64]| edges[chance.below(edges.len() as u64) as usize];
    match kind {
        Kind::Message(descriptor) => Value::Message(random_message(descriptor, chance)),
        Kind::Enum(words) => {
            let numbers: Vec<i32> = words.values().map(|word| word.number()).collect();
            Value::EnumNumber(numbers[chance.below(numbers.len() as u64) as usize])
        }
        Kind::String => Value::String(TEXTS[chance.below(TEXTS.len() as u64) as usize].to_owned()),
        Kind::Bool => Value::Bool(chance.below(2) == 1),
        Kind::Int32 => Value::I32(edge(chance, &[0, -1, i64::from(i32::MIN), i64::from(i32::MAX)]) as i32),
        Kind::Int64 => Value::I64(edge(chance, &[0, 7, i64::MIN, i64::MAX])),
        Kind::Uint64 => Value::U64([0, 9, u64::MAX][chance.below(3) as usize]),
        other @ (Kind::Double
        | Kind::Float
        | Kind::Uint32
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Fixed32
        | Kind::Fixed64
        | Kind::Sfixed32
        | Kind::Sfixed64
        | Kind::Bytes) => panic!("no request has a field of {other:?}"),
    }
}

/// The library's own reading, which stops at the first mistake and lets some through.
fn read_by_the_library(text: &str, descriptor: &MessageDescriptor) -> Option<DynamicMessage> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message = DynamicMessage::deserialize_with_options(descriptor.clone(), &mut deserializer, &options).ok()?;
    deserializer.end().ok()?;
    Some(message)
}

fn requests() -> Vec<MessageDescriptor> {
    let names = ["EvaluateRefundRequest", "ValidateEvidenceRequest", "BatchEvaluateRefundRequest"];
    names.iter().map(|name| pool().unwrap().get_message_by_name(&format!("requite.v1.{name}")).unwrap()).collect()
}

fn written(message: &DynamicMessage, options: &SerializeOptions) -> String {
    let mut text = Vec::new();
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut text), options).unwrap();
    String::from_utf8(text).unwrap()
}

/// The content of a message, whatever the order of the entries of its maps.
fn content(message: &DynamicMessage) -> serde_json::Value {
    serde_json::from_str(&written(message, &SerializeOptions::new())).unwrap()
}

proptest! {
    #[test]
    fn what_the_library_writes_is_read_as_it_was(seed: u64, proto_names: bool, defaults: bool) {
        let options = SerializeOptions::new().use_proto_field_name(proto_names).skip_default_fields(!defaults);
        for descriptor in requests() {
            let message = random_message(&descriptor, &mut Chance(seed));
            let text = written(&message, &options);
            let read = read::message(&Document::open(&text).unwrap(), &descriptor);
            prop_assert_eq!(read.map(|read| content(&read)), Ok(content(&message)), "{}", text);
        }
    }

    #[test]
    fn a_text_with_changed_bytes_is_refused_or_means_what_the_library_says(seed: u64, changes in 1_usize..4) {
        let [descriptor, ..] = &requests()[..] else { panic!("there are requests") };
        let chance = &mut Chance(seed);
        let mut bytes = written(&random_message(descriptor, chance), &SerializeOptions::new()).into_bytes();
        for _ in 0..changes {
            let place = chance.below(bytes.len() as u64) as usize;
            bytes[place] = b"{}[]\",:0123456789eE.-+TZ\\untfals /"[chance.below(34) as usize];
        }
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let read = Document::open(&text).and_then(|document| read::message(&document, descriptor));
        match (read, read_by_the_library(&text, descriptor)) {
            (Ok(ours), Some(theirs)) => prop_assert_eq!(content(&ours), content(&theirs), "{}", text),
            (Ok(_), None) => prop_assert!(false, "only we read {text}"),
            (Err(error), _) => prop_assert!(!error.mistakes.is_empty()),
        }
    }
}

#[test]
fn mistakes_beyond_a_hundred_are_counted() {
    let lines = vec![r#"{"lineIdd": 1}"#; 250].join(",");
    let error = request_from_json(&format!("{{\"order\": {{\"lines\": [{lines}]}}}}")).unwrap_err();
    assert_eq!((error.mistakes.len(), error.further), (VIOLATIONS_MAX, 150));
}

#[test]
fn a_text_of_nothing_but_mistakes_is_counted_to_its_end() {
    let count = 150_000;
    for member in [r#""a":1"#, r#""orderId":"o""#] {
        let error = request_from_json(&format!("{{\"order\":{{{}}}}}", vec![member; count].join(","))).unwrap_err();
        let right = usize::from(member.contains("orderId"));
        assert_eq!((error.mistakes.len(), error.further), (VIOLATIONS_MAX, count - right - VIOLATIONS_MAX));
    }
    let inputs = vec![r#""i":{"flag":1}"#; 40].join(",");
    let error = request_from_json(&format!("{{\"order\":{{\"inputs\":{{{inputs}}}}}}}")).unwrap_err();
    assert_eq!(error.mistakes.len(), 40, "{error}");
}

#[test]
fn a_list_above_its_bound_is_not_looked_into() {
    let lines = vec!["5"; LINES_MAX + 1].join(",");
    let error = request_from_json(&format!("{{\"order\": {{\"lines\": [{lines}]}}}}")).unwrap_err();
    let problems: Vec<&str> = error.mistakes.iter().map(|mistake| mistake.problem.as_str()).collect();
    assert_eq!(problems, [format!("at most {LINES_MAX} are allowed, got {}", LINES_MAX + 1)]);
}
