//! Checking of formulas: names and literals are resolved, types must agree, and what comes out are operations.
//!
//! Plain numbers take the dimension of what they stand beside: in `max(paid * 20%, 2.00)` the
//! `2.00` is money. Everything else must agree as written.

use crate::domain::limits::FORMULA_BYTES_MAX;
use crate::plan::fact::{Dimension, FactType};
use crate::plan::formula::{Formula, Leaf, Op};
use crate::policy::diagnostics::Diagnostics;
use crate::policy::formula::describe::{describe, describe_kind};
use crate::policy::formula::dimension::{quantity, to_dimension};
use crate::policy::formula::functions::call;
use crate::policy::formula::operators::{binary, flag, unary, unknown_name, word_leaf};
use crate::policy::formula::parse;
use crate::policy::formula::scope::{Context, Kind, Scope, Typed, Wanted};
use crate::policy::formula::{Expression, ExpressionKind};
use crate::policy::literal;
use crate::policy::slip::has_day;
use crate::policy::source::{Located, Span};

/// Advice on a moment in a formula.
const MOMENT_HELP: &str = "test the moment instead: `placed_at: \"< 2026-11-01T00:00:00Z\"`";

/// Values that one formula may hold at once.
pub const FORMULA_STACK_MAX: usize = 64;

