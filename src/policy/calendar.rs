//! Business calendars as written.

use std::collections::BTreeSet;

use jiff::civil::Weekday;

use crate::domain::calendar::Calendar;
use crate::domain::time::Date;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::CalendarNode;
use crate::policy::read::Text;
use crate::policy::unknown::unknown_word;

/// Checks a calendar; `None` after a report.
pub fn check(written: &CalendarNode, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Calendar> {
    let covers = covers(&written.covers, diagnostics);
    let weekend: Vec<Option<Weekday>> = written.weekend.iter().map(|day| weekday(&day.0, diagnostics)).collect();
    let covers = covers?;
    let mut days = |written: Option<&[Text]>| -> Option<BTreeSet<Date>> {
        let days: Vec<Option<Date>> =
            written.unwrap_or(&[]).iter().map(|text| day(text, covers, diagnostics)).collect();
        days.into_iter().collect()
    };
    let holidays = days(written.holidays.as_deref())?;
    let extra_working_days = days(written.extra_working_days.as_deref())?;
    let mut good = true;
    for text in written.extra_working_days.as_deref().unwrap_or(&[]) {
        if date(&text.value).is_some_and(|day| holidays.contains(&day)) {
            diagnostics.error(
                "calendar-day",
                text.span,
                format!("`{}` is both a holiday and a working day", text.value),
                "remove it from one of the lists",
            );
            good = false;
        }
    }
    let weekend = weekend.into_iter().collect::<Option<Vec<_>>>()?;
    good.then(|| Calendar::new(covers, &weekend, &holidays, &extra_working_days))
}

fn covers(written: &[Text], diagnostics: &mut Diagnostics<'_, '_>) -> Option<(Date, Date)> {
    match written {
        [first, last] => {
            let (from, to) = (parse(first, diagnostics), parse(last, diagnostics));
            let (from, to) = (from?, to?);
            if to < from {
                diagnostics.error(
                    "empty-range",
                    first.span,
                    "the calendar ends before it begins",
                    "write the first day first",
                );
                return None;
            }
            Some((from, to))
        }
        [] | [_] | [_, _, _, ..] => {
            let at = written.first().map_or_else(Default::default, |text| text.span);
            diagnostics.error(
                "bad-range",
                at,
                "`covers` is the first and the last day",
                "write `covers: [2026-01-01, 2026-12-31]`",
            );
            None
        }
    }
}

fn date(text: &str) -> Option<Date> {
    // Only `2026-01-31`: the library reads more forms than a policy should hold.
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

fn parse(text: &Text, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Date> {
    let date = date(&text.value);
    if date.is_none() {
        diagnostics.error(
            "bad-literal",
            text.span,
            format!("`{}` is not a day", text.value),
            "write it as `2026-01-31`",
        );
    }
    date
}

fn day(text: &Text, (first, last): (Date, Date), diagnostics: &mut Diagnostics<'_, '_>) -> Option<Date> {
    let day = parse(text, diagnostics)?;
    if day < first || last < day {
        diagnostics.error(
            "calendar-day",
            text.span,
            format!("`{day}` lies outside of what the calendar covers"),
            "change `covers`, or remove the day",
        );
        return None;
    }
    Some(day)
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// A day of the week by its name; `None` after a report.
pub fn weekday(text: &Text, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Weekday> {
    let found = WEEKDAYS.iter().find(|(name, _)| *name == text.value).map(|(_, day)| *day);
    if found.is_none() {
        let known: Vec<String> = WEEKDAYS.iter().map(|(name, _)| (*name).to_owned()).collect();
        unknown_word(&text.value, text.span, "day of the week", &known, diagnostics);
    }
    found
}
