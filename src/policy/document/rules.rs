//! Rules as written: what must hold, what goes back, what is deducted, and how long it takes.

use schemars::JsonSchema;

use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::amounts::BesideNode;
use crate::policy::document::shared::{RoundNode, TestNode};
use crate::policy::read::{OneOrMany, Read, Shape, Slug, Table, Text, record};
use crate::policy::source::Located;
use crate::policy::tree::{Node, NodeKind};

record! {
    /// A rule: what must hold, and what follows.
    pub struct RuleNode = "a rule" {
        /// Its name, unique in the policy.
        id: Slug,
        /// Reason for the rule, for readers.
        note: Option<Text>,
        /// Tests that must hold, one for each fact. Absent: it always matches.
        when: Option<Table<TestNode>>,
        /// Something goes back: `full`, or what is deducted.
        refund: Option<RefundNode>,
        /// Nothing goes back, for these reason codes.
        deny: Option<OneOrMany<Text>>,
        /// More is needed first, for these reason codes.
        more_info: Option<OneOrMany<Text>>,
        /// A person decides, for these reason codes.
        manual_review: Option<OneOrMany<Text>>,
        /// Demands on the claim: `reason`, `clear_text`, `reason.evidence`, or the name of a requirement.
        require: Option<OneOrMany<Text>>,
        /// Next steps to name.
        next: Option<OneOrMany<Slug>>,
        /// Time that a reviewer takes.
        review: Option<WindowNode>,
        /// Time that the money takes, after the review if there is one.
        payout: Option<PayoutNode>,
        /// Modes of components under this rule, where they differ from `components`: `{ service_fee: always }`.
        components: Option<Table<Slug>>,
        /// Amounts given on top of the refund, by name; never netted into it.
        compensate: Option<Table<BesideNode>>,
        /// Amounts that the customer owes, by name; never netted into the refund.
        amount_due: Option<Table<BesideNode>>,
        /// The way the money goes back: `original_payment` (the default), `store_credit`, `bank_transfer` or `customer_choice`.
        method: Option<Slug>,
    }
}

record! {
    /// Decision where no rule matches.
    pub struct OtherwiseNode = "`otherwise`" {
        /// Nothing goes back, for these reason codes.
        deny: Option<OneOrMany<Text>>,
        /// More is needed first, for these reason codes.
        more_info: Option<OneOrMany<Text>>,
        /// A person decides, for these reason codes.
        manual_review: Option<OneOrMany<Text>>,
        /// Next steps to name.
        next: Option<OneOrMany<Slug>>,
        /// Time that a reviewer takes.
        review: Option<WindowNode>,
    }
}

record! {
    /// A length of time from a day on, from the least to the most.
    pub struct WindowNode = "a window" {
        /// In business days of the calendar: `[1, 3]`.
        business_days: Option<Vec<Located<u32>>>,
        /// In days: `[1, 3]`.
        days: Option<Vec<Located<u32>>>,
        /// It ends on the next such day of the week, such as `friday`.
        weekday: Option<Slug>,
    }
}

record! {
    /// Time that the money takes.
    pub struct PayoutNode = "`payout`" {
        /// In business days of the calendar: `[1, 3]`.
        business_days: Option<Vec<Located<u32>>>,
        /// In days: `[1, 3]`.
        days: Option<Vec<Located<u32>>>,
        /// It ends on the next such day of the week, such as `friday`.
        weekday: Option<Slug>,
        /// Other windows for tenders of some methods: `{ card: { business_days: [5, 10] } }`.
        by_method: Option<Table<WindowNode>>,
    }
}

record! {
    /// Deductions, in order, each from what the last one left.
    pub struct DeductNode = "`refund`" {
        /// The deductions.
        deduct: OneOrMany<StepNode>,
    }
}

record! {
    /// One deduction.
    pub struct StepNode = "a deduction" {
        /// Its kind, such as `consumed_value`.
        kind: Slug,
        /// Base that it is taken from: `line` (the default), or `order`: once a claim, spread over the lines that the rule
        /// decides by what is left of each.
        scope: Option<Slug>,
        /// It is taken only where all of these hold.
        when: Option<Table<TestNode>>,
        /// Amount, as a formula. `remaining` is what earlier deductions left, `previous` what the last one took.
        amount: Option<Text>,
        /// Amount by the tier in which a number lies.
        tiers: Option<TiersNode>,
        /// Base of the shares of the tiers, as a formula. Absent: the tiers are amounts.
        of: Option<Text>,
        /// It is never less than this formula.
        at_least: Option<Text>,
        /// It is never more than this formula.
        at_most: Option<Text>,
        /// Rounding. Absent: the deduction, half up, to the currency's minor unit.
        round: Option<RoundNode>,
        /// The amount of the order that it carries; then only `kind` and `when` stand beside it.
        order_amount: Option<Slug>,
    }
}

record! {
    /// Tiers over a number: each number lies in exactly one.
    pub struct TiersNode = "`tiers`" {
        /// The number, as a formula.
        on: Text,
        /// The tiers: a range such as `"[48h..8d)"`, and a share or an amount.
        steps: Table<Text>,
    }
}

/// Refund: `full`, or what is deducted.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum RefundNode {
    /// `full`: all of the refundable base.
    Full(Text),
    /// Less these deductions.
    Deduct(DeductNode),
}

impl Read for RefundNode {
    const EXPECTED: &'static str = "`full`, or a mapping with `deduct`";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Mapping(_) => DeductNode::read(node, diagnostics).map(Self::Deduct),
            NodeKind::Scalar(text, _) if text == "full" => Text::read(node, diagnostics).map(Self::Full),
            NodeKind::Scalar(..) | NodeKind::List(_) => {
                diagnostics.expected(node, Self::EXPECTED);
                None
            }
        }
    }

    fn shape() -> Shape {
        DeductNode::shape()
    }
}
