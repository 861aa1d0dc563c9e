//! Names that a formula may use, and the types of its parts.

use crate::domain::facts::FactId;
use crate::domain::money::Currency;
use crate::domain::ratio::{Ratio, RoundingMode};
use crate::plan::fact::{FactDefinition, FactType};
use crate::plan::formula::Op;
use crate::plan::vocabulary::Vocabularies;
use crate::policy::source::Span;
use std::collections::HashMap;

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

/// Presence of a business calendar in the policy.
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

/// The rounding modes by their names.
pub const ROUNDING_MODES: [(&str, RoundingMode); 5] = [
    ("half_up", RoundingMode::HalfUp),
    ("half_down", RoundingMode::HalfDown),
    ("half_even", RoundingMode::HalfEven),
    ("up", RoundingMode::Up),
    ("down", RoundingMode::Down),
];
