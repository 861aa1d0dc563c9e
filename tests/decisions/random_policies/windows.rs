//! Business days, and the days by which a review ends and money arrives.

use super::ast::Window;

/// Days since 1970 of the first and the last day that the calendar knows: 26 February and 17 March 2026.
const COVERED: (i128, i128) = (20_510, 20_529);
/// 4 and 9 March are holidays.
const HOLIDAYS: [i128; 2] = [20_516, 20_521];
/// Saturday, 7 and Sunday, 15 March are worked.
const EXTRA_DAYS: [i128; 2] = [20_519, 20_527];

/// When something happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Days {
    Between(i128, i128),
    BeyondCalendar,
}

/// The day of the week, Monday is 0; 1 January 1970 was a Thursday.
fn weekday(day: i128) -> i128 {
    (day + 3).rem_euclid(7)
}

/// Whether a day is worked; `None` where the calendar does not know it.
fn worked(day: i128) -> Option<bool> {
    let known = COVERED.0 <= day && day <= COVERED.1;
    known.then(|| EXTRA_DAYS.contains(&day) || (weekday(day) < 5 && !HOLIDAYS.contains(&day)))
}

/// The worked days after one day up to another; below zero where that lies before it.
pub fn worked_between(from: i128, to: i128) -> Option<i128> {
    if to < from {
        return worked_between(to, from).map(|days| -days);
    }
    let mut count = 0;
    for day in from + 1..=to {
        count += i128::from(worked(day)?);
    }
    Some(count)
}

/// The first worked day from a day on.
pub fn next_worked(day: i128) -> Option<i128> {
    if worked(day)? { Some(day) } else { next_worked(day + 1) }
}

/// So many days after a day, on a day of the week.
fn after(start: i128, window: Window, count: i64) -> Option<i128> {
    let mut day = start;
    if window.business {
        let mut left = count;
        while 0 < left {
            day += 1;
            left -= i64::from(worked(day)?);
        }
    } else {
        day += i128::from(count);
    }
    if let Some(wanted) = window.weekday {
        while weekday(day) != i128::from(wanted) {
            day += 1;
        }
    }
    Some(day)
}

/// The days of a window after others.
pub fn span(start: Days, window: Window) -> Days {
    let Days::Between(first, last) = start else { return Days::BeyondCalendar };
    match (after(first, window, window.least), after(last, window, window.most)) {
        (Some(first), Some(last)) => Days::Between(first, last),
        (_, None) | (None, _) => Days::BeyondCalendar,
    }
}

/// Both: from the later beginning to the later end.
pub fn later(a: Option<Days>, b: Option<Days>) -> Option<Days> {
    match (a, b) {
        (Some(Days::Between(a, b)), Some(Days::Between(c, d))) => Some(Days::Between(a.max(c), b.max(d))),
        (Some(Days::BeyondCalendar), _) | (_, Some(Days::BeyondCalendar)) => Some(Days::BeyondCalendar),
        (one, None) | (None, one) => one,
    }
}
