//! Runs formulas: a stack, exact numbers, three ways to end.
//!
//! A result is a value, a missing fact, or a fault. Nothing here knows what a formula is for.

use smallvec::{SmallVec, smallvec};

use crate::domain::exact::{Exact, Overflow, Rounding, RoundingMode};
use crate::domain::facts::{FactId, Value};
use crate::domain::time::{Day, Timestamp};
use crate::plan::Plan;
use crate::plan::formula::{Formula, Op};

/// Why a formula has no result on these facts although none is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// Where a formula finds the values of facts.
pub trait Environment {
    /// The value of a fact.
    fn fact(&mut self, fact: FactId) -> Evaluated;
    /// What earlier deductions have left, in billionths of a unit; `None` where one of them is not known.
    fn remaining(&self) -> Option<Exact>;
    /// What the deduction before took, in billionths of a unit; `None` where it is not known.
    fn previous(&self) -> Option<Exact>;
}

type Stack = SmallVec<[Evaluated; 8]>;

/// Runs a formula.
pub fn run(formula: &Formula, plan: &Plan, environment: &mut impl Environment) -> Evaluated {
    // A lone number, word or fact is the common case, and needs no stack.
    let of_numbers = match formula.ops.as_slice() {
        [op] => return put(*op, environment),
        [a, b, op] => of_two(*a, *b, *op, environment),
        ops => of_whole(ops, environment).or_else(|| of_numbers(formula, environment)),
    };
    if let Some(number) = of_numbers {
        return Ok(Some(Value::Quantity(number)));
    }
    let mut stack = Stack::new();
    for op in &formula.ops {
        let result = match op.operands() {
            0 => put(*op, environment),
            1 => {
                let a = pop(&mut stack);
                unary(*op, a, plan)
            }
            _ => {
                let b = pop(&mut stack);
                let a = pop(&mut stack);
                binary(*op, a, b, plan)
            }
        };
        stack.push(result);
    }
    pop(&mut stack)
}

/// The result of one operation on two numbers that are there; `None` where anything is out of the ordinary, and the
/// long way is taken.
fn of_two(a: Op, b: Op, op: Op, environment: &mut impl Environment) -> Option<Exact> {
    let (Ok(Some(Value::Quantity(a))), Ok(Some(Value::Quantity(b)))) = (put(a, environment), put(b, environment))
    else {
        return None;
    };
    if op == Op::Multiply {
        a.times(b).ok()
    } else if op == Op::Subtract {
        a.minus(b).ok()
    } else if op == Op::Add {
        a.plus(b).ok()
    } else if op == Op::Max {
        Some(a.max(b))
    } else if op == Op::Min {
        Some(a.min(b))
    } else {
        None
    }
}

/// How deep the stack of whole numbers is.
const WHOLE_DEPTH: usize = 8;

/// The result of a formula that only adds and compares whole numbers of 64 bits that are all there: lengths of time,
/// moments, amounts. `None` where anything is out of the ordinary, and the long way is taken.
fn of_whole(ops: &[Op], environment: &mut impl Environment) -> Option<Exact> {
    let mut stack = [0i64; WHOLE_DEPTH];
    let mut depth = 0usize;
    for op in ops {
        if op.operands() == 0 {
            let Ok(Some(Value::Quantity(number))) = put(*op, environment) else { return None };
            *stack.get_mut(depth)? = number.whole_of_64_bits()?;
            depth += 1;
            continue;
        }
        let [a, b] = stack.get_mut(depth.checked_sub(2)?..depth)? else { return None };
        *a = if *op == Op::Add {
            a.checked_add(*b)?
        } else if *op == Op::Subtract {
            a.checked_sub(*b)?
        } else if *op == Op::Max {
            *a.max(b)
        } else if *op == Op::Min {
            *a.min(b)
        } else {
            return None;
        };
        depth -= 1;
    }
    let [result, ..] = stack;
    (depth == 1).then(|| Exact::whole(result.into()))
}

