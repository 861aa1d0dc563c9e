//! Messages written field by field into bytes, where building them first would cost more than
//! deciding.
//!
//! What is the default is left out, as everywhere in proto3. Nothing here knows a message.

use prost::Message;

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

    /// A text.
    pub(crate) fn text(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.item(number, text);
        }
    }

    /// A text of a list, where also an empty one counts.
    pub(crate) fn item(&mut self, number: u32, text: &str) {
        self.key(number, BYTES);
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A number that is never negative.
    pub(crate) fn count(&mut self, number: u32, value: u64) {
        if value != 0 {
            self.key(number, NUMBER);
            self.varint(value);
        }
    }

    /// A number, a word or a flag.
    pub(crate) fn number(&mut self, number: u32, value: impl Into<i64>) {
        self.count(number, value.into().cast_unsigned());
    }

    /// A list of words.
    pub(crate) fn words(&mut self, number: u32, words: impl ExactSizeIterator<Item = i32>) {
        if 0 < words.len() {
            self.message(number, |list| words.for_each(|word| list.varint(i64::from(word).cast_unsigned())));
        }
    }

    /// A message within this one.
    pub(crate) fn message(&mut self, number: u32, write: impl FnOnce(&mut Writer<'_>)) {
        let _ = self.message_or_none(number, |message| {
            write(message);
            Some(())
        });
    }

    /// A message within this one; nothing is left of it where there is none after all.
    pub(crate) fn message_or_none(
        &mut self,
        number: u32,
        write: impl FnOnce(&mut Writer<'_>) -> Option<()>,
    ) -> Option<()> {
        let before = self.0.len();
        self.key(number, BYTES);
        let at = self.0.len();
        // Room for a short length, which most have; a longer one moves what was written.
        self.0.push(0);
        if write(&mut Writer(self.0)).is_none() {
            self.0.truncate(before);
            return None;
        }
        let length = self.0.len() - at - 1;
        match (u8::try_from(length), self.0.get_mut(at)) {
            (Ok(short @ 0..0x80), Some(byte)) => *byte = short,
            (_, _) => {
                let mut long = Vec::with_capacity(10);
                Writer(&mut long).varint(length as u64);
                self.0.splice(at..=at, long);
            }
        }
        Some(())
    }

    /// A message within this one that is built already.
    pub(crate) fn built(&mut self, number: u32, message: &impl Message) {
        self.key(number, BYTES);
        // It fails for want of room only, and a vector makes room.
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

    fn varint(&mut self, mut value: u64) {
        while 0x80 <= value {
            self.0.push(value.to_le_bytes().first().map_or(0, |low| low | 0x80));
            value >>= 7;
        }
        self.0.push(value.to_le_bytes().first().copied().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::pb;

    #[test]
    fn what_is_written_is_what_the_library_writes() {
        for length in [0, 1, 100, 127, 128, 300, 20_000] {
            let text = "x".repeat(length);
            let money = pb::Money { currency_code: "CNY".into(), units: i64::MIN, nanos: -1 };
            let line = pb::LineDecision {
                line_id: text.clone(),
                outcome: 5,
                reason_codes: vec![1, 300],
                refund: Some(money.clone()),
                base: Some(pb::Money::default()),
                ..pb::LineDecision::default()
            };
            let mut bytes = Vec::new();
            let mut writer = Writer::at_end_of(&mut bytes);
            writer.text(1, &text);
            writer.number(2, 5);
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
}
