//! Runs formulas: a stack, exact numbers, three ways to end.
//!
//! A result is a value, a missing fact, or a fault. Nothing here knows what a formula is for.

use smallvec::{SmallVec, smallvec};

use crate::domain::facts::{FactId, Value};
use crate::domain::ratio::{Overflow, Ratio, Rounding, RoundingMode, SmallRatio};
use crate::domain::time::{Day, Timestamp};
use crate::plan::Plan;
use crate::plan::formula::{Binary, Formula, Leaf, Numeric, Op, Unary};

/// Reason why a formula has no result on these facts although none is missing; in the order of their reason codes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// A division by zero, a number too large, a date beyond the calendar of the world.
    NotComputable,
    /// A date beyond what the business calendar covers.
    BeyondCalendar,
}

impl From<Overflow> for Fault {
    fn from(_: Overflow) -> Self {
        Self::NotComputable
    }
}

/// A value; `None` where a fact is missing.
pub type Evaluated = Result<Option<Value>, Fault>;

/// Source of the values of facts for a formula.
pub trait Environment {
    /// The value of a fact; `None` where it is missing.
    fn fact(&mut self, fact: FactId) -> Result<Option<&Value>, Fault>;
    /// Amount left by earlier deductions, in billionths of a unit; `None` where one of them is not known.
    fn remaining(&self) -> Option<Ratio>;
    /// Amount taken by the deduction before, in billionths of a unit; `None` where it is not known.
    fn previous(&self) -> Option<Ratio>;
}

/// Runs a formula.
#[inline]
pub fn run(formula: &Formula, plan: &Plan, environment: &mut impl Environment) -> Evaluated {
    match formula.ops.as_slice() {
        // A lone fact is the common case, then a lone word or number.
        [Op::Put(Leaf::Fact(fact))] => environment.fact(*fact).map(Option::<&Value>::copied),
        [Op::Put(leaf)] => put(leaf, environment),
        _ => match carried(formula, environment) {
            Some(short) => number(short.into()),
            None => at_length(formula, plan, environment),
        },
    }
}

/// The result of a formula that carries one number of 64 bits through sums, products and bounds; `None` where
/// anything else is met, and the long way is to be taken.
#[inline]
pub fn carried(formula: &Formula, environment: &mut impl Environment) -> Option<SmallRatio> {
    let Some((Op::Put(first), rest)) = formula.ops.split_first() else { return None };
    let mut so_far = short(first, environment)?;
    for op in rest {
        let (Op::With(Binary::Numbers(numeric), leaf) | Op::After(leaf, Binary::Numbers(numeric))) = op else {
            return None;
        };
        let leaf = short(leaf, environment)?;
        let (a, b) = if let Op::After(..) = op { (leaf, so_far) } else { (so_far, leaf) };
        so_far = match numeric {
            Numeric::Add => a.plus(b)?,
            Numeric::Subtract => a.minus(b)?,
            Numeric::Multiply => a.times(b)?,
            Numeric::Min => a.min(b),
            Numeric::Max => a.max(b),
            Numeric::Divide
            | Numeric::Round(_)
            | Numeric::Less
            | Numeric::LessOrEqual
            | Numeric::AddDays
            | Numeric::SubtractDays
            | Numeric::DaysBetween
            | Numeric::BusinessDaysBetween => return None,
        };
    }
    Some(so_far)
}

/// A leaf that is a number of 64 bits.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it mostly reads one value, and a call takes longer")]
fn short(leaf: &Leaf, environment: &mut impl Environment) -> Option<SmallRatio> {
    if let Leaf::Fact(fact) = leaf {
        return if let Ok(Some(Value::Quantity(number))) = environment.fact(*fact) { number.short() } else { None };
    }
    match leaf {
        Leaf::Number(number) => number.short(),
        Leaf::Remaining => environment.remaining()?.short(),
        Leaf::Previous => environment.previous()?.short(),
        Leaf::Fact(_) | Leaf::Word(_) | Leaf::Flag(_) => None,
    }
}

/// Runs any formula, with numbers of any length.
#[inline(never)]
fn at_length(formula: &Formula, plan: &Plan, environment: &mut impl Environment) -> Evaluated {
    formula
        .run(|leaf| put(leaf, environment), |op, a| unary(op, a, plan), |op, a, b| binary(op, a, b, plan))
        .unwrap_or(Err(Fault::NotComputable))
}

