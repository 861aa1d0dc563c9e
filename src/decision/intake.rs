//! From a request to facts: every field checked against the plan, every bad one named.
//!
//! Money must be of one declared currency, words must be declared, parts must add up, and
//! nothing may be larger than its bound. What is absent stays absent: nothing becomes zero here.

mod claim;
mod earlier;
mod inputs;
mod lines;
mod money;
mod payment;
mod shared;

use std::fmt::{self, Display};

use crate::decision::field::{Of, Shown};
use crate::decision::intake::payment::count_what_was_kept;
use crate::domain::facts::{FactId, Facts, Value, Values};
use crate::domain::limits::{
    CLAIM_TEXT_BYTES_MAX, COMPONENTS_MAX, EARLIER_MAX, ENTRIES_MAX, EVIDENCE_MAX, LINES_MAX, PROMISED_ACTUAL_MAX,
    SHORT_TEXT_BYTES_MAX, TENDERS_MAX,
};
use crate::domain::money::Currency;
use crate::domain::ratio::Ratio;
use crate::domain::request::{Claim, FieldViolation, Order, Request};
use crate::domain::time::Timestamp;
use crate::domain::violations::Violations;
use crate::plan::Plan;
use crate::plan::fact::BuiltIn;
use crate::plan::vocabulary::{Vocabulary, VocabularyId};

/// Purpose of the facts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A decision: at least one line, and everything adds up.
    Decision,
    /// An assessment of evidence: the order may be given in part, or by its id only.
    Evidence,
}

/// Turns a request into facts for this plan. Either all fields are good, or every bad one is named.
pub fn intake<'a>(plan: &Plan, request: &Request<'a>, purpose: Purpose) -> Result<Facts<'a>, Vec<FieldViolation>> {
    intake_into(&mut Rows::default(), plan, request, purpose)
}

/// The same, with rows that were used before.
pub fn intake_into<'a>(
    rows: &mut Rows,
    plan: &Plan,
    request: &Request<'a>,
    purpose: Purpose,
) -> Result<Facts<'a>, Vec<FieldViolation>> {
    let mut intake = Intake { plan, currency: None, sums: Sums::Comparable, violations: Violations::default() };
    let Request { order, claim } = request;
    intake.currency(order, claim);
    intake.bounds(order, claim);
    let claim_facts = intake.claim(order, claim);
    let mut shared = intake.shared(order, claim, claim_facts.as_ref(), rows);
    let mut lines = intake.lines(order, claim, &mut shared, rows);
    let components = intake.components(order, claim);
    intake.component_facts(&components, &mut lines);
    let tenders = intake.tenders(order, &lines, &components);
    count_what_was_kept(&tenders, &mut lines);
    let earlier = intake.earlier(order, &lines);
    if purpose == Purpose::Decision {
        intake.adds_up(order, &lines, &components, &tenders);
        intake.asks_for_no_more(claim_facts.as_ref(), &lines, &components);
    }
    let currency = intake.currency.map_or(0, |(place, _)| place);
    match claim_facts {
        Some(claim) if intake.violations.is_empty() => {
            Ok(Facts { currency, shared, lines, components, tenders, claim, earlier })
        }
        Some(_) | None => Err(intake.violations.into_list()),
    }
}

/// Rows of values to be filled again: the largest part of facts, and the same for every request
/// that a plan decides.
#[derive(Debug, Default)]
pub struct Rows(Vec<Values>);

/// So many rows are kept: those of a few lines, so that no large order leaves its room behind.
const ROWS_KEPT_MAX: usize = 8;

impl Rows {
    /// A row that holds nothing.
    fn take(&mut self) -> Values {
        self.0.pop().unwrap_or_default()
    }

    /// Takes the rows of facts that nobody looks at any more.
    pub fn take_back(&mut self, facts: &mut Facts<'_>) {
        let Facts { currency: _, shared, lines, components: _, tenders: _, claim: _, earlier: _ } = facts;
        let rows = std::iter::once(shared).chain(lines.iter_mut().map(|line| &mut line.values));
        // One of an order with lines has gone to a line.
        for row in rows.filter(|row| row.capacity() != 0).take(ROWS_KEPT_MAX.saturating_sub(self.0.len())) {
            row.clear();
            self.0.push(std::mem::take(row));
        }
    }
}

pub(super) struct Intake<'p> {
    pub(super) plan: &'p Plan,
    /// The order's currency, by its place in the plan; that of the first amount.
    pub(super) currency: Option<(u16, &'p Currency)>,
    sums: Sums,
    pub(super) violations: Violations,
}

/// State of the amounts paid: can they be added up?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sums {
    /// Every amount is known.
    Comparable,
    /// One is missing, wrong, or more than there can be; it has been named.
    Unknown,
}

/// The place of a built-in fact.
pub(super) const fn place(fact: BuiltIn) -> FactId {
    FactId(fact as u16)
}

