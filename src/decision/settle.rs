//! From decided lines to the order: what no tender can take back, what was not asked for, which
//! tender gets what, and the answer as a whole.

use smallvec::SmallVec;

use crate::decision::claim::Claim;
use crate::decision::components::{components, deciding, share_of};
use crate::decision::decided::{Decided, approved, effect_of, is_refunding};
use crate::decision::evidence::report;
use crate::decision::tenders::{lost, split};
use crate::decision::window::times;
use crate::domain::allocate::{Share, allocate};
use crate::domain::decision::{
    ComponentDecision, Decision, Deduction, DeductionSource, EvidenceReport, LineDecision, ReasonCodes, TextFinding,
};
use crate::domain::facts::{ComponentFacts, Coverage, Facts, TenderFacts};
use crate::domain::money::Amount;
use crate::domain::ratio::RoundingMode;
use crate::domain::words::{DeductionKind, Outcome, ReasonCode, RefundMethod};
use crate::plan::Plan;
use crate::plan::rule::Demand;

type Components = SmallVec<[ComponentDecision; 1]>;

/// Puts the lines together.
pub fn order(claim: &Claim<'_, '_, '_>, mut lines: Decided) -> Decision {
    let mut components = components(claim, &lines);
    let lost = lost(&claim.facts.tenders);
    if !lost.is_zero() {
        withhold_lost(lost, claim.facts, &mut lines, &mut components);
    }
    if let Some(requested) = claim.facts.claim.requested_amount {
        withhold_unrequested(requested, claim.facts, &mut lines, &mut components);
    }
    // From here on nothing is held back any more.
    let decided = lines.as_slice();
    let of_lines = Amount::sum(decided.iter().map(|line| line.refund));
    let refund = of_lines.plus(Amount::sum(components.iter().map(|component| component.refund)));
    let (outcome, codes) = answer(claim, refund, decided, &components);
    let times = times(claim, decided, None);
    let (tenders, payout) = split(refund, claim, decided, times);
    let (method, evidence) = (method(claim.plan, decided), evidence(claim, decided));
    let reviewed = outcome == Outcome::ManualReview || times.review.is_some();
    let next_steps = next_steps(claim.plan, outcome, codes, reviewed, decided);
    if claim.facts.claim.lines == Coverage::NotClaimed && decided.iter().any(|line| is_refunding(claim.plan, line)) {
        // They were asked about; what is decided is the components.
        lines.clear();
    }
    Decision {
        outcome,
        reason_codes: codes,
        refund,
        tenders,
        method,
        evidence,
        next_steps,
        review: times.review.map(|days| days.dates(claim.plan.calendar.as_deref())),
        payout: match outcome {
            Outcome::ApprovedFull | Outcome::ApprovedPartial => payout,
            // Nothing is paid out before the order as a whole is decided.
            Outcome::MoreInfoRequired | Outcome::ManualReview | Outcome::Denied => None,
        },
        lines,
        components,
    }
}

/// Returns `true` if money goes back on a line.
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
    /// Amount that went back for it earlier.
    earlier: Amount,
}

type Parts<'d> = SmallVec<[Part<'d>; 2]>;

/// Every part of the refund: the lines, then the components.
fn parts<'d>(facts: &Facts<'_>, lines: &'d mut Decided, components: &'d mut Components) -> Parts<'d> {
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
#[inline(never)]
fn withhold_lost(lost: Amount, facts: &Facts<'_>, lines: &mut Decided, components: &mut Components) {
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
    for (kept, more) in kept.iter_mut().zip(allocate(over, left.iter().copied())) {
        *kept = kept.plus(more);
    }
    take(&kept, parts, DeductionKind::NonRefundableComponent, DeductionSource::NonRefundableTender);
    for line in lines.iter_mut().filter(|line| is_approved(line) && !line.base.is_zero()) {
        let held_back = Amount::sum(line.deductions.iter().map(|deduction| deduction.amount));
        (line.outcome, line.reason_codes) = approved(line.refund, held_back);
    }
}

