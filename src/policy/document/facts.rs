//! Facts as written: inputs that callers may send, and facts that are derived.

use schemars::JsonSchema;

use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::shared::TestNode;
use crate::policy::read::{Read, Shape, Slug, Table, Text, record};
use crate::policy::tree::{Node, NodeKind};

record! {
    /// A fact that callers may send.
    pub struct InputNode = "an input" {
        /// `flag`, `enum`, `number`, `ratio` (0 to 1), `count` (whole, from 0), `money`, `duration`, `timestamp` or `text`.
        kind as "type": Slug,
        /// The words of an `enum`.
        values: Option<Vec<Slug>>,
        /// Scope in which it is sent: `order` (the default) or `line`.
        scope: Option<Slug>,
        /// Value where a request does not say. Absent: then it is missing.
        default: Option<Text>,
        /// Meaning, for readers.
        description: Option<Text>,
    }
}

record! {
    /// A row of a table of a derived fact.
    pub struct RowNode = "a row" {
        /// Tests that must hold, one for each fact.
        when: Option<Table<TestNode>>,
        /// Value of the fact then, as a formula or a word.
        is: Option<Text>,
        /// Value of the fact where no row before holds; the last row has it, and nothing else.
        otherwise: Option<Text>,
    }
}

record! {
    /// A table whose first matching row counts.
    pub struct FirstNode = "a table" {
        /// The rows.
        first: Vec<RowNode>,
    }
}

/// A derived fact: a formula, or a table whose first matching row counts.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum FactNode {
    /// A formula.
    Formula(Text),
    /// A table.
    Table(FirstNode),
}

impl Read for FactNode {
    const EXPECTED: &'static str = "a formula, or a table (`first: …`)";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Mapping(_) => FirstNode::read(node, diagnostics).map(Self::Table),
            NodeKind::Scalar(..) | NodeKind::List(_) => Text::read(node, diagnostics).map(Self::Formula),
        }
    }

    fn shape() -> Shape {
        FirstNode::shape()
    }
}
