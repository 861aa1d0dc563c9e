//! When a reviewer will have looked, and when the money arrives.

use crate::decision::claim::Claim;
use crate::decision::decided::{effect_of, is_refunding};
use crate::domain::calendar::Calendar;
use crate::domain::decision::{DateWindow, LineDecision};
use crate::domain::time::Day;
use crate::domain::words::Outcome;
use crate::plan::rule::{DayUnit, Payout, Window};

/// When lines are reviewed, and when their money arrives: when the last of them is, and the last of it does.
#[derive(Clone, Copy)]
pub struct Times {
    /// `None` where no line is reviewed, or no rule says how long it takes.
    pub review: Option<Days>,
    /// `None` where no money goes back, or no rule says how long it takes.
    pub payout: Option<Days>,
    /// `true` if some methods of payment have windows of their own.
    pub by_method: bool,
}

/// When lines are reviewed, and when their money arrives at tenders of this method, or of one that no rule names.
pub fn times(claim: &Claim<'_, '_, '_>, lines: &[LineDecision], method: Option<&str>) -> Times {
    let mut times = Times { review: None, payout: None, by_method: false };
    // Where nothing is left of any line, what goes back of components is paid out as the lines' rules say.
    let spent = lines.iter().all(|line| line.base.is_zero());
    let pays = |line: &LineDecision| !line.base.is_zero() || spent && is_refunding(claim.plan, line);
    let calendar = claim.plan.calendar.as_deref();
    let mut before = None;
    // Nothing is reviewed before what is missing has come.
    for line in lines.iter().filter(|line| line.outcome != Outcome::MoreInfoRequired) {
        // Lines that follow each other mostly follow the same rule.
        let pays = pays(line);
        let this = (line.rule, pays);
        if before.replace(this) == Some(this) {
            continue;
        }
        let verdict = effect_of(claim.plan, line.rule);
        let payout = verdict.payout.as_ref().filter(|_| pays);
        if verdict.review.is_none() && payout.is_none() {
            continue;
        }
        // All windows begin on the day of the request.
        let Some(mut days) = claim.plan.zone.day_at(claim.facts.claim.requested_at).map(Days::on) else { break };
        if let Some(window) = &verdict.review {
            days = days.then(window, calendar);
            times.review = Some(days.or_later(times.review));
        }
        if let Some(payout) = payout {
            days = days.then(window_of(payout, method), calendar);
            times.payout = Some(days.or_later(times.payout));
            times.by_method |= !payout.by_method.is_empty();
        }
    }
    times
}

/// The window of a rule for tenders of a method.
fn window_of<'p>(payout: &'p Payout, method: Option<&str>) -> &'p Window {
    let own = method.and_then(|method| payout.by_method.iter().find(|(name, _)| name == method));
    own.map_or(&payout.usual, |(_, window)| window)
}

/// A range of days, before it is shown as dates: from the first day to the last, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Days {
    earliest: Day,
    latest: Day,
}

/// Stands for every day beyond those that can be counted. It has no date, and none of the days after it has.
const BEYOND: Day = Day::from_number(i32::MAX);

impl Days {
    /// Nothing but this day.
    #[must_use]
    pub const fn on(day: Day) -> Self {
        Self { earliest: day, latest: day }
    }

    /// The days on which a window ends that begins on these.
    #[must_use]
    pub fn then(self, window: &Window, calendar: Option<&Calendar>) -> Self {
        Self {
            earliest: end(self.earliest, window.min, window, calendar).unwrap_or(BEYOND),
            latest: end(self.latest, window.max, window, calendar).unwrap_or(BEYOND),
        }
    }

    /// These days and others together: it is over when the last of them is.
    #[must_use]
    pub fn or_later(self, other: Option<Self>) -> Self {
        match other {
            Some(other) => Self { earliest: self.earliest.max(other.earliest), latest: self.latest.max(other.latest) },
            None => self,
        }
    }

    /// As dates.
    #[must_use]
    pub fn dates(self, calendar: Option<&Calendar>) -> DateWindow {
        // The dates of the calendar are known; all others are worked out.
        let date = |day: Day| calendar.and_then(|calendar| calendar.date(day)).or_else(|| day.date());
        match (date(self.earliest), date(self.latest)) {
            (Some(earliest), Some(latest)) => DateWindow::Dates { earliest, latest },
            (_, _) => DateWindow::BeyondCalendar,
        }
    }
}

/// The day on which so many days of a window end; `None` beyond the days that can be counted.
fn end(from: Day, days: u16, window: &Window, calendar: Option<&Calendar>) -> Option<Day> {
    let day = match window.unit {
        DayUnit::BusinessDays => calendar?.business_days_after(from, days)?,
        DayUnit::CalendarDays => from.plus(days.into())?,
    };
    match window.weekday {
        Some(weekday) => next_weekday(day, weekday),
        None => Some(day),
    }
}

/// The day itself where it is such a day of the week, or the next that is.
fn next_weekday(day: Day, weekday: jiff::civil::Weekday) -> Option<Day> {
    day.plus((i32::from(weekday.to_monday_zero_offset()) - day.weekday()).rem_euclid(7))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::civil::{Weekday, date};

    use super::*;

    fn window(unit: DayUnit, (min, max): (u16, u16), weekday: Option<Weekday>) -> Window {
        Window { unit, min, max, weekday }
    }

    /// Of 2026 alone, without weekends.
    fn calendar() -> Calendar {
        let covers = (date(2026, 1, 1), date(2026, 12, 31));
        Calendar::new(covers, &[Weekday::Saturday, Weekday::Sunday], &BTreeSet::new(), &BTreeSet::new())
    }

    #[test]
    fn what_begins_beyond_the_calendar_ends_beyond_it() {
        let calendar = calendar();
        let long = window(DayUnit::BusinessDays, (1, 400), None);
        let days = Days::on(Day::of(date(2026, 3, 6))).then(&long, Some(&calendar));
        assert_eq!(days.dates(Some(&calendar)), DateWindow::BeyondCalendar);
        for unit in [DayUnit::BusinessDays, DayUnit::CalendarDays] {
            for weekday in [None, Some(Weekday::Monday), Some(Weekday::Friday)] {
                let after = days.then(&window(unit, (0, 0), weekday), Some(&calendar));
                assert_eq!(after.dates(Some(&calendar)), DateWindow::BeyondCalendar, "{unit:?} {weekday:?}");
                assert_eq!(after.then(&long, Some(&calendar)).dates(Some(&calendar)), DateWindow::BeyondCalendar);
            }
        }
    }

    #[test]
    fn several_are_over_when_the_last_of_them_is() {
        let begins = Days::on(Day::of(date(2026, 3, 6)));
        let early = begins.then(&window(DayUnit::CalendarDays, (1, 9), None), None);
        let late = begins.then(&window(DayUnit::CalendarDays, (3, 5), None), None);
        let both = DateWindow::Dates { earliest: date(2026, 3, 9), latest: date(2026, 3, 15) };
        assert_eq!(late.or_later(Some(early)).dates(None), both);
        assert_eq!(early.or_later(Some(late)).dates(None), both);
        assert_eq!(early.or_later(None), early);
        let beyond = begins.then(&window(DayUnit::BusinessDays, (1, 1), None), None);
        assert_eq!(late.or_later(Some(beyond)).dates(None), DateWindow::BeyondCalendar);
    }
}
