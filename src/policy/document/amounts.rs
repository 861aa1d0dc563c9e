//! Money of an order as written: currencies, components, tenders, and amounts beside the refund.

use schemars::JsonSchema;

use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::shared::{RoundNode, TestNode};
use crate::policy::read::{Read, Shape, Slug, Table, Text, record};
use crate::policy::source::Located;
use crate::policy::tree::{Node, NodeKind};

record! {
    /// A component of an order.
    pub struct ComponentNode = "a component" {
        /// Mode of its refund: `never`; `always` (all that is left of it, with the first line under a rule that
        /// refunds); `when_full` (all that is left, once every line it belongs to has gone back whole); or
        /// `in_proportion` (the share of its lines' prices that has gone back).
        refund: Slug,
    }
}

record! {
    /// Split of a refund over the tenders.
    pub struct TendersNode = "`tenders`" {
        /// `proportional` (the default), `first_paid_first`, `last_paid_first` or `by_priority`.
        order: Option<Slug>,
        /// For `by_priority`: the methods, first to be refunded first. Methods that are not named come last.
        priority: Option<Vec<Slug>>,
        /// Methods that money cannot go back to, such as `[coupon]`, whatever the request says.
        not_refundable: Option<Vec<Slug>>,
    }
}

record! {
    /// An amount that is worked out once for an order. It may use facts of the order and of the claim.
    pub struct OrderAmountNode = "an amount of the order" {
        /// Amount, as a formula.
        amount: Text,
        /// It is never less than this formula.
        at_least: Option<Text>,
        /// It is never more than this formula.
        at_most: Option<Text>,
        /// Rounding. Absent: half up, to the currency's minor unit.
        round: Option<RoundNode>,
    }
}

/// An amount beside the refund: its own, or `order_amount` for the amount of the order of its name.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum BesideNode {
    /// `order_amount`: the amount of the order of this name.
    Carried(Text),
    /// An amount of its own.
    Own(Box<ExtraNode>),
}

impl Read for BesideNode {
    const EXPECTED: &'static str = "a mapping with `amount`, or `order_amount`";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Mapping(_) => ExtraNode::read(node, diagnostics).map(|own| Self::Own(Box::new(own))),
            NodeKind::Scalar(..) | NodeKind::List(_) => Text::read(node, diagnostics).map(Self::Carried),
        }
    }

    fn shape() -> Shape {
        ExtraNode::shape()
    }
}

record! {
    /// An amount beside the refund.
    pub struct ExtraNode = "an amount" {
        /// Amount, as a formula. `remaining` is what goes back of the line in all, before and now.
        amount: Text,
        /// It is given only where all of these hold.
        when: Option<Table<TestNode>>,
        /// It is never less than this formula.
        at_least: Option<Text>,
        /// It is never more than this formula.
        at_most: Option<Text>,
        /// Rounding. Absent: half up, to the currency's minor unit.
        round: Option<RoundNode>,
    }
}

record! {
    /// A unit of account of the policy's own.
    pub struct OwnCurrencyNode = "a currency" {
        /// Its code: capital letters and digits, such as `POINTS`.
        code: Text,
        /// Its decimal places, from 0 to 9.
        decimals: Located<u32>,
    }
}

/// A unit of account: an ISO 4217 code, or one of the policy's own.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum CurrencyNode {
    /// A code of ISO 4217.
    Iso(Text),
    /// A unit of the policy's own.
    Own(OwnCurrencyNode),
}

impl Read for CurrencyNode {
    const EXPECTED: &'static str = "a currency code, or `{ code: …, decimals: … }`";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Mapping(_) => OwnCurrencyNode::read(node, diagnostics).map(Self::Own),
            NodeKind::Scalar(..) | NodeKind::List(_) => Text::read(node, diagnostics).map(Self::Iso),
        }
    }
}