pub(super) fn set(values: &mut Values, fact: FactId, value: Option<Value>) {
    if let Some(slot) = values.get_mut(usize::from(fact.0)) {
        *slot = value;
    }
}

fn moment(at: Option<Timestamp>) -> Option<Value> {
    at.map(|at| Value::Quantity(Ratio::whole(at.nanos())))
}

/// The words that a policy declares, or the first of them.
struct Declared<'a>(&'a Vocabulary);

impl Display for Declared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LISTED_MAX: usize = 20;
        let words = self.0.words();
        match words.len() {
            0 => return f.write_str("the policy declares none"),
            1..=LISTED_MAX => f.write_str("the policy declares ")?,
            more => write!(f, "the policy declares {more}, such as ")?,
        }
        for (place, word) in words.iter().take(LISTED_MAX).enumerate() {
            write!(f, "{}`{word}`", if place == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Intake<'_> {
    #[cold]
    pub(super) fn bad(&mut self, field: impl Display, problem: impl Display) {
        self.violations.add(field, problem);
    }

    /// The place of a word that the policy declares; `None` where it is absent or unknown.
    pub(super) fn word(&mut self, word: &str, vocabulary: VocabularyId, field: impl Display + Copy) -> Option<u16> {
        if word.is_empty() {
            return None;
        }
        let known = self.plan.vocabularies.get(vocabulary)?;
        let place = known.place(word);
        if place.is_none() {
            self.unknown_word(word, known, field);
        }
        place
    }

    #[cold]
    fn unknown_word(&mut self, word: &str, known: &Vocabulary, field: impl Display) {
        self.bad(field, format_args!("`{}` is not a declared {}; {}", Shown(word), known.name, Declared(known)));
    }

    fn tags(&mut self, tags: &[&str], field: impl Display + Copy) -> u64 {
        let mut set = 0u64;
        for (at, tag) in tags.iter().enumerate() {
            let field = format_args!("{field}[{at}]");
            if tag.is_empty() {
                self.bad(field, "must not be empty");
            } else if let Some(place) = self.word(tag, VocabularyId::TAG, field) {
                set |= 1u64.checked_shl(u32::from(place)).unwrap_or(0);
            }
        }
        set
    }

    fn count(&mut self, count: usize, most: usize, field: impl Display + Copy) {
        if most < count {
            self.bad(field, format_args!("at most {most} are allowed, got {count}"));
        }
    }

    fn short(&mut self, text: &str, field: impl Display + Copy) {
        if SHORT_TEXT_BYTES_MAX < text.len() {
            self.bad(field, format_args!("at most {SHORT_TEXT_BYTES_MAX} bytes are allowed, got {}", text.len()));
        }
    }

    /// Checks the upper bounds on the number of everything, before any of it is examined more closely.
    fn bounds(&mut self, order: &Order<'_>, claim: &Claim<'_>) {
        self.count(order.lines.len(), LINES_MAX, "order.lines");
        self.count(order.tenders.len(), TENDERS_MAX, "order.tenders");
        self.count(order.components.len(), COMPONENTS_MAX, "order.components");
        self.count(order.tags.len(), ENTRIES_MAX, "order.tags");
        self.count(order.times.len(), ENTRIES_MAX, "order.times");
        self.count(order.inputs.len(), ENTRIES_MAX, "order.inputs");
        self.count(claim.evidence.len(), EVIDENCE_MAX, "claim.evidence");
        self.count(claim.promised_actual.len(), PROMISED_ACTUAL_MAX, "claim.promised_actual");
        self.count(claim.line_ids.len(), LINES_MAX, "claim.line_ids");
        self.count(order.earlier.len(), EARLIER_MAX, "order.earlier");
        self.count(claim.components.len(), COMPONENTS_MAX, "claim.components");
        self.short(order.id, "order.order_id");
        for (at, line) in order.lines.iter().enumerate() {
            let field = |name| Of { list: "order.lines", at, name };
            self.short(line.id, field("line_id"));
            self.count(line.tags.len(), ENTRIES_MAX, field("tags"));
            self.count(line.inputs.len(), ENTRIES_MAX, field("inputs"));
        }
        for (at, tender) in order.tenders.iter().enumerate() {
            let field = |name| Of { list: "order.tenders", at, name };
            self.short(tender.id, field("tender_id"));
            self.short(tender.method, field("method"));
        }
        if CLAIM_TEXT_BYTES_MAX < claim.text.len() {
            self.bad(
                "claim.text",
                format_args!("at most {CLAIM_TEXT_BYTES_MAX} bytes are allowed, got {}", claim.text.len()),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_were_taken_back_are_given_out_again_with_their_room() {
        let mut rows = Rows(vec![Vec::with_capacity(64)]);
        assert!(64 <= rows.take().capacity());
        assert_eq!(rows.take().capacity(), 0, "there was one");
    }
}
