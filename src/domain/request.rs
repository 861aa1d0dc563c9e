//! A request as the caller said it: words, not yet checked against a policy.
//!
//! Whoever brings requests in (the wire, a file of cases) turns its own form into this one, and
//! `decision::intake` turns this one into [`crate::domain::facts::Facts`] with every bad field
//! named. Texts are borrowed from the form they came in; an empty text means "not said".

use crate::domain::time::{Elapsed, Timestamp};
use crate::domain::words::{AmountKind, LiableParty, OrderStage, RequestType};

/// One order and one claim on it.
#[derive(Clone, PartialEq, Debug)]
pub struct Request<'a> {
    /// The order: its lines, payment and progress.
    pub order: Order<'a>,
    /// Requests and statements of the customer.
    pub claim: Claim<'a>,
}

/// See the message `Order`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Order<'a> {
    /// The caller's id.
    pub id: &'a str,
    /// When the order was placed.
    pub placed_at: Option<Timestamp>,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
    /// Further anchors by name, the known ones and the policy's own.
    pub times: Vec<(&'a str, Timestamp)>,
    /// Delay that the customer caused; `None` means there was none.
    pub customer_caused_delay: Option<Elapsed>,
    /// Lines of the order.
    pub lines: Vec<Line<'a>>,
    /// Tenders of the order; none means one unnamed tender that paid everything.
    pub tenders: Vec<Tender<'a>>,
    /// Shipping, tax and the like.
    pub components: Vec<Component<'a>>,
    /// Tags of the whole order.
    pub tags: Vec<&'a str>,
    /// Facts that the policy declares.
    pub inputs: Vec<(&'a str, InputValue<'a>)>,
    /// Named amounts that earlier answers held back, gave and asked for.
    pub earlier: Vec<EarlierAmount<'a>>,
}

/// See the message `EarlierAmount`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EarlierAmount<'a> {
    /// The name of an amount of the policy; mandatory.
    pub name: &'a str,
    /// The line it was for; may be empty where the order has one line.
    pub line_id: &'a str,
    /// The amount; mandatory.
    pub amount: Option<Money<'a>>,
    /// Kind of the amount; mandatory.
    pub what: Option<AmountKind>,
}

/// See the message `OrderLine`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Line<'a> {
    /// Unique within the order.
    pub id: &'a str,
    /// A slug of the policy.
    pub product_type: &'a str,
    /// Progress of the line.
    pub stage: Option<OrderStage>,
    /// A slug of the policy.
    pub sub_stage: &'a str,
    /// The price paid; mandatory.
    pub paid: Option<Money<'a>>,
    /// The price without discounts.
    pub list_price: Option<Money<'a>>,
    /// Amount refunded earlier; `None` means none.
    pub refunded: Option<Money<'a>>,
    /// Units done, of units in all.
    pub completed: Option<Fraction>,
    /// Cost that the provider declares to have had.
    pub declared_cost: Option<Money<'a>>,
    /// Tags of this line.
    pub tags: Vec<&'a str>,
    /// Facts that the policy declares, for this line.
    pub inputs: Vec<(&'a str, InputValue<'a>)>,
    /// Amount settled by earlier exchanges; not used yet.
    pub settled: Option<Money<'a>>,
    /// Units of the line; zero: not said. Not used yet.
    pub quantity: i64,
    /// Units that came back in earlier claims; not used yet.
    pub returned_quantity: i64,
    /// Amount refunded earlier for the units that came back; not used yet.
    pub returned_refunded: Option<Money<'a>>,
}

/// See the message `Tender`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tender<'a> {
    /// Unique within the order.
    pub id: &'a str,
    /// `alipay`, `card`, `coupon`, …
    pub method: &'a str,
    /// Amount that it paid; mandatory.
    pub paid: Option<Money<'a>>,
    /// Amount refunded to it earlier; `None` means none.
    pub refunded: Option<Money<'a>>,
    /// Refundability of the tender.
    pub refundability: Refundability,
}

/// Refundability of a tender: money can go back to it or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Refundability {
    /// It can.
    #[default]
    Refundable,
    /// It cannot: a coupon, a voucher that is used up.
    NotRefundable,
}

/// See the message `Component`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Component<'a> {
    /// A slug of the policy.
    pub name: &'a str,
    /// Price of the component; mandatory.
    pub paid: Option<Money<'a>>,
    /// Amount of it refunded earlier; `None` means none.
    pub refunded: Option<Money<'a>>,
    /// The line it belongs to; empty: the whole order.
    pub line_id: &'a str,
}

/// See the message `Claim`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Claim<'a> {
    /// Kind of request.
    pub request_type: Option<RequestType>,
    /// A slug of the policy.
    pub reason: &'a str,
    /// Liable party, as claimed.
    pub liable_party: Option<LiableParty>,
    /// The customer's words.
    pub text: &'a str,
    /// Pairs of a promised and an actual value.
    pub promised_actual: Vec<PromisedActual<'a>>,
    /// Material that proves the claim.
    pub evidence: Vec<Evidence<'a>>,
    /// A slug of the policy.
    pub channel: &'a str,
    /// When the customer asked; mandatory, because nothing here has a clock.
    pub requested_at: Option<Timestamp>,
    /// Amount asked for; `None` means all that can be had.
    pub requested_amount: Option<Money<'a>>,
    /// The lines it covers; none means every line, or no line where components are named.
    pub line_ids: Vec<&'a str>,
    /// The components it covers, by name; none means all that belong to what is claimed.
    pub components: Vec<&'a str>,
}

/// See the message `PromisedActual`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PromisedActual<'a> {
    /// Subject of the pair.
    pub subject: &'a str,
    /// The promised value.
    pub promised: &'a str,
    /// The actual value.
    pub actual: &'a str,
}

/// See the message `Evidence`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Evidence<'a> {
    /// Unique within the claim.
    pub id: &'a str,
    /// A slug of the policy.
    pub kind: &'a str,
    /// `image/png`; empty: not said.
    pub media_type: &'a str,
    /// Zero: not said.
    pub size_bytes: i64,
    /// Hex; empty: not said.
    pub sha256: &'a str,
    /// When it was captured.
    pub captured_at: Option<Timestamp>,
    /// The order it is about; empty: not said.
    pub order_id: &'a str,
    /// Origin of the piece; empty: not said.
    pub source: &'a str,
    /// Its statements, by name.
    pub fields: Vec<(&'a str, &'a str)>,
}

/// Money as said: a currency code, units, and billionths of a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Money<'a> {
    /// ISO 4217, or a unit that the policy declares.
    pub currency: &'a str,
    /// Whole units.
    pub units: i64,
    /// Billionths of a unit, of the same sign.
    pub nanos: i32,
}

/// A fraction as said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fraction {
    /// Above the line.
    pub numerator: i64,
    /// Below the line.
    pub denominator: i64,
}

/// The value of a fact that a policy declares, as said.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum InputValue<'a> {
    /// A slug, or free text.
    Text(&'a str),
    /// Yes or no.
    Flag(bool),
    /// A decimal as written: `12.50`.
    Decimal(&'a str),
    /// An amount.
    Money(Money<'a>),
    /// A fraction.
    Fraction(Fraction),
    /// A moment.
    Timestamp(Timestamp),
    /// A length of time.
    Duration(Elapsed),
}

/// One field of a request that cannot be accepted, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldViolation {
    /// The field by its path in `EvaluateRefundRequest`: `order.lines[0].paid`.
    pub field: String,
    /// The problem, the expected value, and the actual one where it helps.
    pub problem: String,
}

impl FieldViolation {
    /// A violation of one field.
    #[must_use]
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}
