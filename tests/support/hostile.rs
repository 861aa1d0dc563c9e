//! Messages as hostile peers write them: valid ones taken apart into fields, and spoilt in one way after another.

use std::fs;

use requite::api::{json, pb};

/// The wire types of protobuf.
pub const VARINT: u64 = 0;
pub const FIXED_64: u64 = 1;
pub const LENGTH: u64 = 2;
pub const GROUP: u64 = 3;
pub const GROUP_END: u64 = 4;
pub const FIXED_32: u64 = 5;

/// The requests that come with the standard policy, by name; plain ones by the policy in force.
pub fn sample_requests() -> Vec<(String, pb::EvaluateRefundRequest)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/standard/requests");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let request = json::request_from_json(&fs::read_to_string(path).unwrap()).unwrap();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), request)
    };
    paths.iter().map(read).collect()
}

/// A number of seven bits a byte, the lowest first.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while 0x80 <= value {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The same number in more bytes than it needs: ten or fewer.
pub fn overlong(value: u64, bytes: usize) -> Vec<u8> {
    let mut written = varint(value);
    while written.len() < bytes.min(10) {
        *written.last_mut().unwrap() |= 0x80;
        written.push(0);
    }
    written
}

/// A field as it is written: its key, and its value with the length where it has one.
pub fn field(number: u64, wire_type: u64, value: &[u8]) -> Vec<u8> {
    let length = if wire_type == LENGTH { varint(value.len() as u64) } else { Vec::new() };
    [varint(number << 3 | wire_type), length, value.to_vec()].concat()
}

/// Messages in one another, by the numbers of their fields, around a value.
pub fn nested(numbers: &[u64], value: &[u8]) -> Vec<u8> {
    numbers.iter().rev().fold(value.to_vec(), |value, number| field(*number, LENGTH, &value))
}

/// One way to spoil a message: which, in which message of it, at which field, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Spoil {
    pub way: u8,
    pub message: usize,
    pub field: usize,
    pub salt: u64,
}

/// How many ways there are.
pub const WAYS: u8 = 20;

#[derive(Clone, Debug)]
struct Field {
    number: u64,
    wire_type: u64,
    value: Value,
    /// Bytes of the key and of the length, where they are more than these need.
    key_bytes: usize,
    length_bytes: usize,
}

