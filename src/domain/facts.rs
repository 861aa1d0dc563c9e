//! Everything known about one order and the claim on it, typed.
//!
//! Facts are a request checked against one plan: slugs are small integers of the plan's
//! vocabularies, money is minor units of one currency, and every bound has been checked. They
//! are only good for the plan that they were made for.

use smallvec::SmallVec;

use crate::domain::money::Amount;
use crate::domain::ratio::Ratio;
use crate::domain::request::Refundability;
use crate::domain::time::Timestamp;
use crate::domain::words::AmountKind;

/// The place of a fact in the plan's list of facts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FactId(pub u16);

/// The value of a fact. Which variant it is follows from the fact's type.
///
/// The variant stands in a byte of its own: it is looked at more often than anything else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// One word of a vocabulary, by its place.
    Word(u16),
    /// Several words of a vocabulary, one bit each.
    Set(u64),
    /// A number in the unit of its dimension: minor units, nanoseconds, days, or none.
    Quantity(Ratio),
    /// A text was given; rules cannot look into it.
    Text,
}

/// The values of the given facts of one line, by [`FactId`]; `None` is a fact that was not sent.
pub type Values = Vec<Option<Value>>;

/// One order and one claim, ready to be decided.
#[derive(Clone, PartialEq, Debug)]
pub struct Facts<'a> {
    /// Currency of all amounts, by its place in the plan.
    pub currency: u16,
    /// The facts of the order and the claim where there is no line: each line has them among its own.
    pub shared: Values,
    /// Every line of the order, in input order.
    pub lines: SmallVec<[LineFacts<'a>; 1]>,
    /// Components of the order, in input order.
    pub components: SmallVec<[ComponentFacts; 1]>,
    /// Tenders of the order, in input order; at least one.
    pub tenders: SmallVec<[TenderFacts<'a>; 2]>,
    /// The claim.
    pub claim: ClaimFacts<'a>,
    /// Named amounts that earlier answers held back, gave and asked for.
    pub earlier: Vec<EarlierFacts>,
}

impl Facts<'_> {
    /// The value of a fact of the order or the claim.
    #[must_use]
    pub fn shared(&self, fact: FactId) -> Option<&Value> {
        let values = self.lines.first().map_or(&self.shared, |line| &line.values);
        values.get(usize::from(fact.0)).and_then(Option::as_ref)
    }
}

/// An amount of an earlier answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EarlierFacts {
    /// Its name, by its place in the plan.
    pub name: u16,
    /// The line it was for, by its place.
    pub line: u16,
    /// Kind of the amount.
    pub what: AmountKind,
    /// The amount as sent.
    pub said: Amount,
    /// The part of it that counts: the deductions of a line count at most the rest of its price that has not gone back.
    pub amount: Amount,
}

/// One line.
#[derive(Clone, PartialEq, Debug)]
pub struct LineFacts<'a> {
    /// The caller's id.
    pub id: &'a str,
    /// The facts that rules see.
    pub values: Values,
    /// The price paid.
    pub paid: Amount,
    /// Amount refunded earlier; at most the price paid.
    pub refunded: Amount,
    /// Least part of the price of which `refunded` would go back, once non-refundable tenders have kept their share.
    pub gone: Amount,
    /// The same, but the whole price where no more than `refunded` would go back of it.
    pub returned: Amount,
    /// Coverage of this line by the claim.
    pub coverage: Coverage,
}

/// Coverage of a line or a component by the claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coverage {
    /// It is: it is decided.
    Claimed,
    /// It is not: it only counts towards what was paid.
    NotClaimed,
}

/// A component of the order: shipping, tax and the like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ComponentFacts {
    /// Its name, by its place in the plan.
    pub name: u16,
    /// Price of the component.
    pub paid: Amount,
    /// Amount of it refunded earlier; at most its price.
    pub refunded: Amount,
    /// The line it belongs to, by its place; `None`: the whole order.
    pub line: Option<u16>,
    /// Coverage by the claim: a claim that names components is about no others.
    pub coverage: Coverage,
}

/// One way the order was paid.
#[derive(Clone, PartialEq, Debug)]
pub struct TenderFacts<'a> {
    /// The caller's id.
    pub id: &'a str,
    /// `alipay`, `card`, `coupon`, …; may be empty.
    pub method: &'a str,
    /// Amount that it paid.
    pub paid: Amount,
    /// Amount refunded to it earlier; at most the amount that it paid.
    pub refunded: Amount,
    /// Refundability of the tender.
    pub refundability: Refundability,
}

/// Requests and statements of the customer.
#[derive(Clone, PartialEq, Debug)]
pub struct ClaimFacts<'a> {
    /// When the customer asked: the only "now" there is.
    pub requested_at: Timestamp,
    /// The reason, by its place in the plan.
    pub reason: Option<u16>,
    /// The customer's words; may be empty.
    pub text: &'a str,
    /// Presence of a pair with a promised and an actual value, both of them not blank.
    pub comparison: Comparison,
    /// The material, in input order.
    pub evidence: SmallVec<[EvidenceFacts<'a>; 2]>,
    /// Amount asked for; `None` means all that can be had.
    pub requested_amount: Option<Amount>,
    /// Coverage of lines: not claimed where the claim names components alone.
    pub lines: Coverage,
}

/// Presence of a promised value beside an actual one in the claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// At least one pair has both.
    Given,
    /// No pair has both.
    NotGiven,
}

/// One piece of evidence. Empty texts were not said.
#[derive(Clone, PartialEq, Debug)]
pub struct EvidenceFacts<'a> {
    /// The caller's id.
    pub id: &'a str,
    /// Its kind, by its place in the plan.
    pub kind: u16,
    /// `image/png`, as said.
    pub media_type: &'a str,
    /// Its size; zero: not said.
    pub size_bytes: i64,
    /// The first piece, by its place in this list, that is the same file: its own place where no other is.
    pub file: u16,
    /// When it was captured.
    pub captured_at: Option<Timestamp>,
    /// The order that the piece is about.
    pub about: About,
    /// The names of the fields that it fills with something.
    pub fields: Vec<&'a str>,
}

/// The order that a piece of evidence is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// The order of the request, or it does not say.
    ThisOrder,
    /// Another one, by its own word.
    AnotherOrder,
}

impl LineFacts<'_> {
    /// Amount that can still be refunded of the line at all.
    #[must_use]
    pub const fn refundable(&self) -> Amount {
        self.paid.less(self.refunded)
    }
}

impl ComponentFacts {
    /// Returns true if it belongs to this line, by its place: one of the whole order belongs to every line.
    #[must_use]
    pub fn belongs_to(&self, line: u16) -> bool {
        self.line.is_none_or(|own| own == line)
    }

    /// Amount that can still be refunded of it at all.
    #[must_use]
    pub const fn refundable(&self) -> Amount {
        self.paid.less(self.refunded)
    }
}

impl TenderFacts<'_> {
    /// Amount that can still be refunded to the tender.
    #[must_use]
    pub const fn refundable(&self) -> Amount {
        match self.refundability {
            Refundability::Refundable => self.paid.less(self.refunded),
            Refundability::NotRefundable => Amount::ZERO,
        }
    }
}
