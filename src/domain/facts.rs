//! Everything known about one order and the claim on it, typed.
//!
//! Facts are a request held against one plan: slugs are small integers of the plan's
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
    /// Which of the plan's currencies all amounts are in.
    pub currency: u16,
    /// The facts of the order and the claim where there is no line: each line has them among its own.
    pub shared: Values,
    /// Every line of the order, in input order.
    pub lines: SmallVec<[LineFacts<'a>; 1]>,
    /// Components of the order, in input order.
    pub components: SmallVec<[ComponentFacts; 1]>,
    /// How the order was paid, in input order; at least one.
    pub tenders: SmallVec<[TenderFacts<'a>; 2]>,
    /// The claim.
    pub claim: ClaimFacts<'a>,
    /// What earlier answers held back, gave and asked for by name.
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
    /// What it was.
    pub what: AmountKind,
    /// How much it was.
    pub said: Amount,
    /// How much of it counts: of deductions no more, by all names together, than has not gone back of the line.
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
    /// What went back earlier; at most what was paid.
    pub refunded: Amount,
    /// The same with the share of it that tenders kept that take nothing back: the least of the price of which so much
    /// would go back.
    pub gone: Amount,
    /// The same, but all of the price where no more than that would go back of all of it.
    pub returned: Amount,
    /// Whether the claim is about this line.
    pub coverage: Coverage,
}

/// Whether the claim is about something.
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
    /// What it cost.
    pub paid: Amount,
    /// What went back of it earlier; at most what it cost.
    pub refunded: Amount,
    /// The line it belongs to, by its place; `None`: the whole order.
    pub line: Option<u16>,
    /// Whether the claim may be about it: claims can name the components that they are about.
    pub coverage: Coverage,
}

/// One way the order was paid.
#[derive(Clone, PartialEq, Debug)]
pub struct TenderFacts<'a> {
    /// The caller's id.
    pub id: &'a str,
    /// `alipay`, `card`, `coupon`, …; may be empty.
    pub method: &'a str,
    /// What it paid.
    pub paid: Amount,
    /// What went back to it earlier; at most what it paid.
    pub refunded: Amount,
    /// Whether money can go back to it.
    pub refundability: Refundability,
}

/// What the customer asks for and says.
#[derive(Clone, PartialEq, Debug)]
pub struct ClaimFacts<'a> {
    /// When the customer asked: the only "now" there is.
    pub requested_at: Timestamp,
    /// The reason, by its place in the plan.
    pub reason: Option<u16>,
    /// The customer's words; may be empty.
    pub text: &'a str,
    /// Whether a promised and an actual value were given, both of them not blank.
    pub comparison: Comparison,
    /// The material, in input order.
    pub evidence: SmallVec<[EvidenceFacts<'a>; 2]>,
    /// How much is asked for; `None` means all that can be had.
    pub requested_amount: Option<Amount>,
    /// Whether it is about lines: it is not where it names components alone.
    pub lines: Coverage,
}

/// Whether the claim sets a promised value against an actual one.
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
    /// Whether it names the order that the request is about.
    pub about: About,
    /// The names of the fields that it fills with something.
    pub fields: Vec<&'a str>,
}

/// Which order a piece of evidence is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// The order of the request, or it does not say.
    ThisOrder,
    /// Another one, by its own word.
    AnotherOrder,
}

impl LineFacts<'_> {
    /// What can still be refunded of the line at all.
    #[must_use]
    pub const fn refundable(&self) -> Amount {
        self.paid.less(self.refunded)
    }
}

impl ComponentFacts {
    /// Whether it belongs to a line, by the line's place: to its own, or as one of the whole order to every line.
    #[must_use]
    pub fn belongs_to(&self, line: u16) -> bool {
        self.line.is_none_or(|own| own == line)
    }

    /// What can still be refunded of it at all.
    #[must_use]
    pub const fn refundable(&self) -> Amount {
        self.paid.less(self.refunded)
    }
}

impl TenderFacts<'_> {
    /// What can still go back to the tender.
    #[must_use]
    pub const fn refundable(&self) -> Amount {
        match self.refundability {
            Refundability::Refundable => self.paid.less(self.refunded),
            Refundability::NotRefundable => Amount::ZERO,
        }
    }
}