/// The result of a formula that does nothing but calculate with numbers that are all there; `None` where anything is
/// out of the ordinary, and the long way is taken.
fn of_numbers(formula: &Formula, environment: &mut impl Environment) -> Option<Exact> {
    let mut stack: SmallVec<[Exact; 6]> = SmallVec::new();
    for op in &formula.ops {
        let number = match *op {
            Op::Fact(fact) => match environment.fact(fact) {
                Ok(Some(Value::Quantity(number))) => number,
                Ok(Some(Value::Flag(_) | Value::Word(_) | Value::Set(_) | Value::Text) | None) | Err(_) => return None,
            },
            Op::Number(number) => number,
            Op::Remaining => environment.remaining()?,
            Op::Previous => environment.previous()?,
            Op::Add => two(&mut stack, Exact::plus)?,
            Op::Subtract => two(&mut stack, Exact::minus)?,
            Op::Multiply => two(&mut stack, Exact::times)?,
            Op::Min => two(&mut stack, |a, b| Ok(a.min(b)))?,
            Op::Max => two(&mut stack, |a, b| Ok(a.max(b)))?,
            Op::Word(_)
            | Op::Flag(_)
            | Op::Divide
            | Op::Negate
            | Op::Floor
            | Op::Ceil
            | Op::Round(_)
            | Op::Equal
            | Op::Less
            | Op::LessOrEqual
            | Op::And
            | Op::Or
            | Op::Not
            | Op::IfAbsent
            | Op::AddDays
            | Op::SubtractDays
            | Op::DaysBetween
            | Op::BusinessDaysBetween
            | Op::StartOfDay
            | Op::EndOfDay
            | Op::NextDay => return None,
        };
        stack.push(number);
    }
    stack.pop()
}

/// Takes two numbers and gives what they come to.
fn two(stack: &mut SmallVec<[Exact; 6]>, of: impl FnOnce(Exact, Exact) -> Result<Exact, Overflow>) -> Option<Exact> {
    let (b, a) = (stack.pop()?, stack.pop()?);
    of(a, b).ok()
}

/// The facts for want of which a formula has no value: not those that a decisive side of `and` or `or`, or the value
/// of `if_absent`, makes up for.
pub fn wanting(formula: &Formula, plan: &Plan, environment: &mut impl Environment) -> SmallVec<[FactId; 2]> {
    let mut stack: SmallVec<[(Evaluated, SmallVec<[FactId; 2]>); 8]> = SmallVec::new();
    for op in &formula.ops {
        let lost = || (Err(Fault::NotComputable), SmallVec::new());
        let (result, facts) = match op.operands() {
            0 => (put(*op, environment), if let Op::Fact(fact) = op { smallvec![*fact] } else { SmallVec::new() }),
            1 => {
                let (a, facts) = stack.pop().unwrap_or_else(lost);
                (unary(*op, a, plan), facts)
            }
            _ => {
                let (b, of_b) = stack.pop().unwrap_or_else(lost);
                let (a, mut facts) = stack.pop().unwrap_or_else(lost);
                facts.extend(of_b);
                (binary(*op, a, b, plan), facts)
            }
        };
        stack.push((result, if result == Ok(None) { facts } else { SmallVec::new() }));
    }
    stack.pop().map(|(_, facts)| facts).unwrap_or_default()
}

/// The compiler leaves no formula that takes more than it has put.
fn pop(stack: &mut Stack) -> Evaluated {
    stack.pop().unwrap_or(Err(Fault::NotComputable))
}

fn put(op: Op, environment: &mut impl Environment) -> Evaluated {
    match op {
        Op::Fact(fact) => environment.fact(fact),
        Op::Number(number) => Ok(Some(Value::Quantity(number))),
        Op::Word(word) => Ok(Some(Value::Word(word))),
        Op::Flag(flag) => Ok(Some(Value::Flag(flag))),
        Op::Remaining => Ok(environment.remaining().map(Value::Quantity)),
        Op::Previous => Ok(environment.previous().map(Value::Quantity)),
        Op::Add
        | Op::Subtract
        | Op::Multiply
        | Op::Divide
        | Op::Negate
        | Op::Min
        | Op::Max
        | Op::Floor
        | Op::Ceil
        | Op::Round(_)
        | Op::Equal
        | Op::Less
        | Op::LessOrEqual
        | Op::And
        | Op::Or
        | Op::Not
        | Op::IfAbsent
        | Op::AddDays
        | Op::SubtractDays
        | Op::DaysBetween
        | Op::BusinessDaysBetween
        | Op::StartOfDay
        | Op::EndOfDay
        | Op::NextDay => Err(Fault::NotComputable),
    }
}

fn number(value: Exact) -> Evaluated {
    Ok(Some(Value::Quantity(value)))
}

