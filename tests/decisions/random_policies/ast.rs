//! A policy as a tree of its own.

use requite::domain::words::{DeductionKind, LiableParty, ReasonCode, RefundMethod};

use super::number::{Mode, Rat};

pub type Words = &'static [&'static str];

/// The type of a fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    Flag,
    Word(Words),
    Tags,
    Number,
    /// In hundredths.
    Money,
    /// In nanoseconds.
    Elapsed,
    Days,
    BusinessDays,
    /// In nanoseconds since 1970.
    Moment,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Val {
    Flag(bool),
    Word(&'static str),
    Tags(u8),
    Num(Rat),
}

pub const TAGS: Words = &["final_sale", "gift", "bulk", "vip"];
pub const KINDS: Words = &["chat", "photo", "invoice", "log", "video"];
pub const CHANNELS: Words = &["app", "web"];
pub const PRODUCTS: Words = &["ticket", "course", "goods"];
pub const REASONS: Words = &["late", "changed", "broken"];
pub const METHODS: Words = &["card", "wallet", "coupon"];
pub const STEPS: Words = &["send_more", "restate", "complain", "hotline", "appeal"];
pub const EXTRAS: Words = &["voucher", "apology", "cleaning"];
pub const ORDER_AMOUNTS: Words = &["booking_fee", "postage", "goodwill"];
pub const VAGUE: Words = &["bad", "don't like"];
pub const CHECKABLE: Words = &["promised"];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}

impl Binary {
    pub const fn sign(self) -> (&'static str, u8) {
        match self {
            Self::Or => ("or", 1),
            Self::And => ("and", 2),
            Self::Eq => ("==", 4),
            Self::Ne => ("!=", 4),
            Self::Lt => ("<", 4),
            Self::Le => ("<=", 4),
            Self::Gt => (">", 4),
            Self::Ge => (">=", 4),
            Self::Add => ("+", 5),
            Self::Sub => ("-", 5),
            Self::Mul => ("*", 6),
            Self::Div => ("/", 6),
        }
    }
}

/// A function of one value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Floor,
    Ceil,
    Since,
    Until,
    DaysSince,
    DaysUntil,
    BusinessDaysSince,
    BusinessDaysUntil,
    /// The same time of day on the first worked day from then on.
    NextWorkedDay,
    StartOfDay,
    EndOfDay,
    NextDay,
    Money,
}

