//! From decided lines to the order: what no tender can take back, what was not asked for, which
//! tender gets what, and the answer as a whole.

use smallvec::{SmallVec, smallvec};

use crate::decision::components::{components, has_amount, share_of};
use crate::decision::evidence::report;
use crate::decision::tenders::split;
use crate::decision::verdict::{Claim, verdict_of};
use crate::decision::window;
use crate::domain::allocate::{Share, allocate};
use crate::domain::decision::{
    ComponentDecision, DateWindow, Decision, Deduction, DeductionSource, EvidenceReport, LineDecision, ReasonCodes,
};
use crate::domain::exact::RoundingMode;
use crate::domain::facts::{Facts, TenderFacts};
use crate::domain::money::Amount;
use crate::domain::request::Refundability;
use crate::domain::words::{DeductionKind, Outcome, ReasonCode, RefundMethod};
use crate::plan::Plan;
use crate::plan::evidence::Requirement;
use crate::plan::rule::Demand;

type Components = SmallVec<[ComponentDecision; 1]>;
type Lines = SmallVec<[LineDecision; 1]>;

/// Puts the lines together.
pub fn order(claim: &Claim<'_, '_, '_>, mut lines: Lines) -> Decision {
    let mut components = components(claim, &lines);
    withhold_tenders(claim.facts, &mut lines, &mut components);
    withhold_unrequested(claim.facts, &mut lines, &mut components);
    let of_lines = Amount::sum(lines.iter().map(|line| line.refund));
    let refund = of_lines.plus(Amount::sum(components.iter().map(|component| component.refund)));
    let tenders = split(refund, claim, &lines);
    let (outcome, reason_codes) = outcome(&lines, &components);
    let evidence = evidence(claim, &lines);
    let rule_steps = lines.iter().flat_map(|line| verdict_of(claim.plan, line.rule).next_steps.iter().copied());
    let next_steps = next_steps(claim.plan, outcome, &reason_codes, rule_steps);
    let review = review(claim, &lines);
    let payout = match outcome {
        Outcome::ApprovedFull | Outcome::ApprovedPartial => {
            tenders.iter().fold(None, |latest, tender| window::latest(latest, tender.payout))
        }
        // Nothing is paid out before the order as a whole is decided.
        Outcome::MoreInfoRequired | Outcome::ManualReview | Outcome::Denied => None,
    };
    Decision {
        outcome,
        refund,
        components,
        tenders,
        method: method(claim.plan, &lines),
        evidence,
        next_steps,
        reason_codes,
        review,
        payout,
        lines,
    }
}

/// The answer for an amount: all of it, a part of it, or nothing.
pub fn approved(refund: Amount, held_back: Amount) -> (Outcome, ReasonCodes) {
    match (refund.is_zero(), held_back.is_zero()) {
        (true, _) => (Outcome::Denied, smallvec![ReasonCode::NothingRefundable]),
        (false, true) => (Outcome::ApprovedFull, ReasonCodes::new()),
        (false, false) => (Outcome::ApprovedPartial, smallvec![ReasonCode::DeductionsApplied]),
    }
}

/// Whether money goes back on a line.
const fn is_approved(line: &LineDecision) -> bool {
    match line.outcome {
        Outcome::ApprovedFull | Outcome::ApprovedPartial => true,
        Outcome::MoreInfoRequired | Outcome::ManualReview | Outcome::Denied => false,
    }
}

/// A part of the refund: a line or a component.
struct Part<'d> {
    refund: &'d mut Amount,
    deductions: &'d mut SmallVec<[Deduction; 2]>,
    /// What went back for it earlier.
    earlier: Amount,
}

type Parts<'d> = SmallVec<[Part<'d>; 2]>;

/// Every part of the refund: the lines, then the components.
fn parts<'d>(facts: &Facts<'_>, lines: &'d mut Lines, components: &'d mut Components) -> Parts<'d> {
    let lines = lines.iter_mut().map(|line| {
        let earlier = facts.lines.get(usize::from(line.line)).map_or(Amount::ZERO, |line| line.refunded);
        Part { refund: &mut line.refund, deductions: &mut line.deductions, earlier }
    });
    let components = components.iter_mut().map(|component| {
        let earlier =
            facts.components.get(usize::from(component.component)).map_or(Amount::ZERO, |facts| facts.refunded);
        Part { refund: &mut component.refund, deductions: &mut component.deductions, earlier }
    });
    lines.chain(components).collect()
}

