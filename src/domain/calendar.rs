//! Business days: which days are worked, as data with a range that it covers.
//!
//! Outside the range there is no answer, and that is what the functions here say.

use std::collections::BTreeSet;

use jiff::civil::Weekday;

use crate::domain::time::{Date, Day};

/// A calendar of business days. Make-up working days (调休) win over the weekend they fall on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calendar {
    /// The first and the last day that the calendar speaks of.
    covers: (Day, Day),
    /// The days from the first one on, in blocks of 64.
    blocks: Vec<Block>,
    /// The days from the first one on that are looked up while a claim is decided, and not worked out.
    known: Vec<KnownDay>,
    /// The business days among them, in order.
    worked: Vec<Day>,
}

/// Most days known beforehand: thirty years of some twelve bytes a day.
const KNOWN_DAYS_MAX: usize = 10_957;

/// The facts known of a day beforehand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct KnownDay {
    /// Its date.
    date: Date,
    /// The place of the first business day after it among all that are known.
    next_worked: u32,
}

/// 64 days that follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Block {
    /// The days that are worked, one bit each.
    worked: u64,
    /// Number of business days in all blocks before.
    before: u32,
}

impl Calendar {
    /// A calendar of the days from the first to the last that it covers: those of `weekend` and `holidays` are not
    /// worked, except for `extra_working_days`.
    #[must_use]
    pub fn new(
        covers: (Date, Date),
        weekend: &[Weekday],
        holidays: &BTreeSet<Date>,
        extra_working_days: &BTreeSet<Date>,
    ) -> Self {
        let covers = (Day::of(covers.0), Day::of(covers.1));
        let (mut blocks, mut known, mut worked) = (Vec::new(), Vec::new(), Vec::new());
        let mut before = 0u32;
        let mut first = covers.0;
        while first <= covers.1 {
            let mut bits = 0u64;
            for bit in 0..64 {
                let Some(day) = first.plus(bit).filter(|day| *day <= covers.1) else { break };
                let Some(date) = day.date() else { break };
                let free = holidays.contains(&date) || weekend.contains(&date.weekday());
                let is_worked = extra_working_days.contains(&date) || !free;
                bits |= u64::from(is_worked) << bit;
                if known.len() < KNOWN_DAYS_MAX {
                    worked.extend(is_worked.then_some(day));
                    known.push(KnownDay { date, next_worked: u32::try_from(worked.len()).unwrap_or(u32::MAX) });
                }
            }
            blocks.push(Block { worked: bits, before });
            before = before.saturating_add(bits.count_ones());
            let Some(next) = first.plus(64) else { break };
            first = next;
        }
        Self { covers, blocks, known, worked }
    }

    /// The date of a day, where it is known beforehand.
    #[must_use]
    #[inline]
    pub fn date(&self, day: Day) -> Option<Date> {
        self.known(day).map(|known| known.date)
    }

    /// Returns the facts known of a day beforehand, if any.
    #[inline]
    fn known(&self, day: Day) -> Option<&KnownDay> {
        let place = day.number().checked_sub(self.covers.0.number())?;
        self.known.get(usize::try_from(place).ok()?)
    }

    /// Returns true if the day is a business day; `None` outside the range covered.
    #[must_use]
    pub fn is_business_day(&self, day: Day) -> Option<bool> {
        let (block, bit) = self.place(day)?;
        Some(self.blocks.get(block)?.worked >> bit & 1 == 1)
    }

    /// The `count`th business day after `day`; `day` itself for zero. `None` where a day on
    /// the way is not covered.
    #[must_use]
    #[inline]
    pub fn business_days_after(&self, day: Day, count: u16) -> Option<Day> {
        let Some(beside_first) = count.checked_sub(1) else { return Some(day) };
        let known = self.known(day).map(|known| known.next_worked as usize + usize::from(beside_first));
        match known.and_then(|place| self.worked.get(place)) {
            Some(found) => Some(*found),
            None => self.counted_after(day, count),
        }
    }

    /// The same, counted off day by day: where a day on the way is not known beforehand.
    #[inline(never)]
    fn counted_after(&self, day: Day, count: u16) -> Option<Day> {
        let first = i64::from(self.covers.0.number());
        let next = usize::try_from(i64::from(day.number()) + 1 - first).ok()?;
        let mut block = next / 64;
        let mut worked = self.blocks.get(block)?.worked & u64::MAX << (next % 64);
        let mut left = count;
        loop {
            while worked == 0 {
                block += 1;
                worked = self.blocks.get(block)?.worked;
            }
            left -= 1;
            if left == 0 {
                break;
            }
            worked &= worked - 1;
        }
        let number = first + i64::try_from(block * 64).ok()? + i64::from(worked.trailing_zeros());
        i32::try_from(number).ok().map(Day::from_number)
    }

    /// The day itself where it is worked, or the first business day after it. `None` where a day on the way is not
    /// covered.
    #[must_use]
    pub fn business_day_from(&self, day: Day) -> Option<Day> {
        if self.is_business_day(day)? { Some(day) } else { self.business_days_after(day, 1) }
    }

