//! Whether the material of a claim is good, and whether it is enough.

use smallvec::SmallVec;

use crate::domain::decision::{EvidenceProblem, EvidenceReport, EvidenceVerdict, RejectedEvidence, TextFinding};
use crate::domain::exact::Exact;
use crate::domain::facts::{About, EvidenceFacts, FactId, Facts, Value};
use crate::domain::limits::EVIDENCE_ALTERNATIVES_MAX;
use crate::domain::time::Timestamp;
use crate::plan::Plan;
use crate::plan::evidence::{EvidenceKind, Requirement, Unstated};

/// The material of a claim, each piece looked at once.
#[derive(Debug)]
pub struct Material {
    /// The kinds of which there is a good piece, one bit each.
    pub kinds: u64,
    /// The pieces that are not good.
    pub rejected: SmallVec<[RejectedEvidence; 1]>,
}

/// Looks at every piece.
pub fn inspect(plan: &Plan, facts: &Facts<'_>) -> Material {
    let mut material = Material { kinds: 0, rejected: SmallVec::new() };
    for (place, piece) in facts.claim.evidence.iter().enumerate() {
        let Some(kind) = plan.evidence_kinds.get(usize::from(piece.kind)) else { continue };
        match problem(kind, piece, facts) {
            None => material.kinds |= bit(piece.kind),
            Some(problem) => {
                material.rejected.push(RejectedEvidence { evidence: u16::try_from(place).unwrap_or(u16::MAX), problem })
            }
        }
    }
    material
}

fn bit(kind: u16) -> u64 {
    1u64.checked_shl(u32::from(kind)).unwrap_or(0)
}

/// What is wrong with a piece: the first thing found, the gravest first.
fn problem(kind: &EvidenceKind, piece: &EvidenceFacts<'_>, facts: &Facts<'_>) -> Option<EvidenceProblem> {
    if piece.about == About::AnotherOrder {
        return Some(EvidenceProblem::AnotherOrder);
    }
    let unstated = |problem| (kind.unstated == Unstated::Rejected).then_some(problem);
    if !kind.media.is_empty() {
        if piece.media_type.is_empty() {
            if let Some(problem) = unstated(EvidenceProblem::MediaTypeMissing) {
                return Some(problem);
            }
        } else if !kind.media.iter().any(|range| range.contains(piece.media_type)) {
            return Some(EvidenceProblem::MediaTypeNotAllowed);
        }
    }
    if kind.max_bytes.is_some_and(|max| max < piece.size_bytes) {
        return Some(EvidenceProblem::TooLarge);
    }
    let timed = kind.captured_after.is_some() || kind.captured_before.is_some() || kind.max_age.is_some();
    match piece.captured_at {
        Some(captured_at) => captured(kind, captured_at, facts),
        None if timed => unstated(EvidenceProblem::CaptureTimeMissing),
        None => None,
    }
    .or_else(|| {
        let blank = kind.fields.iter().position(|field| !piece.fields.contains(&field.as_str()))?;
        Some(EvidenceProblem::FieldMissing(u16::try_from(blank).unwrap_or(u16::MAX)))
    })
}

fn captured(kind: &EvidenceKind, captured_at: Timestamp, facts: &Facts<'_>) -> Option<EvidenceProblem> {
    // A moment that the request does not name sets no bound.
    let bound = |fact: Option<FactId>| match facts.shared.get(usize::from(fact?.0)) {
        Some(Some(Value::Quantity(nanos))) => Some(*nanos),
        Some(_) | None => None,
    };
    let at = Exact::whole(captured_at.nanos());
    if bound(kind.captured_after).is_some_and(|after| at < after) {
        return Some(EvidenceProblem::CapturedTooEarly);
    }
    if bound(kind.captured_before).is_some_and(|before| before < at) {
        return Some(EvidenceProblem::CapturedTooLate);
    }
    let age = facts.claim.requested_at.nanos().saturating_sub(captured_at.nanos());
    if kind.max_age.is_some_and(|max| max.nanos() < age) {
        return Some(EvidenceProblem::Expired);
    }
    None
}

/// Holds the material against the requirements at these places of the plan, all of which must be met; `findings` are
/// the vague phrases of the text.
pub fn report(
    plan: &Plan,
    places: &[u16],
    material: &Material,
    facts: &Facts<'_>,
    findings: &[TextFinding],
) -> EvidenceReport {
    let (mut verdict, mut used) = (EvidenceVerdict::NotRequired, 0);
    let mut missing = Ways::new();
    for requirement in places.iter().filter_map(|place| plan.requirements.get(usize::from(*place))) {
        match (verdict, met_by(requirement, material.kinds)) {
            (EvidenceVerdict::Insufficient, Some(_)) => {}
            (EvidenceVerdict::Sufficient | EvidenceVerdict::NotRequired, Some(set)) => {
                verdict = EvidenceVerdict::Sufficient;
                used |= set;
            }
            (_, None) => {
                if verdict != EvidenceVerdict::Insufficient {
                    // The first that is not met: until now nothing at all was enough.
                    missing.push(0);
                }
                verdict = EvidenceVerdict::Insufficient;
                missing = joined(&missing, requirement.alternatives.iter().map(|set| set & !material.kinds));
            }
        }
    }
    let satisfied_by = match verdict {
        EvidenceVerdict::Sufficient => pieces(used, material, facts),
        EvidenceVerdict::Insufficient | EvidenceVerdict::NotRequired => SmallVec::new(),
    };
    let rejected = match verdict {
        EvidenceVerdict::Sufficient | EvidenceVerdict::Insufficient => copied(&material.rejected),
        EvidenceVerdict::NotRequired => SmallVec::new(),
    };
    EvidenceReport { verdict, satisfied_by, missing, rejected, text_findings: copied(findings) }
}

/// A list of its own; most have nothing in them.
fn copied<T: Copy>(list: &[T]) -> SmallVec<[T; 1]> {
    if list.is_empty() { SmallVec::new() } else { SmallVec::from_slice(list) }
}

/// The alternative that the kinds satisfy, if one is.
#[must_use]
pub fn met_by(requirement: &Requirement, kinds: u64) -> Option<u64> {
    requirement.alternatives.iter().copied().find(|set| set & kinds == *set)
}

type Ways = SmallVec<[u64; 4]>;

/// Every way to meet both, none containing another, smallest first. Of very many ways the
/// smallest are named: each of them would do.
fn joined(ways: &[u64], more: impl Iterator<Item = u64> + Clone) -> Ways {
    let mut all: SmallVec<[u64; 8]> = ways.iter().flat_map(|have| more.clone().map(move |set| have | set)).collect();
    // Stable, so that ways of equal size keep the order in which they were declared.
    all.sort_by_key(|set| set.count_ones());
    let mut kept = Ways::new();
    for set in all {
        if kept.len() < EVIDENCE_ALTERNATIVES_MAX && !kept.iter().any(|have| have & set == *have) {
            kept.push(set);
        }
    }
    kept
}

/// The good pieces of these kinds.
fn pieces(kinds: u64, material: &Material, facts: &Facts<'_>) -> SmallVec<[u16; 4]> {
    let mut places = SmallVec::new();
    let rejected = material.rejected.as_slice();
    for (piece, place) in facts.claim.evidence.iter().zip(0u16..) {
        if bit(piece.kind) & kinds != 0 && !rejected.iter().any(|rejected| rejected.evidence == place) {
            places.push(place);
        }
    }
    places
}
