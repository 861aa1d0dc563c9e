//! Moments and lengths of time, exact to the nanosecond. There is no clock here.

use std::fmt;

/// A moment, in nanoseconds since 1970-01-01T00:00:00Z; between year 1 and year 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(i128);

/// A length of elapsed time in nanoseconds; may be below zero. Calendar days and business days
/// are other things and never mix with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Elapsed(i128);

/// A day of the calendar.
pub type Date = jiff::civil::Date;

/// A day as its distance from 1970-01-01: what dates are calculated in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Day(i32);

/// Nanoseconds of a second.
pub const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// The first second of the year 1 and the last of the year 9999: the range of
/// `google.protobuf.Timestamp`.
const SECONDS_RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// About 10 000 years: the range of `google.protobuf.Duration`.
const ELAPSED_SECONDS_RANGE: std::ops::RangeInclusive<i64> = -315_576_000_000..=315_576_000_000;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// From seconds since the epoch and the nanoseconds after that second; `None` outside the
    /// years 1 to 9999 or where `nanos` is not below one second.
    #[must_use]
    pub fn from_unix(seconds: i64, nanos: i32) -> Option<Self> {
        if !SECONDS_RANGE.contains(&seconds) || !(0..=999_999_999).contains(&nanos) {
            return None;
        }
        Some(Self(i128::from(seconds) * NANOS_PER_SECOND + i128::from(nanos)))
    }

    /// From nanoseconds since the epoch; `None` outside the years 1 to 9999.
    #[must_use]
    pub fn from_nanos(nanos: i128) -> Option<Self> {
        let seconds = i64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok()?;
        SECONDS_RANGE.contains(&seconds).then_some(Self(nanos))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn nanos(self) -> i128 {
        self.0
    }

    /// Seconds since the epoch, and the nanoseconds after that second.
    #[must_use]
    pub fn unix(self) -> (i64, i32) {
        let seconds = self.0.div_euclid(NANOS_PER_SECOND);
        let nanos = self.0.rem_euclid(NANOS_PER_SECOND);
        // Both fit: the range was checked when the value was made.
        (i64::try_from(seconds).unwrap_or(i64::MAX), i32::try_from(nanos).unwrap_or(0))
    }

    /// Reads RFC 3339: `2026-11-01T00:00:00+08:00`. An offset is mandatory.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let timestamp: jiff::Timestamp = text.parse().ok()?;
        Self::from_nanos(timestamp.as_nanosecond())
    }

    /// The second since the epoch that it lies in.
    #[must_use]
    pub fn second(self) -> i64 {
        match i64::try_from(self.0) {
            // Moments from 1677 to 2262 fit, and a short division is many times faster than a long one.
            Ok(nanos) => nanos.div_euclid(1_000_000_000),
            Err(_) => self.unix().0,
        }
    }

    /// The same moment for the time library; `None` at the very edges of its range.
    #[must_use]
    pub fn jiff(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_nanosecond(self.0).ok()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.jiff() {
            Some(timestamp) => write!(f, "{timestamp}"),
            None => write!(f, "{} ns since 1970", self.0),
        }
    }
}

impl Day {
    /// From its number of days after 1970-01-01.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// Its number of days after 1970-01-01; below zero before it.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// So many days later; `None` beyond what can be counted.
    #[must_use]
    pub fn plus(self, days: i32) -> Option<Self> {
        self.0.checked_add(days).map(Self)
    }

    /// The day of the week, Monday being zero.
    #[must_use]
    pub const fn weekday(self) -> i32 {
        // 1970-01-01 was a Thursday.
        self.0.wrapping_add(3).rem_euclid(7)
    }

    /// The day of a date.
    #[must_use]
    pub fn of(date: Date) -> Self {
        // Years begin in March, so that the day that some years lack is a year's last.
        let (year, month) = (i32::from(date.year()), i32::from(date.month()));
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + i32::from(date.day()) - 1;
        Self(era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_TO_1970)
    }

    /// The date of the day; `None` outside of the years that dates have.
    #[must_use]
    pub fn date(self) -> Option<Date> {
        let day = self.0.checked_add(DAYS_TO_1970)?;
        let era = day.div_euclid(DAYS_PER_ERA);
        let of_era = day.rem_euclid(DAYS_PER_ERA);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
        let year = i16::try_from(year + era * 400).ok()?;
        Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
    }
}

/// Days of four hundred years: after so many the calendar repeats itself.
const DAYS_PER_ERA: i32 = 146_097;

/// Days from 1 March of the year 0 to 1970-01-01.
const DAYS_TO_1970: i32 = 719_468;

impl Elapsed {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// From seconds and nanoseconds of the same sign; `None` outside ±10 000 years.
    #[must_use]
    pub fn from_seconds(seconds: i64, nanos: i32) -> Option<Self> {
        let mixed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
        if mixed || !ELAPSED_SECONDS_RANGE.contains(&seconds) || !(-999_999_999..=999_999_999).contains(&nanos) {
            return None;
        }
        Some(Self(i128::from(seconds) * NANOS_PER_SECOND + i128::from(nanos)))
    }

    /// The number of nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i128 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_keep_to_the_years_1_to_9999() {
        assert_eq!(Timestamp::from_unix(-62_135_596_800, 0).map(|t| t.unix()), Some((-62_135_596_800, 0)));
        assert_eq!(Timestamp::from_unix(-62_135_596_801, 0), None);
        assert_eq!(Timestamp::from_unix(253_402_300_799, 999_999_999).map(|t| t.unix().1), Some(999_999_999));
        assert_eq!(Timestamp::from_unix(253_402_300_800, 0), None);
        assert_eq!(Timestamp::from_unix(0, -1), None);
        assert_eq!(Timestamp::from_unix(0, 1_000_000_000), None);
    }

    #[test]
    fn a_moment_needs_its_offset() {
        let moment = Timestamp::parse("2026-11-01T00:00:00+08:00").unwrap();
        assert_eq!(moment.to_string(), "2026-10-31T16:00:00Z");
        assert_eq!(Timestamp::parse("2026-11-01T00:00:00"), None);
        assert_eq!(Timestamp::parse("2026-11-01"), None);
    }

    #[test]
    fn days_are_numbered_as_the_library_numbers_them() {
        let epoch = jiff::civil::date(1970, 1, 1);
        // Every day of four hundred years, and steps through all the others.
        let near = -150_000..150_000;
        let far = (-4_371_580..=2_932_895).step_by(97);
        for number in near.chain(far).chain([-4_371_587, 2_932_896]) {
            let date = epoch.checked_add(jiff::Span::new().days(number)).unwrap();
            assert_eq!(Day::of(date).number(), number, "{date}");
            assert_eq!(Day::from_number(number).date(), Some(date));
            assert_eq!(Day::of(date).weekday(), i32::from(date.weekday().to_monday_zero_offset()));
        }
        assert_eq!(Day::from_number(2_932_897).date(), None);
        assert_eq!(Day::from_number(i32::MAX).date(), None);
    }

    #[test]
    fn a_duration_has_one_sign() {
        assert_eq!(Elapsed::from_seconds(1, -1), None);
        assert_eq!(Elapsed::from_seconds(-1, -1).map(Elapsed::nanos), Some(-1_000_000_001));
        assert_eq!(Elapsed::from_seconds(315_576_000_001, 0), None);
    }
}
