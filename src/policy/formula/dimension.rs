//! Dimensions of the numbers of a formula, and how a plain number gets to count something.

use crate::domain::ratio::Ratio;
use crate::plan::fact::{Dimension, FactType, NANOS_PER_UNIT};
use crate::plan::formula::{Leaf, Op};
use crate::policy::diagnostics::Diagnostics;
use crate::policy::formula::describe::describe_kind;
use crate::policy::formula::operators::mismatch;
use crate::policy::formula::scope::{Kind, Scope, Typed};
use crate::policy::literal;
use crate::policy::source::Span;

/// Dimension of a value; `None` where it is no quantity, or a plain number that has not met one.
pub(super) fn dimension(typed: &Typed) -> Option<Dimension> {
    match typed.kind {
        Kind::Of(FactType::Quantity(dimension)) => Some(dimension),
        Kind::Of(FactType::Flag | FactType::Word(_) | FactType::Set(_) | FactType::Text)
        | Kind::Constant(_)
        | Kind::Word(_) => None,
    }
}

/// A quantity of this dimension.
pub(super) fn quantity(ops: Vec<Op>, dimension: Dimension, span: Span) -> Typed {
    Typed { ops, kind: Kind::Of(FactType::Quantity(dimension)), span }
}

/// Gives both sides one dimension, as `min`, `max` and comparisons need it.
pub(super) fn same_dimension(
    left: Typed,
    right: Typed,
    what: &str,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<(Typed, Typed)> {
    for side in [&left, &right] {
        if !matches!(side.kind, Kind::Constant(_) | Kind::Of(FactType::Quantity(_))) {
            mismatch(&format!("`{what}` needs values of one kind on both sides"), side, scope, diagnostics);
            return None;
        }
    }
    match (dimension(&left), dimension(&right)) {
        (None, None) => Some((
            to_dimension(left, Dimension::Number, scope, diagnostics)?,
            to_dimension(right, Dimension::Number, scope, diagnostics)?,
        )),
        (None, Some(other)) => Some((to_dimension(left, other, scope, diagnostics)?, right)),
        (Some(other), None) => {
            let right = to_dimension(right, other, scope, diagnostics)?;
            Some((left, right))
        }
        (Some(a), Some(b)) if a == b => Some((left, right)),
        (Some(_), Some(_)) => {
            let (kinds, span) =
                ((describe_kind(&left.kind, scope), describe_kind(&right.kind, scope)), left.span.to(right.span));
            diagnostics.error(
                "formula-type",
                span,
                format!("{} and {} cannot be compared", kinds.0, kinds.1),
                "both sides must count the same thing",
            );
            None
        }
    }
}

/// Makes a plain number one of a dimension; leaves everything else as it is.
pub(super) fn to_dimension(
    typed: Typed,
    dimension: Dimension,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Typed> {
    let Kind::Constant(number) = typed.kind else { return Some(typed) };
    let scaled = match dimension {
        Dimension::Number => number,
        Dimension::Money => {
            let written = diagnostics
                .sources
                .text(typed.span.file)
                .get(typed.span.start as usize..typed.span.end as usize)
                .unwrap_or("");
            if written.contains('%') {
                let message = format!("expected an amount of money, got the share `{written}`");
                diagnostics.error(
                    "formula-type",
                    typed.span,
                    message,
                    "say what it is a share of, such as `paid * 20%`; tiers say it with the key `of`",
                );
                return None;
            }
            let Ok(nanos) = number.times(Ratio::whole(NANOS_PER_UNIT)) else {
                diagnostics.error("number-too-large", typed.span, "this amount is too large to be exact", "");
                return None;
            };
            check_minor_unit(number, nanos, typed.span, scope, diagnostics)?;
            nanos
        }
        Dimension::Elapsed | Dimension::Days | Dimension::BusinessDays | Dimension::Timestamp => {
            let message = format!("expected {}, got the plain number `{number}`", literal::example(dimension));
            diagnostics.error("formula-type", typed.span, message, "give it its unit");
            return None;
        }
    };
    Some(quantity(vec![Op::Put(Leaf::Number(scaled))], dimension, typed.span))
}

/// `nanos` are the number in billionths, of which every minor unit is so many.
fn check_minor_unit(
    number: Ratio,
    nanos: Ratio,
    span: Span,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<()> {
    for currency in scope.currencies {
        let whole = nanos.is_whole() && nanos.numerator() % i128::from(currency.nanos_per_minor()) == 0;
        if !whole {
            let message = format!("the amount `{number}` is finer than the minor unit of {currency}");
            diagnostics.error(
                "amount-too-fine",
                span,
                message,
                format!("write at most {} decimal places for {currency}", currency.exponent),
            );
            return None;
        }
    }
    Some(())
}
