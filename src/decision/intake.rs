//! From a request to facts: every field held against the plan, every bad one named.
//!
//! Money must be of one declared currency, words must be declared, parts must add up, and
//! nothing may be larger than its bound. What is absent stays absent: nothing becomes zero here.

use std::fmt::Display;

use smallvec::{SmallVec, smallvec};

use crate::decision::field::{Of, Seen, Shown, shown};
use crate::decision::inputs;
use crate::domain::exact::Exact;
use crate::domain::facts::{
    About, ClaimFacts, Comparison, ComponentFacts, Coverage, EvidenceFacts, FactId, Facts, LineFacts, TenderFacts,
    Value, Values,
};
use crate::domain::limits::{
    CLAIM_TEXT_BYTES_MAX, COMPONENTS_MAX, ENTRIES_MAX, EVIDENCE_MAX, LINES_MAX, PROMISED_ACTUAL_MAX,
    SHORT_TEXT_BYTES_MAX, TENDERS_MAX,
};
use crate::domain::money::{Amount, Currency};
use crate::domain::request::{
    Claim, Component, Evidence, FieldViolation, Fraction, Line, Money, Order, PromisedActual, Refundability, Request,
    Tender,
};
use crate::domain::time::Timestamp;
use crate::plan::Plan;
use crate::plan::fact::{BuiltIn, InputScope};
use crate::plan::vocabulary::VocabularyId;

/// What the facts are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A decision: at least one line, and everything adds up.
    Decision,
    /// An assessment of evidence: the order may be given in part, or by its id only.
    Evidence,
}

/// Turns a request into facts for this plan. Either all fields are good, or every bad one is named.
pub fn intake<'a>(plan: &Plan, request: &Request<'a>, purpose: Purpose) -> Result<Facts<'a>, Vec<FieldViolation>> {
    let mut intake = Intake { plan, currency: None, sums: Sums::Comparable, violations: Vec::new() };
    let Request { order, claim } = request;
    intake.currency(order, claim);
    intake.bounds(order, claim);
    let claim_facts = intake.claim(order, claim);
    let requested = claim_facts.as_ref().and_then(|claim| claim.requested_amount);
    let shared = intake.shared(order, claim, requested);
    let mut lines = intake.lines(order, claim, &shared);
    let components = intake.components(order);
    intake.component_facts(&components, &mut lines);
    let tenders = intake.tenders(order, &lines, &components);
    if purpose == Purpose::Decision {
        intake.adds_up(order, &lines, &components, &tenders);
    }
    match (intake.violations.is_empty(), claim_facts) {
        (true, Some(claim)) => Ok(Facts {
            currency: intake.currency.map_or(0, |(place, _)| place),
            shared,
            lines,
            components,
            tenders,
            claim,
        }),
        (_, _) => Err(intake.violations),
    }
}

pub(super) struct Intake<'p> {
    pub(super) plan: &'p Plan,
    /// The order's currency, by its place in the plan; that of the first amount.
    pub(super) currency: Option<(u16, &'p Currency)>,
    sums: Sums,
    pub(super) violations: Vec<FieldViolation>,
}

/// Whether what was paid can be added up.
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
    at.map(|at| Value::Quantity(Exact::whole(at.nanos())))
}

impl<'p> Intake<'p> {
    pub(super) fn bad(&mut self, field: impl Display, problem: impl Into<String>) {
        self.violations.push(FieldViolation::new(field.to_string(), problem));
    }

    /// Takes the currency of the first amount for the order's; every other amount is held against it.
    fn currency(&mut self, order: &Order<'_>, claim: &Claim<'_>) {
        let lines = order.lines.iter().flat_map(|line| [line.paid, line.list_price, line.refunded, line.declared_cost]);
        let rest = order.tenders.iter().map(|tender| tender.paid).chain([claim.requested_amount]);
        let first = lines.chain(rest).flatten().next();
        let place = first.and_then(|money| self.plan.vocabularies.place(VocabularyId::CURRENCY, money.currency));
        self.currency = place.and_then(|place| Some((place, self.plan.currencies.get(usize::from(place))?)));
    }

    /// An amount as minor units; `None` where it is absent or bad.
    pub(super) fn amount(&mut self, money: Option<Money<'_>>, field: impl Display + Copy) -> Option<Amount> {
        let amount = self.checked_amount(money?, field);
        if amount.is_none() {
            self.sums = Sums::Unknown;
        }
        amount
    }