/// Parses and types a formula; `None` after a report.
pub fn formula(
    text: &Located<String>,
    wanted: Wanted,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<(Formula, FactType)> {
    let typed = typed(text, scope, diagnostics)?;
    let (ops, fact_type) = finish(typed, wanted, scope, diagnostics)?;
    let formula = Formula { text: text.value.clone(), ops };
    if FORMULA_STACK_MAX < formula.depth() {
        diagnostics.error(
            "formula-too-complex",
            text.span,
            "the formula holds too many unfinished operations at once",
            "give its parts names as facts",
        );
        return None;
    }
    Some((formula, fact_type))
}

/// Parses and types a formula, and leaves open what a plain number or a lone word is.
pub fn typed(text: &Located<String>, scope: &Scope<'_>, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Typed> {
    let parsed = parse::parse(text, origin(text, diagnostics));
    if text.value.len() <= FORMULA_BYTES_MAX && has_day(&text.value) {
        let (message, help) = ("a formula holds no moments written out", MOMENT_HELP);
        match &parsed {
            // To earlier versions `2026-11-01` was a number less two others.
            Ok(_) => diagnostics.stricter_error("formula-syntax", text.span, message, help)?,
            Err(_) => {
                diagnostics.error("formula-syntax", text.span, message, help);
                return None;
            }
        }
    }
    match parsed {
        Ok(expression) => check(&expression, scope, diagnostics),
        Err(error) => {
            diagnostics.error("formula-syntax", error.span, error.message, error.help);
            None
        }
    }
}

/// The byte at which the text itself begins, behind a quote if there is one; `None` where the
/// file does not hold the text to the letter.
fn origin(text: &Located<String>, diagnostics: &Diagnostics<'_, '_>) -> Option<usize> {
    let start = text.span.start as usize;
    [start, start + 1].into_iter().find(|&start| {
        diagnostics
            .sources
            .text(text.span.file)
            .get(start..start + text.value.len())
            .is_some_and(|written| written == text.value)
    })
}

/// Gives a typed expression the wanted type, or its own.
pub fn finish(
    typed: Typed,
    wanted: Wanted,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<(Vec<Op>, FactType)> {
    match (typed.kind.clone(), wanted) {
        (Kind::Constant(_), Wanted::Type(FactType::Quantity(dimension))) => {
            Some((to_dimension(typed, dimension, scope, diagnostics)?.ops, FactType::Quantity(dimension)))
        }
        (Kind::Constant(_), Wanted::Any) => Some((
            to_dimension(typed, Dimension::Number, scope, diagnostics)?.ops,
            FactType::Quantity(Dimension::Number),
        )),
        (Kind::Word(word), Wanted::Type(FactType::Word(vocabulary))) => Some((
            vec![Op::Put(word_leaf(&word, vocabulary, typed.span, scope, diagnostics)?)],
            FactType::Word(vocabulary),
        )),
        (Kind::Word(word), Wanted::Any | Wanted::Type(_)) => {
            unknown_name(&word, typed.span, scope, diagnostics);
            None
        }
        (Kind::Of(fact_type), Wanted::Any) => Some((typed.ops, fact_type)),
        (Kind::Of(fact_type), Wanted::Type(wanted)) if fact_type == wanted => Some((typed.ops, fact_type)),
        (kind @ (Kind::Of(_) | Kind::Constant(_)), Wanted::Type(wanted)) => {
            let help = match (&kind, wanted) {
                (Kind::Of(FactType::Quantity(Dimension::Number)), FactType::Quantity(Dimension::Money)) => {
                    "write `money(…)` around a number of units of the order's currency"
                }
                _ => "",
            };
            diagnostics.error(
                "formula-type",
                typed.span,
                format!("expected {}, got {}", describe(wanted, scope), describe_kind(&kind, scope)),
                help,
            );
            None
        }
    }
}

fn check(expression: &Expression, scope: &Scope<'_>, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Typed> {
    let span = expression.span;
    match &expression.kind {
        ExpressionKind::Literal(text) => literal_value(text, span, diagnostics),
        ExpressionKind::Name(name) => name_value(name, span, scope, diagnostics),
        ExpressionKind::Call(name, arguments) => call(name, arguments, span, scope, diagnostics),
        ExpressionKind::Unary(operator, operand) => {
            let operand = check(operand, scope, diagnostics)?;
            unary(*operator, operand, span, scope, diagnostics)
        }
        ExpressionKind::Binary(operator, left, right) => {
            // Both sides are checked before one of them ends it.
            let (left, right) = (check(left, scope, diagnostics), check(right, scope, diagnostics));
            binary(*operator, left?, right?, span, scope, diagnostics)
        }
    }
}

/// Checks an argument of a function.
pub(super) fn argument(
    expression: &Expression,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Typed> {
    check(expression, scope, diagnostics)
}

fn literal_value(text: &str, span: Span, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Typed> {
    if let Some(number) = literal::number(text) {
        return Some(Typed { ops: vec![Op::Put(Leaf::Number(number))], kind: Kind::Constant(number), span });
    }
    for dimension in [Dimension::Elapsed, Dimension::Days, Dimension::BusinessDays] {
        if let Some(number) = literal::quantity(text, dimension) {
            return Some(quantity(vec![Op::Put(Leaf::Number(number))], dimension, span));
        }
    }
    diagnostics.error(
        "bad-literal",
        span,
        format!("`{text}` is not a number or a length of time"),
        "write numbers as `3`, `0.5`, `15%`; lengths of time as `24h`, `3 days`, `5 business_days`",
    );
    None
}

fn name_value(name: &str, span: Span, scope: &Scope<'_>, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Typed> {
    match (name, scope.context) {
        ("true", _) => return Some(flag(vec![Op::Put(Leaf::Flag(true))], span)),
        ("false", _) => return Some(flag(vec![Op::Put(Leaf::Flag(false))], span)),
        ("remaining", Context::Deduction | Context::Beside) => {
            return Some(quantity(vec![Op::Put(Leaf::Remaining)], Dimension::Money, span));
        }
        ("previous", Context::Deduction) => {
            return Some(quantity(vec![Op::Put(Leaf::Previous)], Dimension::Money, span));
        }
        ("previous", Context::Beside) => {
            let help = "use `remaining` for what the deductions leave";
            // To earlier versions it was what the deduction before the last one took.
            diagnostics.stricter_error("unknown-name", span, "`previous` means something in a deduction only", help)?;
            return Some(quantity(vec![Op::Put(Leaf::Previous)], Dimension::Money, span));
        }
        ("remaining" | "previous", Context::Fact) => {
            diagnostics.error(
                "unknown-name",
                span,
                format!("`{name}` means something in a deduction only"),
                "use `refundable` for what is left after earlier refunds",
            );
            return None;
        }
        (_, Context::Fact | Context::Deduction | Context::Beside) => {}
    }
    if scope.broken.iter().any(|broken| broken == name) {
        return None;
    }
    match scope.names.get(name).and_then(|&id| Some((id, scope.facts.get(usize::from(id.0))?))) {
        Some((id, definition)) => {
            Some(Typed { ops: vec![Op::Put(Leaf::Fact(id))], kind: Kind::Of(definition.fact_type), span })
        }
        None => Some(Typed { ops: Vec::new(), kind: Kind::Word(name.to_owned()), span }),
    }
}