#[derive(Clone, Debug)]
enum Value {
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// A valid message, spoilt.
pub fn spoilt(message: &[u8], spoils: &[Spoil]) -> Vec<u8> {
    let mut fields = read(message, 0).unwrap();
    for spoil in spoils {
        let count = messages(&mut fields, &mut |_| ());
        let (wanted, mut at) = (spoil.message % count, 0);
        messages(&mut fields, &mut |fields| {
            if at == wanted {
                spoil_fields(fields, *spoil);
            }
            at += 1;
        });
    }
    let mut bytes = write(&fields);
    for spoil in spoils.iter().filter(|spoil| spoil.way % WAYS == WAYS - 1) {
        bytes.truncate(spoil.salt as usize % (bytes.len() + 1));
    }
    bytes
}

/// Calls for each message in a message, itself first; tells how many there are.
fn messages(fields: &mut Vec<Field>, each: &mut impl FnMut(&mut Vec<Field>)) -> usize {
    each(fields);
    let inner = fields.iter_mut().map(|field| match &mut field.value {
        Value::Bytes(_) => 0,
        Value::Message(fields) => messages(fields, each),
    });
    1 + inner.sum::<usize>()
}

fn raw(number: u64, wire_type: u64, bytes: Vec<u8>) -> Field {
    Field { number, wire_type, value: Value::Bytes(bytes), key_bytes: 0, length_bytes: 0 }
}

fn spoil_fields(fields: &mut Vec<Field>, spoil: Spoil) {
    let Spoil { way, message: _, field, salt } = spoil;
    let numbers = [0, 1, 2, 9, 15, 16, 99, 18_999, (1 << 29) - 1, 1 << 29, 1 << 40];
    let number = numbers[salt as usize % numbers.len()];
    let values = [0, 1, 2, 99, i32::MAX as u64, u64::from(u32::MAX), 1 << 32, i64::MAX as u64, 1 << 63, u64::MAX];
    let value = values[salt as usize % values.len()];
    let inserted = match way % WAYS {
        // A field that is not known, or number 0, of every wire type.
        0 => Some(raw(number, VARINT, varint(value))),
        1 => Some(raw(number, FIXED_64, vec![7; 8])),
        2 => Some(raw(number, LENGTH, vec![salt as u8; salt as usize % 5])),
        3 => Some(raw(number, FIXED_32, vec![7; 4])),
        4 => Some(raw(number, 6 + salt % 2, vec![1])),
        // A group: whole, without an end, with the end of another, only the end, deep.
        5 => Some(raw(number, GROUP, [field_of_group(salt), varint(number << 3 | GROUP_END)].concat())),
        6 => Some(raw(number, GROUP, field_of_group(salt))),
        7 => Some(raw(number, GROUP, varint((number + 1) << 3 | GROUP_END))),
        8 => Some(raw(number, GROUP_END, Vec::new())),
        9 => {
            let (begin, end) = (varint(number << 3 | GROUP), varint(number << 3 | GROUP_END));
            let depth = salt as usize % 200;
            Some(raw(number, GROUP, [begin.repeat(depth), end.repeat(depth + 1)].concat()))
        }
        _ => None,
    };
    if let Some(inserted) = inserted {
        fields.insert(field % (fields.len() + 1), inserted);
        return;
    }
    if fields.is_empty() {
        return;
    }
    let at = field % fields.len();
    let there = &mut fields[at];
    match way % WAYS {
        // Twice: at once, or at the end.
        10 => {
            let again = there.clone();
            fields.insert(at, again);
        }
        11 => {
            let again = there.clone();
            fields.push(again);
        }
        // The key, or the length or number, in more bytes than it needs.
        12 => there.key_bytes = 2 + salt as usize % 9,
        13 => match (there.wire_type, &mut there.value) {
            (VARINT, Value::Bytes(bytes)) => *bytes = overlong(first_varint(bytes), 2 + salt as usize % 9),
            _ => there.length_bytes = 2 + salt as usize % 9,
        },
        // A text that is none, or nothing where something stood.
        14 => {
            let bad: [&[u8]; 6] = [&[0xff], &[0xc0, 0x80], &[0xed, 0xa0, 0x80], &[0xe4, 0xb8], b"", &[0]];
            there.value = Value::Bytes(bad[salt as usize % bad.len()].to_vec());
            there.wire_type = LENGTH;
        }
        // Another number: an enum below zero, one that is not known, one of more than 32 bits, the default.
        15 if there.wire_type == VARINT => there.value = Value::Bytes(varint(value)),
        // Another wire type with a value that fits it.
        15 | 16 => {
            there.wire_type = [VARINT, FIXED_64, LENGTH, FIXED_32][salt as usize % 4];
            let length = match there.wire_type {
                FIXED_64 => 8,
                FIXED_32 => 4,
                _ => 1,
            };
            there.value = Value::Bytes(vec![salt as u8 & 0x7f; length]);
        }
        17 => {
            fields.remove(at);
        }
        18 => {
            let other = salt as usize % fields.len();
            fields.swap(at, other);
        }
        // The whole message is cut when it is written.
        _ => {}
    }
}

fn field_of_group(salt: u64) -> Vec<u8> {
    if salt.is_multiple_of(2) { Vec::new() } else { field(1, VARINT, &[1]) }
}

fn first_varint(bytes: &[u8]) -> u64 {
    read_varint(&mut &*bytes).unwrap_or_default()
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let end = bytes.iter().position(|byte| *byte < 0x80)?;
    let (number, rest) = bytes.split_at(end + 1);
    *bytes = rest;
    if 10 < number.len() {
        return None;
    }
    Some(number.iter().rev().fold(0u64, |value, byte| value << 7 | u64::from(byte & 0x7f)))
}

/// The fields of a message. Bytes that can be read as fields are taken for a message: some texts are,
/// and are then spoilt like one.
fn read(mut message: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = read_varint(&mut message)?;
        let (number, wire_type) = (key >> 3, key & 7);
        if number == 0 {
            return None;
        }
        let value = match wire_type {
            VARINT => Value::Bytes(varint(read_varint(&mut message)?)),
            LENGTH => {
                let length = usize::try_from(read_varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                match read(bytes, depth + 1).filter(|_| depth < 5 && !bytes.is_empty()) {
                    Some(fields) => Value::Message(fields),
                    None => Value::Bytes(bytes.to_vec()),
                }
            }
            _ => return None,
        };
        fields.push(Field { number, wire_type, value, key_bytes: 0, length_bytes: 0 });
    }
    Some(fields)
}

fn write(fields: &[Field]) -> Vec<u8> {
    let mut written = Vec::new();
    for Field { number, wire_type, value, key_bytes, length_bytes } in fields {
        let bytes = match value {
            Value::Bytes(bytes) => bytes.clone(),
            Value::Message(fields) => write(fields),
        };
        written.extend(overlong(number << 3 | wire_type, *key_bytes));
        if *wire_type == LENGTH {
            written.extend(overlong(bytes.len() as u64, *length_bytes));
        }
        written.extend(bytes);
    }
    written
}
