//! Bytes as hexadecimal digits, without a formatter: every answer has some.

/// The two digits of each byte.
#[inline]
pub(crate) fn digits<const N: usize>(bytes: [u8; N]) -> [[u8; 2]; N] {
    let mut pairs = [[0; 2]; N];
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    pairs
}

/// The digit of a number below sixteen.
#[inline]
const fn digit(half: u8) -> u8 {
    half.wrapping_add(if half < 10 { b'0' } else { b'a' - 10 })
}

/// The digits of these bytes.
pub(crate) fn text<const N: usize>(bytes: [u8; N]) -> String {
    std::str::from_utf8(digits(bytes).as_flattened()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_the_digits_that_a_formatter_gives_it() {
        for byte in 0..=u8::MAX {
            assert_eq!(text([byte]), format!("{byte:02x}"));
        }
    }
}
