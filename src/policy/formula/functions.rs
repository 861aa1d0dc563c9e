//! The functions of formulas: names, arguments, meanings.

use crate::domain::facts::FactId;
use crate::domain::ratio::{Ratio, RoundingMode};
use crate::plan::fact::{BuiltIn, Dimension, FactType, NANOS_PER_UNIT};
use crate::plan::formula::{Binary, Leaf, Numeric, Op, Unary, joined, then};
use crate::policy::diagnostics::{Diagnostics, quoted_list};
use crate::policy::formula::check::{argument, finish};
use crate::policy::formula::dimension::{dimension, quantity, same_dimension, to_dimension};
use crate::policy::formula::scope::{CalendarUse, Kind, ROUNDING_MODES, Scope, Typed, Wanted};
use crate::policy::formula::{Expression, ExpressionKind};
use crate::policy::source::Span;

/// A function as its users see it.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Form of a call.
    pub usage: &'static str,
    /// Meaning of its result.
    pub meaning: &'static str,
    which: Which,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Fold(Numeric),
    Clamp,
    Whole(Unary),
    Round,
    Since,
    Until,
    DaysSince(Numeric, Dimension),
    DaysUntil(Numeric, Dimension),
    Day(Unary),
    BusinessDay,
    IfAbsent,
    Money,
}

/// Every function of the language.
pub const FUNCTIONS: &[Function] = &[
    function("min", "min(a, b, …)", "The smallest of the values.", Which::Fold(Numeric::Min)),
    function("max", "max(a, b, …)", "The largest of the values.", Which::Fold(Numeric::Max)),
    function("clamp", "clamp(a, low, high)", "`a`, but not below `low` and not above `high`.", Which::Clamp),
    function("floor", "floor(number)", "The largest whole number not above.", Which::Whole(Unary::Floor)),
    function(
        "ceil",
        "ceil(number)",
        "The smallest whole number not below: started hours, started days.",
        Which::Whole(Unary::Ceil),
    ),
    function(
        "round",
        "round(a, step, mode)",
        "`a` to multiples of `step`; the mode may be left out and is `half_up` then.",
        Which::Round,
    ),
    function(
        "since",
        "since(moment)",
        "Elapsed time from the moment to the request; below zero if it lies ahead.",
        Which::Since,
    ),
    function(
        "until",
        "until(moment)",
        "Elapsed time from the request to the moment; below zero if it is past.",
        Which::Until,
    ),
    function(
        "days_since",
        "days_since(moment)",
        "Calendar days from the moment's date to the request's, in the policy's zone.",
        Which::DaysSince(Numeric::DaysBetween, Dimension::Days),
    ),
    function(
        "days_until",
        "days_until(moment)",
        "Calendar days from the request's date to the moment's, in the policy's zone.",
        Which::DaysUntil(Numeric::DaysBetween, Dimension::Days),
    ),
    function(
        "business_days_since",
        "business_days_since(moment)",
        "Business days after the moment's date up to the request's.",
        Which::DaysSince(Numeric::BusinessDaysBetween, Dimension::BusinessDays),
    ),
    function(
        "business_days_until",
        "business_days_until(moment)",
        "Business days after the request's date up to the moment's.",
        Which::DaysUntil(Numeric::BusinessDaysBetween, Dimension::BusinessDays),
    ),
    function(
        "start_of_day",
        "start_of_day(moment)",
        "The first moment of its day in the policy's zone.",
        Which::Day(Unary::StartOfDay),
    ),
    function(
        "end_of_day",
        "end_of_day(moment)",
        "The last nanosecond of its day in the policy's zone.",
        Which::Day(Unary::EndOfDay),
    ),
    function(
        "next_day",
        "next_day(moment)",
        "The first moment of the day after, in the policy's zone.",
        Which::Day(Unary::NextDay),
    ),
    function(
        "on_or_next_business_day",
        "on_or_next_business_day(moment)",
        "The same time of day on the moment's date where that is a business day, or else on the first one after it.",
        Which::BusinessDay,
    ),
    function(
        "if_absent",
        "if_absent(fact, value)",
        "The fact, or the value where the fact is missing.",
        Which::IfAbsent,
    ),
    function("money", "money(number)", "So many units of the order's currency.", Which::Money),
];

