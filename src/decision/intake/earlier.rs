//! Amounts held back and refunded, and requests made, by earlier answers on the same order.

use std::collections::HashSet;

use crate::decision::field::{Of, Shown};
use crate::decision::intake::Intake;
use crate::domain::facts::{Coverage, EarlierFacts, LineFacts};
use crate::domain::money::Amount;
use crate::domain::request::{EarlierAmount, Order};
use crate::domain::words::AmountKind;
use crate::plan::vocabulary::VocabularyId;

impl Intake<'_> {
    /// The amounts of earlier answers; nothing of most orders.
    pub(super) fn earlier(&mut self, order: &Order<'_>, lines: &[LineFacts<'_>]) -> Vec<EarlierFacts> {
        if order.earlier.is_empty() {
            return Vec::new();
        }
        let mut facts: Vec<EarlierFacts> = Vec::with_capacity(order.earlier.len());
        let mut deductions: HashSet<(u16, u16)> = HashSet::new();
        for (at, earlier) in order.earlier.iter().enumerate() {
            let Some(amount) = self.earlier_amount(earlier, at, order, lines) else { continue };
            if amount.what == AmountKind::Deduction && !deductions.insert((amount.name, amount.line)) {
                self.bad(
                    format_args!("order.earlier[{at}]"),
                    format_args!(
                        "is a second deduction `{}` of line `{}`: a deduction is what is held back in all, so give the newest answer's amount alone",
                        Shown(earlier.name),
                        Shown(earlier.line_id)
                    ),
                );
            }
            facts.push(amount);
        }
        within_lines(&mut facts, lines);
        facts
    }

    /// One amount.
    fn earlier_amount(
        &mut self,
        earlier: &EarlierAmount<'_>,
        at: usize,
        order: &Order<'_>,
        lines: &[LineFacts<'_>],
    ) -> Option<EarlierFacts> {
        let field = |name| Of { list: "order.earlier", at, name };
        let EarlierAmount { name, line_id, amount, what } = earlier;
        if name.is_empty() {
            self.bad(field("name"), "is mandatory");
        }
        if amount.is_none() {
            self.bad(field("amount"), "is mandatory");
        }
        if what.is_none() {
            self.bad(field("what"), "is mandatory: a deduction, a compensation or an amount due");
        }
        let line = match order.lines.as_slice() {
            [_] if line_id.is_empty() => Some(0),
            lines => lines.iter().position(|line| line.id == *line_id),
        };
        if line.is_none() {
            self.bad(field("line_id"), format_args!("the order has no line `{}`", Shown(line_id)));
        }
        let place = self.word(name, VocabularyId::AMOUNT, field("name"));
        let amount = self.amount(*amount, field("amount"));
        let (name, line, amount, what) = (place?, line?, amount?, (*what)?);
        if what == AmountKind::Deduction {
            let order_amounts = self.plan.order_amounts.len();
            if order_amounts <= usize::from(name) {
                let name = Shown(earlier.name);
                self.bad(
                    field("name"),
                    format_args!("`{name}` is no amount of the order, so it was never a deduction"),
                );
            }
            if lines.get(line).is_some_and(|line| line.paid < amount) {
                self.bad(field("amount"), "must not be more than `paid` of its line");
            }
        }
        Some(EarlierFacts { name, line: u16::try_from(line).ok()?, what, said: amount, amount })
    }
}

/// Holds the deductions of a line, by all names together, within what has not gone back of it: more cannot be held back
/// there any more. The amounts of the order are held back one after the other, so the last of them are cut.
fn within_lines(facts: &mut [EarlierFacts], lines: &[LineFacts<'_>]) {
    facts.sort_by_key(|fact| (fact.what != AmountKind::Deduction, fact.line, fact.name));
    let deductions = facts.iter_mut().take_while(|fact| fact.what == AmountKind::Deduction);
    let (mut at, mut left) = (None, Amount::ZERO);
    for fact in deductions {
        if at != Some(fact.line) {
            let of_line = lines.get(usize::from(fact.line));
            (at, left) = (Some(fact.line), of_line.map_or(Amount::ZERO, |line| line.paid.less(settled(line))));
        }
        fact.amount = fact.amount.min(left);
        left = left.less(fact.amount);
    }
}

/// Part of a line's price that can hold nothing back any more. Of one that is decided now it is the least that can be, so that
/// it keeps what was taken from it.
const fn settled(line: &LineFacts<'_>) -> Amount {
    match line.coverage {
        Coverage::Claimed => line.gone,
        Coverage::NotClaimed => line.returned,
    }
}
