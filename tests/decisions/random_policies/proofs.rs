//! What a claim must bring, and what it brings.

use std::collections::BTreeSet;

use requite::domain::request::{Evidence, Request};
use requite::domain::words::ReasonCode;

use super::ast::{CHECKABLE, Demand, KINDS, Kind, Policy, REASONS, VAGUE};
use super::lines::{ExpectedLine, sorted, verdict};

/// The sets of kinds any one of which would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proofs {
    NotRequired,
    Enough,
    Missing(BTreeSet<u64>),
}

const HOUR: i128 = 3_600_000_000_000;

/// What is wrong with a piece.
fn wrong(piece: &Evidence<'_>, kind: Kind, request: &Request<'_>) -> Option<ReasonCode> {
    let invalid = Some(ReasonCode::EvidenceInvalid);
    if !piece.order_id.is_empty() && piece.order_id != request.order.id {
        return invalid;
    }
    if kind.media {
        match piece.media_type {
            "" if kind.strict => return invalid,
            "" => {}
            media if media.starts_with("image/") => {}
            _ => return invalid,
        }
    }
    if kind.max_bytes.is_some_and(|most| most < piece.size_bytes) {
        return invalid;
    }
    if kind.after || kind.before || kind.within.is_some() {
        match piece.captured_at {
            None if kind.strict => return invalid,
            None => {}
            Some(at) => {
                let (placed, paid) = (request.order.placed_at, request.order.paid_at);
                if kind.after && placed.is_some_and(|placed| at.nanos() < placed.nanos()) {
                    return invalid;
                }
                if kind.before && paid.is_some_and(|paid| paid.nanos() < at.nanos()) {
                    return invalid;
                }
                let age = request.claim.requested_at.unwrap().nanos() - at.nanos();
                if kind.within.is_some_and(|hours| i128::from(hours) * HOUR < age) {
                    return Some(ReasonCode::EvidenceExpired);
                }
            }
        }
    }
    let filled = piece.fields.iter().any(|(name, value)| *name == "subject" && !value.trim().is_empty());
    if kind.field && !filled { invalid } else { None }
}

/// The good pieces of a claim by kind, and the bad ones with what is wrong with each.
pub fn material(policy: &Policy, request: &Request<'_>) -> (u8, Vec<(usize, ReasonCode)>) {
    let (mut kinds, mut bad) = (0, Vec::new());
    for (place, piece) in request.claim.evidence.iter().enumerate() {
        let kind = KINDS.iter().position(|kind| *kind == piece.kind).unwrap();
        match wrong(piece, policy.kinds[kind], request) {
            None => kinds |= 1 << kind,
            Some(code) => bad.push((place, code)),
        }
    }
    (kinds, bad)
}

/// Whether the text holds a vague phrase and nothing that can be checked.
pub fn is_vague(policy: &Policy, request: &Request<'_>) -> bool {
    let Some(excused) = policy.text else { return false };
    let said = |text: &str| !text.trim().is_empty();
    if excused && request.claim.promised_actual.iter().any(|pair| said(pair.promised) && said(pair.actual)) {
        return false;
    }
    let plain = |text: &str| -> String { text.chars().map(narrow).filter(|letter| letter.is_alphanumeric()).collect() };
    let text = plain(request.claim.text);
    VAGUE.iter().any(|phrase| text.contains(&plain(phrase)))
        && !text.contains(|letter: char| letter.is_ascii_digit())
        && !CHECKABLE.iter().any(|word| text.contains(&plain(word)))
}

/// A letter without width and case.
fn narrow(letter: char) -> char {
    let narrow = match u32::from(letter) {
        wide @ 0xff01..=0xff5e => char::from_u32(wide - 0xfee0).unwrap(),
        _ => letter,
    };
    narrow.to_ascii_lowercase()
}

/// The proof that a demand comes to.
fn wanted(policy: &Policy, request: &Request<'_>, demand: Demand) -> Option<usize> {
    match demand {
        Demand::Reason | Demand::ClearText => None,
        Demand::ReasonEvidence => {
            REASONS.iter().position(|reason| *reason == request.claim.reason).and_then(|at| policy.reasons[at].1)
        }
        Demand::Named(place) => Some(place),
    }
}

/// What the claim lacks of what a rule demands.
pub fn lacks(policy: &Policy, request: &Request<'_>, demands: &[Demand]) -> Vec<ReasonCode> {
    let (kinds, bad) = material(policy, request);
    let mut codes = Vec::new();
    for demand in demands {
        if *demand == Demand::Reason && request.claim.reason.is_empty() {
            codes.push(ReasonCode::ReasonRequired);
        }
        if *demand == Demand::ClearText && is_vague(policy, request) {
            codes.push(ReasonCode::ReasonTooVague);
        }
        if wanted(policy, request, *demand).is_some_and(|proof| !policy.proofs[proof].met(kinds)) {
            codes.push(ReasonCode::EvidenceMissing);
            codes.extend(bad.iter().map(|(_, code)| *code));
        }
    }
    sorted(codes)
}

/// Every smallest set of kinds that would complete the proofs of all lines, found by trying each set.
pub fn proofs(policy: &Policy, request: &Request<'_>, lines: &[ExpectedLine]) -> Proofs {
    let asked: Vec<usize> = lines
        .iter()
        .flat_map(|line| verdict(policy, line.rule).require.iter())
        .filter_map(|demand| wanted(policy, request, *demand))
        .collect();
    let (have, _) = material(policy, request);
    let does = |more: u8| asked.iter().all(|proof| policy.proofs[*proof].met(have | more));
    if asked.is_empty() {
        return Proofs::NotRequired;
    }
    if does(0) {
        return Proofs::Enough;
    }
    let sets = (1..1u8 << KINDS.len()).filter(|set| set & have == 0);
    let without =
        |set: u8| (0..KINDS.len()).filter(move |kind| set >> kind & 1 == 1).map(move |kind| set & !(1 << kind));
    let smallest = sets.filter(|set| does(*set) && !without(*set).any(does));
    Proofs::Missing(smallest.map(u64::from).collect())
}
