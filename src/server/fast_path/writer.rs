//! Messages written field by field into bytes, where building them first would cost more than
//! deciding.
//!
//! What is the default is left out, as everywhere in proto3. Nothing here knows a message.

use std::cmp::Ordering;
use std::ops::Range;

use prost::Message;

use crate::server::wire::hex;

/// Writes the fields of one message at the end of some bytes.
#[derive(Debug)]
pub(crate) struct Writer<'o>(&'o mut Vec<u8>);

const NUMBER: u32 = 0;
const BYTES: u32 = 2;

impl<'o> Writer<'o> {
    /// Writes at the end of these bytes.
    pub(crate) const fn at_end_of(out: &'o mut Vec<u8>) -> Self {
        Self(out)
    }

    /// Number of bytes so far.
    pub(crate) const fn written(&self) -> usize {
        self.0.len()
    }

    /// A text.
    #[inline]
    pub(crate) fn text(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.item(number, text);
        }
    }

    /// A text of a list, where also an empty one counts.
    #[inline]
    pub(crate) fn item(&mut self, number: u32, text: &str) {
        self.key_and(number, BYTES, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Bytes as a text of their hexadecimal digits.
    #[inline]
    pub(crate) fn hex<const N: usize>(&mut self, number: u32, bytes: [u8; N]) {
        self.key_and(number, BYTES, 2 * N as u64);
        self.0.extend_from_slice(hex::digits(bytes).as_flattened());
    }

    /// A number that is never negative.
    #[inline]
    pub(crate) fn count(&mut self, number: u32, value: u64) {
        match (u8::try_from(number << 3 | NUMBER), u16::try_from(value)) {
            (_, Ok(0)) => {}
            (Ok(key @ 0..0x80), Ok(value @ 0x80..0x4000)) => {
                self.0.extend_from_slice(&[key, low_byte(value) | 0x80, low_byte(value >> 7)]);
            }
            (_, _) => self.key_and(number, NUMBER, value),
        }
    }

    /// A number, a word or a flag.
    #[inline]
    pub(crate) fn number(&mut self, number: u32, value: impl Into<i64>) {
        self.count(number, value.into().cast_unsigned());
    }

    /// A list of words.
    pub(crate) fn words(&mut self, number: u32, words: impl Iterator<Item = i32>) {
        let mut words = words.peekable();
        if words.peek().is_some() {
            self.message(number, |list| words.for_each(|word| list.varint(i64::from(word).cast_unsigned())));
        }
    }

    /// Fields that were written before.
    #[inline]
    pub(crate) fn again(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    /// Fields that stand between these two places of what is [`written`](Self::written).
    pub(crate) fn again_from(&mut self, places: Range<usize>) {
        if places.start <= places.end && places.end <= self.0.len() {
            self.0.extend_from_within(places);
        }
    }

    /// A message within this one.
    #[inline]
    pub(crate) fn message(&mut self, number: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.key(number, BYTES);
        // Room for a short length, which most have; a longer one moves what was written.
        self.0.push(0);
        let begins = self.0.len();
        write(&mut Writer(self.0));
        let length = self.0.len().saturating_sub(begins);
        match (u8::try_from(length), self.0.get_mut(begins.saturating_sub(1))) {
            (Ok(short @ 0..0x80), Some(byte)) => *byte = short,
            (_, _) => self.set_length(begins, 1),
        }
    }

    /// A message within this one that is longer than 127 bytes as a rule.
    #[inline]
    pub(crate) fn long_message(&mut self, number: u32, write: impl FnOnce(&mut Writer<'_>)) {
        // There is one in any case.
        let _ = self.long_message_or_none(number, |message| {
            write(message);
            Some(())
        });
    }

    /// The same; nothing is left of it where there is none after all.
    #[inline]
    pub(crate) fn long_message_or_none(
        &mut self,
        number: u32,
        write: impl FnOnce(&mut Writer<'_>) -> Option<()>,
    ) -> Option<()> {
        const ROOM_BYTES: usize = 2;
        let before = self.0.len();
        self.key(number, BYTES);
        self.0.extend_from_slice(&[0; ROOM_BYTES]);
        let begins = self.0.len();
        if write(&mut Writer(self.0)).is_none() {
            self.0.truncate(before);
            return None;
        }
        let length = self.0.len().saturating_sub(begins);
        match (u16::try_from(length), self.0.get_mut(before..begins)) {
            (Ok(length @ 0x80..0x4000), Some([.., low, high])) => {
                (*low, *high) = (low_byte(length) | 0x80, low_byte(length >> 7));
            }
            (_, _) => self.set_length(begins, ROOM_BYTES),
        }
        Some(())
    }

    /// Writes how long the message is that begins here, before which there is so much room.
    fn set_length(&mut self, begins: usize, room: usize) {
        let length = self.0.len() - begins;
        let digits = varint_bytes(length as u64);
        match digits.cmp(&room) {
            Ordering::Less => drop(self.0.drain(begins - (room - digits)..begins)),
            Ordering::Equal => {}
            Ordering::Greater => {
                let more = digits - room;
                self.0.resize(self.0.len() + more, 0);
                self.0.copy_within(begins..begins + length, begins + more);
            }
        }
        let mut rest = length as u64;
        let places = self.0.iter_mut().skip(begins - room).take(digits);
        for (place, digit) in places.enumerate() {
            *digit = low_seven_bits(rest) | if place + 1 < digits { 0x80 } else { 0 };
            rest >>= 7;
        }
    }

    /// A message within this one that is built already.
    pub(crate) fn built(&mut self, number: u32, message: &impl Message) {
        self.key(number, BYTES);
        // It fails for lack of room only, and a vector makes room.
        let _ = message.encode_length_delimited(self.0);
    }

    /// All fields of a message that is built already.
    pub(crate) fn fields(&mut self, message: &impl Message) {
        // As above.
        let _ = message.encode(self.0);
    }

    fn key(&mut self, number: u32, kind: u32) {
        self.varint(u64::from(number << 3 | kind));
    }

    /// A key, and a number that is the value or says how long it is.
    #[inline]
    fn key_and(&mut self, number: u32, kind: u32, value: u64) {
        // Nearly all are of one byte each.
        match (u8::try_from(number << 3 | kind), u8::try_from(value)) {
            (Ok(key @ 0..0x80), Ok(value @ 0..0x80)) => self.0.extend_from_slice(&[key, value]),
            (_, _) => self.long_key_and(number, kind, value),
        }
    }

    #[inline(never)]
    fn long_key_and(&mut self, number: u32, kind: u32, value: u64) {
        self.key(number, kind);
        self.varint(value);
    }

    fn varint(&mut self, mut value: u64) {
        while 0x80 <= value {
            self.0.push(low_seven_bits(value) | 0x80);
            value >>= 7;
        }
        self.0.push(low_seven_bits(value));
    }
}

fn low_byte(value: u16) -> u8 {
    let [low, _] = value.to_le_bytes();
    low
}

fn low_seven_bits(value: u64) -> u8 {
    value.to_le_bytes().first().map_or(0, |low| low & 0x7f)
}

/// Number of bytes for a number, seven bits each.
const fn varint_bytes(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::pb;

    #[test]
    fn what_is_written_is_what_the_library_writes() {
        for length in [0, 1, 100, 127, 128, 300, 20_000] {
            let text = "x".repeat(length);
            let money = pb::Money { currency_code: "CNY".into(), units: i64::MIN, nanos: -1 };
            let line = pb::LineDecision {
                line_id: text.clone(),
                outcome: 5,
                rule_id: "0fa0".into(),
                reason_codes: vec![1, 300],
                refund: Some(money.clone()),
                base: Some(pb::Money::default()),
                ..pb::LineDecision::default()
            };
            let mut bytes = Vec::new();
            let mut writer = Writer::at_end_of(&mut bytes);
            writer.text(1, &text);
            writer.number(2, 5);
            writer.hex(4, [0x0f, 0xa0]);
            writer.built(6, &money);
            writer.words(8, [1, 300].into_iter());
            writer.message(9, |_| {});
            assert_eq!(bytes, line.encode_to_vec());

            let component = pb::ComponentDecision { refund: Some(money), line_id: text.clone(), ..Default::default() };
            let whole = pb::EvaluateRefundResponse { components: vec![component], ..Default::default() };
            let mut bytes = Vec::new();
            Writer::at_end_of(&mut bytes).message(19, |component| {
                component.text(2, &text);
                component.message(4, |money| {
                    money.text(1, "CNY");
                    money.number(2, i64::MIN);
                    money.number(3, -1);
                });
            });
            assert_eq!(bytes, whole.encode_to_vec());
        }
    }

    #[test]
    fn a_message_of_any_length_is_written_in_either_room() {
        for length in [0, 1, 123, 124, 125, 126, 127, 128, 16_379, 16_380, 16_381, 20_000, 2_097_152] {
            let text = "x".repeat(length);
            let item = pb::EvaluateRefundResponse { request_id: text.clone(), ..Default::default() };
            let list = pb::BatchItem { answer: Some(pb::batch_item::Answer::Response(item)) };
            let (mut bytes, mut short) = (vec![7], vec![7]);
            let written = Writer::at_end_of(&mut bytes).long_message_or_none(1, |item| {
                item.text(2, &text);
                Some(())
            });
            assert_eq!(written, Some(()));
            Writer::at_end_of(&mut short).message(1, |item| item.text(2, &text));
            assert_eq!(bytes.split_off(1), list.encode_to_vec(), "{length}");
            assert_eq!(short.split_off(1), list.encode_to_vec(), "{length}");
        }
    }

    #[test]
    fn of_a_message_that_is_none_after_all_nothing_is_left() {
        let mut bytes = vec![7];
        let none = Writer::at_end_of(&mut bytes).long_message_or_none(1, |item| {
            item.text(2, "begun");
            None
        });
        assert_eq!((none, bytes), (None, vec![7]));
    }
}
