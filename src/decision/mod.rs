//! From facts to a decision, under a plan: pure and total.

pub mod explain;
pub mod intake;

use crate::domain::decision::{Decision, EvidenceReport, ReasonCodes};
use crate::domain::facts::Facts;
use crate::plan::Plan;
use smallvec::SmallVec;

pub use intake::{Purpose, intake};

/// Decides a claim. Never fails: what cannot be decided is an outcome of its own.
pub fn decide(plan: &Plan, facts: &Facts<'_>, recorder: &mut impl explain::Recorder) -> Decision {
    let _ = (plan, facts, recorder);
    todo!("written next")
}

/// Whether the material of a claim is enough for its reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvidenceAssessment {
    /// Why it is not enough; empty where it is. The first is the primary one.
    pub reason_codes: ReasonCodes,
    /// How the evidence and the text stand.
    pub report: EvidenceReport,
    /// What the customer can do next, as places in the plan's next steps.
    pub next_steps: SmallVec<[u16; 4]>,
}

/// Holds the evidence and the text of a claim against what its reason asks for, whatever the
/// stage of the order.
pub fn assess_evidence(plan: &Plan, facts: &Facts<'_>) -> EvidenceAssessment {
    let _ = (plan, facts);
    todo!("written next")
}
