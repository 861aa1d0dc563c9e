//! Formulas as they are run: a row of operations for a machine with one stack.
//!
//! The checker has typed every formula and measured its depth, so no operation meets an operand
//! of another type and the stack never grows past its bound.

use crate::domain::exact::{Exact, RoundingMode};
use crate::domain::facts::FactId;

/// A formula.
#[derive(Clone, PartialEq, Debug)]
pub struct Formula {
    /// As the author wrote it.
    pub text: String,
    /// What is done, in order; leaves exactly one value.
    pub ops: Vec<Op>,
}

/// One operation. Operands are taken from the top of the stack, the last one first.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Op {
    /// Puts the value of a fact.
    Fact(FactId),
    /// Puts a number, in the unit of its dimension.
    Number(Exact),
    /// Puts a word.
    Word(u16),
    /// Puts a flag.
    Flag(bool),
    /// Puts what earlier deductions have left of the line, as money.
    Remaining,
    /// Puts the amount of the deduction before this one, as money.
    Previous,
    /// `a + b`.
    Add,
    /// `a - b`.
    Subtract,
    /// `a * b`.
    Multiply,
    /// `a / b`; not computable where `b` is zero.
    Divide,
    /// `-a`.
    Negate,
    /// The smaller of two.
    Min,
    /// The larger of two.
    Max,
    /// The largest whole number not above.
    Floor,
    /// The smallest whole number not below.
    Ceil,
    /// `round(a, increment)`.
    Round(RoundingMode),
    /// `a == b`, of quantities, words or flags.
    Equal,
    /// `a < b`.
    Less,
    /// `a <= b`.
    LessOrEqual,
    /// Both; no where either is no, even if the other is missing.
    And,
    /// Either; yes where either is yes, even if the other is missing.
    Or,
    /// The opposite.
    Not,
    /// `b` where `a` is missing, otherwise `a`.
    IfAbsent,
    /// A moment so many calendar days later, at the same time of day in the policy's zone.
    AddDays,
    /// A moment so many calendar days earlier, at the same time of day in the policy's zone.
    SubtractDays,
    /// Calendar days from moment `a` to moment `b`, by their dates in the policy's zone.
    DaysBetween,
    /// Business days from moment `a` to moment `b`, by their dates in the policy's zone.
    BusinessDaysBetween,
    /// The first moment of the day of `a`.
    StartOfDay,
    /// The last nanosecond of the day of `a`.
    EndOfDay,
    /// The first moment of the day after `a`.
    NextDay,
}

impl Op {
    /// How many values it takes.
    #[must_use]
    pub const fn operands(self) -> usize {
        match self {
            Self::Fact(_) | Self::Number(_) | Self::Word(_) | Self::Flag(_) | Self::Remaining | Self::Previous => 0,
            Self::Negate | Self::Floor | Self::Ceil | Self::Not | Self::StartOfDay | Self::EndOfDay | Self::NextDay => {
                1
            }
            Self::Add
            | Self::Subtract
            | Self::Multiply
            | Self::Divide
            | Self::Min
            | Self::Max
            | Self::Round(_)
            | Self::Equal
            | Self::Less
            | Self::LessOrEqual
            | Self::And
            | Self::Or
            | Self::IfAbsent
            | Self::AddDays
            | Self::SubtractDays
            | Self::DaysBetween
            | Self::BusinessDaysBetween => 2,
        }
    }
}

impl Formula {
    /// The facts it mentions, in order, each as often as it is mentioned.
    pub fn facts(&self) -> impl Iterator<Item = FactId> + '_ {
        self.ops.iter().filter_map(|op| if let Op::Fact(fact) = op { Some(*fact) } else { None })
    }
}
