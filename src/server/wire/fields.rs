//! The fields of a message, read in place.
//!
//! Only one way of writing a message is read, that of the libraries: fields in ascending order,
//! none twice, nothing that is the default anyway, numbers as short as they can be. What is
//! written so has no other form, so its bytes are its identity. For all else the answer is `None`,
//! which does not mean that it is wrong.

/// The fields of one message, from first to last. Their numbers are below 16.
#[derive(Debug)]
pub(crate) struct Fields<'m> {
    rest: &'m [u8],
    /// The number of the field before; that one may come again if it is a list.
    before: u8,
    lists: &'static [u8],
}

/// A field: its number and its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Field<'m> {
    /// Numbers, words and flags.
    Number(u8, u64),
    /// Texts and messages.
    Bytes(u8, &'m [u8]),
    /// There are no more.
    End,
}

impl<'m> Fields<'m> {
    /// The fields of this message, of which these are lists.
    pub(crate) const fn of(message: &'m [u8], lists: &'static [u8]) -> Self {
        Self { rest: message, before: 0, lists }
    }

    /// The next field.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Field<'m>> {
        let Some((&key, rest)) = self.rest.split_first() else { return Some(Field::End) };
        self.rest = rest;
        let number = key >> 3;
        let in_order = self.before < number || (self.before == number && self.lists.contains(&number));
        if !in_order || 128 <= key {
            return None;
        }
        self.before = number;
        let value = varint(&mut self.rest)?;
        match key & 7 {
            0 => Some(Field::Number(number, value)),
            2 => {
                let (bytes, rest) = self.rest.split_at_checked(usize::try_from(value).ok()?)?;
                self.rest = rest;
                Some(Field::Bytes(number, bytes))
            }
            _ => None,
        }
    }
}

/// A number of seven bits a byte, the lowest first.
#[inline]
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(u64::from(first));
    }
    long_varint(bytes, first, rest)
}

fn long_varint<'m>(bytes: &mut &'m [u8], first: u8, mut rest: &'m [u8]) -> Option<u64> {
    let mut value = u64::from(first & 0x7f);
    let (mut last, mut shift) = (first, 0);
    while 0x80 <= last {
        let (&next, after) = rest.split_first()?;
        (last, rest) = (next, after);
        shift += 7;
        // The tenth byte has room for one bit; a last byte of nothing would be one too many.
        if last == 0 || (shift == 63 && 1 < last) {
            return None;
        }
        value |= u64::from(last & 0x7f) << shift;
    }
    *bytes = rest;
    Some(value)
}

/// A text.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// A text that is there: an empty one would not be written.
pub(crate) fn said(bytes: &[u8]) -> Option<&str> {
    if bytes.is_empty() { None } else { text(bytes) }
}

/// A whole number that is there: zero would not be written.
pub(crate) const fn number(value: u64) -> Option<i64> {
    if value == 0 { None } else { Some(value.cast_signed()) }
}

/// A whole number of 32 bits that is there.
pub(crate) fn small_number(value: u64) -> Option<i32> {
    i32::try_from(number(value)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(message: &[u8]) -> Option<Vec<Field<'_>>> {
        let mut fields = Fields::of(message, &[2]);
        let mut found = Vec::new();
        loop {
            match fields.next()? {
                Field::End => return Some(found),
                field @ (Field::Number(..) | Field::Bytes(..)) => found.push(field),
            }
        }
    }

    #[test]
    fn fields_come_in_order_and_lists_may_repeat() {
        let message = [0x08, 0x96, 0x01, 0x12, 1, 7, 0x12, 0, 0x18, 1];
        let expected = [Field::Number(1, 150), Field::Bytes(2, &[7]), Field::Bytes(2, &[]), Field::Number(3, 1)];
        assert_eq!(all(&message), Some(expected.to_vec()));
        assert_eq!(all(&[]), Some(Vec::new()));
    }

    #[test]
    fn whatever_is_written_otherwise_is_left() {
        let longest = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(all(&longest), Some(vec![Field::Number(1, u64::MAX)]));
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
