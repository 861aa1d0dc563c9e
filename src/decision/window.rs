//! When a reviewer will have looked, and when the money arrives.

use crate::domain::decision::DateWindow;
use crate::domain::time::Date;
use crate::plan::Plan;
use crate::plan::rule::{DayUnit, Window};

/// The days of a window that begins at the end of another, or on `start`.
#[must_use]
pub fn after(before: Option<DateWindow>, start: Date, window: Window, plan: &Plan) -> DateWindow {
    let (from, to) = match before {
        None => (start, start),
        Some(DateWindow::Dates { earliest, latest }) => (earliest, latest),
        Some(DateWindow::BeyondCalendar) => return DateWindow::BeyondCalendar,
    };
    let end = |day, count| later(day, count, window.unit, plan).and_then(|day| next_weekday(day, window.weekday));
    match (end(from, window.min), end(to, window.max)) {
        (Some(earliest), Some(latest)) => DateWindow::Dates { earliest, latest },
        (_, _) => DateWindow::BeyondCalendar,
    }
}

fn later(from: Date, days: u16, unit: DayUnit, plan: &Plan) -> Option<Date> {
    match unit {
        DayUnit::BusinessDays => plan.calendar.as_ref()?.business_days_after(from, days),
        DayUnit::CalendarDays => from.checked_add(jiff::Span::new().try_days(i64::from(days)).ok()?).ok(),
    }
}

/// The day itself where it is such a day of the week, or the next that is.
fn next_weekday(day: Date, weekday: Option<jiff::civil::Weekday>) -> Option<Date> {
    match weekday {
        Some(weekday) if day.weekday() != weekday => day.nth_weekday(1, weekday).ok(),
        Some(_) | None => Some(day),
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
