//! Evidence of a claim: which pieces are accepted, and if they are sufficient.

use smallvec::{SmallVec, smallvec};

use crate::domain::decision::{
    EvidenceProblem, EvidenceReport, EvidenceVerdict, MissingMore, RejectedEvidence, TextFinding,
};
use crate::domain::facts::{About, EvidenceFacts, FactId, Facts, Value};
use crate::domain::limits::EVIDENCE_ALTERNATIVES_MAX;
use crate::domain::ratio::Ratio;
use crate::domain::time::Timestamp;
use crate::plan::Plan;
use crate::plan::evidence::{Conditions, EvidenceKind, Pieces, Requirement, Unstated};

/// The material of a claim, each piece looked at once.
#[derive(Debug)]
pub struct Material {
    /// The kinds of which there is a good piece, one bit each.
    pub kinds: u64,
    /// The pieces that are not good.
    pub rejected: SmallVec<[RejectedEvidence; 1]>,
    /// Presence of one file as several of the good pieces.
    shared: Shared,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shared {
    Yes,
    No,
}

/// Looks at every piece.
pub fn inspect(plan: &Plan, facts: &Facts<'_>) -> Material {
    let mut material = Material { kinds: 0, rejected: SmallVec::new(), shared: Shared::No };
    for (piece, place) in facts.claim.evidence.iter().zip(0u16..) {
        let Some(kind) = plan.evidence_kinds.get(usize::from(piece.kind)) else { continue };
        match problem(kind, piece, plan, facts) {
            None => {
                material.kinds |= bit(piece.kind);
                if piece.file != place {
                    material.shared = Shared::Yes;
                }
            }
            Some(problem) => material.rejected.push(RejectedEvidence { evidence: place, problem }),
        }
    }
    if let Some(max) = plan.evidence_bytes_max {
        hold_together(max, facts, &mut material);
    }
    material
}

/// Rejects every good piece where together they are larger than is allowed: none of them is better than another.
#[inline(never)]
fn hold_together(max: i64, facts: &Facts<'_>, material: &mut Material) {
    let pieces: Vec<(u16, &EvidenceFacts<'_>)> = good(material, facts).collect();
    let mut files: Vec<u16> = Vec::new();
    let mut together = 0i64;
    for (_, piece) in &pieces {
        if !files.contains(&piece.file) {
            files.push(piece.file);
            together = together.saturating_add(piece.size_bytes);
        }
    }
    if max < together {
        let problem = EvidenceProblem::TooLargeTogether;
        material.rejected.extend(pieces.iter().map(|(place, _)| RejectedEvidence { evidence: *place, problem }));
        material.rejected.sort_by_key(|rejected| rejected.evidence);
        material.kinds = 0;
    }
}

/// The good pieces, with their places.
fn good<'f, 'a>(material: &Material, facts: &'f Facts<'a>) -> impl Iterator<Item = (u16, &'f EvidenceFacts<'a>)> {
    let rejected = material.rejected.as_slice();
    let pieces = (0u16..).zip(&facts.claim.evidence);
    pieces.filter(move |(place, _)| !rejected.iter().any(|rejected| rejected.evidence == *place))
}

fn bit(kind: u16) -> u64 {
    1u64.checked_shl(u32::from(kind)).unwrap_or(0)
}

/// Fault of a piece: the first one found, the gravest first.
#[inline]
fn problem(kind: &EvidenceKind, piece: &EvidenceFacts<'_>, plan: &Plan, facts: &Facts<'_>) -> Option<EvidenceProblem> {
    if piece.about == About::AnotherOrder {
        return Some(EvidenceProblem::AnotherOrder);
    }
    kind.conditions.as_ref().and_then(|conditions| unmet_condition(conditions, piece, plan, facts))
}

/// The first condition that a piece does not meet.
#[inline(never)]
fn unmet_condition(
    conditions: &Conditions,
    piece: &EvidenceFacts<'_>,
    plan: &Plan,
    facts: &Facts<'_>,
) -> Option<EvidenceProblem> {
    let unstated = |problem| (conditions.unstated == Unstated::Rejected).then_some(problem);
    if !conditions.media.is_empty() {
        if piece.media_type.is_empty() {
            if let Some(problem) = unstated(EvidenceProblem::MediaTypeMissing) {
                return Some(problem);
            }
        } else if !conditions.media.iter().any(|range| range.contains(piece.media_type)) {
            return Some(EvidenceProblem::MediaTypeNotAllowed);
        }
    }
    if conditions.max_bytes.is_some_and(|max| max < piece.size_bytes) {
        return Some(EvidenceProblem::TooLarge);
    }
    let timed =
        conditions.captured_after.is_some() || conditions.captured_before.is_some() || conditions.max_age.is_some();
    match piece.captured_at {
        Some(captured_at) => captured(conditions, captured_at, plan, facts),
        None if timed => unstated(EvidenceProblem::CaptureTimeMissing),
        None => None,
    }
    .or_else(|| {
        let blank = conditions.fields.iter().position(|field| !piece.fields.contains(&field.as_str()))?;
        Some(EvidenceProblem::FieldMissing(u16::try_from(blank).unwrap_or(u16::MAX)))
    })
}

fn captured(
    conditions: &Conditions,
    captured_at: Timestamp,
    plan: &Plan,
    facts: &Facts<'_>,
) -> Option<EvidenceProblem> {
    // A moment that the request does not name sets no bound. Nor does that of a line: no piece is about one line alone. New
    // policies cannot name one; those that were in force before keep what it meant.
    let is_shared = |fact: &FactId| plan.fact(*fact).is_some_and(|fact| !fact.is_given_by_line());
    let bound = |fact: Option<FactId>| match facts.shared(fact.filter(is_shared)?) {
        Some(Value::Quantity(nanos)) => Some(*nanos),
        Some(_) | None => None,
    };
    let at = Ratio::whole(captured_at.nanos());
    if bound(conditions.captured_after).is_some_and(|after| at < after) {
        return Some(EvidenceProblem::CapturedTooEarly);
    }
    if bound(conditions.captured_before).is_some_and(|before| before < at) {
        return Some(EvidenceProblem::CapturedTooLate);
    }
    let age = facts.claim.requested_at.nanos().saturating_sub(captured_at.nanos());
    if conditions.max_age.is_some_and(|max| max.nanos() < age) {
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
    let requirements = places.iter().filter_map(|place| plan.requirements.get(usize::from(*place)));
    let (mut verdict, mut used) = (EvidenceVerdict::NotRequired, 0);
    for requirement in requirements.clone() {
        let Some(set) = met_by(requirement, material, facts) else {
            return insufficient(requirements, material, facts, findings);
        };
        verdict = EvidenceVerdict::Sufficient;
        used |= set.kinds;
    }
    let (satisfied_by, rejected) = match verdict {
        EvidenceVerdict::Sufficient => (pieces(used, material, facts), copied(&material.rejected)),
        EvidenceVerdict::NotRequired | EvidenceVerdict::Insufficient => (SmallVec::new(), SmallVec::new()),
    };
    EvidenceReport {
        verdict,
        satisfied_by,
        missing: SmallVec::new(),
        missing_more: Vec::new(),
        rejected,
        text_findings: copied(findings),
    }
}

/// The report where one of the requirements is not met: every way to meet those that are not.
#[inline(never)]
fn insufficient<'r>(
    requirements: impl Iterator<Item = &'r Requirement>,
    material: &Material,
    facts: &Facts<'_>,
    findings: &[TextFinding],
) -> EvidenceReport {
    // Until now nothing at all is enough.
    let mut ways: SmallVec<[Pieces; 4]> = smallvec![Pieces::default()];
    for requirement in requirements.filter(|requirement| met_by(requirement, material, facts).is_none()) {
        let lacking: SmallVec<[Pieces; 4]> =
            requirement.alternatives.iter().map(|set| lacking(set, material, facts)).collect();
        ways = joined(&ways, &lacking);
    }
    let missing_more = ways
        .iter()
        .zip(0u16..)
        .flat_map(|(way, set)| way.more.iter().map(move |&(kind, pieces)| MissingMore { set, kind, pieces }));
    EvidenceReport {
        verdict: EvidenceVerdict::Insufficient,
        satisfied_by: SmallVec::new(),
        missing: ways.iter().map(|way| way.kinds).collect(),
        missing_more: missing_more.collect(),
        rejected: copied(&material.rejected),
        text_findings: copied(findings),
    }
}

/// A list of its own; most have nothing in them.
fn copied<T: Copy>(list: &[T]) -> SmallVec<[T; 1]> {
    if list.is_empty() { SmallVec::new() } else { SmallVec::from_slice(list) }
}

/// The alternative that the material satisfies, if one is.
#[must_use]
pub fn met_by<'r>(requirement: &'r Requirement, material: &Material, facts: &Facts<'_>) -> Option<&'r Pieces> {
    requirement.alternatives.iter().find(|set| {
        let all_kinds = set.kinds & material.kinds == set.kinds;
        let plain = set.more.is_empty() && material.shared == Shared::No;
        all_kinds && (plain || lacking(set, material, facts).kinds == 0)
    })
}

/// The pieces that lack to a set. A file counts for one kind: for the one for which it is needed.
fn lacking(set: &Pieces, material: &Material, facts: &Facts<'_>) -> Pieces {
    if set.more.is_empty() && material.shared == Shared::No {
        return Pieces { kinds: set.kinds & !material.kinds, more: SmallVec::new() };
    }
    let mut files: Vec<File> = Vec::new();
    for (_, piece) in good(material, facts).filter(|(_, piece)| set.kinds & bit(piece.kind) != 0) {
        match files.iter_mut().find(|file| file.place == piece.file) {
            Some(file) => file.kinds |= bit(piece.kind),
            None => files.push(File { place: piece.file, kinds: bit(piece.kind), counts_for: None }),
        }
    }
    let mut lacking = Pieces::default();
    for (kind, needed) in set.counts() {
        let found = (0..needed).take_while(|_| assign(kind, &mut files, &mut Vec::new())).count();
        let still = needed.saturating_sub(u16::try_from(found).unwrap_or(u16::MAX));
        lacking = lacking.or(&Pieces::of(kind, still));
    }
    lacking
}

/// A file, and the kind for which it counts.
struct File {
    place: u16,
    /// The kinds as which it was sent.
    kinds: u64,
    counts_for: Option<u16>,
}

/// Finds one more file for a kind, be it that others count for other kinds then. `tried` are the files that were looked
/// at: each is once, so this ends after as many steps as there are files.
fn assign(kind: u16, files: &mut [File], tried: &mut Vec<usize>) -> bool {
    for at in 0..files.len() {
        let Some(file) = files.get(at) else { continue };
        if file.kinds & bit(kind) == 0 || file.counts_for == Some(kind) || tried.contains(&at) {
            continue;
        }
        tried.push(at);
        let counts_for = file.counts_for;
        if counts_for.is_none_or(|other| assign(other, files, tried)) {
            if let Some(file) = files.get_mut(at) {
                file.counts_for = Some(kind);
            }
            return true;
        }
    }
    false
}

/// Every way to meet both, none containing another, smallest first. Of very many ways the
/// smallest are named: each of them would do.
fn joined(ways: &[Pieces], more: &[Pieces]) -> SmallVec<[Pieces; 4]> {
    let mut all: SmallVec<[Pieces; 8]> =
        ways.iter().flat_map(|have| more.iter().map(move |set| have.or(set))).collect();
    // Stable, so that ways of equal size keep the order in which they were declared.
    all.sort_by_key(Pieces::size);
    let mut kept: SmallVec<[Pieces; 4]> = SmallVec::new();
    for set in all {
        if kept.len() < EVIDENCE_ALTERNATIVES_MAX && !kept.iter().any(|have| set.contains(have)) {
            kept.push(set);
        }
    }
    kept
}

/// The good pieces of these kinds.
fn pieces(kinds: u64, material: &Material, facts: &Facts<'_>) -> SmallVec<[u16; 4]> {
    let mut places = SmallVec::new();
    for (place, _) in good(material, facts).filter(|(_, piece)| bit(piece.kind) & kinds != 0) {
        places.push(place);
    }
    places
}
