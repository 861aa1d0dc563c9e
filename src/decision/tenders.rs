//! Which tender gets what: each part back to its own source, never more than it paid.

use smallvec::SmallVec;

use crate::decision::components::has_amount;
use crate::decision::verdict::{Claim, verdict_of};
use crate::decision::window;
use crate::domain::allocate::{Share, allocate};
use crate::domain::decision::{DateWindow, LineDecision, RuleRef, TenderRefund};
use crate::domain::facts::TenderFacts;
use crate::domain::money::Amount;
use crate::plan::TenderOrder;
use crate::plan::rule::{Verdict, Window};

type Amounts = SmallVec<[Amount; 4]>;

/// Splits a refund over the tenders.
pub fn split(refund: Amount, claim: &Claim<'_, '_, '_>, lines: &[LineDecision]) -> SmallVec<[TenderRefund; 2]> {
    let tenders = &claim.facts.tenders;
    let amounts = amounts(refund, &claim.plan.tenders.order, tenders);
    let rules = paying_rules(lines);
    let mut payouts: SmallVec<[(&str, Option<DateWindow>); 2]> = SmallVec::new();
    let mut arrival = |method: &str| {
        // Most methods have no window of their own: those share one.
        let own = rules.iter().find_map(|rule| own_window(verdict_of(claim.plan, *rule), method));
        let key = own.map_or("", |(name, _)| name.as_str());
        if let Some((_, known)) = payouts.iter().find(|(known, _)| *known == key) {
            return *known;
        }
        let payout = payout(claim, &rules, key);
        payouts.push((key, payout));
        payout
    };
    amounts
        .iter()
        .zip(tenders)
        .zip(0u16..)
        .map(|((&amount, tender), place)| {
            let payout = if amount.is_zero() { None } else { arrival(tender.method) };
            TenderRefund { tender: place, amount, payout }
        })
        .collect()
}

/// What each tender gets. Tenders are filled in groups, one group after the other; those of one group
/// are filled together.
fn amounts(refund: Amount, order: &TenderOrder, tenders: &[TenderFacts<'_>]) -> Amounts {
    if refund.is_zero() {
        return Amounts::from_elem(Amount::ZERO, tenders.len());
    }
    if *order == TenderOrder::Proportional {
        return allocate(refund, &tenders.iter().map(share).collect::<SmallVec<[Share; 4]>>());
    }
    let mut amounts = Amounts::from_elem(Amount::ZERO, tenders.len());
    let mut left = refund;
    let mut fill = |group: &[usize]| {
        let shares: SmallVec<[Share; 4]> = group.iter().filter_map(|&place| tenders.get(place)).map(share).collect();
        for (&place, part) in group.iter().zip(allocate(left, &shares)) {
            left = left.less(part);
            if let Some(amount) = amounts.get_mut(place) {
                *amount = part;
            }
        }
    };
    match order {
        TenderOrder::Proportional | TenderOrder::FirstPaidFirst => (0..tenders.len()).for_each(|place| fill(&[place])),
        TenderOrder::LastPaidFirst => (0..tenders.len()).rev().for_each(|place| fill(&[place])),
        TenderOrder::ByPriority(methods) => {
            let rank = |tender: &TenderFacts<'_>| {
                methods.iter().position(|method| method == tender.method).unwrap_or(methods.len())
            };
            let ranks: SmallVec<[usize; 4]> = tenders.iter().map(rank).collect();
            for wanted in 0..=methods.len() {
                let group = ranks.iter().enumerate().filter(|(_, rank)| **rank == wanted).map(|(place, _)| place);
                fill(&group.collect::<SmallVec<[usize; 4]>>());
            }
        }
    }
    amounts
}

/// By what it paid, up to what it can still take; one without room attracts nothing.
fn share(tender: &TenderFacts<'_>) -> Share {
    let capacity = tender.refundable();
    Share { weight: if capacity.is_zero() { Amount::ZERO } else { tender.paid }, capacity }
}

/// The rules under which money goes back, each once.
fn paying_rules(lines: &[LineDecision]) -> SmallVec<[RuleRef; 2]> {
    let mut rules = SmallVec::new();
    for line in lines.iter().filter(|line| has_amount(line)) {
        if !rules.contains(&line.rule) {
            rules.push(line.rule);
        }
    }
    rules
}

/// The window that a rule has for tenders of this method alone.
fn own_window<'p>(verdict: &'p Verdict, method: &str) -> Option<&'p (String, Window)> {
    verdict.payout.as_ref()?.by_method.iter().find(|(name, _)| name == method)
}

/// When money arrives at a tender of this method: when that of the last rule does.
fn payout(claim: &Claim<'_, '_, '_>, rules: &[RuleRef], method: &str) -> Option<DateWindow> {
    let start = claim.requested_on()?;
    let mut latest = None;
    for rule in rules {
        let verdict = verdict_of(claim.plan, *rule);
        let review = verdict.review.and_then(|review| claim.reviewed(review));
        let window = verdict.payout.as_ref().map(|payout| {
            let window = own_window(verdict, method).map_or(payout.usual, |(_, window)| *window);
            window::after(review, start, window, claim.plan).dates(claim.plan)
        });
        latest = window::latest(latest, window);
    }
    latest
}
