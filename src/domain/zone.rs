//! Time zones: which day it is somewhere at a moment, and when days begin there.
//!
//! The offsets of the years that orders are made in are looked up once, so that a decision
//! compares a few numbers. All other years are left to the time zone library, with the same answers.

use jiff::tz::TimeZone;

use crate::domain::time::{Date, Day, Timestamp};

/// A time zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Zone {
    library: TimeZone,
    /// The offsets of the known years, by when they begin; sorted.
    offsets: Vec<OffsetFrom>,
}

/// An offset, and the second since 1970 from which on it is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct OffsetFrom {
    second: i64,
    offset_seconds: i64,
}

/// The seconds of the years 1970 to 2099, whose offsets are looked up beforehand.
const KNOWN: std::ops::Range<i64> = 0..4_102_444_800;

const SECONDS_PER_DAY: i64 = 86_400;

impl Zone {
    /// A zone of the time zone library.
    #[must_use]
    pub fn new(library: TimeZone) -> Self {
        let mut offsets = Vec::new();
        if let Ok(first) = jiff::Timestamp::from_second(KNOWN.start) {
            let at = |second, offset: jiff::tz::Offset| OffsetFrom { second, offset_seconds: offset.seconds().into() };
            offsets.push(at(KNOWN.start, library.to_offset(first)));
            let changes = library.following(first).map(|change| at(change.timestamp().as_second(), change.offset()));
            offsets.extend(changes.take_while(|change| change.second < KNOWN.end));
        }
        Self { library, offsets }
    }

    /// Its name in the time zone database, if it is from there.
    #[must_use]
    pub fn iana_name(&self) -> Option<&str> {
        self.library.iana_name()
    }

    /// The day that the calendar on the wall shows at a moment; `None` at the very edges of what
    /// can be told.
    #[must_use]
    pub fn day_at(&self, moment: Timestamp) -> Option<Day> {
        let second = moment.second();
        if !KNOWN.contains(&second) {
            return Some(Day::of(moment.jiff()?.to_zoned(self.library.clone()).date()));
        }
        let after = match self.offsets.last() {
            // Most zones have had the same offset for years.
            Some(last) if last.second <= second => self.offsets.len(),
            Some(_) | None => self.offsets.partition_point(|offset| offset.second <= second),
        };
        let offset = self.offsets.get(after.checked_sub(1)?)?.offset_seconds;
        i32::try_from((second + offset).div_euclid(SECONDS_PER_DAY)).ok().map(Day::from_number)
    }

    /// The first moment of a day, which is not midnight where daylight saving skips it; in
    /// nanoseconds since 1970.
    #[must_use]
    pub fn start_of(&self, date: Date) -> Option<i128> {
        Some(date.to_zoned(self.library.clone()).ok()?.timestamp().as_nanosecond())
    }

    /// The same time of day so many calendar days later, in nanoseconds since 1970; `None` beyond the
    /// years that there are.
    #[must_use]
    pub fn days_later(&self, moment: Timestamp, days: i64) -> Option<i128> {
        let span = jiff::Span::new().try_days(days).ok()?;
        let zoned = moment.jiff()?.to_zoned(self.library.clone());
        Some(zoned.checked_add(span).ok()?.timestamp().as_nanosecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 12] = [
        "UTC",
        "Asia/Shanghai",
        "Europe/Berlin",
        "America/New_York",
        "America/Sao_Paulo",
        "Africa/Casablanca",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Pacific/Kiritimati",
        "America/Nuuk",
        "Africa/Monrovia",
    ];

    fn zone(name: &str) -> (TimeZone, Zone) {
        let library = TimeZone::get(name).unwrap();
        (library.clone(), Zone::new(library))
    }

    fn agrees(library: &TimeZone, zone: &Zone, moment: Timestamp) {
        let expected = moment.jiff().map(|moment| Day::of(moment.to_zoned(library.clone()).date()));
        assert_eq!(zone.day_at(moment), expected, "{moment} in {:?}", zone.iana_name());
    }

    #[test]
    fn a_zone_has_the_name_it_was_found_by() {
        for name in NAMES {
            assert_eq!(zone(name).1.iana_name(), Some(name));
        }
        assert_eq!(Zone::new(TimeZone::fixed(jiff::tz::offset(3))).iana_name(), None);
    }

    #[test]
    fn days_are_those_of_the_library_around_every_change_and_edge() {
        for name in NAMES {
            let (library, zone) = zone(name);
            let changes = zone.offsets.iter().map(|offset| offset.second);
            for second in changes.chain([KNOWN.start, KNOWN.end, -62_135_596_800, 253_402_300_799]) {
                for near in [-86_400, -3_600, -1, 0, 1, 3_600, 86_400] {
                    for nanos in [0, 999_999_999] {
                        let Some(moment) = Timestamp::from_unix(second + near, nanos) else { continue };
                        agrees(&library, &zone, moment);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn days_are_those_of_the_library(
            name in proptest::sample::select(&NAMES[..]),
            second in prop_oneof![4 => 0i64..4_200_000_000, 1 => -62_135_596_800i64..=253_402_300_799],
            nanos in 0i32..1_000_000_000,
        ) {
            let (library, zone) = zone(name);
            agrees(&library, &zone, Timestamp::from_unix(second, nanos).unwrap());
        }
    }
}
