//! Parts that rules, facts and amounts have in common: tests of facts, and roundings.

use schemars::JsonSchema;

use crate::policy::diagnostics::Diagnostics;
use crate::policy::read::{OneOrMany, Read, Slug, Text, record};
use crate::policy::slip;
use crate::policy::tree::{Node, NodeKind};

record! {
    /// Rounding of a deduction.
    pub struct RoundNode = "`round`" {
        /// To multiples of this amount of money.
        to: Option<Text>,
        /// `half_up` (the default), `half_down`, `half_even`, `up` or `down`.
        mode: Option<Slug>,
        /// Amount that is rounded: `deduction` (the default) or `refund`, which is what the deduction leaves.
        of: Option<Slug>,
    }
}

/// The accepted values of a fact: a value, a range, `not(…)`, `present`, `absent`, or a list of which one must hold.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct TestNode(pub OneOrMany<Text>);

impl Read for TestNode {
    const EXPECTED: &'static str = "a value, a range such as `\"<= 24h\"`, `not(…)`, or a list of them";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        let nested = match &node.kind {
            NodeKind::Mapping(_) => Some(node),
            NodeKind::List(items) => items.iter().find(|item| matches!(item.kind, NodeKind::Mapping(_))),
            NodeKind::Scalar(..) => None,
        };
        if let Some(nested) = nested {
            diagnostics.error("wrong-type", nested.span, "a test holds values, no further tests", slip::ALTERNATIVES);
            return None;
        }
        OneOrMany::read(node, diagnostics).map(Self)
    }
}
