//! Numbers that are whole whatever a request says: a published table may give them as `0..2`, `3..5` without a gap.

use std::ops::Bound;

use crate::domain::facts::FactId;
use crate::plan::fact::{Derived, Dimension, FactType, InputRange, Origin};
use crate::plan::formula::{Binary, Formula, Leaf, Numeric, Unary};
use crate::plan::test::Interval;
use crate::policy::check::draft::Draft;

/// Returns `true` if a formula of this dimension counts: its value is a whole number whenever there is one.
pub fn is_whole(formula: &Formula, dimension: Dimension, draft: &Draft) -> bool {
    match dimension {
        Dimension::Number | Dimension::Days | Dimension::BusinessDays => is_whole_formula(formula, draft),
        // Their units can be divided.
        Dimension::Money | Dimension::Elapsed | Dimension::Timestamp => false,
    }
}

fn is_whole_formula(formula: &Formula, draft: &Draft) -> bool {
    let leaf = |leaf: &Leaf| match leaf {
        Leaf::Fact(fact) => is_whole_fact(*fact, draft),
        Leaf::Number(number) => number.is_whole(),
        Leaf::Word(_) | Leaf::Flag(_) | Leaf::Remaining | Leaf::Previous => false,
    };
    let one = |op: Unary, whole: bool| match op {
        Unary::Floor | Unary::Ceil => true,
        Unary::Negate => whole,
        Unary::Not | Unary::StartOfDay | Unary::EndOfDay | Unary::NextDay | Unary::OnOrNextBusinessDay => false,
    };
    let two = |op: Binary, left: bool, right: bool| match op {
        Binary::Numbers(Numeric::DaysBetween | Numeric::BusinessDaysBetween) => true,
        Binary::Numbers(Numeric::Add | Numeric::Subtract | Numeric::Multiply | Numeric::Min | Numeric::Max)
        | Binary::IfAbsent => left && right,
        // A multiple of the step.
        Binary::Numbers(Numeric::Round(_)) => right,
        Binary::Numbers(
            Numeric::Divide | Numeric::Less | Numeric::LessOrEqual | Numeric::AddDays | Numeric::SubtractDays,
        )
        | Binary::Equal
        | Binary::And
        | Binary::Or => false,
    };
    formula.run(leaf, one, two).unwrap_or(false)
}

fn is_whole_fact(fact: FactId, draft: &Draft) -> bool {
    let Some(definition) = draft.facts.get(usize::from(fact.0)) else { return false };
    match (&definition.origin, definition.fact_type) {
        (Origin::Input(input), FactType::Quantity(_)) => input.range == InputRange::Count,
        // A fact uses facts above it only, so this ends.
        (Origin::Derived, FactType::Quantity(_)) => match draft.derivation(fact) {
            Some(Derived::Formula(formula)) => is_whole_formula(formula, draft),
            Some(Derived::Table { rows, otherwise }) => {
                rows.iter().map(|row| &row.value).chain([otherwise]).all(|value| is_whole_formula(value, draft))
            }
            None => false,
        },
        (Origin::Input(_) | Origin::Derived | Origin::BuiltIn(_) | Origin::Anchor | Origin::Component, _) => false,
    }
}

/// Returns `true` if no whole number lies between two ranges, nor in both.
pub fn adjoin(before: &Interval, next: &Interval) -> bool {
    let last = match before.upper {
        Bound::Included(edge) => edge.floor(),
        Bound::Excluded(edge) if edge.is_whole() => edge.floor() - 1,
        Bound::Excluded(edge) => edge.floor(),
        Bound::Unbounded => return false,
    };
    let first = match next.lower {
        Bound::Included(edge) if edge.is_whole() => edge.floor(),
        Bound::Included(edge) | Bound::Excluded(edge) => edge.floor() + 1,
        Bound::Unbounded => return false,
    };
    first == last + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ratio::Ratio;

    #[test]
    fn neighbours_adjoin_where_no_whole_number_lies_between_them() {
        let included = |edge: i128| Bound::Included(Ratio::whole(edge));
        let excluded = |edge: i128| Bound::Excluded(Ratio::whole(edge));
        let half = Bound::Excluded(Ratio::fraction(5, 2).unwrap());
        for (upper, lower, expected) in [
            (included(2), included(3), true),
            (included(2), included(4), false),
            (included(2), excluded(2), true),
            (included(2), excluded(3), false),
            (excluded(3), included(3), true),
            (excluded(3), excluded(3), false),
            (excluded(3), included(2), false),
            (half, included(3), true),
            (included(2), half, true),
            (included(-3), included(-2), true),
        ] {
            let before = Interval { lower: Bound::Unbounded, upper };
            let next = Interval { lower, upper: Bound::Unbounded };
            assert_eq!(adjoin(&before, &next), expected, "{upper:?} {lower:?}");
        }
    }
}
