//! The types of operators: which operands they take, and what comes out.

use crate::domain::ratio::Ratio;
use crate::plan::fact::{Dimension, FactType};
use crate::plan::formula::{Binary, Leaf, Numeric, Op, Unary, joined, then};
use crate::plan::vocabulary::VocabularyId;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::formula::check::finish;
use crate::policy::formula::describe::describe_kind;
use crate::policy::formula::dimension::{dimension, quantity, same_dimension, to_dimension};
use crate::policy::formula::functions::FUNCTIONS;
use crate::policy::formula::scope::{Kind, Scope, Typed, Wanted};
use crate::policy::formula::{BinaryOperator, UnaryOperator};
use crate::policy::source::Span;
use crate::policy::unknown::unknown_word;

pub(super) fn unary(
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

pub(super) fn binary(
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

pub(super) fn constant(
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

pub(super) fn arithmetic(
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

pub(super) fn equal(
    left: Typed,
    right: Typed,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Vec<Op>> {
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

pub(super) fn compare(
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

pub(super) fn word_leaf(
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

pub(super) fn unknown_name(name: &str, span: Span, scope: &Scope<'_>, diagnostics: &mut Diagnostics<'_, '_>) {
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
pub(super) fn sorted<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

pub(super) fn flag(ops: Vec<Op>, span: Span) -> Typed {
    Typed { ops, kind: Kind::Of(FactType::Flag), span }
}
