//! The types of formulas: names are resolved, like meets like, and what comes out are operations.
//!
//! Plain numbers take the dimension of what they stand beside: in `max(paid * 20%, 2.00)` the
//! `2.00` is money. Everything else must agree as written.

use std::collections::HashMap;

use crate::domain::facts::FactId;
use crate::domain::limits::FORMULA_BYTES_MAX;
use crate::domain::money::Currency;
use crate::domain::ratio::{Ratio, RoundingMode};
use crate::plan::fact::{Dimension, FactDefinition, FactType};
use crate::plan::formula::{Binary, Formula, Leaf, Numeric, Op, Unary, joined, then};
use crate::plan::vocabulary::{Vocabularies, VocabularyId};
use crate::policy::formula::describe::{describe, describe_kind};
use crate::policy::formula::dimension::{dimension, quantity, same_dimension, to_dimension};
use crate::policy::formula::functions::{FUNCTIONS, call};
use crate::policy::formula::parse;
use crate::policy::formula::{BinaryOperator, Expression, ExpressionKind, UnaryOperator};
use crate::policy::literal;
use crate::policy::read::Diagnostics;
use crate::policy::slip::has_day;
use crate::policy::source::{Located, Span};
use crate::policy::unknown::unknown_word;

/// Advice on a moment in a formula.
const MOMENT_HELP: &str = "test the moment instead: `placed_at: \"< 2026-11-01T00:00:00Z\"`";

/// Values that one formula may hold at once.
pub const FORMULA_STACK_MAX: usize = 64;

/// The names that a formula may use.
#[derive(Debug)]
pub struct Scope<'p> {
    /// All facts so far, by their places.
    pub facts: &'p [FactDefinition],
    /// The places of their names.
    pub names: &'p HashMap<String, FactId>,
    /// Names that are known but could not be read; reported already.
    pub broken: &'p [String],
    /// Names of facts that are derived only further down.
    pub later: &'p [String],
    /// The words that facts may have.
    pub vocabularies: &'p Vocabularies,
    /// The currencies that a literal amount must fit.
    pub currencies: &'p [Currency],
    /// Use of a calendar: can business days be counted?
    pub calendar: CalendarUse,
    /// Context of the formula.
    pub context: Context,
}

/// Whether the policy names a business calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CalendarUse {
    /// It does.
    Named,
    /// It does not.
    None,
}

/// Context of a formula.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// A fact or a test.
    Fact,
    /// A deduction: `remaining` and `previous` mean something.
    Deduction,
    /// An amount beside the refund: `remaining` means something.
    Beside,
}

/// A formula with its type.
#[derive(Clone, PartialEq, Debug)]
pub struct Typed {
    /// Operations.
    pub ops: Vec<Op>,
    /// Kind of the result.
    pub kind: Kind,
    /// Place in the source.
    pub span: Span,
}

/// The type of an expression.
#[derive(Clone, PartialEq, Debug)]
pub enum Kind {
    /// A value like that of a fact.
    Of(FactType),
    /// A plain number that has not met a dimension yet.
    Constant(Ratio),
    /// A name that is no fact: a word of some vocabulary, once it is known which.
    Word(String),
}

/// Type that a formula must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// Anything.
    Any,
    /// This type.
    Type(FactType),
}

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

