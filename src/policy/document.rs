//! A policy as written: every key the language has, with its meaning.
//!
//! The comments here are the descriptions of the JSON Schema and of the reference page. What
//! the texts mean (formulas, tests, names) is found out by `check`.

pub mod amounts;
pub mod evidence;
pub mod facts;
pub mod rules;
pub mod shared;

use crate::plan::rule::LayerPower;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::amounts::{ComponentNode, CurrencyNode, OrderAmountNode, TendersNode};
use crate::policy::document::evidence::{EvidenceNode, TextNode};
use crate::policy::document::facts::{FactNode, InputNode};
use crate::policy::document::rules::{OtherwiseNode, RuleNode};
use crate::policy::read::{OneOrMany, Read, Slug, Table, Text, record};
use crate::policy::source::{Located, Span};
use crate::policy::tree::{Node, NodeKind, Quoting};

record! {
    /// A refund policy: which orders get how much back, less what, and why.
    pub struct Policy = "a policy" {
        /// The policy's name; requests choose a policy by it.
        policy: Slug,
        /// The author's label of this version; the program adds the content digest.
        version: Text,
        /// Subject of the policy, for readers.
        description: Option<Text>,
        /// Address at which the rules are published.
        published: Option<Text>,
        /// Fragments of the bundle whose declarations this policy shares: `NAME` for `NAME.fragment.yaml`.
        use_ as "use": Option<Vec<Slug>>,
        /// Orders that it governs. Absent: all of them.
        effective: Option<EffectiveNode>,
        /// The IANA time zone in which calendar days begin and end, such as `Asia/Shanghai`.
        timezone: Text,
        /// The business calendar, by its file name in `calendars/` without `.yaml`. Needed where business days are counted.
        calendar: Option<Slug>,
        /// The units of account that it knows: ISO 4217 codes, or units of its own such as `{ code: POINTS, decimals: 0 }`.
        currencies: OneOrMany<CurrencyNode>,
        /// The languages of its labels, the default one first, such as `[zh, en]`.
        languages: Option<OneOrMany<Text>>,
        /// The ways a request may come in. Anything else in a request is an error.
        channels: Option<Vec<Slug>>,
        /// Types of products. Anything else in a request is an error.
        product_types: Option<Vec<Slug>>,
        /// Finer stages of a line. Anything else in a request is an error.
        sub_stages: Option<Vec<Slug>>,
        /// Tags of orders and lines, at most 64. Anything else in a request is an error.
        tags: Option<Vec<Slug>>,
        /// Further moments of an order, beside the known ones (`promised_at`, `delivered_at`, …).
        times: Option<Vec<Slug>>,
        /// Components of an order beside its lines (shipping, tax, a service fee), and what goes back of each. What
        /// each cost is a fact of its name.
        components: Option<Table<ComponentNode>>,
        /// Split of a refund over the tenders. Absent: by what each paid.
        tenders: Option<TendersNode>,
        /// Facts of its own that callers may send, typed.
        inputs: Option<Table<InputNode>>,
        /// The reasons that a customer can give.
        reasons: Option<Table<ReasonNode>>,
        /// Kinds of evidence, and what must be proved.
        evidence: Option<EvidenceNode>,
        /// Text that is too vague to be checked.
        text: Option<TextNode>,
        /// Next steps of a customer, with labels for people.
        next_steps: Option<Table<NextStepNode>>,
        /// Next steps that the engine names by itself.
        routes: Option<RoutesNode>,
        /// Kinds of deduction that no rule of this policy may take, such as `[processing_fee]`.
        never_deduct: Option<Vec<Slug>>,
        /// Derived facts, in order: each a formula, or a table whose first matching row counts.
        facts: Option<Table<FactNode>>,
        /// Amounts that are worked out once for an order, by name, in the order in which they are taken. Rules carry them.
        order_amounts: Option<Table<OrderAmountNode>>,
        /// The rules; the first that matches a line decides it.
        rules: Vec<RuleNode>,
        /// Decision where no rule matches. Always the last key, so that a file that was cut off is noticed.
        otherwise: OtherwiseNode,
    }
}

record! {
    /// Orders that a policy governs.
    pub struct EffectiveNode = "`effective`" {
        /// The first moment governed, as RFC 3339 with an offset.
        from: Text,
        /// The first moment not governed any more. Absent: until the next version begins, or for ever.
        until: Option<Text>,
        /// The moment of the order that counts, such as `placed_at`.
        by: Slug,
    }
}

record! {
    /// A reason that a customer can give.
    pub struct ReasonNode = "a reason" {
        /// Liable party where the claim does not say.
        liable: Option<Slug>,
        /// The evidence it asks for: the name of a requirement.
        evidence: Option<Slug>,
        /// Its name for people, in each language.
        label: Option<Table<Text>>,
    }
}

record! {
    /// Something that the customer can do next.
    pub struct NextStepNode = "a next step" {
        /// Its name for people, in each language.
        label: Option<Table<Text>>,
    }
}

