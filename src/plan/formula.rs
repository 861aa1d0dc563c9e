//! Formulas as they are run: a row of operations for a machine with one stack.
//!
//! One result is carried along. Most operations have a fact or a number on one side, and take it from where it stands. Only where
//! both sides are worked out does one of them wait on a stack. The checker has typed every formula and
//! measured its depth, so no operation meets an operand of another type and the stack never grows past
//! its bound.

use smallvec::SmallVec;

use crate::domain::facts::FactId;
use crate::domain::ratio::{Ratio, RoundingMode};

/// A formula.
#[derive(Clone, PartialEq, Debug)]
pub struct Formula {
    /// As the author wrote it.
    pub text: String,
    /// Operations, in order; they leave exactly one value.
    pub ops: Vec<Op>,
}

/// One operation on the result so far.
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(u8)]
pub enum Op {
    /// Begins a result; the one so far waits.
    Put(Leaf),
    /// Makes something of the result so far.
    Apply(Unary),
    /// `so far (op) leaf`.
    With(Binary, Leaf),
    /// `leaf (op) so far`.
    After(Leaf, Binary),
    /// `waiting (op) so far`, of the result that began to wait last.
    Join(Binary),
}

/// A value that is there without any operation.
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(u8)]
pub enum Leaf {
    /// The value of a fact.
    Fact(FactId),
    /// A number, in the unit of its dimension.
    Number(Ratio),
    /// A word.
    Word(u16),
    /// A flag.
    Flag(bool),
    /// Amount of the line that earlier deductions have left, as money.
    Remaining,
    /// The amount of the deduction before this one, as money.
    Previous,
}

/// An operation on one value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unary {
    /// The opposite of a flag.
    Not,
    /// `-a`.
    Negate,
    /// The largest whole number not above.
    Floor,
    /// The smallest whole number not below.
    Ceil,
    /// The first moment of the day of `a`.
    StartOfDay,
    /// The last nanosecond of the day of `a`.
    EndOfDay,
    /// The first moment of the day after `a`.
    NextDay,
    /// The same time of day on the first business day not before that of `a`.
    OnOrNextBusinessDay,
}

/// An operation on two values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Binary {
    /// Of two quantities, both of which must be there.
    Numbers(Numeric),
    /// `a == b`, of quantities, words or flags.
    Equal,
    /// Both; no where either is no, even if the other is missing.
    And,
    /// Either; yes where either is yes, even if the other is missing.
    Or,
    /// `b` where `a` is missing, otherwise `a`.
    IfAbsent,
}

/// An operation on two quantities.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Numeric {
    /// `a + b`.
    Add,
    /// `a - b`.
    Subtract,
    /// `a * b`.
    Multiply,
    /// `a / b`; not computable where `b` is zero.
    Divide,
    /// The smaller of two.
    Min,
    /// The larger of two.
    Max,
    /// `round(a, increment)`.
    Round(RoundingMode),
    /// `a < b`.
    Less,
    /// `a <= b`.
    LessOrEqual,
    /// A moment so many calendar days later, at the same time of day in the policy's zone.
    AddDays,
    /// A moment so many calendar days earlier, at the same time of day in the policy's zone.
    SubtractDays,
    /// Calendar days from moment `a` to moment `b`, by their dates in the policy's zone.
    DaysBetween,
    /// Business days from moment `a` to moment `b`, by their dates in the policy's zone.
    BusinessDaysBetween,
}

/// Something of what the first operations come to.
#[must_use]
pub fn then(mut ops: Vec<Op>, op: Unary) -> Vec<Op> {
    ops.push(Op::Apply(op));
    ops
}

/// Both sides of an operation on two values. A side that is a leaf is taken from where it stands.
#[must_use]
pub fn joined(mut left: Vec<Op>, mut right: Vec<Op>, op: Binary) -> Vec<Op> {
    match (left.as_slice(), right.as_slice()) {
        (_, [Op::Put(leaf)]) => {
            left.push(Op::With(op, *leaf));
            left
        }
        ([Op::Put(leaf)], _) => {
            right.push(Op::After(*leaf, op));
            right
        }
        (_, _) => {
            left.append(&mut right);
            left.push(Op::Join(op));
            left
        }
    }
}