/// The missing facts because of which a formula has no value: not those that a decisive side of `and` or `or`, or the value
/// of `if_absent`, makes up for.
pub fn wanting(formula: &Formula, plan: &Plan, environment: &mut impl Environment) -> SmallVec<[FactId; 2]> {
    type Wanting = (Evaluated, SmallVec<[FactId; 2]>);
    let of = |result: Evaluated, facts| (result, if result == Ok(None) { facts } else { SmallVec::new() });
    let put = |leaf: &Leaf| {
        let facts = if let Leaf::Fact(fact) = leaf { smallvec![*fact] } else { SmallVec::new() };
        of(put(leaf, environment), facts)
    };
    let one = |op, (a, facts): Wanting| of(unary(op, a, plan), facts);
    let two = |op, (a, mut facts): Wanting, (b, of_b): Wanting| {
        facts.extend(of_b);
        of(binary(op, a, b, plan), facts)
    };
    formula.run(put, one, two).map(|(_, facts)| facts).unwrap_or_default()
}

#[inline]
fn put(leaf: &Leaf, environment: &mut impl Environment) -> Evaluated {
    match leaf {
        Leaf::Fact(fact) => environment.fact(*fact).map(Option::<&Value>::copied),
        Leaf::Number(number) => Ok(Some(Value::Quantity(*number))),
        Leaf::Word(word) => Ok(Some(Value::Word(*word))),
        Leaf::Flag(flag) => Ok(Some(Value::Flag(*flag))),
        Leaf::Remaining => Ok(environment.remaining().map(Value::Quantity)),
        Leaf::Previous => Ok(environment.previous().map(Value::Quantity)),
    }
}

fn number(value: Ratio) -> Evaluated {
    Ok(Some(Value::Quantity(value)))
}

fn unary(op: Unary, a: Evaluated, plan: &Plan) -> Evaluated {
    let Some(a) = a? else { return Ok(None) };
    match (op, a) {
        (Unary::Not, Value::Flag(flag)) => Ok(Some(Value::Flag(!flag))),
        (Unary::Negate, Value::Quantity(a)) => number(a.negate()?),
        (Unary::Floor, Value::Quantity(a)) => number(Ratio::whole(a.floor())),
        (Unary::Ceil, Value::Quantity(a)) => number(Ratio::whole(a.ceil())),
        (Unary::StartOfDay, Value::Quantity(a)) => number(start(a, 0, plan)?),
        (Unary::NextDay, Value::Quantity(a)) => number(start(a, 1, plan)?),
        (Unary::OnOrNextBusinessDay, Value::Quantity(a)) => number(on_or_next_business_day(a, plan)?),
        (Unary::EndOfDay, Value::Quantity(a)) => number(start(a, 1, plan)?.minus(Ratio::ONE)?),
        // The checker gives operations operands of their types.
        (
            Unary::Not
            | Unary::Negate
            | Unary::Floor
            | Unary::Ceil
            | Unary::StartOfDay
            | Unary::NextDay
            | Unary::OnOrNextBusinessDay
            | Unary::EndOfDay,
            _,
        ) => Err(Fault::NotComputable),
    }
}

#[inline]
fn binary(op: Binary, a: Evaluated, b: Evaluated, plan: &Plan) -> Evaluated {
    match op {
        Binary::Numbers(op) => match (a?, b?) {
            (Some(Value::Quantity(a)), Some(Value::Quantity(b))) => numbers(op, a, b, plan),
            (None, _) | (_, None) => Ok(None),
            (Some(_), Some(_)) => Err(Fault::NotComputable),
        },
        Binary::Equal => Ok(a?.zip(b?).map(|(a, b)| Value::Flag(a == b))),
        Binary::And => either(a, b, false),
        Binary::Or => either(a, b, true),
        Binary::IfAbsent => {
            if a?.is_none() {
                b
            } else {
                a
            }
        }
    }
}

/// `and` with `decisive = false`, `or` with `decisive = true`: one decisive side is enough, even
/// beside a missing one.
fn either(a: Evaluated, b: Evaluated, decisive: bool) -> Evaluated {
    let decides = |side: &Evaluated| matches!(side, Ok(Some(Value::Flag(flag))) if *flag == decisive);
    if decides(&a) || decides(&b) {
        return Ok(Some(Value::Flag(decisive)));
    }
    match (a?, b?) {
        (Some(_), Some(_)) => Ok(Some(Value::Flag(!decisive))),
        (None, _) | (_, None) => Ok(None),
    }
}