record! {
    /// Next steps that the engine names by itself.
    pub struct RoutesNode = "`routes`" {
        /// After every denial, behind those of the rule.
        denied: Option<Vec<Slug>>,
        /// Next step where evidence or a fact is missing.
        supplement: Option<Slug>,
        /// Next step where a reason is missing or too vague.
        restate: Option<Slug>,
        /// Wherever more is asked for, behind `restate` and `supplement`.
        more_info: Option<Vec<Slug>>,
        /// While a review is under way: the answer has a review window, or a person decides.
        review: Option<Vec<Slug>>,
    }
}

record! {
    /// A calendar of business days.
    pub struct CalendarNode = "a calendar" {
        /// Address at which the days are published.
        source: Option<Text>,
        /// The first and the last day that it speaks of.
        covers: Vec<Text>,
        /// The days of the week that are not worked.
        weekend: Vec<Slug>,
        /// Days that are not worked although they are not on a weekend.
        holidays: Option<Vec<Text>>,
        /// Days that are worked although they are on a weekend (make-up working days, 调休).
        extra_working_days: Option<Vec<Text>>,
    }
}

record! {
    /// Settings of a bundle of several policies.
    pub struct BundleNode = "a bundle" {
        /// The policy that a request without `policy_id` gets.
        default: Slug,
    }
}

/// The rules of a layer that stands above a policy.
#[derive(Clone, PartialEq, Debug)]
pub struct LayerRules {
    /// The layer's name.
    pub name: Slug,
    /// Power of the layer.
    pub power: LayerPower,
    /// Its rules.
    pub rules: Vec<RuleNode>,
}

/// A policy as written, with what stands above it and the places of its last keys.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// The policy.
    pub policy: Policy,
    /// The layers above it, the uppermost first.
    pub layers: Vec<LayerRules>,
    /// The last key of the file.
    pub last_key: Located<String>,
    /// Position of the key `otherwise`.
    pub otherwise_key: Span,
}

/// Reads a policy file's tree. A mandatory key that is absent or blank is reported and filled
/// in, so that everything else is checked all the same.
pub fn read_policy(root: Node, layers: Vec<LayerRules>, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Document> {
    let NodeKind::Mapping(mut entries) = root.kind else { return Policy::read(&root, diagnostics).and(None) };
    let last_written = entries.last().map(|(key, _)| key.clone());
    let end = last_written.as_ref().map_or(root.span, |key| key.span);
    let is_otherwise = |(key, _): &&(Located<String>, Node)| key.value == "otherwise";
    let ended = entries.iter().find(is_otherwise).and(last_written);
    for (key, expected, filler) in fillers(root.span) {
        match entries.iter_mut().find(|(name, _)| name.value == key) {
            Some((name, node)) if node.is_blank() => {
                diagnostics.error(
                    "blank-value",
                    name.span,
                    format!("`{key}` has no value"),
                    format!("expected {expected}"),
                );
                *node = filler;
            }
            Some(_) => {}
            None => {
                // Of all keys, `otherwise` is missed where the file ends.
                let (at, help) = match key {
                    "otherwise" => (end, format!("was the file cut off? its last key is {expected}")),
                    _ => (root.span, format!("expected {expected}")),
                };
                diagnostics.error("missing-key", at, format!("a policy needs the key `{key}`"), help);
                entries.push((Located { value: key.to_owned(), span: end }, filler));
            }
        }
    }
    let (otherwise, _) = entries.iter().find(is_otherwise)?;
    let otherwise = otherwise.clone();
    let last_key = ended.unwrap_or_else(|| otherwise.clone());
    let policy = Policy::read(&Node { kind: NodeKind::Mapping(entries), span: root.span }, diagnostics)?;
    Some(Document { policy, layers, last_key, otherwise_key: otherwise.span })
}

/// The mandatory keys of a policy, what is expected of each, and what stands in where it lacks.
fn fillers(span: Span) -> [(&'static str, &'static str, Node); 6] {
    let scalar = |text: &str| Node { kind: NodeKind::Scalar(text.to_owned(), Quoting::Quoted), span };
    let deny = (Located { value: "deny".to_owned(), span }, scalar("NO_MATCHING_RULE"));
    [
        ("policy", "the policy's name, such as `standard`", scalar("unnamed")),
        ("version", "a label of this version, such as `\"2026-11-01\"`", scalar("unnamed")),
        ("timezone", "a time zone, such as `Asia/Shanghai`", scalar("UTC")),
        ("currencies", "codes of ISO 4217, such as `[CNY]`", scalar("CNY")),
        ("rules", "a list, each item a rule", Node { kind: NodeKind::List(Vec::new()), span }),
        (
            "otherwise",
            "what decides where no rule matches: `otherwise: { manual_review: NO_MATCHING_RULE }`",
            Node { kind: NodeKind::Mapping(vec![deny]), span },
        ),
    ]
}
