//! Refunds of shipping, tax and other components, once the lines are decided.
//!
//! Amounts are worked out on everything that went back so far and now, less what went back earlier: so
//! several partial refunds return as much of a component as one refund would.

use smallvec::SmallVec;

use crate::decision::claim::Claim;
use crate::decision::decided::{effect_of, is_refunding};
use crate::domain::decision::{ComponentDecision, Deduction, DeductionSource, LineDecision};
use crate::domain::facts::{ComponentFacts, Coverage, LineFacts};
use crate::domain::money::Amount;
use crate::domain::ratio::{Ratio, Rounding, RoundingMode};
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

/// The lines of those that a component belongs to on which a refunding rule decides.
pub fn deciding<'l>(
    claim: &Claim<'_, '_, '_>,
    component: &ComponentFacts,
    lines: &'l [LineDecision],
) -> impl Iterator<Item = &'l LineDecision> + Clone {
    let (plan, component) = (claim.plan, *component);
    let (claimed, plan) = (component.coverage == Coverage::Claimed, plan);
    lines.iter().filter(move |line| claimed && component.belongs_to(line.line) && is_refunding(plan, line))
}

/// Claimed part of a component, and its refund: by the rule that gives most of it.
fn amounts(claim: &Claim<'_, '_, '_>, component: &ComponentFacts, lines: &[LineDecision]) -> (Amount, Amount) {
    let deciding = deciding(claim, component, lines);
    let gone = Gone::of(claim, component, deciding.clone());
    let refund = deciding.map(|line| gone.refund(component, rule_of(claim, component, line))).max();
    refund.map_or((Amount::ZERO, Amount::ZERO), |refund| {
        (about(component, &claim.facts.lines, claim.facts.claim.lines).max(refund), refund)
    })
}

/// Mode of a component under the rule of a line.
fn rule_of(claim: &Claim<'_, '_, '_>, component: &ComponentFacts, line: &LineDecision) -> ComponentRefund {
    let own = effect_of(claim.plan, line.rule).components.iter().find(|(name, _)| *name == component.name);
    let usual = claim.plan.components.get(usize::from(component.name)).copied();
    own.map_or(usual.unwrap_or(ComponentRefund::Never), |(_, rule)| *rule)
}

/// Part of what a component belongs to that went back, before and now, out of all of it: in money, or in lines where all
/// of them cost nothing.
#[derive(Clone, Copy)]
struct Gone {
    part: Amount,
    whole: Amount,
}

impl Gone {
    fn of<'l>(
        claim: &Claim<'_, '_, '_>,
        component: &ComponentFacts,
        deciding: impl Iterator<Item = &'l LineDecision> + Clone,
    ) -> Self {
        let lines = || belonging(component, &claim.facts.lines);
        let whole = Amount::sum(lines().map(|line| line.paid));
        if whole.is_zero() {
            // A claim on the component alone brings no line back.
            let back = deciding.filter(|_| claim.facts.claim.lines == Coverage::Claimed);
            return Self { part: number(back.count()), whole: number(lines().count()) };
        }
        let before = Amount::sum(lines().map(|line| line.returned));
        if claim.facts.claim.lines == Coverage::NotClaimed {
            return Self { part: before, whole };
        }
        let decided = deciding.filter_map(|line| Some((line, claim.facts.lines.get(usize::from(line.line))?)));
        // Of a line that is decided it is known what of its price goes back in all.
        let unknown = Amount::sum(decided.clone().map(|(_, facts)| facts.returned));
        let known = Amount::sum(decided.map(|(line, facts)| facts.refunded.plus(line.refund).max(facts.gone)));
        Self { part: before.less(unknown).plus(known), whole }
    }

    /// Refund of a component under a rule.
    fn refund(self, component: &ComponentFacts, rule: ComponentRefund) -> Amount {
        let left = component.refundable();
        match rule {
            ComponentRefund::Never => Amount::ZERO,
            ComponentRefund::Always => left,
            ComponentRefund::WhenFull if self.part == self.whole => left,
            ComponentRefund::WhenFull => Amount::ZERO,
            ComponentRefund::InProportion => up_to(component, self.part, self.whole),
        }
    }
}

/// Claimed part of a component: the share of its lines' prices that is claimed or went back before, less what
/// went back of it. All that is left of one that is claimed alone.
pub fn about(component: &ComponentFacts, lines: &[LineFacts<'_>], about_lines: Coverage) -> Amount {
    if about_lines == Coverage::NotClaimed {
        return component.refundable();
    }
    let of_it = || belonging(component, lines);
    let whole = Amount::sum(of_it().map(|line| line.paid));
    if whole.is_zero() {
        let claimed = of_it().filter(|line| line.coverage == Coverage::Claimed).count();
        return up_to(component, number(claimed), number(of_it().count()));
    }
    let part = Amount::sum(of_it().map(|line| match line.coverage {
        Coverage::Claimed => line.paid,
        Coverage::NotClaimed => line.returned,
    }));
    up_to(component, part, whole)
}

/// Returns true if a claim is about a component at all: about one of its lines, or about it alone.
pub fn is_claimed(component: &ComponentFacts, lines: &[LineFacts<'_>], about_lines: Coverage) -> bool {
    component.coverage == Coverage::Claimed
        && (about_lines == Coverage::NotClaimed
            || belonging(component, lines).any(|line| line.coverage == Coverage::Claimed))
}

/// The lines that a component belongs to.
fn belonging<'l, 'a>(
    component: &ComponentFacts,
    lines: &'l [LineFacts<'a>],
) -> impl Iterator<Item = &'l LineFacts<'a>> + Clone {
    let component = *component;
    lines.iter().zip(0u16..).filter(move |(_, place)| component.belongs_to(*place)).map(|(line, _)| line)
}

/// The same share of a component as a part is of a whole, less what went back of it.
fn up_to(component: &ComponentFacts, part: Amount, whole: Amount) -> Amount {
    let share = share_of(component.paid, part, whole, RoundingMode::HalfUp).unwrap_or(Amount::ZERO);
    share.less(component.refunded).min(component.refundable())
}

/// A number of lines, to be divided by another one.
fn number(lines: usize) -> Amount {
    Amount::from_minor(i64::try_from(lines).unwrap_or(i64::MAX))
}

/// `amount * part / whole` in whole minor units; `None` where it cannot be worked out.
pub fn share_of(amount: Amount, part: Amount, whole: Amount, mode: RoundingMode) -> Option<Amount> {
    let exact = amount.exact().times(part.exact()).ok()?.over(whole.exact())?.ok()?;
    let rounding = Rounding { increment: Ratio::ONE, mode };
    Amount::from_exact(exact.round(rounding).ok()?).ok()
}
