//! Single values as JSON writes them: whole numbers, moments, lengths of time.

use crate::domain::time::Timestamp;

/// Most digits of a whole number that are told apart: what is longer is beyond every range.
const DIGITS_MAX: usize = 38;

/// Longest length of time, in seconds, either way: ten thousand years, as `google.protobuf.Duration` has it.
const DURATION_SECONDS_MAX: i128 = 315_576_000_000;

/// A decimal number: `digits`, a whole number without zeros at its ends, moved `scale` places behind the
/// point. Zero has no digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Decimal {
    negative: bool,
    digits: String,
    scale: i64,
}

impl Decimal {
    /// Reads a number in the form of JSON, however long; `None` for another text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let leading_zero = 1 < whole.len() && whole.starts_with('0');
        if whole.is_empty() || leading_zero || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let written = format!("{whole}{fraction}");
        let digits = written.trim_end_matches('0');
        let zeros = written.len() - digits.len();
        let scale = i64::try_from(fraction.len()).ok()?.checked_sub(i64::try_from(zeros).ok()?)?;
        let digits = digits.trim_start_matches('0').to_owned();
        Some(Self { negative, scale: if digits.is_empty() { 0 } else { scale.saturating_sub(exponent) }, digits })
    }

    /// The number where it is whole. Beyond [`DIGITS_MAX`] digits it is the largest or smallest of its
    /// type, which is beyond every range of a field as well.
    pub(super) fn whole(&self) -> Option<i128> {
        if 0 < self.scale {
            return None;
        }
        let bound = if self.negative { i128::MIN } else { i128::MAX };
        Some(self.shifted(0).unwrap_or(bound))
    }

    /// Whole units and billionths; `None` where it is finer or larger than those can say.
    pub(super) fn units_and_nanos(&self) -> Option<(i64, i32)> {
        let billionths = self.shifted(9)?;
        Some((i64::try_from(billionths / 1_000_000_000).ok()?, i32::try_from(billionths % 1_000_000_000).ok()?))
    }

    /// The number, moved `places` before the point; `None` where it is not whole then, or too long.
    fn shifted(&self, places: i64) -> Option<i128> {
        let zeros = usize::try_from(places.checked_sub(self.scale)?).ok()?;
        if self.digits.is_empty() {
            return Some(0);
        }
        if DIGITS_MAX < self.digits.len().checked_add(zeros)? {
            return None;
        }
        let magnitude: i128 = format!("{}{}", self.digits, "0".repeat(zeros)).parse().ok()?;
        Some(if self.negative { -magnitude } else { magnitude })
    }
}

/// The exponent of a number. One that is too long for its type is as good as the largest.
fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !is_digits(digits) {
        return None;
    }
    let exponent = digits.parse().unwrap_or(i64::MAX);
    Some(if negative { -exponent } else { exponent })
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A text that should be a moment and is none: the problem, and what to write.
pub(super) type Wrong = (&'static str, String);

/// Seconds since 1970 and nanoseconds of a moment in the form of RFC 3339.
pub(super) fn moment(text: &str) -> Result<(i64, i32), Wrong> {
    const EXAMPLE: &str = "write date, time and offset, such as `2026-06-01T10:00:00Z` or `2026-06-01T18:00:00+08:00`";
    let wrong = |problem| Err((problem, EXAMPLE.to_owned()));
    let bytes = text.as_bytes();
    let date = text.get(..10).filter(|date| matches_form(date, "0000-00-00"));
    let Some(date) = date else {
        return wrong("expected a moment");
    };
    match bytes.get(10) {
        None => {
            return Err((
                "a date alone is no moment",
                format!("write the time and offset too, such as `{date}T00:00:00Z`"),
            ));
        }
        Some(b'T') => {}
        Some(b' ' | b't') => return Err(("expected `T` between date and time", format!("such as `{date}T10:00:00Z`"))),
        Some(_) => return wrong("expected a moment"),
    }
    let Some((time, rest)) = text.get(11..).and_then(|rest| rest.split_at_checked(8)) else {
        return wrong("expected a time of day with seconds");
    };
    if !matches_form(time, "00:00:00") {
        return wrong("expected a time of day with seconds");
    }
    let offset = match rest.strip_prefix('.') {
        Some(rest) => {
            let offset = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
            match rest.len() - offset.len() {
                1..=9 => offset,
                _ => return Err(("expected one to nine decimals of a second", EXAMPLE.to_owned())),
            }
        }
        None => rest,
    };
    if offset.is_empty() {
        return Err((
            "the moment has no offset",
            format!("write `{text}Z` for UTC, or an offset such as `{text}+08:00`"),
        ));
    }
    let is_offset = offset == "Z"
        || offset.strip_prefix(['+', '-']).is_some_and(|offset| {
            matches_form(offset, "00:00") && offset.get(..2) <= Some("23") && offset.get(3..) <= Some("59")
        });
    if !is_offset {
        return wrong("expected the offset `Z` or one such as `+08:00`");
    }
    if time.ends_with("60") {
        return Err((
            "a leap second cannot be told apart from the one after it",
            "write the second before or after".to_owned(),
        ));
    }
    match Timestamp::parse(text) {
        Some(moment) => Ok(moment.unix()),
        None => wrong("there is no such date or time from the year 1 until 9999-12-30T22:00:00Z"),
    }
}

/// The moment of so many seconds since 1970, as text.
pub(super) fn moment_of_seconds(seconds: i128) -> Option<String> {
    Some(Timestamp::from_unix(i64::try_from(seconds).ok()?, 0)?.jiff()?.to_string())
}

/// Seconds and nanoseconds of a length of time: `3600s`, `0.5s`.
pub(super) fn duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let decimal = Decimal::parse(number).filter(|_| !number.contains(['e', 'E']))?;
    let (seconds, nanos) = decimal.units_and_nanos()?;
    (i128::from(seconds).abs() <= DURATION_SECONDS_MAX).then_some((seconds, nanos))
}

