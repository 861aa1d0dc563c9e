//! From a request to facts: every field held against the plan, every bad one named.

use crate::domain::facts::Facts;
use crate::domain::request::{FieldViolation, Request};
use crate::plan::Plan;

/// What the facts are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A decision: at least one line, and everything adds up.
    Decision,
    /// An assessment of evidence: the order may be given in part, or by its id only.
    Evidence,
}

/// Turns a request into facts for this plan. Either all fields are good, or every bad one is named.
pub fn intake<'a>(plan: &Plan, request: &Request<'a>, purpose: Purpose) -> Result<Facts<'a>, Vec<FieldViolation>> {
    let _ = (plan, request, purpose);
    todo!("written next")
}