/// Holds back the share of tenders that money cannot go back to, so that a coupon never becomes
/// cash.
///
/// Of each part the share is taken of everything refunded so far and now, less what was refunded
/// before: so a line that is claimed in several steps gets as much as if it were claimed at once. It
/// is rounded down, because a rounding error must not cost the customer; what the other tenders can
/// take bounds it, so that all claims together return exactly what those paid.
fn withhold_tenders(facts: &Facts<'_>, lines: &mut Lines, components: &mut Components) {
    let dead = facts.tenders.iter().filter(|tender| tender.refundability == Refundability::NotRefundable);
    let lost = Amount::sum(dead.map(|tender| tender.paid));
    if lost.is_zero() {
        return;
    }
    let paid = Amount::sum(facts.tenders.iter().map(|tender| tender.paid));
    let parts = parts(facts, lines, components);
    let own = |part: &Part<'_>| {
        let gone = part.refund.plus(part.earlier);
        share_of(gone, lost, paid, RoundingMode::Down).unwrap_or(*part.refund).min(*part.refund)
    };
    let mut kept: SmallVec<[Amount; 4]> = parts.iter().map(own).collect();
    let left: SmallVec<[Share; 4]> = parts
        .iter()
        .zip(&kept)
        .map(|(part, kept)| Share { weight: part.refund.less(*kept), capacity: part.refund.less(*kept) })
        .collect();
    let room = Amount::sum(facts.tenders.iter().map(TenderFacts::refundable));
    let over = Amount::sum(left.iter().map(|share| share.capacity)).less(room);
    for (kept, more) in kept.iter_mut().zip(allocate(over, &left)) {
        *kept = kept.plus(more);
    }
    take(&kept, parts, DeductionKind::NonRefundableComponent, DeductionSource::NonRefundableTender);
    for line in lines.iter_mut().filter(|line| is_approved(line)) {
        let held_back = Amount::sum(line.deductions.iter().map(|deduction| deduction.amount));
        (line.outcome, line.reason_codes) = approved(line.refund, held_back);
    }
}

/// Holds back what the customer did not ask for. The answer stays what it was: all that was
/// asked for is all of it.
fn withhold_unrequested(facts: &Facts<'_>, lines: &mut Lines, components: &mut Components) {
    let Some(requested) = facts.claim.requested_amount else { return };
    let parts = parts(facts, lines, components);
    let shares: SmallVec<[Share; 4]> =
        parts.iter().map(|part| Share { weight: *part.refund, capacity: *part.refund }).collect();
    let refund = Amount::sum(shares.iter().map(|share| share.capacity));
    let kept = allocate(refund.less(requested), &shares);
    take(&kept, parts, DeductionKind::NotRequested, DeductionSource::RequestedAmount);
}

/// Takes an amount from each part.
fn take(amounts: &[Amount], parts: Parts<'_>, kind: DeductionKind, source: DeductionSource) {
    for (part, &amount) in parts.into_iter().zip(amounts) {
        if !amount.is_zero() {
            part.deductions.push(Deduction { kind, source, base: *part.refund, amount });
            *part.refund = part.refund.less(amount);
        }
    }
}

