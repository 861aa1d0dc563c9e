//! Single values as JSON writes them: whole numbers, moments, lengths of time.

use jiff::Timestamp;

/// Most digits of a number that are looked at: no whole number that is wanted here has as many.
const DIGITS_MAX: usize = 64;

/// Longest length of time, in seconds, either way: ten thousand years, as `google.protobuf.Duration` has it.
const DURATION_SECONDS_MAX: i128 = 315_576_000_000;

/// A decimal number as it is written: `digits` of which the last `scale` stand behind the point.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Decimal {
    negative: bool,
    digits: String,
    scale: usize,
}

impl Decimal {
    /// Reads a number in the form of JSON; `None` for another text, and beyond [`DIGITS_MAX`].
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>().ok()?)
            }
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = 1 < whole.len() && whole.starts_with('0');
        if whole.is_empty() || leading_zero || !digits_only(whole) || !digits_only(fraction) {
            return None;
        }
        let mut digits = format!("{whole}{fraction}");
        let mut scale = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
        if i64::try_from(DIGITS_MAX).ok()? < scale.abs() {
            return digits.bytes().all(|digit| digit == b'0').then(|| Self {
                negative,
                digits: "0".to_owned(),
                scale: 0,
            });
        }
        while scale < 0 {
            digits.push('0');
            scale += 1;
        }
        let mut scale = usize::try_from(scale).ok()?;
        while 0 < scale && digits.ends_with('0') {
            digits.pop();
            scale -= 1;
        }
        let digits = digits.trim_start_matches('0').to_owned();
        (digits.len() <= DIGITS_MAX).then_some(Self { negative, digits, scale })
    }

    /// The number where it is whole and no longer than 64 bits can be.
    pub(super) fn whole(&self) -> Option<i128> {
        let magnitude = if self.digits.is_empty() { 0 } else { self.digits.parse::<i128>().ok()? };
        (self.scale == 0).then_some(if self.negative { -magnitude } else { magnitude })
    }

    /// Whole units and billionths; `None` where it is finer or larger than those can say.
    pub(super) fn units_and_nanos(&self) -> Option<(i64, i32)> {
        let billionths = 10_i128.checked_pow(u32::try_from(9_usize.checked_sub(self.scale)?).ok()?)?;
        let magnitude = self.digits.parse::<i128>().ok()?.checked_mul(billionths)?;
        let signed = if self.negative { -magnitude } else { magnitude };
        Some((i64::try_from(signed / 1_000_000_000).ok()?, i32::try_from(signed % 1_000_000_000).ok()?))
    }
}

/// What is wrong with a text that should be a moment: the problem, and what to write.
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
    let Ok(moment) = text.parse::<Timestamp>() else {
        return wrong("there is no such date or time between the years 0000 and 9999");
    };
    let (seconds, nanos) = (moment.as_second(), moment.subsec_nanosecond());
    // Nanoseconds of a message count forwards, also before 1970.
    Ok(if nanos < 0 { (seconds - 1, nanos + 1_000_000_000) } else { (seconds, nanos) })
}

/// The moment of so many seconds since 1970, as text.
pub(super) fn moment_of_seconds(seconds: i128) -> Option<String> {
    Some(Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?.to_string())
}

/// Seconds and nanoseconds of a length of time: `3600s`, `0.5s`.
pub(super) fn duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let decimal = Decimal::parse(number).filter(|_| !number.contains(['e', 'E']))?;
    if decimal.digits.is_empty() {
        return Some((0, 0));
    }
    let (seconds, nanos) = decimal.units_and_nanos()?;
    (i128::from(seconds).abs() <= DURATION_SECONDS_MAX).then_some((seconds, nanos))
}

/// Whether a text has the form of another one, in which `0` stands for any digit.
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
            ("10.5", None),
            ("1e-1", None),
        ] {
            assert_eq!(Decimal::parse(text).and_then(|decimal| decimal.whole()), whole, "{text}");
        }
        for text in ["", "-", "+1", "01", "1.", ".5", "1_000", " 1", "1e", "0x10", "NaN", "1e99", "1e99999999999"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        let parts = |text: &str| Decimal::parse(text).and_then(|decimal| decimal.units_and_nanos());
        assert_eq!(parts("10.50"), Some((10, 500_000_000)));
        assert_eq!(parts("-0.000000001"), Some((0, -1)));
        assert_eq!(parts("0.0000000001"), None);
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