fn unary(op: Op, a: Evaluated, plan: &Plan) -> Evaluated {
    let Some(a) = a? else { return Ok(None) };
    match (op, a) {
        (Op::Not, Value::Flag(flag)) => Ok(Some(Value::Flag(!flag))),
        (Op::Negate, Value::Quantity(a)) => number(a.negate()?),
        (Op::Floor, Value::Quantity(a)) => number(Exact::whole(a.floor())),
        (Op::Ceil, Value::Quantity(a)) => number(Exact::whole(a.ceil())),
        (Op::StartOfDay, Value::Quantity(a)) => number(start(a, 0, plan)?),
        (Op::NextDay, Value::Quantity(a)) => number(start(a, 1, plan)?),
        (Op::EndOfDay, Value::Quantity(a)) => number(start(a, 1, plan)?.minus(Exact::ONE)?),
        // The checker gives operations operands of their types.
        (_, _) => Err(Fault::NotComputable),
    }
}

fn binary(op: Op, a: Evaluated, b: Evaluated, plan: &Plan) -> Evaluated {
    if op == Op::And {
        return either(a, b, false);
    }
    if op == Op::Or {
        return either(a, b, true);
    }
    if op == Op::IfAbsent {
        return if a?.is_none() { b } else { a };
    }
    let (Some(a), Some(b)) = (a?, b?) else { return Ok(None) };
    match (op, a, b) {
        (Op::Equal, a, b) => Ok(Some(Value::Flag(a == b))),
        (_, Value::Quantity(a), Value::Quantity(b)) => quantities(op, a, b, plan),
        (_, _, _) => Err(Fault::NotComputable),
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

fn quantities(op: Op, a: Exact, b: Exact, plan: &Plan) -> Evaluated {
    match op {
        Op::Add => number(a.plus(b)?),
        Op::Subtract => number(a.minus(b)?),
        Op::Multiply => number(a.times(b)?),
        Op::Divide => number(a.over(b).ok_or(Fault::NotComputable)??),
        Op::Min => number(a.min(b)),
        Op::Max => number(a.max(b)),
        Op::Round(mode) => number(round(a, b, mode)?),
        Op::Less => Ok(Some(Value::Flag(a < b))),
        Op::LessOrEqual => Ok(Some(Value::Flag(a <= b))),
        Op::AddDays => number(shifted(a, b, plan)?),
        Op::SubtractDays => number(shifted(a, b.negate()?, plan)?),
        Op::DaysBetween => {
            number(Exact::whole(i128::from(day(b, plan)?.number()) - i128::from(day(a, plan)?.number())))
        }
        Op::BusinessDaysBetween => {
            let calendar = plan.calendar.as_ref().ok_or(Fault::BeyondCalendar)?;
            let days = calendar.business_days_between(day(a, plan)?, day(b, plan)?).ok_or(Fault::BeyondCalendar)?;
            number(Exact::whole(i128::from(days)))
        }
        Op::Fact(_)
        | Op::Number(_)
        | Op::Word(_)
        | Op::Flag(_)
        | Op::Remaining
        | Op::Previous
        | Op::Negate
        | Op::Floor
        | Op::Ceil
        | Op::Equal
        | Op::And
        | Op::Or
        | Op::Not
        | Op::IfAbsent
        | Op::StartOfDay
        | Op::EndOfDay
        | Op::NextDay => Err(Fault::NotComputable),
    }
}

fn round(value: Exact, increment: Exact, mode: RoundingMode) -> Result<Exact, Fault> {
    Ok(value.round(Rounding { increment, mode })?)
}

/// A moment from its nanoseconds; those of a formula may lie between two or outside of all years.
fn moment(nanos: Exact) -> Result<Timestamp, Fault> {
    Timestamp::from_nanos(nanos.floor()).ok_or(Fault::NotComputable)
}

fn day(nanos: Exact, plan: &Plan) -> Result<Day, Fault> {
    plan.zone.day_at(moment(nanos)?).ok_or(Fault::NotComputable)
}

/// The first moment of the day so many days after that of a moment.
fn start(nanos: Exact, days_later: i32, plan: &Plan) -> Result<Exact, Fault> {
    let date = day(nanos, plan)?.plus(days_later).and_then(Day::date).ok_or(Fault::NotComputable)?;
    plan.zone.start_of(date).map(Exact::whole).ok_or(Fault::NotComputable)
}

/// The same time of day, so many calendar days later.
fn shifted(nanos: Exact, days: Exact, plan: &Plan) -> Result<Exact, Fault> {
    let days = if days.is_whole() { i64::try_from(days.numerator()).ok() } else { None }.ok_or(Fault::NotComputable)?;
    plan.zone.days_later(moment(nanos)?, days).map(Exact::whole).ok_or(Fault::NotComputable)
}
