//! When a reviewer will have looked, and when the money arrives.

use crate::domain::decision::DateWindow;
use crate::domain::time::Day;
use crate::plan::Plan;
use crate::plan::rule::{DayUnit, Window};

/// A range of days, before it is shown as dates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Days {
    /// From the first day to the last, both included.
    Between {
        /// The first day.
        earliest: Day,
        /// The last day.
        latest: Day,
    },
    /// It reaches beyond the days that can be counted.
    BeyondCalendar,
}

impl Days {
    /// As dates.
    #[must_use]
    pub fn dates(self, plan: &Plan) -> DateWindow {
        // The dates of the calendar are known; all others are worked out.
        let date = |day: Day| plan.calendar.as_ref().and_then(|calendar| calendar.date(day)).or_else(|| day.date());
        match self {
            Self::Between { earliest, latest } => match (date(earliest), date(latest)) {
                (Some(earliest), Some(latest)) => DateWindow::Dates { earliest, latest },
                (_, _) => DateWindow::BeyondCalendar,
            },
            Self::BeyondCalendar => DateWindow::BeyondCalendar,
        }
    }
}

/// The days of a window that begins at the end of another, or on `start`.
#[must_use]
pub fn after(before: Option<Days>, start: Day, window: Window, plan: &Plan) -> Days {
    let (from, to) = match before {
        None => (start, start),
        Some(Days::Between { earliest, latest }) => (earliest, latest),
        Some(Days::BeyondCalendar) => return Days::BeyondCalendar,
    };
    let end = |day, count| later(day, count, window.unit, plan).and_then(|day| next_weekday(day, window.weekday));
    match (end(from, window.min), end(to, window.max)) {
        (Some(earliest), Some(latest)) => Days::Between { earliest, latest },
        (_, _) => Days::BeyondCalendar,
    }
}

fn later(from: Day, days: u16, unit: DayUnit, plan: &Plan) -> Option<Day> {
    match unit {
        DayUnit::BusinessDays => plan.calendar.as_ref()?.business_days_after(from, days),
        DayUnit::CalendarDays => from.plus(days.into()),
    }
}

/// The day itself where it is such a day of the week, or the next that is.
fn next_weekday(day: Day, weekday: Option<jiff::civil::Weekday>) -> Option<Day> {
    match weekday {
        Some(weekday) => day.plus((i32::from(weekday.to_monday_zero_offset()) - day.weekday()).rem_euclid(7)),
        None => Some(day),
    }
}

/// The window of a whole order: it is over when the last line's is.
#[must_use]
pub fn latest(a: Option<DateWindow>, b: Option<DateWindow>) -> Option<DateWindow> {
    match (a, b) {
        (None, other) | (other, None) => other,
        (Some(DateWindow::BeyondCalendar), Some(_)) | (Some(_), Some(DateWindow::BeyondCalendar)) => {
            Some(DateWindow::BeyondCalendar)
        }
        (Some(DateWindow::Dates { earliest: a, latest: b }), Some(DateWindow::Dates { earliest: c, latest: d })) => {
            Some(DateWindow::Dates { earliest: a.max(c), latest: b.max(d) })
        }
    }
}