#[derive(Clone, Debug)]
pub enum Expr {
    Fact(&'static str),
    Literal(Type, Val),
    Remaining,
    Previous,
    Binary(Binary, Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Least(Vec<Expr>),
    Most(Vec<Expr>),
    Clamp(Box<[Expr; 3]>),
    Round(Box<Expr>, Type, Rat, Option<Mode>),
    Call(Call, Box<Expr>),
    /// So many calendar days later.
    Shift(Box<Expr>, i64),
    IfAbsent(Box<Expr>, Box<Expr>),
}

/// A range of numbers; each edge with whether it lies inside.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub low: Option<(Rat, bool)>,
    pub high: Option<(Rat, bool)>,
}

impl Range {
    pub fn holds(&self, value: Rat) -> bool {
        self.low.is_none_or(|(edge, inside)| edge < value || (inside && edge == value))
            && self.high.is_none_or(|(edge, inside)| value < edge || (inside && edge == value))
    }
}

/// An item of a list of accepted values.
#[derive(Clone, Debug)]
pub enum Item<T> {
    Is(T),
    Not(Vec<T>),
}

#[derive(Clone, Debug)]
pub enum Accept {
    Present,
    Absent,
    Flag(bool),
    Words(Vec<Item<&'static str>>),
    AnyTag(Vec<&'static str>),
    AllTags(Vec<&'static str>),
    NoTag(Vec<&'static str>),
    Ranges(Type, Vec<Item<Range>>),
}

#[derive(Clone, Debug)]
pub struct Test {
    pub subject: Expr,
    pub accept: Accept,
}

#[derive(Clone, Debug)]
pub enum Derived {
    Formula(Expr),
    Table(Vec<(Vec<Test>, Expr)>, Expr),
}

#[derive(Clone, Debug)]
pub enum Amount {
    Formula(Expr),
    Tiers { on: Expr, on_type: Type, tiers: Vec<(Range, Expr)>, of: Option<Expr> },
}

#[derive(Clone, Debug)]
pub struct Step {
    pub kind: DeductionKind,
    pub whole_order: bool,
    pub when: Vec<Test>,
    pub amount: Amount,
    pub at_least: Option<Expr>,
    pub at_most: Option<Expr>,
    /// In hundredths; of the refund or of the deduction.
    pub round: Option<(Option<i64>, Option<Mode>, bool)>,
}

#[derive(Clone, Debug)]
pub enum Action {
    Refund(Vec<Step>),
    Deny(Vec<ReasonCode>),
    Ask(Vec<ReasonCode>),
    Review(Vec<ReasonCode>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Demand {
    Reason,
    ReasonEvidence,
    ClearText,
    Named(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Back {
    Never,
    Always,
    WhenFull,
    InProportion,
}

impl Back {
    pub const ALL: [Self; 4] = [Self::Never, Self::Always, Self::WhenFull, Self::InProportion];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Always => "always",
            Self::WhenFull => "when_full",
            Self::InProportion => "in_proportion",
        }
    }
}

/// An amount beside the refund.
#[derive(Clone, Debug)]
pub struct Extra {
    pub name: &'static str,
    pub when: Vec<Test>,
    pub amount: Expr,
    pub at_least: Option<Expr>,
    pub at_most: Option<Expr>,
    /// In hundredths.
    pub round: Option<(Option<i64>, Option<Mode>)>,
}

/// A deduction that is an amount of the order.
#[derive(Clone, Debug)]
pub struct Carried {
    pub kind: DeductionKind,
    pub name: &'static str,
    pub when: Vec<Test>,
}

/// Days after a day: at least and at most so many, ending on a day of the week (Monday is 0).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    pub business: bool,
    pub least: i64,
    pub most: i64,
    pub weekday: Option<i64>,
}

/// How long the money takes, and how long by method of payment.
#[derive(Clone, Debug)]
pub struct Payout {
    pub window: Window,
    pub by_method: Vec<(&'static str, Window)>,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub when: Vec<Test>,
    pub action: Action,
    pub require: Vec<Demand>,
    pub next: Vec<&'static str>,
    pub review: Option<Window>,
    pub payout: Option<Payout>,
    pub method: Option<RefundMethod>,
    pub components: Vec<(&'static str, Back)>,
    pub compensate: Vec<Extra>,
    pub amount_due: Vec<Extra>,
    /// Deductions that are amounts of the order, behind its own.
    pub carries: Vec<Carried>,
    /// Amounts of the order that are given, and that are owed.
    pub compensate_order: Vec<&'static str>,
    pub order_due: Vec<&'static str>,
}

/// What a piece of evidence of one kind must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kind {
    /// A picture.
    pub media: bool,
    pub max_bytes: Option<i64>,
    /// Not before the order was placed.
    pub after: bool,
    /// Not after it was paid.
    pub before: bool,
    /// In hours.
    pub within: Option<i64>,
    /// It must fill the field `subject`.
    pub field: bool,
    /// What is not stated counts as wrong.
    pub strict: bool,
}

/// Which next steps the engine names by itself.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    pub denied: Vec<&'static str>,
    pub supplement: Option<&'static str>,
    pub restate: Option<&'static str>,
    pub more_info: Vec<&'static str>,
    pub review: Vec<&'static str>,
}

/// Rules above those of the policy.
#[derive(Clone, Debug)]
pub struct Layer {
    pub improve: bool,
    pub rules: Vec<Rule>,
}

/// Which orders a version governs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effective {
    pub from: i128,
    pub until: Option<i128>,
    pub by: &'static str,
}

impl Rule {
    /// Whether something is taken from, or given for, several lines together.
    pub fn is_shared(&self) -> bool {
        let steps = match &self.action {
            Action::Refund(steps) => steps.as_slice(),
            Action::Deny(_) | Action::Ask(_) | Action::Review(_) => &[],
        };
        let named = [self.carries.len(), self.compensate_order.len(), self.order_due.len()];
        steps.iter().any(|step| step.whole_order) || named != [0; 3]
    }
}

/// What must be proved; kinds by their places in [`KINDS`].
#[derive(Clone, Debug)]
pub enum Proof {
    Kind(usize),
    All(Vec<Proof>),
    Any(Vec<Proof>),
    AtLeast(usize, Vec<Proof>),
}

impl Proof {
    pub fn met(&self, kinds: u8) -> bool {
        let count = |parts: &[Self]| parts.iter().filter(|part| part.met(kinds)).count();
        match self {
            Self::Kind(kind) => kinds >> kind & 1 == 1,
            Self::All(parts) => count(parts) == parts.len(),
            Self::Any(parts) => 0 < count(parts),
            Self::AtLeast(least, parts) => *least <= count(parts),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InputKind {
    Flag,
    Word(Words),
    Number,
    Ratio,
    Count,
    Money,
    Duration,
    Timestamp,
}

impl InputKind {
    pub const fn fact_type(self) -> Type {
        match self {
            Self::Flag => Type::Flag,
            Self::Word(words) => Type::Word(words),
            Self::Number | Self::Ratio | Self::Count => Type::Number,
            Self::Money => Type::Money,
            Self::Duration => Type::Elapsed,
            Self::Timestamp => Type::Moment,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Input {
    pub name: &'static str,
    pub kind: InputKind,
    pub of_line: bool,
    pub default: Option<Val>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TenderOrder {
    Proportional,
    FirstPaidFirst,
    LastPaidFirst,
    ByPriority(Words),
}

/// Constants of a policy, at which orders are aimed.
#[derive(Clone, Debug, Default)]
pub struct Edges {
    pub numbers: Vec<Rat>,
    pub money: Vec<i64>,
    pub elapsed: Vec<i128>,
    pub moments: Vec<i128>,
    pub days: Vec<i64>,
}

#[derive(Clone, Debug)]
pub struct Policy {
    /// Hours that the zone is ahead of UTC.
    pub zone_hours: i128,
    pub effective: Option<Effective>,
    pub times: Vec<&'static str>,
    pub inputs: Vec<Input>,
    pub components: Vec<(&'static str, Back)>,
    pub tender_order: TenderOrder,
    pub not_refundable: Vec<&'static str>,
    pub reasons: Vec<(Option<LiableParty>, Option<usize>)>,
    /// Of each of [`KINDS`].
    pub kinds: Vec<Kind>,
    pub proofs: Vec<Proof>,
    /// Whether a promised and an actual value excuse a vague text; `None`: no text is vague.
    pub text: Option<bool>,
    pub routes: Routes,
    pub derived: Vec<(&'static str, Derived)>,
    /// Amounts that are worked out once for an order, in the order in which they are taken.
    pub order_amounts: Vec<Extra>,
    /// The uppermost first.
    pub layers: Vec<Layer>,
    pub rules: Vec<Rule>,
    pub otherwise: Rule,
    pub edges: Edges,
}

impl Policy {
    /// The rules in the order in which they are tried: those of the layers, then its own.
    pub fn rule(&self, place: usize) -> &Rule {
        self.layers.iter().flat_map(|layer| &layer.rules).chain(&self.rules).nth(place).expect("a rule of the policy")
    }

    /// The names of its rules, in the same order.
    pub fn rule_names(&self) -> Vec<String> {
        let layers = self.layers.iter().enumerate();
        let above = layers.flat_map(|(at, layer)| (0..layer.rules.len()).map(move |rule| format!("above{at}-r{rule}")));
        above.chain((0..self.rules.len()).map(|rule| format!("r{rule}"))).collect()
    }
}
