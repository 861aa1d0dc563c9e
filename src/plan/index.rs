//! Which rules can still decide, by the values of single facts.
//!
//! For each fact that rules test, its values fall into classes, and each class knows the rules whose
//! test on the fact does not say *no* there. The rules that all facts leave are the intersection of
//! those sets, and the first of them is found by the lowest common bit. A set may hold a rule too
//! many (classes are made coarser where they would take too much room), never one too few: the rule's
//! own tests have the last word, and nothing here knows what follows from a match.

mod build;
mod classes;
mod sets;

use smallvec::SmallVec;

use crate::domain::facts::{FactId, Value};
use crate::plan::index::classes::Classes;
use crate::plan::index::sets::{Full, Pair, Sets};
use crate::plan::rule::Rule;

/// Which rules can still decide, by the values of single facts.
#[derive(Clone, PartialEq, Debug)]
pub struct Index {
    /// How many rules there are.
    rules: u32,
    /// The facts that rules test, in their order.
    columns: Vec<Column>,
    sets: Sets,
}

/// What one fact says about the rules.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    /// The fact.
    pub fact: FactId,
    /// How its values fall into classes.
    classes: Classes,
    /// The rules left where the fact is missing, as a place in the sets.
    absent: u32,
    /// The rules left whatever value the fact has.
    always: u32,
    /// For each class, the further rules left.
    of_class: Vec<u32>,
}

/// The rules left by the facts looked at so far, handed out from the first to the last.
#[derive(Debug)]
pub struct Candidates<'i> {
    index: &'i Index,
    left: Left<'i>,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack for one search, and a box would be taken from the heap"
)]
enum Left<'i> {
    /// Up to 64 rules: one bit each.
    One(u64),
    /// More rules: where to go on, and the sets that a rule must be in.
    Many { rules: Full, from: u32, pairs: SmallVec<[Pair<'i>; 8]> },
}

/// What is known of a fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// The fact is missing.
    Absent,
    /// It has this value.
    Value(Value),
}

impl Index {
    /// The index of these rules.
    #[must_use]
    pub fn new(rules: &[Rule]) -> Self {
        build::index(rules)
    }

    /// The facts that rules test, in their order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// What a fact says about the rules; `None` where no rule tests it.
    #[must_use]
    #[inline]
    pub fn column(&self, fact: FactId) -> Option<&Column> {
        self.columns.iter().find(|column| column.fact == fact)
    }

    /// All rules from a place on.
    #[must_use]
    #[inline]
    pub fn candidates(&self, from: u32) -> Candidates<'_> {
        let left = match &self.sets {
            Sets::One(_) => Left::One(Full(self.rules).word(0, 0) & u64::MAX.checked_shl(from).unwrap_or(0)),
            Sets::Many(_) => Left::Many { rules: Full(self.rules), from, pairs: SmallVec::new() },
        };
        Candidates { index: self, left }
    }

    /// How much room the sets take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let classes =
            self.columns.iter().map(|column| column.of_class.len() * size_of::<u32>() + column.classes.bytes());
        self.sets.bytes() + classes.sum::<usize>()
    }
}

impl<'i> Candidates<'i> {
    /// Leaves only those rules that a fact does not say *no* to.
    #[inline]
    pub fn narrow(&mut self, column: &'i Column, known: Known) {
        let (own, always) = match known {
            Known::Absent => (Some(column.absent), None),
            Known::Value(value) => {
                // A value of another type than the tests': they all say no, each for itself.
                let Some(class) = column.classes.class(value) else { return };
                (column.of_class.get(class).copied(), Some(column.always))
            }
        };
        match (&self.index.sets, &mut self.left) {
            (Sets::One(sets), Left::One(left)) => {
                let set = |place: Option<u32>| place.and_then(|place| sets.get(place as usize)).copied().unwrap_or(0);
                *left &= set(own) | set(always);
            }
            (Sets::Many(rows), Left::Many { pairs, .. }) => pairs.push(rows.pair(own, always)),
            (Sets::One(_), Left::Many { .. }) | (Sets::Many(_), Left::One(_)) => {}
        }
    }

    /// The first rule left; it is not handed out again.
    #[inline]
    pub fn take_first(&mut self) -> Option<u32> {
        match &mut self.left {
            Left::One(left) => {
                let first = (*left != 0).then(|| left.trailing_zeros());
                *left &= left.wrapping_sub(1);
                first
            }
            Left::Many { rules, from, pairs } => {
                let first = rules.first(*from, pairs)?;
                *from = first.saturating_add(1);
                Some(first)
            }
        }
    }
}