const fn function(name: &'static str, usage: &'static str, meaning: &'static str, which: Which) -> Function {
    Function { name, usage, meaning, which }
}

/// Types a call.
pub(super) fn call(
    name: &str,
    arguments: &[Expression],
    span: Span,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Typed> {
    let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) else {
        let names = FUNCTIONS.iter().map(|function| function.name);
        let help = diagnostics.suggestion(name, names.clone()).map_or_else(
            || format!("the functions are {}", quoted_list(names)),
            |near| format!("did you mean `{near}`?"),
        );
        diagnostics.error("unknown-function", span, format!("there is no function `{name}`"), help);
        return None;
    };
    match (function.which, arguments) {
        (Which::Fold(op), [first, rest @ ..]) if !rest.is_empty() => {
            let mut folded = argument(first, scope, diagnostics)?;
            for next in rest {
                let next = argument(next, scope, diagnostics)?;
                folded = pair(folded, next, op, span, name, scope, diagnostics)?;
            }
            Some(folded)
        }
        (Which::Clamp, [value, low, high]) => {
            let [value, low, high] = [value, low, high].map(|expression| argument(expression, scope, diagnostics));
            let raised = pair(value?, low?, Numeric::Max, span, name, scope, diagnostics)?;
            pair(raised, high?, Numeric::Min, span, name, scope, diagnostics)
        }
        (Which::Whole(op), [value]) => {
            let ops = of_type(value, Dimension::Number, scope, diagnostics)?;
            Some(quantity(then(ops, op), Dimension::Number, span))
        }
        (Which::Round, [value, step]) => round(value, step, RoundingMode::HalfUp, span, scope, diagnostics),
        (Which::Round, [value, step, mode]) => {
            let mode = rounding_mode(mode, diagnostics)?;
            round(value, step, mode, span, scope, diagnostics)
        }
        (Which::Since, [moment]) => {
            let moment = of_type(moment, Dimension::Timestamp, scope, diagnostics)?;
            Some(quantity(joined(now(), moment, Binary::Numbers(Numeric::Subtract)), Dimension::Elapsed, span))
        }
        (Which::Until, [moment]) => {
            let moment = of_type(moment, Dimension::Timestamp, scope, diagnostics)?;
            Some(quantity(joined(moment, now(), Binary::Numbers(Numeric::Subtract)), Dimension::Elapsed, span))
        }
        (Which::DaysSince(op, days), [moment]) => {
            let moment = of_type(moment, Dimension::Timestamp, scope, diagnostics)?;
            countable(days, span, scope, diagnostics)?;
            Some(quantity(joined(moment, now(), Binary::Numbers(op)), days, span))
        }
        (Which::DaysUntil(op, days), [moment]) => {
            let moment = of_type(moment, Dimension::Timestamp, scope, diagnostics)?;
            countable(days, span, scope, diagnostics)?;
            Some(quantity(joined(now(), moment, Binary::Numbers(op)), days, span))
        }
        (Which::Day(op), [moment]) => {
            let moment = of_type(moment, Dimension::Timestamp, scope, diagnostics)?;
            Some(quantity(then(moment, op), Dimension::Timestamp, span))
        }
        (Which::BusinessDay, [moment]) => {
            let moment = of_type(moment, Dimension::Timestamp, scope, diagnostics)?;
            countable(Dimension::BusinessDays, span, scope, diagnostics)?;
            Some(quantity(then(moment, Unary::OnOrNextBusinessDay), Dimension::Timestamp, span))
        }
        (Which::IfAbsent, [fact, value]) => if_absent(fact, value, span, scope, diagnostics),
        (Which::Money, [value]) => {
            let ops = of_type(value, Dimension::Number, scope, diagnostics)?;
            let unit = vec![Op::Put(Leaf::Number(Ratio::whole(NANOS_PER_UNIT)))];
            Some(quantity(joined(ops, unit, Binary::Numbers(Numeric::Multiply)), Dimension::Money, span))
        }
        (_, _) => {
            let message = format!("`{name}` does not take {} arguments", arguments.len());
            diagnostics.error("formula-type", span, message, format!("it is called as `{}`", function.usage));
            None
        }
    }
}

