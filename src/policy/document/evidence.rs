//! Evidence and text as written: what counts, what must be proved, and what is too vague.

use schemars::JsonSchema;

use crate::policy::diagnostics::Diagnostics;
use crate::policy::read::{Read, Slug, Table, Text, record};
use crate::policy::source::Located;
use crate::policy::tree::{Node, NodeKind};

record! {
    /// Kinds of evidence, and what must be proved.
    pub struct EvidenceNode = "`evidence`" {
        /// The kinds of evidence, at most 64.
        kinds: Table<KindNode>,
        /// Requirements by name: a kind, or a tree of `all_of`, `any_of` and `at_least`.
        requirements: Option<Table<RequirementNode>>,
        /// The largest size allowed of all pieces together, in bytes; each file counts once. Absent: any.
        max_total_bytes: Option<Located<u32>>,
    }
}

record! {
    /// A kind of evidence, and what a piece of it must be like to count.
    pub struct KindNode = "a kind of evidence" {
        /// Its name for people, in each language.
        label: Option<Table<Text>>,
        /// Media types allowed, such as `image/*`. Absent: any.
        media: Option<Vec<Text>>,
        /// The largest size allowed, in bytes.
        max_bytes: Option<Located<u32>>,
        /// Time in which it must have been captured.
        captured: Option<CapturedNode>,
        /// Fields that it must fill.
        fields: Option<Vec<Slug>>,
        /// Treatment of a piece that does not state its media type or time of capture where
        /// there is a condition on it: `accepted` (the default) or `rejected`.
        unstated: Option<Slug>,
    }
}

record! {
    /// Time in which a piece of evidence must have been captured.
    pub struct CapturedNode = "`captured`" {
        /// Not before this moment of the order.
        after: Option<Slug>,
        /// Not after this moment of the order.
        before: Option<Slug>,
        /// Not longer than this before the request, such as `30d`.
        within: Option<Text>,
    }
}

record! {
    /// Text that is too vague to be checked.
    pub struct TextNode = "`text`" {
        /// Phrases that say nothing checkable.
        vague: Vec<Text>,
        /// Words that make a text checkable although it holds such a phrase. A digit always does.
        checkable: Option<Vec<Text>>,
        /// Characters that are read as others, such as `{ 滿: 满 }`.
        fold: Option<Table<Text>>,
        /// `promised_actual`: a promised and an actual value excuse vague text. Absent: nothing does.
        vague_excused_by: Option<Slug>,
        /// Advice to the customer, in each language.
        suggestion: Option<Table<Text>>,
    }
}

/// Requirement: a kind of evidence, or a tree.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum RequirementNode {
    /// A piece of this kind.
    Kind(Slug),
    /// A tree.
    Tree(Box<TreeNode>),
}

record! {
    /// A tree of requirements; exactly one of `all_of`, `any_of`, `at_least`.
    pub struct TreeNode = "a requirement" {
        /// Several pieces of this kind: as many as `at_least` says.
        kind: Option<Slug>,
        /// All of these.
        all_of: Option<Vec<RequirementNode>>,
        /// At least one of these.
        any_of: Option<Vec<RequirementNode>>,
        /// At least so many of those in `of`, or pieces of `kind`.
        at_least: Option<Located<u32>>,
        /// Parts that `at_least` counts.
        of: Option<Vec<RequirementNode>>,
    }
}

impl Read for RequirementNode {
    const EXPECTED: &'static str = "a kind of evidence, or one of `all_of`, `any_of`, `at_least`";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Mapping(_) => TreeNode::read(node, diagnostics).map(|tree| Self::Tree(Box::new(tree))),
            NodeKind::Scalar(..) | NodeKind::List(_) => Slug::read(node, diagnostics).map(Self::Kind),
        }
    }
}
