//! The rules of a plan, with the index that finds them: made together, so that they agree.

use std::ops::Deref;

use crate::plan::index::Index;
use crate::plan::rule::Rule;

/// The rules of a plan, in their order.
#[derive(Clone, PartialEq, Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    index: Index,
}

impl Rules {
    /// These rules, in this order.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        let index = Index::new(&rules);
        Self { rules, index }
    }

    /// Index of those that can still decide, by the values of single facts.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }
}

impl Deref for Rules {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        &self.rules
    }
}

impl<'r> IntoIterator for &'r Rules {
    type Item = &'r Rule;
    type IntoIter = std::slice::Iter<'r, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.rules.iter()
    }
}
