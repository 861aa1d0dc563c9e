//! The fields of a message, read in place.
//!
//! Only one way of writing a message is read, that of the libraries: fields in ascending order,
//! none twice, nothing that is the default anyway, numbers as short as they can be. What is
//! written so has no other form, so its bytes are its identity. For all else the answer is `None`,
//! which does not mean that it is wrong.

use ascii::AsciiStr;

/// The fields of one message, from first to last. Their numbers are below 16.
///
/// [`Fields::key`] goes to the next one, then its value is read by what is expected there.
#[derive(Debug)]
pub(crate) struct Fields<'m> {
    rest: &'m [u8],
    /// The next key must be above this one.
    before: u8,
}

/// There are no more fields. No field has this key.
pub(crate) const END: u8 = 0;

impl<'m> Fields<'m> {
    /// The fields of this message.
    #[inline]
    pub(crate) const fn of(message: &'m [u8]) -> Self {
        Self { rest: message, before: END }
    }

    /// The key of the next field; [`END`] where there is none. A number has one kind only, so keys
    /// ascend as numbers do.
    #[inline]
    pub(crate) fn key(&mut self) -> Option<u8> {
        let Some((&key, rest)) = self.rest.split_first() else { return Some(END) };
        if key <= self.before {
            return None;
        }
        (self.before, self.rest) = (key, rest);
        Some(key)
    }

    /// The value of the field, which is a number.
    #[inline]
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.rest.split_first()?;
        if first < 0x80 {
            self.rest = rest;
            return Some(u64::from(first));
        }
        long_varint(&mut self.rest)
    }

    /// A whole number that is there: zero would not be written.
    #[inline]
    pub(crate) fn number(&mut self) -> Option<i64> {
        let value = self.varint()?;
        if value == 0 { None } else { Some(value.cast_signed()) }
    }

    /// A whole number of 32 bits that is there.
    #[inline]
    pub(crate) fn small_number(&mut self) -> Option<i32> {
        i32::try_from(self.number()?).ok()
    }

    /// The value of the field, which is a text or a message.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Option<&'m [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    /// The same for an item of a list, after which another one may come.
    #[inline]
    pub(crate) fn item(&mut self) -> Option<&'m [u8]> {
        // No field has a key that is one below another one's.
        self.before = self.before.saturating_sub(1);
        self.bytes()
    }

    /// A text that is there: an empty one would not be written.
    #[inline]
    pub(crate) fn said(&mut self) -> Option<&'m str> {
        let bytes = self.bytes()?;
        if bytes.is_empty() { None } else { text(bytes) }
    }
}

/// A number of seven bits a byte, the lowest first; more than one byte.
#[inline(never)]
fn long_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (&byte, shift) in bytes.iter().zip((0u32..70).step_by(7)) {
        // The tenth byte has room for one bit.
        if shift == 63 && 1 < byte {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            *bytes = bytes.get(shift as usize / 7 + 1..)?;
            // A last byte of nothing would be one too many.
            return if byte == 0 { None } else { Some(value) };
        }
    }
    None
}

/// A text.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    // Most are short and plain, and to see that takes a third of what it takes to read UTF-8. What a
    // customer says is long, and that is read many bytes at once.
    match AsciiStr::from_ascii(bytes) {
        Ok(plain) => Some(plain.as_str()),
        Err(_) => simdutf8::basic::from_utf8(bytes).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(PartialEq, Debug)]
    enum Field<'m> {
        Number(u64),
        Bytes(&'m [u8]),
    }

    const NUMBER_1: u8 = 1 << 3;
    const BYTES_2: u8 = 2 << 3 | 2;
    const NUMBER_3: u8 = 3 << 3;

    /// The fields of a message of two numbers, 1 and 3, and the list 2 between them.
    fn all(message: &[u8]) -> Option<Vec<Field<'_>>> {
        let mut fields = Fields::of(message);
        let mut found = Vec::new();
        loop {
            match fields.key()? {
                NUMBER_1 | NUMBER_3 => found.push(Field::Number(fields.varint()?)),
                BYTES_2 => found.push(Field::Bytes(fields.item()?)),
                END => return Some(found),
                _ => return None,
            }
        }
    }

    #[test]
    fn fields_come_in_order_and_lists_may_repeat() {
        let message = [0x08, 0x96, 0x01, 0x12, 1, 7, 0x12, 0, 0x18, 1];
        let expected = vec![Field::Number(150), Field::Bytes(&[7]), Field::Bytes(&[]), Field::Number(1)];
        assert_eq!(all(&message), Some(expected));
        assert_eq!(all(&[]), Some(Vec::new()));
    }

    #[test]
    fn whatever_is_written_otherwise_is_left() {
        let longest = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(all(&longest), Some(vec![Field::Number(u64::MAX)]));
        for left in [
            &[0x08, 1, 0x08, 2][..],
            &[0x10, 1, 0x08, 2],
            &[0x08],
            &[0x08, 0x80],
            &[0x08, 0x80, 0x00],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x01],
            &[0x12, 2, 7],
            &[0x0d, 0, 0, 0, 0],
            &[0x80, 0x01, 1],
            &[0x00, 1],
        ] {
            assert_eq!(all(left), None, "{left:?}");
        }
    }
}
