//! Numbers, amounts, lengths of time and moments as a policy writes them.
//!
//! The grammar is strict: `0.5` but not `.5` or `5.`, `1000` but not `1_000` or `1e3`. Every
//! digit counts; nothing passes through a float.

use crate::domain::limits::DECIMAL_DIGITS_MAX;
use crate::domain::ratio::Ratio;
use crate::domain::time::Timestamp;
use crate::plan::fact::{Dimension, NANOS_PER_UNIT};

/// Nanoseconds of the units of elapsed time.
const ELAPSED_UNITS: [(&str, i128); 6] = [
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Reads a decimal; see [`Ratio::parse_decimal`].
#[must_use]
pub fn decimal(text: &str) -> Option<Ratio> {
    Ratio::parse_decimal(text)
}

/// Reads a plain number: a decimal, a percentage (`15%`), or a fraction (`1/3`).
#[must_use]
pub fn number(text: &str) -> Option<Ratio> {
    if let Some(percent) = text.strip_suffix('%') {
        return decimal(percent)?.over(Ratio::whole(100))?.ok();
    }
    match text.split_once('/') {
        Some((numerator, denominator)) => decimal(numerator)?.over(decimal(denominator)?)?.ok(),
        None => decimal(text),
    }
}

/// Reads elapsed time: numbers with units, largest first: `24h`, `1h30m`, `90s`, `8d`.
#[must_use]
pub fn elapsed(text: &str) -> Option<Ratio> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut total = 0i128;
    let mut last = i128::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let (count, after) = rest.split_at(digits);
        let letters = after.find(|character: char| !character.is_ascii_lowercase()).unwrap_or(after.len());
        let (unit, remaining) = after.split_at(letters);
        let nanos = ELAPSED_UNITS.iter().find(|(name, _)| *name == unit)?.1;
        if count.len() > DECIMAL_DIGITS_MAX || nanos >= last {
            return None;
        }
        total = total.checked_add(count.parse::<i128>().ok()?.checked_mul(nanos)?)?;
        (last, rest) = (nanos, remaining);
    }
    (last != i128::MAX).then(|| Ratio::whole(if negative { -total } else { total }))
}

/// Reads a count of days: `3 days`, `1 day`.
#[must_use]
pub fn days(text: &str) -> Option<Ratio> {
    count_of(text, &["day", "days"])
}

/// Reads a count of business days: `3 business_days`, `1 business_day`.
#[must_use]
pub fn business_days(text: &str) -> Option<Ratio> {
    count_of(text, &["business_day", "business_days"])
}

fn count_of(text: &str, units: &[&str]) -> Option<Ratio> {
    let (count, unit) = text.split_once(' ')?;
    let whole = decimal(count).filter(|number| number.is_whole())?;
    units.contains(&unit.trim_start()).then_some(whole)
}

/// Reads a value of a dimension, in the unit of the dimension.
#[must_use]
pub fn quantity(text: &str, dimension: Dimension) -> Option<Ratio> {
    match dimension {
        Dimension::Number => number(text),
        Dimension::Money => decimal(text)?.times(Ratio::whole(NANOS_PER_UNIT)).ok(),
        Dimension::Elapsed => elapsed(text),
        Dimension::Days => days(text),
        Dimension::BusinessDays => business_days(text),
        Dimension::Timestamp => Timestamp::parse(text).map(|time| Ratio::whole(time.nanos())),
    }
}

/// Example of a value of a dimension, for messages.
#[must_use]
pub const fn example(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Number => "a number such as `3`, `0.5`, `15%` or `1/3`",
        Dimension::Money => "an amount of money such as `2.00`",
        Dimension::Elapsed => "a length of time such as `24h`, `90s` or `1h30m`",
        Dimension::Days => "a count of calendar days such as `3 days`",
        Dimension::BusinessDays => "a count of business days such as `3 business_days`",
        Dimension::Timestamp => "a moment such as `2026-11-01T00:00:00+08:00`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_strict() {
        for bad in ["", ".5", "5.", "1e3", "1_000", "+1", "5%", "--1", "1.2.3", "NaN", "0x10", " 1", "1,000"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
        assert_eq!(decimal("1234567890123456789"), None, "too many digits");
        assert_eq!(decimal("0.1234567890123"), None, "too many places");
        assert_eq!(decimal("-0.50"), Ratio::fraction(-1, 2));
        assert_eq!(decimal("007"), Some(Ratio::whole(7)));
    }

    #[test]
    fn numbers_are_exact() {
        assert_eq!(number("15%"), Ratio::fraction(3, 20));
        assert_eq!(number("1/3"), Ratio::fraction(1, 3));
        assert_eq!(number("1/0"), None);
    }

    #[test]
    fn elapsed_time_runs_from_large_to_small() {
        let hours = |count: i128| Some(Ratio::whole(count * 3_600_000_000_000));
        assert_eq!(elapsed("24h"), hours(24));
        assert_eq!(elapsed("8d"), hours(192));
        assert_eq!(elapsed("1d12h"), hours(36));
        assert_eq!(elapsed("-1h"), hours(-1));
        for bad in ["", "24", "h", "1m1h", "1h1h", "1:30", "1.5h", "24 h", "3 days"] {
            assert_eq!(elapsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn kinds_of_days_do_not_mix() {
        assert_eq!(days("3 days"), Some(Ratio::whole(3)));
        assert_eq!(business_days("3 days"), None);
        assert_eq!(business_days("1 business_day"), Some(Ratio::whole(1)));
        assert_eq!(days("1.5 days"), None);
    }
}
