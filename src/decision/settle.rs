//! From decided lines to the order: what no tender can take back, what was not asked for, which
//! tender gets what, and the answer as a whole.

use smallvec::{SmallVec, smallvec};

use crate::decision::evidence::report;
use crate::decision::verdict::{Claim, verdict_of};
use crate::decision::window;
use crate::domain::allocate::{Share, allocate};
use crate::domain::decision::{
    DateWindow, Decision, Deduction, DeductionSource, EvidenceReport, LineDecision, ReasonCodes, TenderRefund,
};
use crate::domain::exact::{Exact, Rounding, RoundingMode};
use crate::domain::facts::{Facts, TenderFacts};
use crate::domain::money::Amount;
use crate::domain::request::Refundability;
use crate::domain::words::{DeductionKind, Outcome, ReasonCode, RefundMethod};
use crate::plan::Plan;
use crate::plan::evidence::Requirement;
use crate::plan::rule::{Demand, Verdict};

type Lines = SmallVec<[LineDecision; 1]>;

/// Puts the lines together.
pub fn order(claim: &Claim<'_, '_, '_>, mut lines: Lines) -> Decision {
    withhold_tenders(claim.facts, &mut lines);
    withhold_unrequested(claim.facts.claim.requested_amount, &mut lines);
    let refund = Amount::sum(lines.iter().map(|line| line.refund));
    let tenders = tenders(refund, claim.facts);
    let outcome = outcome(&lines);
    let evidence = evidence(claim, &lines);
    let reason_codes = codes(&lines);
    let rule_steps: SmallVec<[u16; 4]> =
        lines.iter().flat_map(|line| verdict_of(claim.plan, line.rule).next_steps.iter().copied()).collect();
    let (review, payout) = windows(claim, &lines);
    Decision {
        outcome,
        refund,
        tenders,
        method: method(claim.plan, &lines),
        evidence,
        next_steps: next_steps(claim.plan, outcome, &reason_codes, &rule_steps),
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

/// Holds back the share of tenders that money cannot go back to, so that a coupon never becomes
/// cash.
///
/// The share is taken of everything refunded so far and now, less what was refunded before: so
/// a line that is claimed in several parts gets as much as if it were claimed at once.
fn withhold_tenders(facts: &Facts<'_>, lines: &mut Lines) {
    let paid = Amount::sum(facts.tenders.iter().map(|tender| tender.paid));
    let lost = Amount::sum(
        facts
            .tenders
            .iter()
            .filter(|tender| tender.refundability == Refundability::NotRefundable)
            .map(|tender| tender.paid),
    );
    if lost.is_zero() {
        return;
    }
    let refund = Amount::sum(lines.iter().map(|line| line.refund));
    let earlier =
        |line: &LineDecision| facts.lines.get(usize::from(line.line)).map_or(Amount::ZERO, |line| line.refunded);
    let refunded = Amount::sum(lines.iter().filter(|line| is_approved(line)).map(earlier));
    let share = share_of(refund.plus(refunded), lost, paid).unwrap_or(refund);
    let room = Amount::sum(facts.tenders.iter().map(TenderFacts::refundable));
    let withheld = share.max(refund.less(room)).min(refund);
    let shares: SmallVec<[Share; 4]> =
        lines.iter().map(|line| Share { weight: line.refund.plus(earlier(line)), capacity: line.refund }).collect();
    take(withheld, &shares, lines, DeductionKind::NonRefundableComponent, DeductionSource::NonRefundableTender);
    for line in lines.iter_mut().filter(|line| is_approved(line)) {
        let held_back = Amount::sum(line.deductions.iter().map(|deduction| deduction.amount));
        (line.outcome, line.reason_codes) = approved(line.refund, held_back);
    }
}

/// `amount * part / whole`, half up; `None` only where it cannot be worked out.
fn share_of(amount: Amount, part: Amount, whole: Amount) -> Option<Amount> {
    let exact = amount.exact().times(part.exact()).ok()?.over(whole.exact())?.ok()?;
    let rounding = Rounding { increment: Exact::ONE, mode: RoundingMode::HalfUp };
    Amount::from_exact(exact.round(rounding).ok()?).ok()
}

/// Holds back what the customer did not ask for. The answer stays what it was: all that was
/// asked for is all of it.
fn withhold_unrequested(requested: Option<Amount>, lines: &mut Lines) {
    let Some(requested) = requested else { return };
    let refund = Amount::sum(lines.iter().map(|line| line.refund));
    let shares: SmallVec<[Share; 4]> =
        lines.iter().map(|line| Share { weight: line.refund, capacity: line.refund }).collect();
    take(refund.less(requested), &shares, lines, DeductionKind::NotRequested, DeductionSource::RequestedAmount);
}

fn take(amount: Amount, shares: &[Share], lines: &mut Lines, kind: DeductionKind, source: DeductionSource) {
    for (line, part) in lines.iter_mut().zip(allocate(amount, shares)) {
        if !part.is_zero() {
            line.deductions.push(Deduction { kind, source, base: line.refund, amount: part });
            line.refund = line.refund.less(part);
        }
    }
}

/// Each tender gets its share of the refund, by what it paid, up to what it can still take.
fn tenders(refund: Amount, facts: &Facts<'_>) -> SmallVec<[TenderRefund; 2]> {
    let shares: SmallVec<[Share; 4]> = facts
        .tenders
        .iter()
        .map(|tender| {
            let capacity = tender.refundable();
            // A tender without room attracts nothing.
            Share { weight: if capacity.is_zero() { Amount::ZERO } else { tender.paid }, capacity }
        })
        .collect();
    let parts = allocate(refund, &shares);
    parts
        .iter()
        .enumerate()
        .map(|(place, &amount)| TenderRefund { tender: u16::try_from(place).unwrap_or(u16::MAX), amount })
        .collect()
}

/// The order's answer from its lines': a person or a question first, then all, nothing, or a part.
fn outcome(lines: &Lines) -> Outcome {
    let any = |wanted: Outcome| lines.iter().any(|line| line.outcome == wanted);
    let all = |wanted: Outcome| lines.iter().all(|line| line.outcome == wanted);
    if any(Outcome::ManualReview) {
        Outcome::ManualReview
    } else if any(Outcome::MoreInfoRequired) {
        Outcome::MoreInfoRequired
    } else if all(Outcome::Denied) {
        Outcome::Denied
    } else if all(Outcome::ApprovedFull) {
        Outcome::ApprovedFull
    } else {
        Outcome::ApprovedPartial
    }
}

fn codes(lines: &Lines) -> ReasonCodes {
    let mut codes: ReasonCodes = lines.iter().flat_map(|line| line.reason_codes.iter().copied()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The evidence against everything that the deciding rules demand.
fn evidence(claim: &Claim<'_, '_, '_>, lines: &Lines) -> EvidenceReport {
    let demands = || lines.iter().flat_map(|line| verdict_of(claim.plan, line.rule).demands.iter().copied());
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
pub fn next_steps(plan: &Plan, outcome: Outcome, codes: &[ReasonCode], of_rules: &[u16]) -> SmallVec<[u16; 4]> {
    let mut steps: SmallVec<[u16; 4]> = of_rules.iter().copied().collect();
    let any = |wanted: &[ReasonCode]| codes.iter().any(|code| wanted.contains(code));
    if any(&[ReasonCode::ReasonRequired, ReasonCode::ReasonTooVague]) {
        steps.extend(plan.restate_step);
    }
    if any(&[
        ReasonCode::EvidenceMissing,
        ReasonCode::EvidenceInvalid,
        ReasonCode::EvidenceExpired,
        ReasonCode::FactMissing,
    ]) {
        steps.extend(plan.supplement_step);
    }
    if outcome == Outcome::Denied {
        steps.extend(plan.escalation.iter().copied());
    }
    let mut named: SmallVec<[u16; 4]> = SmallVec::new();
    for step in steps {
        if !named.contains(&step) {
            named.push(step);
        }
    }
    named
}

/// The review is over, and the money there, when the last line's is.
fn windows(claim: &Claim<'_, '_, '_>, lines: &Lines) -> (Option<DateWindow>, Option<DateWindow>) {
    let Some(start) = claim.facts.claim.requested_at.date_in(&claim.plan.zone) else { return (None, None) };
    let mut windows = (None, None);
    for line in lines {
        let Verdict { review, payout, .. } = verdict_of(claim.plan, line.rule);
        // Nothing is reviewed before what is missing has come.
        if line.outcome == Outcome::MoreInfoRequired {
            continue;
        }
        let review = review.map(|review| window::after(None, start, review, claim.plan));
        windows.0 = window::latest(windows.0, review);
        if is_approved(line) {
            let payout = payout.map(|payout| window::after(review, start, payout, claim.plan));
            windows.1 = window::latest(windows.1, payout);
        }
    }
    windows
}

/// The way the money goes back: that of the first line on which any does.
fn method(plan: &Plan, lines: &Lines) -> RefundMethod {
    let first = lines.iter().find(|line| is_approved(line));
    first.map_or(RefundMethod::OriginalPayment, |line| verdict_of(plan, line.rule).method)
}