    fn checked_amount(&mut self, money: Money<'_>, field: impl Display + Copy) -> Option<Amount> {
        let Money { currency: code, units, nanos } = money;
        let plan = self.plan;
        let Some(currency) = plan.currencies.iter().find(|currency| currency.code == code) else {
            let known = plan.currencies.iter().map(|currency| currency.code.as_str()).collect::<Vec<_>>().join(", ");
            self.bad(
                format!("{field}.currency_code"),
                format!("`{}` is not a currency of this policy, which knows {known}", shown(code)),
            );
            return None;
        };
        if let Some((_, expected)) = self.currency
            && expected.code != code
        {
            self.bad(
                format!("{field}.currency_code"),
                format!("must be `{}` like the order's other amounts, got `{code}`", expected.code),
            );
            return None;
        }
        match currency.amount(units, nanos) {
            Ok(amount) => Some(amount),
            Err(error) => {
                self.bad(field, format!("{error}, got units {units} and nanos {nanos} of {code}"));
                None
            }
        }
    }

    fn money(&self, amount: Amount) -> Value {
        let nanos = self.currency.map_or(Exact::ZERO, |(_, currency)| currency.nanos(amount));
        Value::Quantity(nanos)
    }

    /// The place of a word that the policy declares; `None` where it is absent or unknown.
    pub(super) fn word(&mut self, word: &str, vocabulary: VocabularyId, field: impl Display + Copy) -> Option<u16> {
        if word.is_empty() {
            return None;
        }
        let known = self.plan.vocabularies.get(vocabulary)?;
        let place = known.place(word);
        if place.is_none() {
            let words = known.words();
            let listed = words.iter().take(20).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            let rest = match words.len() {
                0 => "the policy declares none".to_owned(),
                1..=20 => format!("the policy declares {listed}"),
                more => format!("the policy declares {more}, such as {listed}"),
            };
            self.bad(field, format!("`{}` is not a declared {}; {rest}", shown(word), known.name));
        }
        place
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
            self.bad(field, format!("at most {most} are allowed, got {count}"));
        }
    }

    fn short(&mut self, text: &str, field: impl Display + Copy) {
        if SHORT_TEXT_BYTES_MAX < text.len() {
            self.bad(field, format!("at most {SHORT_TEXT_BYTES_MAX} bytes are allowed, got {}", text.len()));
        }
    }

    /// How much there may be of everything, before any of it is looked at more closely.
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
                format!("at most {CLAIM_TEXT_BYTES_MAX} bytes are allowed, got {}", claim.text.len()),
            );
        }
    }

    /// The claim; `None` only where the moment of the request is missing.
    fn claim<'a>(&mut self, order: &Order<'a>, claim: &Claim<'a>) -> Option<ClaimFacts<'a>> {
        let Claim {
            request_type: _,
            reason,
            liable_party: _,
            text,
            promised_actual,
            evidence,
            channel: _,
            requested_at,
            requested_amount,
            line_ids: _,
        } = claim;
        if requested_at.is_none() {
            self.bad("claim.requested_at", "is mandatory: the service has no clock of its own");
        }
        let requested_amount = self.amount(*requested_amount, "claim.requested_amount");
        if requested_amount == Some(Amount::ZERO) {
            self.bad("claim.requested_amount", "must be above zero; leave it out to ask for all that can be had");
        }
        let reason = self.word(reason, VocabularyId::REASON, "claim.reason");
        let evidence = self.evidence(order, evidence);
        Some(ClaimFacts {
            requested_at: (*requested_at)?,
            reason,
            text,
            comparison: comparison(promised_actual),
            evidence,
            requested_amount,
        })
    }

    fn evidence<'a>(&mut self, order: &Order<'a>, pieces: &[Evidence<'a>]) -> SmallVec<[EvidenceFacts<'a>; 2]> {
        let mut seen = Seen::default();
        let mut facts = SmallVec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let field = |name| Of { list: "claim.evidence", at, name };
            let Evidence { id, kind, media_type, size_bytes, sha256, captured_at, order_id, source, fields } = piece;
            if !id.is_empty() && !seen.insert(id) {
                self.bad(field("evidence_id"), format!("`{}` stands twice", shown(id)));
            }
            if kind.is_empty() {
                self.bad(field("kind"), "is mandatory");
            }
            if *size_bytes < 0 {
                self.bad(field("size_bytes"), format!("must not be negative, got {size_bytes}"));
            }
            let hex = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !sha256.is_empty() && !hex {
                self.bad(field("sha256"), "must be 64 hexadecimal digits");
            }
            self.count(fields.len(), ENTRIES_MAX, field("fields"));
            for (text, name) in
                [(id, "evidence_id"), (media_type, "media_type"), (order_id, "order_id"), (source, "source")]
            {
                self.short(text, field(name));
            }
            let about = if order_id.is_empty() || order.id.is_empty() || *order_id == order.id {
                About::ThisOrder
            } else {
                About::AnotherOrder
            };
            let filled = fields.iter().filter(|(_, value)| !value.trim().is_empty()).map(|(name, _)| *name).collect();
            if let Some(kind) = self.word(kind, VocabularyId::EVIDENCE_KIND, field("kind")) {
                facts.push(EvidenceFacts {
                    id,
                    kind,
                    media_type,
                    size_bytes: *size_bytes,
                    captured_at: *captured_at,
                    about,
                    fields: filled,
                });
            }
        }
        facts
    }

    /// The facts of the order and the claim: a row of values that every line begins with.
    fn shared(&mut self, order: &Order<'_>, claim: &Claim<'_>, requested: Option<Amount>) -> Values {
        let plan = self.plan;
        let mut values: Values = vec![None; usize::from(plan.given_facts)];
        let mut put = |fact, value| set(&mut values, place(fact), value);
        put(BuiltIn::PlacedAt, moment(order.placed_at));
        put(BuiltIn::PaidAt, moment(order.paid_at));
        put(BuiltIn::RequestedAt, moment(claim.requested_at));
        // Most orders have no such delay: the API says that absent means none.
        let delay = order.customer_caused_delay.map_or(0, |delay| delay.nanos());
        put(BuiltIn::CustomerCausedDelay, Some(Value::Quantity(Exact::whole(delay))));
        put(BuiltIn::RequestType, claim.request_type.map(|word| Value::Word(word.index())));
        put(BuiltIn::Currency, self.currency.map(|(place, _)| Value::Word(place)));
        if delay < 0 {
            self.bad("order.customer_caused_delay", "must not be negative");
        }
        let reason = plan.vocabularies.place(VocabularyId::REASON, claim.reason);
        let usual = reason.and_then(|reason| plan.reasons.get(usize::from(reason))).and_then(|reason| reason.liable);
        put(BuiltIn::Reason, reason.map(Value::Word));
        put(BuiltIn::ClaimedLiable, claim.liable_party.or(usual).map(|word| Value::Word(word.index())));
        let channel = self.word(claim.channel, VocabularyId::CHANNEL, "claim.channel");
        put(BuiltIn::Channel, channel.map(Value::Word));
        put(BuiltIn::RequestedAmount, requested.map(|amount| self.money(amount)));
        self.times(order, &mut values);
        inputs::read(self, &order.inputs, InputScope::Order, "order.inputs", &mut values);
        values
    }

    fn times(&mut self, order: &Order<'_>, values: &mut Values) {
        // As few as a request may have are compared sooner than hashed.
        let mut seen: SmallVec<[FactId; 8]> = SmallVec::new();
        for (name, at) in &order.times {
            let field = format_args!("order.times[\"{}\"]", Shown(name));
            match inputs::anchor(self.plan, name) {
                Some(fact) if !seen.contains(&fact) => {
                    seen.push(fact);
                    set(values, fact, moment(Some(*at)));
                }
                Some(_) => self.bad(field, "stands twice"),
                None => {
                    let known = inputs::anchors(self.plan).collect::<Vec<_>>().join("`, `");
                    self.bad(field, format!("is not a known moment of an order; known are `{known}`"));
                }
            }
        }
    }

    fn lines<'a>(&mut self, order: &Order<'a>, claim: &Claim<'a>, shared: &Values) -> SmallVec<[LineFacts<'a>; 1]> {
        let mut ids = Seen::default();
        for (at, line) in order.lines.iter().enumerate() {
            if !ids.insert(line.id) {
                self.bad(format!("order.lines[{at}].line_id"), twice(line.id, "lines"));
            }
        }
        let mut claimed = Seen::default();
        for (at, id) in claim.line_ids.iter().enumerate() {
            if !ids.contains(id) {
                self.bad(format!("claim.line_ids[{at}]"), format!("the order has no line `{}`", shown(id)));
            } else if !claimed.insert(id) {
                self.bad(format!("claim.line_ids[{at}]"), format!("`{}` stands twice", shown(id)));
            }
        }
        let order_tags = self.tags(&order.tags, "order.tags");
        let mut lines: SmallVec<[LineFacts<'a>; 1]> = SmallVec::new();
        for (at, line) in order.lines.iter().enumerate() {
            let coverage = if claim.line_ids.is_empty() || claimed.contains(line.id) {
                Coverage::Claimed
            } else {
                Coverage::NotClaimed
            };
            lines.push(self.line(line, at, order_tags, shared.clone(), coverage));
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
        } = line;
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
        LineFacts { id, values, paid, refunded: earlier, coverage }
    }

    /// The share completed, the units done, and the units in all.
    fn completed(
        &mut self,
        Fraction { numerator, denominator }: Fraction,
        field: impl Display + Copy,
    ) -> Option<(Exact, Exact, Exact)> {
        if denominator <= 0 {
            self.bad(format!("{field}.denominator"), format!("must be above zero, got {denominator}"));
        }
        if numerator < 0 {
            self.bad(format!("{field}.numerator"), format!("must not be negative, got {numerator}"));
        }
        if 0 < denominator && denominator < numerator {
            self.bad(field, format!("more units are done than there are: {numerator} of {denominator}"));
        }
        let share = Exact::fraction(i128::from(numerator), i128::from(denominator))?;
        Some((share, Exact::whole(i128::from(numerator)), Exact::whole(i128::from(denominator))))
    }

    fn tenders<'a>(
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
            if !ids.insert(id) {
                self.bad(field("tender_id"), twice(id, "tenders"));
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

    fn components(&mut self, order: &Order<'_>) -> SmallVec<[ComponentFacts; 1]> {
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
                self.bad(field("line_id"), format!("the order has no line `{}`", shown(line_id)));
            }
            let name = self.word(name, VocabularyId::COMPONENT, field("name"));
            let paid = self.amount(*paid, field("paid")).unwrap_or(Amount::ZERO);
            let refunded = self.amount(*refunded, field("refunded")).unwrap_or(Amount::ZERO);
            if paid < refunded {
                self.sums = Sums::Unknown;
                self.bad(field("refunded"), "must not be more than `paid`");
            }
            let line = line.filter(|_| !line_id.is_empty());
            match name {
                Some(name) => facts.push(ComponentFacts { name, paid, refunded, line }),
                None => self.sums = Sums::Unknown,
            }
        }
        facts
    }

    /// What the whole order cost, and what each line and its order paid for each component; nothing
    /// where there is none.
    fn component_facts(&self, components: &[ComponentFacts], lines: &mut [LineFacts<'_>]) {
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

    /// What the lines come to is what the tenders paid; the same for what went back.
    fn adds_up(
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
                self.bad("order.tenders", format!("the tenders' `{what}` comes to {tenders} {currency}, the lines' and components' to {lines} {currency}; they must be equal"));
            }
        }
    }
}

/// What was paid for lines and components, and what went back of them.
fn totals(lines: &[LineFacts<'_>], components: &[ComponentFacts]) -> (Amount, Amount) {
    let paid = lines.iter().map(|line| line.paid).chain(components.iter().map(|component| component.paid));
    let refunded = lines.iter().map(|line| line.refunded).chain(components.iter().map(|component| component.refunded));
    (Amount::sum(paid), Amount::sum(refunded))
}

/// Why a second one cannot have this id.
fn twice(id: &str, of: &str) -> String {
    if id.is_empty() {
        format!("must be given where there are several {of}")
    } else {
        format!("`{}` stands twice", shown(id))
    }
}

/// A pair counts where both sides say something.
fn comparison(pairs: &[PromisedActual<'_>]) -> Comparison {
    let both = |pair: &PromisedActual<'_>| !pair.promised.trim().is_empty() && !pair.actual.trim().is_empty();
    if pairs.iter().any(both) { Comparison::Given } else { Comparison::NotGiven }
}