impl Formula {
    /// The facts it mentions, in order, each as often as it is mentioned.
    #[must_use]
    pub fn facts(&self) -> Vec<FactId> {
        let put = |leaf: &Leaf| if let Leaf::Fact(fact) = leaf { vec![*fact] } else { Vec::new() };
        let two = |_, mut left: Vec<FactId>, right| {
            left.extend(right);
            left
        };
        self.run(put, |_, facts| facts, two).unwrap_or_default()
    }

    /// Maximum number of values held at once, where every leaf waits for its turn.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.run(|_| 1, |_, depth| depth, |_, left, right| left.max(right + 1)).unwrap_or(0)
    }

    /// Runs the operations: what leaves are, and what becomes of one result or of two. `None` for a row of
    /// operations that takes more than it has put, which the checker does not leave.
    #[inline]
    pub fn run<T>(
        &self,
        mut put: impl FnMut(&Leaf) -> T,
        one: impl Fn(Unary, T) -> T,
        two: impl Fn(Binary, T, T) -> T,
    ) -> Option<T> {
        let Some((Op::Put(first), rest)) = self.ops.split_first() else { return None };
        let mut so_far = put(first);
        let mut waiting: SmallVec<[T; 4]> = SmallVec::new();
        for op in rest {
            so_far = match op {
                Op::With(op, leaf) => two(*op, so_far, put(leaf)),
                Op::After(leaf, op) => two(*op, put(leaf), so_far),
                Op::Apply(op) => one(*op, so_far),
                Op::Put(leaf) => {
                    waiting.push(so_far);
                    put(leaf)
                }
                Op::Join(op) => two(*op, waiting.pop()?, so_far),
            };
        }
        Some(so_far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A formula as it is read: every operation with its sides.
    #[derive(Clone, Debug)]
    enum Tree {
        Leaf(u16),
        One(Unary, Box<Tree>),
        Two(Binary, Box<[Tree; 2]>),
    }

    impl Tree {
        fn ops(&self) -> Vec<Op> {
            match self {
                Self::Leaf(fact) => vec![Op::Put(Leaf::Fact(FactId(*fact)))],
                Self::One(op, of) => then(of.ops(), *op),
                Self::Two(op, sides) => joined(sides[0].ops(), sides[1].ops(), *op),
            }
        }

        fn facts(&self) -> Vec<FactId> {
            match self {
                Self::Leaf(fact) => vec![FactId(*fact)],
                Self::One(_, of) => of.facts(),
                Self::Two(_, sides) => sides.iter().flat_map(Self::facts).collect(),
            }
        }

        /// Maximum number of values on a stack where every leaf is pushed in its turn.
        fn depth(&self) -> usize {
            match self {
                Self::Leaf(_) => 1,
                Self::One(_, of) => of.depth(),
                Self::Two(_, sides) => sides[0].depth().max(1 + sides[1].depth()),
            }
        }
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let numeric = |op| Binary::Numbers(op);
        let two = proptest::sample::select(vec![numeric(Numeric::Subtract), numeric(Numeric::Max), Binary::IfAbsent]);
        (0u16..9).prop_map(Tree::Leaf).prop_recursive(6, 40, 2, move |inner| {
            let one = inner.clone().prop_map(|of| Tree::One(Unary::Negate, Box::new(of)));
            let sides = (two.clone(), inner.clone(), inner);
            prop_oneof![1 => one, 6 => sides.prop_map(|(op, a, b)| Tree::Two(op, Box::new([a, b])))]
        })
    }

    proptest! {
        #[test]
        fn a_row_of_operations_does_what_was_written(tree in tree()) {
            let formula = Formula { text: String::new(), ops: tree.ops() };
            let again = formula.run(
                |leaf| {
                    let Leaf::Fact(FactId(fact)) = leaf else { panic!("{leaf:?} was not written") };
                    Tree::Leaf(*fact)
                },
                |op, of| Tree::One(op, Box::new(of)),
                |op, a, b| Tree::Two(op, Box::new([a, b])),
            );
            prop_assert_eq!(format!("{:?}", again.unwrap()), format!("{tree:?}"));
            prop_assert_eq!(formula.facts(), tree.facts());
            prop_assert_eq!(formula.depth(), tree.depth());
        }
    }
}