/// The moment of the request.
fn now() -> Vec<Op> {
    let place =
        BuiltIn::ALL.iter().position(|fact| *fact == BuiltIn::RequestedAt).and_then(|place| u16::try_from(place).ok());
    vec![Op::Put(Leaf::Fact(FactId(place.unwrap_or(0))))]
}

fn pair(
    left: Typed,
    right: Typed,
    op: Numeric,
    span: Span,
    name: &str,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Typed> {
    let (left, right) = same_dimension(left, right, name, scope, diagnostics)?;
    let common = dimension(&left)?;
    Some(quantity(joined(left.ops, right.ops, Binary::Numbers(op)), common, span))
}

fn of_type(
    expression: &Expression,
    wanted: Dimension,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Vec<Op>> {
    let typed = argument(expression, scope, diagnostics)?;
    Some(finish(typed, Wanted::Type(FactType::Quantity(wanted)), scope, diagnostics)?.0)
}

fn countable(days: Dimension, span: Span, scope: &Scope<'_>, diagnostics: &mut Diagnostics<'_, '_>) -> Option<()> {
    if days == Dimension::BusinessDays && scope.calendar == CalendarUse::None {
        diagnostics.error(
            "no-calendar",
            span,
            "business days are counted here, but the policy names no calendar",
            "add the key `calendar`",
        );
        return None;
    }
    Some(())
}

fn round(
    value: &Expression,
    step: &Expression,
    mode: RoundingMode,
    span: Span,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Typed> {
    let (value, step) = (argument(value, scope, diagnostics), argument(step, scope, diagnostics));
    let (value, step) = same_dimension(value?, step?, "round", scope, diagnostics)?;
    let positive = matches!(step.ops.as_slice(), [Op::Put(Leaf::Number(number))] if Ratio::ZERO < *number);
    if !positive {
        diagnostics.error(
            "formula-type",
            step.span,
            "the step of `round` must be a number above zero",
            "write it out, such as `0.50`",
        );
        return None;
    }
    let common = dimension(&value)?;
    Some(quantity(joined(value.ops, step.ops, Binary::Numbers(Numeric::Round(mode))), common, span))
}

fn rounding_mode(mode: &Expression, diagnostics: &mut Diagnostics<'_, '_>) -> Option<RoundingMode> {
    let named = match &mode.kind {
        ExpressionKind::Name(name) => ROUNDING_MODES.iter().find(|(known, _)| known == name),
        ExpressionKind::Literal(_)
        | ExpressionKind::Call(..)
        | ExpressionKind::Unary(..)
        | ExpressionKind::Binary(..) => None,
    };
    if named.is_none() {
        let modes = quoted_list(ROUNDING_MODES.iter().map(|(name, _)| name));
        diagnostics.error("unknown-word", mode.span, "this is not a rounding mode", format!("the modes are {modes}"));
    }
    named.map(|(_, mode)| *mode)
}

fn if_absent(
    fact: &Expression,
    value: &Expression,
    span: Span,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Typed> {
    let (fact, value) = (argument(fact, scope, diagnostics), argument(value, scope, diagnostics));
    let (fact, value) = (fact?, value?);
    match fact.kind {
        Kind::Of(fact_type) => {
            let value = match fact_type {
                FactType::Quantity(dimension) => to_dimension(value, dimension, scope, diagnostics)?,
                FactType::Flag | FactType::Word(_) | FactType::Set(_) | FactType::Text => value,
            };
            let (ops, fact_type) = finish(value, Wanted::Type(fact_type), scope, diagnostics)?;
            Some(Typed { ops: joined(fact.ops, ops, Binary::IfAbsent), kind: Kind::Of(fact_type), span })
        }
        Kind::Constant(_) => {
            diagnostics.error("formula-type", fact.span, "a number written out is never absent", "put a fact here");
            None
        }
        Kind::Word(_) => finish(fact, Wanted::Any, scope, diagnostics).and(None),
    }
}
