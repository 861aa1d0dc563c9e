//! The lines of the order: each with the facts of its own beside those that all have in common.

use std::fmt::Display;

use smallvec::SmallVec;

use crate::decision::field::{Of, Seen, Shown, Twice};
use crate::decision::intake::claim::about_lines;
use crate::decision::intake::{Intake, Rows, Sums, inputs, place, set};
use crate::domain::facts::{Coverage, LineFacts, Value, Values};
use crate::domain::money::Amount;
use crate::domain::ratio::Ratio;
use crate::domain::request::{Claim, Fraction, Line, Order};
use crate::plan::fact::{BuiltIn, InputScope};
use crate::plan::vocabulary::VocabularyId;

impl Intake<'_> {
    /// The lines, in input order. Each begins with what all have in common; the last one takes that row for its own.
    pub(super) fn lines<'a>(
        &mut self,
        order: &Order<'a>,
        claim: &Claim<'a>,
        shared: &mut Values,
        rows: &mut Rows,
    ) -> SmallVec<[LineFacts<'a>; 1]> {
        let mut ids = Seen::default();
        for (at, line) in order.lines.iter().enumerate() {
            let is_new = ids.insert(line.id);
            if !is_new || line.id.is_empty() && 1 < order.lines.len() {
                self.bad(format_args!("order.lines[{at}].line_id"), Twice { id: line.id, of: "lines" });
            }
        }
        let mut claimed = Seen::default();
        for (at, id) in claim.line_ids.iter().enumerate() {
            if !ids.contains(id) {
                self.bad(format_args!("claim.line_ids[{at}]"), format_args!("the order has no line `{}`", Shown(id)));
            } else if !claimed.insert(id) {
                self.bad(format_args!("claim.line_ids[{at}]"), format_args!("`{}` stands twice", Shown(id)));
            }
        }
        let unnamed = about_lines(&claim.line_ids, &claim.components);
        let order_tags = self.tags(&order.tags, "order.tags");
        let mut lines: SmallVec<[LineFacts<'a>; 1]> = SmallVec::new();
        for (at, line) in order.lines.iter().enumerate() {
            let coverage = if claim.line_ids.is_empty() {
                unnamed
            } else if claimed.contains(line.id) {
                Coverage::Claimed
            } else {
                Coverage::NotClaimed
            };
            let row = if at + 1 == order.lines.len() {
                std::mem::take(shared)
            } else {
                let mut row = rows.take();
                row.extend_from_slice(shared);
                row
            };
            lines.push(self.line(line, at, order_tags, row, coverage));
        }
        lines
    }

    fn line<'a>(
        &mut self,
        line: &Line<'a>,
        at: usize,
        order_tags: u64,
        mut values: Values,
        coverage: Coverage,
    ) -> LineFacts<'a> {
        let field = |name| Of { list: "order.lines", at, name };
        let Line {
            id,
            product_type,
            stage,
            sub_stage,
            paid,
            list_price,
            refunded,
            completed,
            declared_cost,
            tags,
            inputs,
            settled: _,
            quantity: _,
            returned_quantity: _,
            returned_refunded: _,
        } = line;
        self.not_used_yet(line, at);
        if paid.is_none() {
            self.sums = Sums::Unknown;
            self.bad(field("paid"), "is mandatory: a missing price is never zero");
        }
        let paid = self.amount(*paid, field("paid"));
        let earlier = self.amount(*refunded, field("refunded")).unwrap_or(Amount::ZERO);
        if let Some(paid) = paid
            && paid < earlier
        {
            self.sums = Sums::Unknown;
            self.bad(field("refunded"), "must not be more than `paid`");
        }
        let list_price = self.amount(*list_price, field("list_price"));
        let declared_cost = self.amount(*declared_cost, field("declared_cost"));
        let completed = completed.and_then(|completed| self.completed(completed, field("completed")));
        let tags = order_tags | self.tags(tags, field("tags"));
        let product_type = self.word(product_type, VocabularyId::PRODUCT_TYPE, field("product_type"));
        let sub_stage = self.word(sub_stage, VocabularyId::SUB_STAGE, field("sub_stage"));
        inputs::read(self, inputs, InputScope::Line, field("inputs"), &mut values);
        let paid = paid.unwrap_or(Amount::ZERO);
        let mut put = |fact, value| set(&mut values, place(fact), value);
        put(BuiltIn::Stage, stage.map(|word| Value::Word(word.index())));
        put(BuiltIn::SubStage, sub_stage.map(Value::Word));
        put(BuiltIn::ProductType, product_type.map(Value::Word));
        put(BuiltIn::Tags, Some(Value::Set(tags)));
        put(BuiltIn::Paid, Some(self.money(paid)));
        put(BuiltIn::Refunded, Some(self.money(earlier)));
        put(BuiltIn::Refundable, Some(self.money(paid.less(earlier))));
        put(BuiltIn::ListPrice, list_price.map(|amount| self.money(amount)));
        put(BuiltIn::DeclaredCost, declared_cost.map(|amount| self.money(amount)));
        put(BuiltIn::CompletedShare, completed.map(|(share, ..)| Value::Quantity(share)));
        put(BuiltIn::UnitsCompleted, completed.map(|(_, done, _)| Value::Quantity(done)));
        put(BuiltIn::UnitsTotal, completed.map(|(_, _, total)| Value::Quantity(total)));
        LineFacts { id, values, paid, refunded: earlier, gone: earlier, returned: earlier, coverage }
    }

    /// Refuses what requests have room for and nothing looks at yet: a value that is passed over would be a lie.
    fn not_used_yet(&mut self, line: &Line<'_>, at: usize) {
        let plain =
            matches!(line, Line { settled: None, quantity: 0 | 1, returned_quantity: 0, returned_refunded: None, .. });
        if !plain {
            self.used_too_early(line, at);
        }
    }

    #[cold]
    fn used_too_early(&mut self, line: &Line<'_>, at: usize) {
        let whole = "a line is claimed as a whole";
        let sent = [
            ("settled", line.settled.is_some(), "no exchanges are known"),
            ("quantity", !matches!(line.quantity, 0 | 1), whole),
            ("returned_quantity", line.returned_quantity != 0, whole),
            ("returned_refunded", line.returned_refunded.is_some(), whole),
        ];
        for (name, _, why) in sent.into_iter().filter(|(_, sent, _)| *sent) {
            self.bad(Of { list: "order.lines", at, name }, format_args!("is not used yet: {why}; leave it out"));
        }
    }

    /// The share completed, the units done, and the units in all.
    fn completed(
        &mut self,
        Fraction { numerator, denominator }: Fraction,
        field: impl Display + Copy,
    ) -> Option<(Ratio, Ratio, Ratio)> {
        if denominator <= 0 {
            self.bad(format_args!("{field}.denominator"), format_args!("must be above zero, got {denominator}"));
        }
        if numerator < 0 {
            self.bad(format_args!("{field}.numerator"), format_args!("must not be negative, got {numerator}"));
        }
        if 0 < denominator && denominator < numerator {
            self.bad(field, format_args!("more units are done than there are: {numerator} of {denominator}"));
        }
        let (done, total) = (Ratio::whole(i128::from(numerator)), Ratio::whole(i128::from(denominator)));
        let share = done.over(total)?.ok()?;
        Some((share, done, total))
    }
}
