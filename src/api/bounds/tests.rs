//! Lists above their bounds, and bytes that are no message.

use prost::Message as _;

use super::*;
use crate::api::decode::decode;
use crate::api::pb;
use crate::api::samples;

/// A field of a message: its number, its wire type, its bytes.
fn field(number: u64, wire_type: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(number << 3 | wire_type, &mut bytes);
    if wire_type == LENGTH {
        prost::encoding::encode_varint(value.len() as u64, &mut bytes);
    }
    [bytes, value.to_vec()].concat()
}

fn nested(numbers: &[u64], value: &[u8]) -> Vec<u8> {
    numbers.iter().rev().fold(value.to_vec(), |value, number| field(*number, LENGTH, &value))
}

fn violations(message: &[u8]) -> Vec<(String, String)> {
    match decode::<pb::EvaluateRefundRequest>(message) {
        Err(Failure::BadRequest(violations)) => violations.into_iter().map(|it| (it.field, it.problem)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_list_of_every_request_has_a_bound() {
    fn lists(message: &MessageDescriptor, found: &mut Vec<String>) {
        for field in message.fields() {
            if field.is_list() || field.is_map() {
                found.push(field.full_name().to_owned());
            }
            if let Kind::Message(inner) = field.kind() {
                lists(&inner, found);
            }
        }
    }
    let mut found = Vec::new();
    for service in pool().unwrap().services() {
        for method in service.methods() {
            assert!(shape(method.input().full_name()).unwrap().is_some(), "{}", method.full_name());
            lists(&method.input(), &mut found);
        }
    }
    for name in &found {
        assert!(LIST_BOUNDS.iter().any(|(bounded, _)| bounded == name), "`{name}` has no bound");
    }
    for (name, most) in LIST_BOUNDS {
        assert!(found.iter().any(|list| list == name), "no request has `{name}`");
        assert!(0 < most, "{name}");
    }
}

#[test]
fn a_list_above_its_bound_is_refused_with_its_count() {
    let empties = |numbers: &[u64], count: usize| {
        let (list, around) = numbers.split_last().unwrap();
        nested(around, &field(*list, LENGTH, &[]).repeat(count))
    };
    for (numbers, most, name) in [
        (&[6, 6][..], LINES_MAX, "order.lines"),
        (&[6, 4], ENTRIES_MAX, "order.times"),
        (&[6, 7], TENDERS_MAX, "order.tenders"),
        (&[6, 8], COMPONENTS_MAX, "order.components"),
        (&[6, 9], ENTRIES_MAX, "order.tags"),
        (&[6, 10], ENTRIES_MAX, "order.inputs"),
        (&[6, 11], EARLIER_MAX, "order.earlier"),
        (&[6, 6, 10], ENTRIES_MAX, "order.lines[0].tags"),
        (&[6, 6, 11], ENTRIES_MAX, "order.lines[0].inputs"),
        (&[7, 5], PROMISED_ACTUAL_MAX, "claim.promised_actual"),
        (&[7, 6], EVIDENCE_MAX, "claim.evidence"),
        (&[7, 6, 9], ENTRIES_MAX, "claim.evidence[0].fields"),
        (&[7, 10], LINES_MAX, "claim.line_ids"),
        (&[7, 11], COMPONENTS_MAX, "claim.components"),
    ] {
        assert!(decode::<pb::EvaluateRefundRequest>(&empties(numbers, most)).is_ok(), "{name}");
        let problem = format!("at most {most} are allowed, got {}", most + 7);
        assert_eq!(violations(&empties(numbers, most + 7)), [(name.to_owned(), problem)]);
    }
}

#[test]
fn a_message_that_stands_twice_is_counted_once() {
    let half = nested(&[6], &field(6, LENGTH, &[]).repeat(LINES_MAX / 2));
    assert!(decode::<pb::EvaluateRefundRequest>(&half.repeat(2)).is_ok());
    let problem = format!("at most {LINES_MAX} are allowed, got {}", LINES_MAX / 2 * 3);
    assert_eq!(violations(&half.repeat(3)), [("order.lines".to_owned(), problem)]);
}

#[test]
fn lines_beyond_the_bound_are_counted_only() {
    let line = field(6, LENGTH, &field(10, LENGTH, &[]).repeat(ENTRIES_MAX + 1));
    let found = violations(&nested(&[6], &line.repeat(LINES_MAX * 2)));
    // The lists within the lines that may be there, and the lines themselves.
    assert_eq!(found.len(), crate::domain::limits::VIOLATIONS_MAX + 1);
    assert_eq!(found[0].0, "order.lines[0].tags");
    assert_eq!(found.last().unwrap().1, format!("{} more fields are bad", LINES_MAX + 1 - 100));
}

#[test]
fn what_is_no_message_is_refused_before_it_is_decoded() {
    let timestamp = prost_types::Timestamp { seconds: 1, nanos: 0 }.encode_to_vec();
    let entry = [field(1, LENGTH, b"promised_at"), field(2, LENGTH, &timestamp)].concat();
    assert!(decode::<pb::EvaluateRefundRequest>(&nested(&[6, 4], &entry)).is_ok());
    for (bad, what) in [
        (nested(&[6], &field(4, VARINT, &[1])), "a map as a number"),
        (nested(&[6], &field(4, FIXED_32, &[0; 4])), "a map as four bytes"),
        (nested(&[6, 6], &field(11, FIXED_64, &[0; 8])), "a map of a line as eight bytes"),
        (nested(&[6, 4], &field(1, VARINT, &[1])), "a key as a number"),
        (nested(&[6, 4], &field(2, VARINT, &[1])), "a value as a number"),
        (field(6, VARINT, &[1]), "a message as a number"),
        (field(4, LENGTH, &[1]), "a number as bytes"),
        (field(6, GROUP, &[6 << 3 | 4]), "a message as a group"),
        (field(0, VARINT, &[1]), "field number 0"),
        (vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02], "a key of too many bytes"),
        (vec![0x88, 0x80, 0x80, 0x80, 0x10, 1], "a key above 32 bits"),
        (field(99, 6, &[]), "a wire type that does not exist"),
        (field(99, GROUP_END, &[]), "the end of a group that never began"),
        (field(99, GROUP, &[]), "a group without an end"),
        (field(99, GROUP, &[98 << 3 & 0x7f | 4]), "a group with the end of another"),
        (field(1, LENGTH, &[0xff]), "a text that is not UTF-8"),
        (vec![0x0a, 5, 1], "a text that is cut"),
        (vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "a length of too many bytes"),
    ] {
        assert_eq!(decode::<pb::EvaluateRefundRequest>(&bad), Err(Failure::BadMessage), "{what}");
    }
}

#[test]
fn fields_that_are_not_known_are_stepped_over() {
    let request = pb::EvaluateRefundRequest {
        order: Some(samples::order()),
        claim: Some(samples::claim()),
        ..Default::default()
    };
    let known = request.encode_to_vec();
    let (group, end) = (field(200, GROUP, &[]), field(200, GROUP_END, &[]));
    for unknown in [
        field(99, VARINT, &[1]),
        field(99, FIXED_64, &[0; 8]),
        field(99, LENGTH, b"any"),
        field(99, FIXED_32, &[0; 4]),
        [group.clone(), field(1, VARINT, &[1]), end.clone()].concat(),
        [group.clone(), group.clone(), end.clone(), end.clone()].concat(),
    ] {
        let message = [unknown.clone(), known.clone(), unknown].concat();
        assert_eq!(decode::<pb::EvaluateRefundRequest>(&message), Ok(request.clone()));
    }
    let deep = [group.repeat(MESSAGE_DEPTH_MAX + 1), end.repeat(MESSAGE_DEPTH_MAX + 1)].concat();
    assert_eq!(decode::<pb::EvaluateRefundRequest>(&deep), Err(Failure::BadMessage));
}

#[test]
fn the_fields_of_a_message_are_bounded() {
    let many = field(99, VARINT, &[1]).repeat(MESSAGE_FIELDS_MAX + 1);
    let refused = decode::<pb::ValidateEvidenceRequest>(&many);
    assert!(matches!(refused, Err(Failure::BadRequest(_))), "{refused:?}");
    let files = nested(&[1], &field(1, LENGTH, &[]).repeat(BUNDLE_FILES_MAX + 1));
    let refused = decode::<pb::ValidatePolicyRequest>(&files);
    let problem = format!("at most {BUNDLE_FILES_MAX} are allowed, got {}", BUNDLE_FILES_MAX + 1);
    assert_eq!(refused, Err(Failure::field("files.files", problem)));
}

#[test]
fn a_batch_is_cut_into_its_items() {
    let request = |id: &str| pb::EvaluateRefundRequest { request_id: id.into(), ..Default::default() };
    let batch = pb::BatchEvaluateRefundRequest { requests: vec![request("a"), request(""), request("c")] };
    let bytes = [field(9, VARINT, &[1]), batch.encode_to_vec()].concat();
    let items: Vec<_> = batch_items(&bytes)
        .unwrap()
        .into_iter()
        .map(|item| decode::<pb::EvaluateRefundRequest>(item).unwrap())
        .collect();
    assert_eq!(items, batch.requests);
    assert_eq!(batch_items(&[]), Ok(Vec::new()));
    let many = field(1, LENGTH, &[]).repeat(BATCH_ITEMS_MAX + 2);
    let problem = format!("must have at most {BATCH_ITEMS_MAX} items, got {}", BATCH_ITEMS_MAX + 2);
    assert_eq!(batch_items(&many), Err(Failure::field("requests", problem)));
    for bad in [&[0x0a][..], &[0x0a, 5, 1], &[0x08, 1], &[0x0a, 0xff, 0xff]] {
        assert_eq!(batch_items(bad), Err(Failure::BadMessage), "{bad:?}");
    }
}

#[test]
fn what_a_request_asks_for_is_seen_in_its_bytes_however_it_is_written() {
    const LINES: u64 = 6;
    let order = |lines: usize| nested(&[6], &field(LINES, LENGTH, &[]).repeat(lines));
    let explained = field(5, VARINT, &[pb::ExplainLevel::Full as u8]);
    assert_eq!(asked(&order(3)), Asked { lines: 3, explained: false });
    assert_eq!(asked(&[explained.clone(), order(3)].concat()), Asked { lines: 3, explained: true });
    // Twice, behind a group that is not known, and with bits that the library drops.
    let group = [field(99, GROUP, &[]), field(1, VARINT, &[7]), field(99, GROUP_END, &[])].concat();
    let mut long = Vec::new();
    prost::encoding::encode_varint(1 << 32 | pb::ExplainLevel::Full as u64, &mut long);
    let hidden = [group, order(2), order(3), field(5, VARINT, &long)].concat();
    let decoded: pb::EvaluateRefundRequest = decode(&hidden).unwrap();
    assert_eq!((decoded.order.unwrap().lines.len(), decoded.explain), (5, pb::ExplainLevel::Full as i32));
    assert_eq!(asked(&hidden), Asked { lines: 5, explained: true });
    assert_eq!(asked(&[0xff]), Asked::default());
    let usual = pb::EvaluateRefundRequest {
        order: Some(samples::order()),
        claim: Some(samples::claim()),
        ..Default::default()
    };
    let lines = samples::order().lines.len();
    assert_eq!(asked(&usual.encode_to_vec()), Asked { lines, explained: false });
}
