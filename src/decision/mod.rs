//! From facts to a decision, under a plan: pure and total.
//!
//! The ladder of one line: find the rule, hold the claim against its demands, take the
//! deductions. Then the lines are put together, and the money goes back to where it came from.
//! There is no clock, no randomness and no input but the arguments.

mod beside;
mod claim;
mod components;
mod decided;
mod deduct;
mod evaluate;
pub mod evidence;
pub mod explain;
mod field;
pub mod intake;
mod line;
mod machine;
mod search;
mod settle;
mod tenders;
mod text;
mod together;
pub mod version;
mod window;

use smallvec::SmallVec;

use crate::decision::claim::Claim;
use crate::decision::evidence::Material;
use crate::decision::explain::Recorder;
use crate::domain::decision::{Decision, EvidenceReport, EvidenceVerdict, ReasonCodes};
use crate::domain::facts::Facts;
use crate::domain::words::{Outcome, ReasonCode};
use crate::plan::Plan;

/// The revision of what decides: raised with every change after which the same policies and the same request may get
/// another decision, so that the digest of the policies and this number together name a decision. It is the number of
/// entries of the changelog that say `(decision)`.
pub const ENGINE_REVISION: u32 = 20;

pub use intake::{Purpose, Rows, intake, intake_into};

/// Decides a claim. Never fails: what cannot be decided is an outcome of its own.
pub fn decide(plan: &Plan, facts: &Facts<'_>, recorder: &mut impl Recorder) -> Decision {
    let claim = Claim::new(plan, facts);
    let lines = evaluate::lines(&claim, recorder);
    settle::order(&claim, lines)
}

/// Assessment of the evidence of a claim for its reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvidenceAssessment {
    /// Reason codes why it is not sufficient; empty where it is. The first is the primary one.
    pub reason_codes: ReasonCodes,
    /// Report on the evidence and the text.
    pub report: EvidenceReport,
    /// Next steps of the customer, as places in the plan's next steps.
    pub next_steps: SmallVec<[u16; 4]>,
}

/// Holds the evidence and the text of a claim against what its reason asks for, whatever the
/// stage of the order.
#[must_use]
pub fn assess_evidence(plan: &Plan, facts: &Facts<'_>) -> EvidenceAssessment {
    let material: Material = evidence::inspect(plan, facts);
    let reason = facts.claim.reason.and_then(|reason| plan.reasons.get(usize::from(reason)));
    let requirement = reason.and_then(|reason| reason.requirement);
    let findings = text::vague_phrases(&plan.text, &facts.claim);
    let mut report = evidence::report(plan, requirement.as_slice(), &material, facts, &findings);
    report.rejected = material.rejected;
    let mut codes = evidence_codes(&report);
    if facts.claim.reason.is_none() {
        codes.insert(ReasonCode::ReasonRequired);
    }
    if !report.text_findings.is_empty() {
        codes.insert(ReasonCode::ReasonTooVague);
    }
    let next_steps = if codes.is_empty() {
        SmallVec::new()
    } else {
        settle::next_steps(plan, Outcome::MoreInfoRequired, codes, false, &[])
    };
    EvidenceAssessment { reason_codes: codes, report, next_steps }
}

/// Reason codes of an insufficient report; nothing for a sufficient one.
fn evidence_codes(report: &EvidenceReport) -> ReasonCodes {
    match report.verdict {
        EvidenceVerdict::Sufficient | EvidenceVerdict::NotRequired => ReasonCodes::default(),
        EvidenceVerdict::Insufficient => {
            let mut codes = ReasonCodes::of(&[ReasonCode::EvidenceMissing]);
            report.rejected.iter().for_each(|rejected| codes.insert(rejected.problem.reason_code()));
            codes
        }
    }
}