/// The order's answer from its parts': a person or a question first, then all, nothing, or a part.
fn outcome(lines: &Lines, components: &Components) -> (Outcome, ReasonCodes) {
    if let ([line], true) = (lines.as_slice(), components.is_empty()) {
        let mut codes = line.reason_codes.clone();
        codes.sort_unstable();
        codes.dedup();
        return (line.outcome, codes);
    }
    let any = |wanted: Outcome| lines.iter().any(|line| line.outcome == wanted);
    let all = |wanted: Outcome| lines.iter().all(|line| line.outcome == wanted);
    let mut codes: ReasonCodes = lines.iter().flat_map(|line| line.reason_codes.iter().copied()).collect();
    let kept = |deduction: &Deduction| deduction.kind != DeductionKind::NotRequested;
    let component_kept = components.iter().any(|component| component.deductions.iter().any(kept));
    let component_refunded = components.iter().any(|component| !component.refund.is_zero());
    let outcome = if any(Outcome::ManualReview) {
        Outcome::ManualReview
    } else if any(Outcome::MoreInfoRequired) {
        Outcome::MoreInfoRequired
    } else if all(Outcome::Denied) && !component_refunded {
        Outcome::Denied
    } else if all(Outcome::ApprovedFull) && !component_kept {
        Outcome::ApprovedFull
    } else {
        if component_kept {
            codes.push(ReasonCode::DeductionsApplied);
        }
        Outcome::ApprovedPartial
    };
    codes.sort_unstable();
    codes.dedup();
    (outcome, codes)
}

/// The evidence against everything that the deciding rules demand.
fn evidence(claim: &Claim<'_, '_, '_>, lines: &Lines) -> EvidenceReport {
    let demands = || lines.iter().flat_map(|line| verdict_of(claim.plan, line.rule).demands.iter().copied());
    if demands().next().is_none() {
        return EvidenceReport::not_required();
    }
    let mut places: SmallVec<[u16; 2]> = demands().filter_map(|demand| claim.requirement(demand)).collect();
    places.sort_unstable();
    places.dedup();
    let requirements: SmallVec<[&Requirement; 2]> =
        places.iter().filter_map(|&place| claim.plan.requirements.get(usize::from(place))).collect();
    let mut report = match requirements.is_empty() {
        true => EvidenceReport::not_required(),
        false => report(&requirements, claim.material(), claim.facts),
    };
    if demands().any(|demand| demand == Demand::ClearText) {
        report.text_findings = claim.vague().into();
    }
    report
}

/// What the customer can do next: what the rules name, then what the engine knows to be due.
pub fn next_steps(
    plan: &Plan,
    outcome: Outcome,
    codes: &[ReasonCode],
    of_rules: impl Iterator<Item = u16>,
) -> SmallVec<[u16; 4]> {
    let mut named: SmallVec<[u16; 4]> = SmallVec::new();
    let mut name = |step: u16| {
        if !named.contains(&step) {
            named.push(step);
        }
    };
    let any = |wanted: &[ReasonCode]| codes.iter().any(|code| wanted.contains(code));
    of_rules.for_each(&mut name);
    if any(&[ReasonCode::ReasonRequired, ReasonCode::ReasonTooVague]) {
        plan.restate_step.into_iter().for_each(&mut name);
    }
    if any(&[
        ReasonCode::EvidenceMissing,
        ReasonCode::EvidenceInvalid,
        ReasonCode::EvidenceExpired,
        ReasonCode::FactMissing,
    ]) {
        plan.supplement_step.into_iter().for_each(&mut name);
    }
    if outcome == Outcome::Denied {
        plan.escalation.iter().copied().for_each(name);
    }
    named
}

/// The review is over when the last line's is.
fn review(claim: &Claim<'_, '_, '_>, lines: &Lines) -> Option<DateWindow> {
    // Nothing is reviewed before what is missing has come.
    let reviewed = lines.iter().filter(|line| line.outcome != Outcome::MoreInfoRequired);
    let windows = reviewed.filter_map(|line| verdict_of(claim.plan, line.rule).review);
    let (mut before, mut latest) = (None, None);
    // Lines of one order mostly have the same one.
    for window in windows.filter(|window| before.replace(*window) != Some(*window)) {
        latest = window::latest(latest, Some(claim.reviewed(window)?.dates(claim.plan)));
    }
    latest
}

/// The way the money goes back: that of the first line on which any does.
fn method(plan: &Plan, lines: &Lines) -> RefundMethod {
    let first = lines.iter().find(|line| has_amount(line));
    first.map_or(RefundMethod::OriginalPayment, |line| verdict_of(plan, line.rule).method)
}
