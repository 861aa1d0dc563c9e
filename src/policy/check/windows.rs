//! Windows: how long a review and a payout take.

use crate::domain::limits::WINDOW_DAYS_MAX;
use crate::plan::rule::{DayUnit, Payout, Window};
use crate::policy::check::draft::Draft;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::rules::{PayoutNode, WindowNode};
use crate::policy::formula::scope::CalendarUse;
use crate::policy::source::Span;

pub(super) fn payout(
    written: Option<&PayoutNode>,
    at: Span,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Payout> {
    let PayoutNode { business_days, days, weekday, by_method } = written?.clone();
    let usual = window(Some(&WindowNode { business_days, days, weekday }), at, draft, diagnostics);
    let by_method = by_method.map_or_else(Vec::new, |table| table.entries);
    let by_method = by_method
        .iter()
        .filter_map(|(method, own)| Some((method.value.clone(), window(Some(own), method.span, draft, diagnostics)?)))
        .collect();
    Some(Payout { usual: usual?, by_method })
}

pub(super) fn window(
    written: Option<&WindowNode>,
    at: Span,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Window> {
    let written = written?;
    let weekday = written.weekday.as_ref().map(|day| crate::policy::calendar::weekday(&day.0, diagnostics));
    let (unit, days) = match written {
        WindowNode { business_days: Some(days), days: None, weekday: _ } => (DayUnit::BusinessDays, days),
        WindowNode { business_days: None, days: Some(days), weekday: _ } => (DayUnit::CalendarDays, days),
        WindowNode { .. } => {
            diagnostics.error(
                "window-shape",
                at,
                "a window has exactly one of `business_days` and `days`",
                "write `{ business_days: [1, 3] }`",
            );
            return None;
        }
    };
    if unit == DayUnit::BusinessDays && draft.calendar == CalendarUse::None {
        let at = days.first().map_or(at, |day| day.span);
        diagnostics.error(
            "no-calendar",
            at,
            "business days are counted here, but the policy names no calendar",
            "add the key `calendar`",
        );
    }
    match days.as_slice() {
        [min, max] if min.value <= max.value && max.value <= u32::from(WINDOW_DAYS_MAX) => {
            let short = |days: u32| u16::try_from(days).unwrap_or(WINDOW_DAYS_MAX);
            Some(Window { unit, min: short(min.value), max: short(max.value), weekday: weekday.flatten() })
        }
        _ => {
            let at = days.first().map_or(at, |day| day.span);
            let help = format!("write the least and the most, such as `[1, 3]`, at most {WINDOW_DAYS_MAX}");
            diagnostics.error("bad-window", at, "this is not a range of days", help);
            None
        }
    }
}
