//! Split of a refund among tenders: each part back to its own source, never more than it paid.

use smallvec::SmallVec;

use crate::decision::claim::Claim;
use crate::decision::window::{Times, times};
use crate::domain::allocate::{Parts, Share, allocate};
use crate::domain::decision::{DateWindow, LineDecision, TenderRefund};
use crate::domain::facts::TenderFacts;
use crate::domain::money::Amount;
use crate::domain::request::Refundability;
use crate::plan::TenderOrder;

/// Amount paid by tenders that take nothing back, as far as it did not go back all the same.
pub fn lost(tenders: &[TenderFacts<'_>]) -> Amount {
    let dead = tenders.iter().filter(|tender| tender.refundability == Refundability::NotRefundable);
    Amount::sum(dead.map(|tender| tender.paid.less(tender.refunded)))
}

/// Splits the refund among the tenders, and says when the last part arrives.
pub fn split(
    refund: Amount,
    claim: &Claim<'_, '_, '_>,
    lines: &[LineDecision],
    times: Times,
) -> (SmallVec<[TenderRefund; 2]>, Option<DateWindow>) {
    let tenders = claim.facts.tenders.as_slice();
    let amounts = match &claim.plan.tenders.order {
        TenderOrder::Proportional => allocate(refund, tenders.iter().map(share)),
        TenderOrder::FirstPaidFirst => one_by_one(refund, tenders),
        TenderOrder::LastPaidFirst => last_paid_first(refund, tenders),
        TenderOrder::ByPriority(methods) => by_priority(refund, methods, tenders),
    };
    let usual = times.payout.filter(|_| !refund.is_zero()).map(|days| days.dates(claim.plan.calendar.as_deref()));
    let mut refunds: SmallVec<[TenderRefund; 2]> = SmallVec::new();
    for (&amount, tender) in amounts.iter().zip(0u16..) {
        refunds.push(TenderRefund { tender, amount, payout: if amount.is_zero() { None } else { usual } });
    }
    let last = if times.by_method {
        arrive_by_method(claim, lines, &mut refunds)
    } else {
        refunds.iter().find_map(|refund| refund.payout)
    };
    (refunds, last)
}

/// The first tender until it is full, then the next. Like the other orders it stays out of `split`, which then needs
/// little room for the usual one.
#[inline(never)]
fn one_by_one<'t>(refund: Amount, tenders: impl IntoIterator<Item = &'t TenderFacts<'t>>) -> Parts {
    let mut left = refund;
    let fill = |tender: &TenderFacts<'_>| {
        let part = left.min(tender.refundable());
        left = left.less(part);
        part
    };
    tenders.into_iter().map(fill).collect()
}

/// The last tender until it is full, then the one before.
#[inline(never)]
fn last_paid_first(refund: Amount, tenders: &[TenderFacts<'_>]) -> Parts {
    let mut parts = one_by_one(refund, tenders.iter().rev());
    parts.reverse();
    parts
}

/// One group of tenders after the other; those of one group are filled together.
#[inline(never)]
fn by_priority(refund: Amount, methods: &[String], tenders: &[TenderFacts<'_>]) -> Parts {
    let rank =
        |tender: &TenderFacts<'_>| methods.iter().position(|method| method == tender.method).unwrap_or(methods.len());
    let ranks: SmallVec<[usize; 4]> = tenders.iter().map(rank).collect();
    let mut parts = Parts::from_elem(Amount::ZERO, tenders.len());
    let mut left = refund;
    for wanted in 0..=methods.len() {
        let of_group = |(tender, rank): (_, &usize)| if *rank == wanted { share(tender) } else { Share::NONE };
        for (part, more) in parts.iter_mut().zip(allocate(left, tenders.iter().zip(&ranks).map(of_group))) {
            *part = part.plus(more);
            left = left.less(more);
        }
    }
    parts
}

/// By what it paid, up to what it can still take; one without room attracts nothing.
fn share(tender: &TenderFacts<'_>) -> Share {
    let capacity = tender.refundable();
    Share { weight: if capacity.is_zero() { Amount::ZERO } else { tender.paid }, capacity }
}

/// Says when it arrives at each tender where methods have windows of their own. Returns when the last of it does.
#[inline(never)]
fn arrive_by_method(
    claim: &Claim<'_, '_, '_>,
    lines: &[LineDecision],
    refunds: &mut [TenderRefund],
) -> Option<DateWindow> {
    let mut last = None;
    let paid = refunds.iter_mut().zip(&claim.facts.tenders).filter(|(refund, _)| !refund.amount.is_zero());
    for (refund, tender) in paid {
        let days = times(claim, lines, Some(tender.method)).payout;
        refund.payout = days.map(|days| days.dates(claim.plan.calendar.as_deref()));
        last = days.map(|days| days.or_later(last)).or(last);
    }
    last.map(|days| days.dates(claim.plan.calendar.as_deref()))
}