fn unary(
    operator: UnaryOperator,
    operand: Typed,
    span: Span,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Typed> {
    match (operator, &operand.kind) {
        (UnaryOperator::Negate, Kind::Constant(number)) => {
            let number = number.negate().ok()?;
            Some(Typed { ops: vec![Op::Put(Leaf::Number(number))], kind: Kind::Constant(number), span })
        }
        (UnaryOperator::Negate, Kind::Of(FactType::Quantity(dimension))) if *dimension != Dimension::Timestamp => {
            let dimension = *dimension;
            Some(quantity(then(operand.ops, Unary::Negate), dimension, span))
        }
        (UnaryOperator::Not, Kind::Of(FactType::Flag)) => Some(flag(then(operand.ops, Unary::Not), span)),
        (UnaryOperator::Negate, _) => {
            mismatch("`-` needs a number before it can turn its sign", &operand, scope, diagnostics)
        }
        (UnaryOperator::Not, _) => mismatch("`not` needs a flag or a comparison", &operand, scope, diagnostics),
    }
}

pub(super) fn mismatch(
    rule: &str,
    operand: &Typed,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Typed> {
    if let Kind::Word(word) = &operand.kind {
        unknown_name(word, operand.span, scope, diagnostics);
    } else {
        diagnostics.error(
            "formula-type",
            operand.span,
            format!("{rule}, got {}", describe_kind(&operand.kind, scope)),
            "",
        );
    }
    None
}

fn binary(
    operator: BinaryOperator,
    left: Typed,
    right: Typed,
    span: Span,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Typed> {
    match operator {
        BinaryOperator::Add | BinaryOperator::Subtract | BinaryOperator::Multiply | BinaryOperator::Divide => {
            if let (Kind::Constant(a), Kind::Constant(b)) = (&left.kind, &right.kind) {
                return constant(operator, *a, *b, span, diagnostics);
            }
            arithmetic(operator, left, right, span, scope, diagnostics)
        }
        BinaryOperator::Equal => Some(flag(equal(left, right, scope, diagnostics)?, span)),
        BinaryOperator::NotEqual => Some(flag(then(equal(left, right, scope, diagnostics)?, Unary::Not), span)),
        BinaryOperator::Less => compare(left, right, Numeric::Less, span, scope, diagnostics),
        BinaryOperator::LessOrEqual => compare(left, right, Numeric::LessOrEqual, span, scope, diagnostics),
        BinaryOperator::Greater => compare(right, left, Numeric::Less, span, scope, diagnostics),
        BinaryOperator::GreaterOrEqual => compare(right, left, Numeric::LessOrEqual, span, scope, diagnostics),
        BinaryOperator::And | BinaryOperator::Or => {
            for side in [&left, &right] {
                if side.kind != Kind::Of(FactType::Flag) {
                    return mismatch(
                        &format!("`{}` needs flags or comparisons on both sides", operator.text()),
                        side,
                        scope,
                        diagnostics,
                    );
                }
            }
            let op = if operator == BinaryOperator::And { Binary::And } else { Binary::Or };
            Some(flag(joined(left.ops, right.ops, op), span))
        }
    }
}

fn constant(
    operator: BinaryOperator,
    a: Ratio,
    b: Ratio,
    span: Span,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Typed> {
    let result = match operator {
        BinaryOperator::Add => a.plus(b),
        BinaryOperator::Subtract => a.minus(b),
        BinaryOperator::Multiply => a.times(b),
        BinaryOperator::Divide
        | BinaryOperator::Equal
        | BinaryOperator::NotEqual
        | BinaryOperator::Less
        | BinaryOperator::LessOrEqual
        | BinaryOperator::Greater
        | BinaryOperator::GreaterOrEqual
        | BinaryOperator::And
        | BinaryOperator::Or => match a.over(b) {
            Some(quotient) => quotient,
            None => {
                diagnostics.error(
                    "division-by-zero",
                    span,
                    "this divides by zero",
                    "divide by a number other than zero",
                );
                return None;
            }
        },
    };
    match result {
        Ok(number) => Some(Typed { ops: vec![Op::Put(Leaf::Number(number))], kind: Kind::Constant(number), span }),
        Err(_) => {
            diagnostics.error("number-too-large", span, "this number is too large to be exact", "");
            None
        }
    }
}

fn arithmetic(
    operator: BinaryOperator,
    left: Typed,
    right: Typed,
    span: Span,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Typed> {
    use Dimension::{BusinessDays, Days, Elapsed, Money, Number, Timestamp};
    for side in [&left, &right] {
        if !matches!(side.kind, Kind::Constant(_) | Kind::Of(FactType::Quantity(_))) {
            return mismatch(&format!("`{}` needs numbers on both sides", operator.text()), side, scope, diagnostics);
        }
    }
    let scaling = matches!(operator, BinaryOperator::Multiply | BinaryOperator::Divide);
    // A plain number beside a number or money is of the same dimension when added, a factor when multiplied.
    let (left, right) = match (dimension(&left), dimension(&right)) {
        (None, Some(other)) => (to_dimension(left, if scaling { Number } else { other }, scope, diagnostics)?, right),
        (Some(other), None) => {
            let right = to_dimension(right, if scaling { Number } else { other }, scope, diagnostics)?;
            if operator == BinaryOperator::Divide
                && right.ops.iter().any(|op| matches!(op, Op::Put(Leaf::Number(number)) if number.is_zero()))
            {
                diagnostics.error(
                    "division-by-zero",
                    span,
                    "this divides by zero",
                    "divide by a number other than zero",
                );
                return None;
            }
            (left, right)
        }
        (Some(_), Some(_)) | (None, None) => (left, right),
    };
    let (a, b) = (dimension(&left)?, dimension(&right)?);
    let (op, result) = match (operator, a, b) {
        (BinaryOperator::Subtract, Timestamp, Timestamp) => (Numeric::Subtract, Elapsed),
        (BinaryOperator::Add, Timestamp, Elapsed) | (BinaryOperator::Add, Elapsed, Timestamp) => {
            (Numeric::Add, Timestamp)
        }
        (BinaryOperator::Subtract, Timestamp, Elapsed) => (Numeric::Subtract, Timestamp),
        (BinaryOperator::Add, Timestamp, Days) => (Numeric::AddDays, Timestamp),
        (BinaryOperator::Subtract, Timestamp, Days) => (Numeric::SubtractDays, Timestamp),
        (BinaryOperator::Add, Number | Money | Elapsed | Days | BusinessDays, _) if a == b => (Numeric::Add, a),
        (BinaryOperator::Subtract, Number | Money | Elapsed | Days | BusinessDays, _) if a == b => {
            (Numeric::Subtract, a)
        }
        (BinaryOperator::Multiply, Number, Number | Money | Elapsed | Days | BusinessDays) => (Numeric::Multiply, b),
        (BinaryOperator::Multiply, Money | Elapsed | Days | BusinessDays, Number) => (Numeric::Multiply, a),
        (BinaryOperator::Divide, Number | Money | Elapsed | Days | BusinessDays, Number) => (Numeric::Divide, a),
        (BinaryOperator::Divide, Money | Elapsed | Days | BusinessDays, _) if a == b => (Numeric::Divide, Number),
        _ => {
            let (left, right) = (describe_kind(&left.kind, scope), describe_kind(&right.kind, scope));
            let help = if operator == BinaryOperator::Add && a == Timestamp && b == BusinessDays {
                "compare `business_days_since(…)` instead"
            } else if operator == BinaryOperator::Multiply && a == Money && b == Money {
                "multiply by a number such as `15%`, or divide one amount by the other, which is a number"
            } else {
                ""
            };
            diagnostics.error(
                "formula-type",
                span,
                format!("`{}` does not go with {left} and {right}", operator.text()),
                help,
            );
            return None;
        }
    };
    Some(quantity(joined(left.ops, right.ops, Binary::Numbers(op)), result, span))
}

fn equal(left: Typed, right: Typed, scope: &Scope<'_>, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Vec<Op>> {
    let (left, right) = match (&left.kind, &right.kind) {
        (Kind::Of(FactType::Word(vocabulary)), Kind::Word(_)) => {
            let (vocabulary, ops) = (*vocabulary, left.ops);
            (ops, finish(right, Wanted::Type(FactType::Word(vocabulary)), scope, diagnostics)?.0)
        }
        (Kind::Word(_), Kind::Of(FactType::Word(vocabulary))) => {
            let (vocabulary, ops) = (*vocabulary, right.ops);
            (finish(left, Wanted::Type(FactType::Word(vocabulary)), scope, diagnostics)?.0, ops)
        }
        (Kind::Of(FactType::Flag), Kind::Of(FactType::Flag)) => (left.ops, right.ops),
        (Kind::Of(FactType::Word(a)), Kind::Of(FactType::Word(b))) if a == b => (left.ops, right.ops),
        _ => {
            let (left, right) = same_dimension(left, right, "==", scope, diagnostics)?;
            (left.ops, right.ops)
        }
    };
    Some(joined(left, right, Binary::Equal))
}

fn compare(
    left: Typed,
    right: Typed,
    op: Numeric,
    span: Span,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Typed> {
    let (left, right) = same_dimension(left, right, "a comparison", scope, diagnostics)?;
    Some(flag(joined(left.ops, right.ops, Binary::Numbers(op)), span))
}

fn word_leaf(
    word: &str,
    vocabulary: VocabularyId,
    span: Span,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Leaf> {
    let words = scope.vocabularies.get(vocabulary)?;
    if let Some(place) = words.place(word) {
        return Some(Leaf::Word(place));
    }
    unknown_word(word, span, &words.name, words.words(), diagnostics);
    None
}

fn unknown_name(name: &str, span: Span, scope: &Scope<'_>, diagnostics: &mut Diagnostics<'_, '_>) {
    if scope.later.iter().any(|later| later == name) {
        let message = format!("`{name}` is not derived yet where this formula uses it");
        diagnostics.error(
            "fact-order",
            span,
            message,
            "a fact may use facts above it only, so that none depends on itself",
        );
        return;
    }
    if let "any" | "all" | "any_of" | "all_of" | "or" | "and" | "not" = name {
        let message = format!("`{name}` is neither a fact nor a test");
        diagnostics.error("unknown-name", span, message, crate::policy::slip::ALTERNATIVES);
        return;
    }
    let known = scope.names.keys().map(String::as_str).chain(FUNCTIONS.iter().map(|function| function.name));
    let help = diagnostics.suggestion(name, sorted(known)).map_or_else(
        || "declare it under `inputs`, `times` or `facts`, above its use".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    diagnostics.error("unknown-name", span, format!("there is no fact `{name}`"), help);
}

/// Names come out of a hash map: sorted, the same mistake has the same report every time.
fn sorted<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

fn flag(ops: Vec<Op>, span: Span) -> Typed {
    Typed { ops, kind: Kind::Of(FactType::Flag), span }
}

/// The rounding modes by their names.
pub const ROUNDING_MODES: [(&str, RoundingMode); 5] = [
    ("half_up", RoundingMode::HalfUp),
    ("half_down", RoundingMode::HalfDown),
    ("half_even", RoundingMode::HalfEven),
    ("up", RoundingMode::Up),
    ("down", RoundingMode::Down),
];