    /// Number of business days after `from`, up to and including `to`; below zero where `to` comes first. `None` where
    /// a day between them is not covered.
    #[must_use]
    pub fn business_days_between(&self, from: Day, to: Day) -> Option<i64> {
        if to < from {
            return self.business_days_between(to, from)?.checked_neg();
        }
        if from == to {
            return Some(0);
        }
        let first = self.worked_before(from.plus(1)?)?;
        let last = self.worked_before(to)? + i64::from(self.is_business_day(to)?);
        Some(last - first)
    }

    /// Number of covered business days before this one; `None` outside the range covered.
    fn worked_before(&self, day: Day) -> Option<i64> {
        let (at, bit) = self.place(day)?;
        let block = self.blocks.get(at)?;
        Some(i64::from(block.before) + i64::from((block.worked & !(u64::MAX << bit)).count_ones()))
    }

    /// The block of a day, and its bit there; `None` outside the range covered.
    fn place(&self, day: Day) -> Option<(usize, u32)> {
        if day < self.covers.0 || self.covers.1 < day {
            return None;
        }
        let number = u32::try_from(day.number().checked_sub(self.covers.0.number())?).ok()?;
        Some((usize::try_from(number / 64).ok()?, number % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn holidays() -> BTreeSet<Date> {
        (1..=7).map(|day| date(2026, 10, day)).collect()
    }

    fn extra_working_days() -> BTreeSet<Date> {
        [date(2026, 10, 10), date(2026, 9, 20)].into()
    }

    fn calendar() -> Calendar {
        let covers = (date(2026, 1, 1), date(2026, 12, 31));
        Calendar::new(covers, &[Weekday::Saturday, Weekday::Sunday], &holidays(), &extra_working_days())
    }

    fn after(from: Date, count: u16) -> Option<Date> {
        calendar().business_days_after(Day::of(from), count).and_then(Day::date)
    }

    #[test]
    fn holidays_are_skipped_and_make_up_days_are_worked() {
        // Wednesday before the holiday week: Thu 8, Fri 9 and the working Saturday 10 follow.
        assert_eq!(after(date(2026, 9, 30), 3), Some(date(2026, 10, 10)));
        assert_eq!(after(date(2026, 10, 10), 1), Some(date(2026, 10, 12)));
        assert_eq!(calendar().is_business_day(Day::of(date(2026, 9, 20))), Some(true));
    }

    #[test]
    fn no_business_days_later_is_the_day_itself() {
        assert_eq!(after(date(2026, 10, 3), 0), Some(date(2026, 10, 3)));
        assert_eq!(after(date(2030, 1, 1), 0), Some(date(2030, 1, 1)));
    }

    #[test]
    fn what_is_known_beforehand_is_what_is_counted() {
        let covers = |first, last| (date(first, 1, 1), date(last, 12, 31));
        let of = |covers| Calendar::new(covers, &[Weekday::Sunday], &holidays(), &extra_working_days());
        // Thirty years are known of each, so of the long one not all.
        let (long, late) = (of(covers(1991, 2040)), of(covers(2015, 2040)));
        let last_known = Day::of(date(1991, 1, 1)).plus(i32::try_from(KNOWN_DAYS_MAX).unwrap() - 1).unwrap();
        assert_eq!((long.date(last_known).is_some(), long.date(last_known.plus(1).unwrap())), (true, None));
        for day in (last_known.number() - 40..last_known.number() + 40).map(Day::from_number) {
            for count in 0..60 {
                let expected = late.business_days_after(day, count);
                assert_eq!(long.business_days_after(day, count), expected, "{count} after {:?}", day.date());
                assert_eq!(long.counted_after(day, count.max(1)), late.business_days_after(day, count.max(1)));
            }
        }
    }

    #[test]
    fn there_is_no_answer_beyond_the_range() {
        assert_eq!(after(date(2026, 12, 30), 1), Some(date(2026, 12, 31)));
        assert_eq!(after(date(2026, 12, 30), 2), None);
        assert_eq!(calendar().is_business_day(Day::of(date(2025, 12, 31))), None);
    }

    #[test]
    fn counting_and_stepping_agree_with_a_walk_from_day_to_day() {
        let calendar = calendar();
        let (first, last) = (Day::of(date(2025, 12, 28)), Day::of(date(2027, 1, 3)));
        let worked = |day: Day| {
            let date = day.date().unwrap();
            if date.year() != 2026 {
                return None;
            }
            let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
            Some(extra_working_days().contains(&date) || !(weekend || holidays().contains(&date)))
        };
        for from in (first.number()..last.number()).map(Day::from_number) {
            let mut count = Some(0u16);
            for to in (from.number()..last.number()).map(Day::from_number) {
                if to != from {
                    count = count.zip(worked(to)).map(|(count, worked)| count + u16::from(worked));
                }
                assert_eq!(calendar.business_days_between(from, to), count.map(i64::from), "{from:?} {to:?}");
                assert_eq!(calendar.business_days_between(to, from), count.map(|count| -i64::from(count)));
                let Some(count) = count.filter(|_| worked(to) == Some(true) && to != from) else { continue };
                assert_eq!(calendar.business_days_after(from, count), Some(to));
            }
        }
        assert_eq!(calendar.business_days_after(first, 1), None, "a day on the way is not covered");
    }
}