/// Holds back what the customer did not ask for. The answer stays what it was: all that was
/// asked for is all of it.
#[inline(never)]
fn withhold_unrequested(requested: Amount, facts: &Facts<'_>, lines: &mut Decided, components: &mut Components) {
    let parts = parts(facts, lines, components);
    let refund = Amount::sum(parts.iter().map(|part| *part.refund));
    let shares = parts.iter().map(|part| Share { weight: *part.refund, capacity: *part.refund });
    let kept = allocate(refund.less(requested), shares);
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

/// The answer for the order: from its lines and components, and whether all that was asked for goes back.
fn answer(
    claim: &Claim<'_, '_, '_>,
    refund: Amount,
    lines: &[LineDecision],
    components: &[ComponentDecision],
) -> (Outcome, ReasonCodes) {
    let (mut outcome, mut codes) = if claim.facts.claim.lines == Coverage::NotClaimed {
        of_components(claim, lines, components)
    } else {
        of_order(claim.plan, refund, lines, components)
    };
    if !refund.is_zero() && codes.contains(ReasonCode::NothingRefundable) {
        codes.remove(ReasonCode::NothingRefundable);
        codes.insert(ReasonCode::DeductionsApplied);
    }
    if claim.facts.claim.requested_amount.is_some_and(|requested| refund < requested) {
        fall_short(claim, lines, &mut outcome, &mut codes);
    }
    (outcome, codes)
}

/// Says that less goes back than was asked for, where a rule refunds at all.
#[inline(never)]
fn fall_short(claim: &Claim<'_, '_, '_>, lines: &[LineDecision], outcome: &mut Outcome, codes: &mut ReasonCodes) {
    match outcome {
        Outcome::MoreInfoRequired | Outcome::ManualReview => return,
        Outcome::ApprovedFull => *outcome = Outcome::ApprovedPartial,
        Outcome::ApprovedPartial | Outcome::Denied => {}
    }
    if lines.iter().any(|line| is_refunding(claim.plan, line)) {
        codes.insert(ReasonCode::RequestedAmountNotReached);
    }
}

/// The order's answer from its parts': a person or a question first, then all, nothing, or a part. A line of which
/// nothing is left to refund has no say where another part has one.
fn of_order(
    plan: &Plan,
    refund: Amount,
    lines: &[LineDecision],
    components: &[ComponentDecision],
) -> (Outcome, ReasonCodes) {
    let is_spent = |line: &LineDecision| line.base.is_zero() && is_refunding(plan, line);
    let (mut outcomes, mut codes) = (0u8, ReasonCodes::default());
    for line in lines.iter().filter(|line| !is_spent(line)) {
        outcomes |= 1 << line.outcome.index();
        codes.insert_all(line.reason_codes);
    }
    if outcomes == 0 && refund.is_zero() {
        for line in lines {
            outcomes |= 1 << line.outcome.index();
            codes.insert_all(line.reason_codes);
        }
    }
    let any = |wanted: Outcome| outcomes & 1 << wanted.index() != 0;
    let none_but = |wanted: Outcome| outcomes & !(1 << wanted.index()) == 0;
    let component_kept = components.iter().any(is_kept);
    let component_refunded = components.iter().any(|component| !component.refund.is_zero());
    let outcome = if any(Outcome::ManualReview) {
        Outcome::ManualReview
    } else if any(Outcome::MoreInfoRequired) {
        Outcome::MoreInfoRequired
    } else if none_but(Outcome::Denied) && !component_refunded {
        Outcome::Denied
    } else if none_but(Outcome::ApprovedFull) && !component_kept {
        Outcome::ApprovedFull
    } else {
        if component_kept {
            codes.insert(ReasonCode::DeductionsApplied);
        }
        Outcome::ApprovedPartial
    };
    (outcome, codes)
}

/// Returns `true` if part of a component that was asked for is held back.
fn is_kept(component: &ComponentDecision) -> bool {
    component.deductions.iter().any(|deduction| deduction.kind != DeductionKind::NotRequested)
}

/// The answer to a claim on components alone. Where no rule of their lines refunds, it is that of the lines.
#[inline(never)]
fn of_components(
    claim: &Claim<'_, '_, '_>,
    lines: &[LineDecision],
    components: &[ComponentDecision],
) -> (Outcome, ReasonCodes) {
    let facts = claim.facts.components.iter();
    let mut decided =
        facts.zip(components).filter(|(facts, _)| deciding(claim, facts, lines).next().is_some()).peekable();
    if decided.peek().is_none() {
        return of_order(claim.plan, Amount::ZERO, lines, components);
    }
    let (mut refund, mut held_back) = (Amount::ZERO, Amount::ZERO);
    for (_, component) in decided {
        refund = refund.plus(component.refund);
        let kept = component.deductions.iter().filter(|deduction| deduction.kind != DeductionKind::NotRequested);
        held_back = held_back.plus(Amount::sum(kept.map(|deduction| deduction.amount)));
    }
    let named = || claim.facts.components.iter().filter(|component| component.coverage == Coverage::Claimed);
    let (cost, left) = (named().map(|of| of.paid), named().map(ComponentFacts::refundable));
    if refund.is_zero() && Amount::sum(left).is_zero() && !Amount::sum(cost).is_zero() {
        return (Outcome::Denied, ReasonCodes::of(&[ReasonCode::AlreadyRefunded]));
    }
    approved(refund, held_back)
}

/// The evidence against everything that the deciding rules demand.
fn evidence(claim: &Claim<'_, '_, '_>, lines: &[LineDecision]) -> EvidenceReport {
    let mut places: SmallVec<[u16; 4]> = SmallVec::new();
    let mut vague: &[TextFinding] = &[];
    for line in lines {
        for &demand in &effect_of(claim.plan, line.rule).demands {
            match demand {
                Demand::Reason => {}
                Demand::ClearText => vague = claim.vague(),
                Demand::ReasonEvidence | Demand::Evidence(_) => {
                    if let Some(place) = claim.requirement(demand) {
                        places.push(place);
                    }
                }
            }
        }
    }
    if places.is_empty() {
        return EvidenceReport { text_findings: vague.into(), ..EvidenceReport::not_required() };
    }
    if 1 < places.len() {
        places.sort_unstable();
        places.dedup();
    }
    report(claim.plan, &places, claim.material(), claim.facts, vague)
}

/// Reason codes that a more detailed reason can resolve.
const UNCLEAR: ReasonCodes = ReasonCodes::of(&[ReasonCode::ReasonRequired, ReasonCode::ReasonTooVague]);

/// Reason codes that more material can resolve.
const LACKING: ReasonCodes = ReasonCodes::of(&[
    ReasonCode::EvidenceMissing,
    ReasonCode::EvidenceInvalid,
    ReasonCode::EvidenceExpired,
    ReasonCode::FactMissing,
]);

/// Next steps for the customer: those that the rules name, then those that the engine knows to be due. Each step once.
/// `reviewed` says that somebody looks at the claim before it is done with.
pub fn next_steps(
    plan: &Plan,
    outcome: Outcome,
    codes: ReasonCodes,
    reviewed: bool,
    lines: &[LineDecision],
) -> SmallVec<[u16; 4]> {
    let mut named: SmallVec<[u16; 4]> = SmallVec::new();
    let mut name = |steps: &[u16]| {
        for step in steps {
            if !named.contains(step) {
                named.push(*step);
            }
        }
    };
    lines.iter().for_each(|line| name(&effect_of(plan, line.rule).next_steps));
    if codes.meets(UNCLEAR) {
        name(plan.restate_step.as_slice());
    }
    if codes.meets(LACKING) {
        name(plan.supplement_step.as_slice());
    }
    if outcome == Outcome::MoreInfoRequired {
        name(&plan.more_info_steps);
    }
    if reviewed {
        name(&plan.review_steps);
    }
    if outcome == Outcome::Denied {
        name(&plan.escalation);
    }
    named
}

/// The way the money goes back: that of the first line of which any does; where none does, of the first of which any
/// could, or else of the first one that a refunding rule decided.
fn method(plan: &Plan, lines: &[LineDecision]) -> RefundMethod {
    let first = lines.iter().find(|line| !line.refund.is_zero());
    let first = first.or_else(|| lines.iter().find(|line| !line.base.is_zero()));
    let first = first.or_else(|| lines.iter().find(|line| is_refunding(plan, line)));
    first.map_or(RefundMethod::OriginalPayment, |line| effect_of(plan, line.rule).method)
}
