//! What earlier answers on the same order held back, gave and asked for.

use crate::decision::field::{Of, Shown};
use crate::decision::intake::Intake;
use crate::domain::facts::{EarlierFacts, LineFacts};
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
        for (at, earlier) in order.earlier.iter().enumerate() {
            let Some(amount) = self.earlier_amount(earlier, at, order, lines) else { continue };
            let is_same =
                |other: &EarlierFacts| (other.name, other.line, other.what) == (amount.name, amount.line, amount.what);
            if amount.what == AmountKind::Deduction && facts.iter().any(is_same) {
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
        facts
    }

    /// One amount. A deduction counts at most what is left of its line: more cannot be held back there any more.
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
        let mut held = amount;
        if what == AmountKind::Deduction {
            let order_amounts = self.plan.order_amounts.len();
            if order_amounts <= usize::from(name) {
                let name = Shown(earlier.name);
                self.bad(
                    field("name"),
                    format_args!("`{name}` is no amount of the order, so it was never a deduction"),
                );
            }
            if let Some(line) = lines.get(line) {
                if line.paid < amount {
                    self.bad(field("amount"), "must not be more than `paid` of its line");
                }
                held = amount.min(line.refundable());
            }
        }
        Some(EarlierFacts { name, line: u16::try_from(line).ok()?, what, amount: held })
    }
}
