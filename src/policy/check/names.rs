//! The names that rules may use beside facts: requirements, next steps, kinds of deduction, amounts of the order.

use crate::plan::evidence::Requirement;
use crate::plan::rule::{Extra, NextStep};
use crate::policy::check::draft::broken_requirements;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::Policy;
use crate::policy::read::Slug;
use crate::policy::unknown::unknown_word;

/// The names that a rule may use beside facts.
pub struct Names {
    pub(super) requirements: Vec<String>,
    next_steps: Vec<String>,
    /// Names of the above that are declared but could not be read; reported already.
    pub(super) broken: Vec<String>,
    /// Kinds of deduction that no rule may take.
    pub never_deduct: Vec<String>,
    /// Amounts of the order that rules may carry.
    pub order_amounts: OrderAmounts,
}

impl Names {
    /// The names of a policy.
    pub fn new(
        policy: &Policy,
        requirements: &[Requirement],
        next_steps: &[NextStep],
        order_amounts: OrderAmounts,
    ) -> Self {
        Self {
            order_amounts,
            requirements: requirements.iter().map(|requirement| requirement.name.clone()).collect(),
            next_steps: next_steps.iter().map(|step| step.slug.clone()).collect(),
            broken: broken_requirements(policy)
                .iter()
                .chain(policy.next_steps.as_ref().map_or(&[][..], |table| table.broken.as_slice()))
                .cloned()
                .collect(),
            never_deduct: policy
                .never_deduct
                .as_deref()
                .unwrap_or(&[])
                .iter()
                .map(|kind| kind.text().to_owned())
                .collect(),
        }
    }

    /// The place of a next step; `None` after a report.
    pub(super) fn step(&self, slug: &Slug, diagnostics: &mut Diagnostics<'_, '_>) -> Option<u16> {
        let found = self.next_steps.iter().position(|name| name == slug.text());
        if found.is_none() && !self.broken.iter().any(|broken| broken == slug.text()) {
            unknown_word(slug.text(), slug.span(), "next step", &self.next_steps, diagnostics);
        }
        found.and_then(|place| u16::try_from(place).ok())
    }
}

/// The amounts of the order that a policy declares.
#[derive(Debug, Default)]
pub struct OrderAmounts {
    /// Those without mistakes, in their order.
    pub good: Vec<Extra>,
    /// Names of those that have mistakes, which are reported.
    pub(super) broken: Vec<String>,
}
