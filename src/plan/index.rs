//! Index of the rules that can still decide, by the values of single facts.
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
use crate::plan::index::sets::{FEW_RULES, Full, Kept, Pair, Rows};
use crate::plan::rule::Rule;

/// Index of the rules that can still decide, by the values of single facts.
#[derive(Clone, PartialEq, Debug)]
pub struct Index {
    /// Number of rules.
    rules: u32,
    /// The facts that rules test, in their order.
    columns: Vec<Column>,
    /// The sets of the columns, where there are more rules than bits in a word.
    rows: Rows,
}

/// Classes of one fact's values, and the rules that they leave.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    /// The fact.
    pub fact: FactId,
    /// Classes of its values.
    classes: Classes,
    /// The rules that they leave.
    kept: Kept,
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
    /// Up to [`FEW_RULES`]: one bit each.
    Few(u64),
    /// More rules: where to go on, and the sets that a rule must be in.
    Many { rules: Full, from: u32, pairs: SmallVec<[Pair<'i>; 8]> },
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

    /// Column of a fact; `None` where no rule tests it. Derived facts, which are looked up one by
    /// one, are the last columns.
    #[must_use]
    #[inline]
    pub fn column(&self, fact: FactId) -> Option<&Column> {
        self.columns.iter().rfind(|column| column.fact == fact)
    }

    /// All rules from a place on.
    #[must_use]
    #[inline]
    pub fn candidates(&self, from: u32) -> Candidates<'_> {
        let rules = Full(self.rules);
        let left = if self.rules as usize <= FEW_RULES {
            Left::Few(rules.word(0, 0) & u64::MAX.checked_shl(from).unwrap_or(0))
        } else {
            Left::Many { rules, from, pairs: SmallVec::new() }
        };
        Candidates { index: self, left }
    }

    /// Size of the index, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let columns = self.columns.iter().map(|column| column.kept.bytes() + column.classes.bytes());
        self.rows.bytes() + columns.sum::<usize>()
    }
}

impl Column {
    /// The rules that a value leaves, one bit each, where there are few; `None` is a missing fact.
    #[inline]
    fn few(&self, value: Option<&Value>) -> u64 {
        let Kept::Few { absent, of_class } = &self.kept else { return u64::MAX };
        let Some(value) = value else { return *absent };
        match self.classes.class(value) {
            Some(class) => of_class.get(class).copied().unwrap_or(0),
            // A value of another type than the tests': they all say no, each for itself.
            None => u64::MAX,
        }
    }
}

impl<'i> Candidates<'i> {
    /// Leaves only those rules that a fact does not say *no* to; `None` is a missing fact.
    #[inline]
    pub fn narrow(&mut self, column: &'i Column, value: Option<&Value>) {
        match &mut self.left {
            Left::Few(left) => *left &= column.few(value),
            Left::Many { .. } => self.narrow_many(column, value),
        }
    }

    /// Leaves only those rules that none of the facts of the first columns, before a fact, says *no* to.
    #[inline]
    pub fn narrow_before<'v>(&mut self, end: FactId, value: impl Fn(FactId) -> Option<&'v Value>) {
        let index = self.index;
        let columns = index.columns.iter().take_while(|column| column.fact < end);
        match &mut self.left {
            Left::Few(left) => *left = columns.fold(*left, |left, column| left & column.few(value(column.fact))),
            Left::Many { .. } => columns.for_each(|column| self.narrow_many(column, value(column.fact))),
        }
    }

    #[inline(never)]
    fn narrow_many(&mut self, column: &'i Column, value: Option<&Value>) {
        let (Kept::Many { absent, always, of_class }, Left::Many { pairs, .. }) = (&column.kept, &mut self.left) else {
            return;
        };
        let class = value.map(|value| column.classes.class(value));
        pairs.push(match class {
            None => self.index.rows.pair(Some(*absent), None),
            Some(Some(class)) => self.index.rows.pair(of_class.get(class).copied(), Some(*always)),
            // A value of another type than the tests': they all say no, each for itself.
            Some(None) => return,
        });
    }

    /// The first rule left; it is not handed out again.
    #[inline]
    pub fn take_first(&mut self) -> Option<u32> {
        match &mut self.left {
            Left::Few(left) => {
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
