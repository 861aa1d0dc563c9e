//! Components paid for beside the lines, the tenders that paid, and the check that all of it adds up.

use smallvec::{SmallVec, smallvec};

use crate::decision::components::{about, is_claimed, share_of};
use crate::decision::field::{Of, Seen, Shown, Twice};
use crate::decision::intake::{Intake, Sums, place, set};
use crate::decision::tenders::lost;
use crate::domain::facts::{ClaimFacts, ComponentFacts, Coverage, LineFacts, TenderFacts};
use crate::domain::money::Amount;
use crate::domain::ratio::RoundingMode;
use crate::domain::request::{Claim, Component, Order, Refundability, Tender};
use crate::plan::fact::BuiltIn;
use crate::plan::vocabulary::VocabularyId;

impl Intake<'_> {
    /// Tenders of the order; where it names none, one tender without a name paid everything.
    pub(super) fn tenders<'a>(
        &mut self,
        order: &Order<'a>,
        lines: &[LineFacts<'a>],
        components: &[ComponentFacts],
    ) -> SmallVec<[TenderFacts<'a>; 2]> {
        if order.tenders.is_empty() {
            let (paid, refunded) = totals(lines, components);
            return smallvec![TenderFacts {
                id: "",
                method: "",
                paid,
                refunded,
                refundability: Refundability::Refundable
            }];
        }
        let mut ids = Seen::default();
        let mut tenders = SmallVec::new();
        for (at, tender) in order.tenders.iter().enumerate() {
            let field = |name| Of { list: "order.tenders", at, name };
            let Tender { id, method, paid, refunded, refundability } = tender;
            let is_new = ids.insert(id);
            if !is_new || id.is_empty() && 1 < order.tenders.len() {
                self.bad(field("tender_id"), Twice { id, of: "tenders" });
            }
            if paid.is_none() {
                self.sums = Sums::Unknown;
                self.bad(field("paid"), "is mandatory");
            }
            let paid = self.amount(*paid, field("paid")).unwrap_or(Amount::ZERO);
            let refunded = self.amount(*refunded, field("refunded")).unwrap_or(Amount::ZERO);
            if paid < refunded {
                self.sums = Sums::Unknown;
                self.bad(field("refunded"), "must not be more than `paid`");
            }
            let kept = self.plan.tenders.not_refundable.iter().any(|kept| kept == method);
            let refundability = if kept { Refundability::NotRefundable } else { *refundability };
            tenders.push(TenderFacts { id, method, paid, refunded, refundability });
        }
        tenders
    }

    /// Shipping, tax and the like.
    pub(super) fn components(&mut self, order: &Order<'_>, claim: &Claim<'_>) -> SmallVec<[ComponentFacts; 1]> {
        self.claimed_components(order, claim);
        let mut facts = SmallVec::new();
        for (at, component) in order.components.iter().enumerate() {
            let Component { name, paid, refunded, line_id } = component;
            let field = |name| Of { list: "order.components", at, name };
            if name.is_empty() {
                self.bad(field("name"), "is mandatory");
            }
            if paid.is_none() {
                self.sums = Sums::Unknown;
                self.bad(field("paid"), "is mandatory");
            }
            let line =
                order.lines.iter().position(|line| line.id == *line_id).and_then(|line| u16::try_from(line).ok());
            if !line_id.is_empty() && line.is_none() {
                self.bad(field("line_id"), format_args!("the order has no line `{}`", Shown(line_id)));
            }
            let name = self.word(name, VocabularyId::COMPONENT, field("name"));
            let paid = self.amount(*paid, field("paid")).unwrap_or(Amount::ZERO);
            let refunded = self.amount(*refunded, field("refunded")).unwrap_or(Amount::ZERO);
            if paid < refunded {
                self.sums = Sums::Unknown;
                self.bad(field("refunded"), "must not be more than `paid`");
            }
            let line = line.filter(|_| !line_id.is_empty());
            let is_named = claim.components.is_empty() || claim.components.contains(&component.name);
            let coverage = if is_named { Coverage::Claimed } else { Coverage::NotClaimed };
            match name {
                Some(name) => facts.push(ComponentFacts { name, paid, refunded, line, coverage }),
                None => self.sums = Sums::Unknown,
            }
        }
        facts
    }

    /// Components that a claim names are components of its order.
    fn claimed_components(&mut self, order: &Order<'_>, claim: &Claim<'_>) {
        let mut seen = Seen::default();
        for (at, name) in claim.components.iter().enumerate() {
            let field = format_args!("claim.components[{at}]");
            if order.components.iter().all(|component| component.name != *name) {
                self.bad(field, format_args!("the order has no component `{}`", Shown(name)));
            } else if !seen.insert(name) {
                self.bad(field, format_args!("`{}` stands twice", Shown(name)));
            }
        }
    }

    /// Nobody can be given more than is left of what the claim is about. Where nothing is left, the answer says so.
    pub(super) fn asks_for_no_more(
        &mut self,
        claim: Option<&ClaimFacts<'_>>,
        lines: &[LineFacts<'_>],
        components: &[ComponentFacts],
    ) {
        let Some((claim, requested)) = claim.and_then(|claim| Some((claim, claim.requested_amount?))) else { return };
        if self.sums == Sums::Unknown {
            return;
        }
        let of_lines = lines.iter().filter(|line| line.coverage == Coverage::Claimed).map(LineFacts::refundable);
        let plan = self.plan;
        let of_components = components.iter().filter(|it| is_claimed(it, lines, claim.lines)).map(|component| {
            let whole = plan.returned_whole.get(usize::from(component.name)).is_some_and(|whole| *whole);
            if whole { component.refundable() } else { about(component, lines, claim.lines) }
        });
        let limit = Amount::sum(of_lines).plus(Amount::sum(of_components));
        if let Some((_, currency)) = self.currency
            && limit < requested
            && !limit.is_zero()
        {
            let limit = currency.decimal(limit);
            let problem =
                format!("must not be more than {limit} {currency}: what is left of all that the claim is about");
            self.bad("claim.requested_amount", problem);
        }
    }

    /// Price of the whole order, and what each line and its order paid for each component; nothing
    /// where there is none.
    pub(super) fn component_facts(&self, components: &[ComponentFacts], lines: &mut [LineFacts<'_>]) {
        let total = self.money(totals(lines, components).0);
        for line in lines.iter_mut() {
            set(&mut line.values, place(BuiltIn::OrderPaid), Some(total));
        }
        for (name, fact) in self.plan.component_facts.iter().enumerate() {
            for (place, line) in lines.iter_mut().enumerate() {
                let own = components.iter().filter(|component| {
                    usize::from(component.name) == name && component.line.is_none_or(|line| usize::from(line) == place)
                });
                let paid = Amount::sum(own.map(|component| component.paid));
                set(&mut line.values, *fact, Some(self.money(paid)));
            }
        }
    }

    /// Checks that the amounts paid for lines and by tenders are equal; the same for the amounts that went back.
    pub(super) fn adds_up(
        &mut self,
        order: &Order<'_>,
        lines: &[LineFacts<'_>],
        components: &[ComponentFacts],
        tenders: &[TenderFacts<'_>],
    ) {
        if lines.is_empty() {
            self.bad("order.lines", "at least one line is needed");
            return;
        }
        if order.tenders.is_empty() || self.sums == Sums::Unknown {
            return;
        }
        let Some((_, currency)) = self.currency else { return };
        let shown = |amounts: (Amount, Amount)| (currency.decimal(amounts.0), currency.decimal(amounts.1));
        let totals = totals(lines, components);
        let paid = (Amount::sum(tenders.iter().map(|tender| tender.paid)), totals.0);
        let refunded = (Amount::sum(tenders.iter().map(|tender| tender.refunded)), totals.1);
        for (what, sums) in [("paid", paid), ("refunded", refunded)] {
            if sums.0 != sums.1 {
                let (tenders, lines) = shown(sums);
                self.bad("order.tenders", format_args!("the tenders' `{what}` comes to {tenders} {currency}, the lines' and components' to {lines} {currency}; they must be equal"));
            }
        }
    }
}

/// Counts as gone, of lines of which something went back, the share of it that tenders kept that take nothing back. Of a
/// line of 50.00 paid by two fifths with a coupon 30.00 went back: then all of it is gone.
pub(super) fn count_what_was_kept(tenders: &[TenderFacts<'_>], lines: &mut [LineFacts<'_>]) {
    let lost = lost(tenders);
    if lost.is_zero() {
        return;
    }
    let paid = Amount::sum(tenders.iter().map(|tender| tender.paid));
    let lasting = paid.less(lost);
    for line in lines.iter_mut().filter(|line| !line.refunded.is_zero()) {
        // What is kept is rounded down, so of several amounts the same may go back.
        let below = share_of(line.refunded.less(CENT), paid, lasting, RoundingMode::Down);
        line.gone = below.map_or(line.refunded, |below| below.plus(CENT)).min(line.paid);
        let kept_of_all = share_of(line.paid, lost, paid, RoundingMode::Down);
        let is_whole = kept_of_all.is_some_and(|kept| line.paid.less(kept) <= line.refunded);
        line.returned = if is_whole { line.paid } else { line.gone };
    }
}

/// The least amount there is: a minor unit.
const CENT: Amount = Amount::from_minor(1);

/// Totals paid for lines and components, and totals that went back of them.
fn totals(lines: &[LineFacts<'_>], components: &[ComponentFacts]) -> (Amount, Amount) {
    let paid = lines.iter().map(|line| line.paid).chain(components.iter().map(|component| component.paid));
    let refunded = lines.iter().map(|line| line.refunded).chain(components.iter().map(|component| component.refunded));
    (Amount::sum(paid), Amount::sum(refunded))
}