/// Compares the form of a text with that of another one, in which `0` stands for any digit.
fn matches_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text
            .bytes()
            .zip(form.bytes())
            .all(|(byte, form)| if form == b'0' { byte.is_ascii_digit() } else { byte == form })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_exactly() {
        for (text, whole) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("10", Some(10)),
            ("-12", Some(-12)),
            ("1e3", Some(1000)),
            ("1.50e2", Some(150)),
            ("10.0", Some(10)),
            ("100e-2", Some(1)),
            ("9223372036854775808", Some(9_223_372_036_854_775_808)),
            ("0e999999", Some(0)),
            ("0e-99999999999999999999", Some(0)),
            ("12300e-2", Some(123)),
            ("1e99", Some(i128::MAX)),
            ("-1e99999999999999999999", Some(i128::MIN)),
            ("123456789012345678901234567890123456789", Some(i128::MAX)),
            ("10.5", None),
            ("1e-1", None),
            ("1e-99999999999999999999", None),
        ] {
            assert_eq!(Decimal::parse(text).and_then(|decimal| decimal.whole()), whole, "{text}");
        }
        for text in ["", "-", "+1", "01", "1.", ".5", "1_000", " 1", "1e", "0x10", "NaN", "1e+-1", "1e1.5"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        let parts = |text: &str| Decimal::parse(text).and_then(|decimal| decimal.units_and_nanos());
        assert_eq!(parts("10.50"), Some((10, 500_000_000)));
        assert_eq!(parts("-0.000000001"), Some((0, -1)));
        assert_eq!(parts("0.00"), Some((0, 0)));
        assert_eq!(parts("0.0000000001"), None);
        assert_eq!(parts("1e99"), None);
    }

    #[test]
    fn moments_are_read_with_their_offset() {
        for (text, moment_is) in [
            ("1970-01-01T00:00:00Z", (0, 0)),
            ("1970-01-01T08:00:00.5+08:00", (0, 500_000_000)),
            ("1969-12-31T23:59:59.75Z", (-1, 750_000_000)),
            ("2024-02-29T00:00:00.000000001-00:30", (1_709_166_600, 1)),
            ("9999-12-30T00:00:00Z", (253_402_128_000, 0)),
        ] {
            assert_eq!(moment(text), Ok(moment_is), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-06-01",
            "2026-06-01 10:00:00Z",
            "2026-06-01T10:00Z",
            "2026-06-01T10:00:00",
            "2026-06-01T10:00:00.Z",
            "2026-06-01T10:00:00.0000000001Z",
            "2026-06-01T10:00:00+0800",
            "2026-06-01T10:00:00+24:00",
            "2026-06-01T10:00:60Z",
            "2026-06-01T24:00:00Z",
            "2026-02-30T10:00:00Z",
            "2026-06-01T10:00:00Z ",
            "2026-06-01T10:00:00[UTC]",
            "2026-06-01T10:00:00Z[UTC]",
            "２026-06-01T10:00:00Z",
            "2026-06-01T10:00:00é",
            "2026-06-01é",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_of_time_are_seconds() {
        assert_eq!(duration("3600s"), Some((3600, 0)));
        assert_eq!(duration("-0.5s"), Some((0, -500_000_000)));
        assert_eq!(duration("0s"), Some((0, 0)));
        assert_eq!(duration("315576000000s"), Some((315_576_000_000, 0)));
        for text in ["1h", "3600", "s", "", "1e3s", "0.0000000001s", "315576000001s", "1 s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
