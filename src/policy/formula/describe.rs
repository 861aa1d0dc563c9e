//! Names of types in messages.

use crate::plan::fact::{Dimension, FactType};
use crate::policy::formula::scope::{Kind, Scope};

/// Name of a type in messages.
#[must_use]
pub fn describe(fact_type: FactType, scope: &Scope<'_>) -> String {
    let vocabulary = |id| scope.vocabularies.get(id).map_or("", |vocabulary| vocabulary.name.as_str());
    match fact_type {
        FactType::Flag => "a flag".to_owned(),
        FactType::Text => "a text".to_owned(),
        FactType::Word(id) => format!("a {}", vocabulary(id)),
        FactType::Set(id) => format!("a set of {}s", vocabulary(id)),
        FactType::Quantity(dimension) => describe_dimension(dimension).to_owned(),
    }
}

/// Name of a dimension in messages.
#[must_use]
pub const fn describe_dimension(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Number => "a number",
        Dimension::Money => "an amount of money",
        Dimension::Elapsed => "a length of time",
        Dimension::Days => "a count of calendar days",
        Dimension::BusinessDays => "a count of business days",
        Dimension::Timestamp => "a moment",
    }
}

/// Name of the type of an expression in messages.
pub(super) fn describe_kind(kind: &Kind, scope: &Scope<'_>) -> String {
    match kind {
        Kind::Of(fact_type) => describe(*fact_type, scope),
        Kind::Constant(number) => format!("the number `{number}`"),
        Kind::Word(word) => format!("the word `{word}`"),
    }
}
