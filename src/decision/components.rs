//! What goes back of shipping, tax and other components, once the lines are decided.
//!
//! Amounts are worked out on everything refunded so far and now, less what went back earlier: so
//! several partial refunds return as much of a component as one refund would.

use smallvec::SmallVec;

use crate::decision::verdict::{Claim, verdict_of};
use crate::domain::decision::{ComponentDecision, Deduction, DeductionSource, LineDecision};
use crate::domain::exact::{Exact, Rounding, RoundingMode};
use crate::domain::facts::{ComponentFacts, Coverage, LineFacts};
use crate::domain::money::Amount;
use crate::domain::words::DeductionKind;
use crate::plan::rule::ComponentRefund;

/// Decides every component, in input order.
pub fn components(claim: &Claim<'_, '_, '_>, lines: &[LineDecision]) -> SmallVec<[ComponentDecision; 1]> {
    let mut components = SmallVec::new();
    for (facts, place) in claim.facts.components.iter().zip(0u16..) {
        components.push(component(claim, place, facts, lines));
    }
    components
}

/// Decides one of them. Most orders have none: then nothing of this is set up.
#[inline(never)]
fn component(
    claim: &Claim<'_, '_, '_>,
    component: u16,
    facts: &ComponentFacts,
    lines: &[LineDecision],
) -> ComponentDecision {
    let (base, refund) = amounts(claim, facts, lines);
    let held_back = base.less(refund);
    let mut deductions = SmallVec::new();
    if !held_back.is_zero() {
        let kind = DeductionKind::NonRefundableComponent;
        deductions.push(Deduction { kind, source: DeductionSource::Component, base, amount: held_back });
    }
    ComponentDecision { component, base, refund, deductions }
}

/// What the claim can be about of a component, and what goes back of it.
fn amounts(claim: &Claim<'_, '_, '_>, component: &ComponentFacts, lines: &[LineDecision]) -> (Amount, Amount) {
    let belongs = |place: u16| component.line.is_none_or(|line| line == place);
    // A line of which nothing is left may still bring its tax back.
    let approved = || lines.iter().filter(|line| belongs(line.line) && has_amount(line));
    let Some(first) = approved().next() else { return (Amount::ZERO, Amount::ZERO) };
    let of_rule = verdict_of(claim.plan, first.rule).components.iter().find(|(name, _)| *name == component.name);
    let usual = claim.plan.components.get(usize::from(component.name)).copied();
    let rule = of_rule.map_or(usual.unwrap_or(ComponentRefund::Never), |(_, rule)| *rule);

    let places =
        claim.facts.lines.iter().enumerate().filter_map(|(place, line)| Some((u16::try_from(place).ok()?, line)));
    let scope: SmallVec<[&LineFacts<'_>; 4]> =
        places.filter(|(place, _)| belongs(*place)).map(|(_, line)| line).collect();
    let paid = Amount::sum(scope.iter().map(|line| line.paid));
    let gone =
        Amount::sum(scope.iter().map(|line| line.refunded)).plus(Amount::sum(approved().map(|line| line.refund)));
    // What would be gone if the claim were granted in full.
    let claimed = Amount::sum(scope.iter().map(|line| match line.coverage {
        Coverage::Claimed => line.paid,
        Coverage::NotClaimed => line.refunded,
    }));
    let left = component.refundable();
    let whole = if claimed == paid { left } else { Amount::ZERO };
    let up_to = |gone: Amount| {
        share_of(component.paid, gone, paid, RoundingMode::HalfUp)
            .unwrap_or(Amount::ZERO)
            .less(component.refunded)
            .min(left)
    };
    match rule {
        ComponentRefund::Never => (whole, Amount::ZERO),
        ComponentRefund::Always => (left, left),
        ComponentRefund::WhenFull if gone == paid => (left, left),
        ComponentRefund::WhenFull => (whole, Amount::ZERO),
        ComponentRefund::InProportion => (up_to(claimed), up_to(gone).min(up_to(claimed))),
    }
}

/// Whether a line was refunded, be it that nothing was left of it.
pub fn has_amount(line: &LineDecision) -> bool {
    !line.base.is_zero()
}

/// `amount * part / whole` in whole minor units; `None` where it cannot be worked out.
pub fn share_of(amount: Amount, part: Amount, whole: Amount, mode: RoundingMode) -> Option<Amount> {
    let exact = amount.exact().times(part.exact()).ok()?.over(whole.exact())?.ok()?;
    let rounding = Rounding { increment: Exact::ONE, mode };
    Amount::from_exact(exact.round(rounding).ok()?).ok()
}