#[inline]
fn numbers(op: Numeric, a: Ratio, b: Ratio, plan: &Plan) -> Evaluated {
    match op {
        Numeric::Add => number(a.plus(b)?),
        Numeric::Subtract => number(a.minus(b)?),
        Numeric::Multiply => number(a.times(b)?),
        Numeric::Divide => number(a.over(b).ok_or(Fault::NotComputable)??),
        Numeric::Min => number(a.min(b)),
        Numeric::Max => number(a.max(b)),
        Numeric::Round(mode) => number(round(a, b, mode)?),
        Numeric::Less => Ok(Some(Value::Flag(a < b))),
        Numeric::LessOrEqual => Ok(Some(Value::Flag(a <= b))),
        Numeric::AddDays => number(shifted(a, b, plan)?),
        Numeric::SubtractDays => number(shifted(a, b.negate()?, plan)?),
        Numeric::DaysBetween => {
            number(Ratio::whole(i128::from(day(b, plan)?.number()) - i128::from(day(a, plan)?.number())))
        }
        Numeric::BusinessDaysBetween => {
            let calendar = plan.calendar.as_ref().ok_or(Fault::BeyondCalendar)?;
            let days = calendar.business_days_between(day(a, plan)?, day(b, plan)?).ok_or(Fault::BeyondCalendar)?;
            number(Ratio::whole(i128::from(days)))
        }
    }
}

fn round(value: Ratio, increment: Ratio, mode: RoundingMode) -> Result<Ratio, Fault> {
    Ok(value.round(Rounding { increment, mode })?)
}

/// A moment from its nanoseconds; those of a formula may lie between two or outside of all years.
fn moment(nanos: Ratio) -> Result<Timestamp, Fault> {
    Timestamp::from_nanos(nanos.floor()).ok_or(Fault::NotComputable)
}

fn day(nanos: Ratio, plan: &Plan) -> Result<Day, Fault> {
    plan.zone.day_at(moment(nanos)?).ok_or(Fault::NotComputable)
}

/// The first moment of the day so many days after that of a moment.
fn start(nanos: Ratio, days_later: i32, plan: &Plan) -> Result<Ratio, Fault> {
    let date = day(nanos, plan)?.plus(days_later).and_then(Day::date).ok_or(Fault::NotComputable)?;
    plan.zone.start_of(date).map(Ratio::whole).ok_or(Fault::NotComputable)
}

/// The same time of day on the first business day not before that of the moment.
fn on_or_next_business_day(nanos: Ratio, plan: &Plan) -> Result<Ratio, Fault> {
    let calendar = plan.calendar.as_ref().ok_or(Fault::BeyondCalendar)?;
    let today = day(nanos, plan)?;
    let worked = calendar.business_day_from(today).ok_or(Fault::BeyondCalendar)?;
    shifted(nanos, Ratio::whole(i128::from(worked.number()) - i128::from(today.number())), plan)
}

