//! Business days: which days are worked, as data with a range that it covers.
//!
//! Outside the range there is no answer, and that is what the functions here say.

use std::collections::BTreeSet;

use jiff::civil::Weekday;

use crate::domain::time::Date;

/// A calendar of business days. Make-up working days (调休) win over the weekend they fall on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calendar {
    /// The first and the last day that the calendar speaks of.
    pub covers: (Date, Date),
    /// The days of the week that are not worked.
    pub weekend: Vec<Weekday>,
    /// Days that are not worked although they are not on a weekend.
    pub holidays: BTreeSet<Date>,
    /// Days that are worked although they are on a weekend.
    pub extra_working_days: BTreeSet<Date>,
}

impl Calendar {
    /// Whether the day is worked; `None` outside the range covered.
    #[must_use]
    pub fn is_business_day(&self, date: Date) -> Option<bool> {
        if date < self.covers.0 || self.covers.1 < date {
            return None;
        }
        let free = self.holidays.contains(&date) || self.weekend.contains(&date.weekday());
        Some(self.extra_working_days.contains(&date) || !free)
    }

    /// The `count`th business day after `date`; `date` itself for zero. `None` where a day on
    /// the way is not covered.
    #[must_use]
    pub fn business_days_after(&self, date: Date, count: u16) -> Option<Date> {
        let mut day = date;
        let mut left = count;
        while left > 0 {
            day = day.tomorrow().ok()?;
            if self.is_business_day(day)? {
                left -= 1;
            }
        }
        Some(day)
    }

    /// How many business days lie after `from`, up to and including `to`; below zero where `to`
    /// comes first. `None` where a day between them is not covered.
    #[must_use]
    pub fn business_days_between(&self, from: Date, to: Date) -> Option<i64> {
        if to < from {
            return self.business_days_between(to, from)?.checked_neg();
        }
        // Only covered days are walked, so the walk is as short as the calendar.
        let mut day = from;
        let mut count = 0;
        while day < to {
            day = day.tomorrow().ok()?;
            if self.is_business_day(day)? {
                count += 1;
            }
        }
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn calendar() -> Calendar {
        Calendar {
            covers: (date(2026, 1, 1), date(2026, 12, 31)),
            weekend: vec![Weekday::Saturday, Weekday::Sunday],
            holidays: (1..=7).map(|day| date(2026, 10, day)).collect(),
            extra_working_days: [date(2026, 10, 10), date(2026, 9, 20)].into(),
        }
    }

    #[test]
    fn holidays_are_skipped_and_make_up_days_are_worked() {
        // Wednesday before the holiday week: Thu 8, Fri 9 and the working Saturday 10 follow.
        assert_eq!(calendar().business_days_after(date(2026, 9, 30), 3), Some(date(2026, 10, 10)));
        assert_eq!(calendar().business_days_after(date(2026, 10, 10), 1), Some(date(2026, 10, 12)));
        assert_eq!(calendar().is_business_day(date(2026, 9, 20)), Some(true));
    }

    #[test]
    fn no_business_days_later_is_the_day_itself() {
        assert_eq!(calendar().business_days_after(date(2026, 10, 3), 0), Some(date(2026, 10, 3)));
    }

    #[test]
    fn there_is_no_answer_beyond_the_range() {
        assert_eq!(calendar().business_days_after(date(2026, 12, 30), 1), Some(date(2026, 12, 31)));
        assert_eq!(calendar().business_days_after(date(2026, 12, 30), 2), None);
        assert_eq!(calendar().is_business_day(date(2025, 12, 31)), None);
    }

    #[test]
    fn counting_is_the_inverse_of_stepping() {
        let calendar = calendar();
        let start = date(2026, 9, 18);
        for count in 0..40 {
            let end = calendar.business_days_after(start, count).unwrap();
            assert_eq!(calendar.business_days_between(start, end), Some(i64::from(count)));
        }
    }
}