/// The same time of day, so many calendar days later.
fn shifted(nanos: Ratio, days: Ratio, plan: &Plan) -> Result<Ratio, Fault> {
    let days = if days.is_whole() { i64::try_from(days.numerator()).ok() } else { None }.ok_or(Fault::NotComputable)?;
    plan.zone.days_later(moment(nanos)?, days).map(Ratio::whole).ok_or(Fault::NotComputable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::formula::{joined, then};
    use proptest::prelude::*;

    /// Facts by their places; the first is missing, the second not computable.
    struct Known(Vec<Evaluated>);

    impl Environment for Known {
        fn fact(&mut self, FactId(fact): FactId) -> Result<Option<&Value>, Fault> {
            self.0[usize::from(fact)].as_ref().map(Option::as_ref).map_err(|fault| *fault)
        }

        fn remaining(&self) -> Option<Ratio> {
            Some(Ratio::whole(7))
        }

        fn previous(&self) -> Option<Ratio> {
            None
        }
    }

    /// Numbers on both sides of 64 bits, and what is no number.
    fn known() -> impl Strategy<Value = Vec<Evaluated>> {
        let near = (-40i128..40, 1i128..9);
        let wide = (prop_oneof![proptest::num::i64::ANY, Just(i64::MIN), Just(i64::MAX)], 1i64..=i64::MAX)
            .prop_map(|(numerator, denominator)| (numerator.into(), denominator.into()));
        let wider = (proptest::num::i128::ANY.prop_map(|n| n / 2), 1i128..=i128::MAX / 2);
        let quantity = prop_oneof![6 => near, 2 => wide, 1 => wider]
            .prop_map(|(numerator, denominator)| number(Ratio::fraction(numerator, denominator).unwrap()));
        proptest::collection::vec(quantity, 6).prop_map(|quantities| {
            [Ok(None), Err(Fault::NotComputable), Ok(Some(Value::Flag(true)))].into_iter().chain(quantities).collect()
        })
    }

    fn leaf() -> impl Strategy<Value = Vec<Op>> {
        let leaf = prop_oneof![
            2 => (0u16..9).prop_map(|fact| Leaf::Fact(FactId(fact))),
            9 => (3u16..9).prop_map(|fact| Leaf::Fact(FactId(fact))),
            2 => (-9i128..9).prop_map(|whole| Leaf::Number(Ratio::whole(whole))),
            1 => Just(Leaf::Remaining),
        ];
        leaf.prop_map(|leaf| vec![Op::Put(leaf)])
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = proptest::sample::select(vec![
            Numeric::Add,
            Numeric::Subtract,
            Numeric::Multiply,
            Numeric::Divide,
            Numeric::Min,
            Numeric::Max,
        ]);
        leaf().prop_recursive(4, 10, 2, move |inner| {
            let joined = |(op, a, b)| joined(a, b, Binary::Numbers(op));
            prop_oneof![
                4 => (op.clone(), inner.clone(), leaf()).prop_map(joined),
                4 => (op.clone(), leaf(), inner.clone()).prop_map(joined),
                1 => (op.clone(), inner.clone(), inner.clone()).prop_map(joined),
                1 => inner.prop_map(|ops| then(ops, Unary::Floor)),
            ]
        })
    }

    /// Result of a formula of numbers, by operations on numbers of any length.
    fn long(formula: &Formula, environment: &mut Known) -> Evaluated {
        let one = |_, a: Evaluated| match a? {
            Some(Value::Quantity(a)) => number(Ratio::whole(a.floor())),
            Some(_) => Err(Fault::NotComputable),
            None => Ok(None),
        };
        let two = |op, a: Evaluated, b: Evaluated| {
            let (Some(a), Some(b)) = (a?, b?) else { return Ok(None) };
            let (Value::Quantity(a), Value::Quantity(b)) = (a, b) else { return Err(Fault::NotComputable) };
            let Binary::Numbers(op) = op else { panic!("{op:?} is not among the operations above") };
            number(match op {
                Numeric::Add => a.plus(b)?,
                Numeric::Subtract => a.minus(b)?,
                Numeric::Multiply => a.times(b)?,
                Numeric::Divide => a.over(b).ok_or(Fault::NotComputable)??,
                Numeric::Min => a.min(b),
                Numeric::Max => a.max(b),
                Numeric::Round(_)
                | Numeric::Less
                | Numeric::LessOrEqual
                | Numeric::AddDays
                | Numeric::SubtractDays
                | Numeric::DaysBetween
                | Numeric::BusinessDaysBetween => panic!("{op:?} is not among the operations above"),
            })
        };
        formula.run(|leaf| put(leaf, environment), one, two).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn what_is_carried_is_what_the_long_way_comes_to(facts in known(), ops in ops()) {
            let formula = Formula { text: String::new(), ops };
            let mut environment = Known(facts);
            if let Some(short) = carried(&formula, &mut environment) {
                prop_assert_eq!(number(short.into()), long(&formula, &mut environment), "{:?}", formula.ops);
            }
        }
    }

    #[test]
    fn usual_formulas_are_carried() {
        let fact = |fact| vec![Op::Put(Leaf::Fact(FactId(fact)))];
        let numbers = |a, b, op| joined(a, b, Binary::Numbers(op));
        let share = numbers(fact(0), fact(1), Numeric::Multiply);
        let late = numbers(fact(0), numbers(fact(2), fact(0), Numeric::Add), Numeric::Subtract);
        let late = numbers(vec![Op::Put(Leaf::Number(Ratio::ZERO))], late, Numeric::Max);
        let quantity = |numerator, denominator| number(Ratio::fraction(numerator, denominator).unwrap());
        let mut facts = Known(vec![quantity(200_000_000_000, 1), quantity(3, 8), quantity(-90, 1)]);
        for (ops, expected) in [(share, 75_000_000_000), (late, 90)] {
            let carried = carried(&Formula { text: String::new(), ops }, &mut facts).map(Ratio::from);
            assert_eq!(carried, Some(Ratio::whole(expected)));
        }
    }
}
