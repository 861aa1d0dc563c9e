//! Several files into one policy: fragments that it uses, and layers that stand above it.
//!
//! Merging happens on trees, before anything is read as a policy, and every value keeps the
//! place where it was written: so a mistake is reported in the file that made it.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::limits::{SHARED_NODES_MAX, SHARED_TEXT_BYTES_MAX};
use crate::plan::rule::LayerPower;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::rules::RuleNode;
use crate::policy::document::{LayerRules, Policy};
use crate::policy::read::{Read, Shape, Slug, entries, field};
use crate::policy::source::{Located, Span};
use crate::policy::tree::{Node, NodeKind};
use crate::policy::unknown::unknown_word;

type Entry = (Located<String>, Node);

/// The fragments of a bundle, by name; `None` where one was reported as wrong.
pub type Fragments = BTreeMap<String, Option<Node>>;

/// The keys that a fragment may hold: what policies declare, but no rules.
pub const SHARED_KEYS: [&str; 15] = [
    "channels",
    "product_types",
    "sub_stages",
    "tags",
    "times",
    "components",
    "inputs",
    "reasons",
    "evidence",
    "text",
    "next_steps",
    "routes",
    "never_deduct",
    "facts",
    "order_amounts",
];

/// The keys of a layer beside those.
const LAYER_KEYS: [&str; 7] = ["layer", "version", "description", "published", "overrides", "may", "rules"];

/// A layer: rules that stand above those of other policies.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its name.
    pub name: Slug,
    /// The policies that it stands above.
    pub overrides: Vec<Slug>,
    /// Their names, each once, however often it is written.
    above: BTreeSet<String>,
    /// True if it may only improve the refund.
    pub may: LayerPower,
    rules: Vec<RuleNode>,
    shared: Node,
    /// The size of its file.
    size: Size,
}

/// Values and their texts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct Size {
    nodes: usize,
    text_bytes: usize,
}

impl Size {
    fn of(node: &Node) -> Self {
        Self { nodes: node.count(), text_bytes: node.text_bytes() }
    }

    const fn times(self, count: usize) -> Self {
        Self { nodes: self.nodes.saturating_mul(count), text_bytes: self.text_bytes.saturating_mul(count) }
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            nodes: self.nodes.saturating_add(other.nodes),
            text_bytes: self.text_bytes.saturating_add(other.text_bytes),
        }
    }
}

/// Checks, before anything is merged, what fragments and layers come to in all policies: a small file may be used by a
/// thousand of them. Where it is too much, it is reported at the file that adds most;
/// `None` where that refuses the bundle.
pub fn check_shared(
    policies: &[&Node],
    fragments: &Fragments,
    layers: &[Layer],
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<()> {
    let max = Size { nodes: SHARED_NODES_MAX, text_bytes: SHARED_TEXT_BYTES_MAX };
    check_shared_within(max, policies, fragments, layers, diagnostics)
}

fn check_shared_within(
    max: Size,
    policies: &[&Node],
    fragments: &Fragments,
    layers: &[Layer],
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<()> {
    let (mut uses, mut ids) = (BTreeMap::<&str, usize>::new(), BTreeMap::<&str, usize>::new());
    for policy in policies {
        for name in value_of(policy, "use").into_iter().flat_map(words) {
            *uses.entry(name).or_default() += 1;
        }
        for id in value_of(policy, "policy").into_iter().flat_map(words) {
            *ids.entry(id).or_default() += 1;
        }
    }
    let mut shared: Vec<(Span, usize, Size)> = Vec::new();
    for (name, count) in uses {
        if let Some(Some(fragment)) = fragments.get(name) {
            shared.push((fragment.span, count, Size::of(fragment)));
        }
    }
    for layer in layers {
        let count = layer.above.iter().filter_map(|base| ids.get(base.as_str())).sum();
        shared.push((layer.shared.span, count, layer.size));
    }
    let total = shared.iter().fold(Size::default(), |sum, (_, count, size)| sum.plus(size.times(*count)));
    let (what, got, most) = if max.nodes < total.nodes {
        ("values", total.nodes, max.nodes)
    } else if max.text_bytes < total.text_bytes {
        ("bytes of text", total.text_bytes, max.text_bytes)
    } else {
        return Some(());
    };
    let weight = |size: Size| if what == "values" { size.nodes } else { size.text_bytes };
    let (span, count, size) = shared.into_iter().max_by_key(|(_, count, size)| weight(size.times(*count)))?;
    let message = format!(
        "fragments and layers come to {got} {what}, counted for each policy that uses them, at most {most} are allowed; `{}` holds {} and is used {count} times",
        diagnostics.sources.place(span).file,
        weight(size),
    );
    let help = "share less: move what few policies need into these, or split the bundle";
    diagnostics.stricter_error("too-large", span, message, help)
}

/// The value of a key of a mapping.
fn value_of<'n>(node: &'n Node, wanted: &str) -> Option<&'n Node> {
    let NodeKind::Mapping(entries) = &node.kind else { return None };
    entries.iter().find(|(key, _)| key.value == wanted).map(|(_, value)| value)
}

/// The texts of a list, or the one text that there is.
fn words(node: &Node) -> Vec<&str> {
    match &node.kind {
        NodeKind::Scalar(text, _) => vec![text.as_str()],
        NodeKind::List(items) => items
            .iter()
            .filter_map(|item| match &item.kind {
                NodeKind::Scalar(text, _) => Some(text.as_str()),
                NodeKind::List(_) | NodeKind::Mapping(_) => None,
            })
            .collect(),
        NodeKind::Mapping(_) => Vec::new(),
    }
}

/// Reads a fragment: only declarations.
pub fn read_fragment(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Node> {
    entries(node, "a fragment", &SHARED_KEYS, diagnostics)?;
    Some(node.clone())
}

/// Reads a layer.
pub fn read_layer(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Layer> {
    const NAME: &str = "a layer";
    let keys: Vec<&str> = LAYER_KEYS.into_iter().chain(SHARED_KEYS).collect();
    let all = entries(node, NAME, &keys, diagnostics)?;
    let name = field::<Slug>(all, "layer", node.span, NAME, diagnostics);
    let overrides = field::<Vec<Slug>>(all, "overrides", node.span, NAME, diagnostics);
    let may = field::<Slug>(all, "may", node.span, NAME, diagnostics);
    let rules = field::<Vec<RuleNode>>(all, "rules", node.span, NAME, diagnostics);
    let may = may.and_then(|may| match may.text() {
        "improve" => Some(LayerPower::Improve),
        "replace" => Some(LayerPower::Replace),
        other => {
            unknown_word(
                other,
                may.span(),
                "power of a layer",
                &["improve".to_owned(), "replace".to_owned()],
                diagnostics,
            );
            None
        }
    });
    let shared = all.iter().filter(|(key, _)| SHARED_KEYS.contains(&key.value.as_str())).cloned().collect();
    let overrides = overrides?;
    Some(Layer {
        name: name?,
        above: overrides.iter().map(|base| base.text().to_owned()).collect(),
        overrides,
        may: may?,
        rules: rules?,
        size: Size::of(node),
        shared: Node { kind: NodeKind::Mapping(shared), span: node.span },
    })
}

/// A policy's tree with all that it uses and all that stands above it; and the layers' rules. [`check_shared`] comes
/// before.
pub fn merge(
    policy: Node,
    fragments: &Fragments,
    layers: &[Layer],
    diagnostics: &mut Diagnostics<'_, '_>,
) -> (Node, Vec<LayerRules>) {
    let NodeKind::Mapping(mut merged) = policy.kind else { return (policy, Vec::new()) };
    let id = merged.iter().find(|(key, _)| key.value == "policy").map(|(_, node)| node.kind.clone());
    let used = used(&merged, diagnostics);
    let above: Vec<&Layer> = layers.iter().filter(|layer| layer.is_above(id.as_ref())).collect();
    merged.retain(|(key, _)| key.value != "use");
    for name in used {
        match fragments.get(name.text()) {
            Some(Some(fragment)) => add(&mut merged, fragment, diagnostics),
            Some(None) => {}
            None if diagnostics.is_full() => {}
            None => {
                let known: Vec<String> = fragments.keys().cloned().collect();
                unknown_word(name.text(), name.span(), "fragment of this bundle", &known, diagnostics);
            }
        }
    }
    let mut rules = Vec::new();
    for layer in above {
        add(&mut merged, &layer.shared, diagnostics);
        rules.push(LayerRules { name: layer.name.clone(), power: layer.may, rules: layer.rules.clone() });
    }
    (Node { kind: NodeKind::Mapping(merged), span: policy.span }, rules)
}

impl Layer {
    /// Returns `true` if it stands above the policy of this id.
    fn is_above(&self, id: Option<&NodeKind>) -> bool {
        matches!(id, Some(NodeKind::Scalar(id, _)) if self.above.contains(id))
    }
}

fn used(own: &[Entry], diagnostics: &mut Diagnostics<'_, '_>) -> Vec<Slug> {
    match own.iter().find(|(key, _)| key.value == "use") {
        Some((_, node)) => Vec::read(node, diagnostics).unwrap_or_default(),
        None => Vec::new(),
    }
}

/// Adds what `from` declares in front of what there is, so that it is known to what follows.
fn add(merged: &mut Vec<Entry>, from: &Node, diagnostics: &mut Diagnostics<'_, '_>) {
    let NodeKind::Mapping(added) = &from.kind else { return };
    for (key, node) in added {
        match merged.iter_mut().find(|(known, _)| known.value == key.value) {
            Some((known, own)) => join(known, own, node, diagnostics),
            // Behind the head of a policy and before its last key.
            None => merged.insert(0, (key.clone(), node.clone())),
        }
    }
}

fn join(key: &Located<String>, own: &mut Node, added: &Node, diagnostics: &mut Diagnostics<'_, '_>) {
    match (&mut own.kind, &added.kind) {
        (NodeKind::List(own), NodeKind::List(added)) => {
            own.splice(0..0, added.iter().cloned());
        }
        (NodeKind::Mapping(own), NodeKind::Mapping(added)) => {
            let mut front = Vec::new();
            for (name, node) in added {
                match own.iter_mut().find(|(known, _)| known.value == name.value) {
                    Some((known, inner)) if is_table(&key.value) => join(known, inner, node, diagnostics),
                    Some((known, _)) => clash(known, name.span, diagnostics),
                    None => front.push((name.clone(), node.clone())),
                }
            }
            own.splice(0..0, front);
        }
        (NodeKind::Scalar(..) | NodeKind::List(_) | NodeKind::Mapping(_), _) => clash(key, added.span, diagnostics),
    }
}

/// Keys whose value is a mapping of further lists and tables, not of names.
fn is_table(key: &str) -> bool {
    matches!(key, "evidence" | "text" | "routes")
}

fn clash(own: &Located<String>, other: Span, diagnostics: &mut Diagnostics<'_, '_>) {
    let other = diagnostics.sources.place(other);
    let message = format!("`{}` is declared in `{}` already", own.value, other.file);
    let help = format!("line {} there declares it; remove one of them, or choose another name", other.line);
    diagnostics.error("duplicate-key", own.span, message, help);
}

/// Shape of a fragment.
#[must_use]
pub fn fragment_shape() -> Shape {
    Shape::Record(shared_shape())
}

/// Shape of a layer: its own keys, what it declares, its rules.
#[must_use]
pub fn layer_shape() -> Shape {
    let (head, rest) = LAYER_KEYS.split_at(6);
    let head = head.iter().map(|&key| (key, Shape::Any));
    let rest = rest.iter().map(|&key| (key, if key == "rules" { Vec::<RuleNode>::shape() } else { Shape::Any }));
    Shape::Record(head.chain(shared_shape()).chain(rest).collect())
}

/// The keys of a policy that a fragment may hold, in the order of a policy.
fn shared_shape() -> Vec<(&'static str, Shape)> {
    match Policy::shape() {
        Shape::Record(keys) => keys.into_iter().filter(|(key, _)| SHARED_KEYS.contains(key)).collect(),
        Shape::Any | Shape::Table(_) | Shape::List(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::diagnostic::{Precedent, Severity};
    use crate::policy::source::{Source, Sources};
    use crate::policy::tree::parse;

    #[test]
    fn a_fragment_and_a_layer_count_for_each_policy_that_uses_them() {
        let texts = [
            ("f.fragment.yaml", "tags: [a, bc]\n"),
            ("l.layer.yaml", "layer: l\nversion: x\noverrides: [p, p]\nmay: improve\nrules: []\n"),
            ("p.policy.yaml", "policy: p\nuse: [f]\n"),
        ];
        let sources: Vec<Source<'_>> =
            (0..).zip(texts).map(|(file, (path, text))| Source::new(path, text, file)).collect();
        let trees: Vec<Node> = sources.iter().map(|source| parse(source, &mut Vec::new()).unwrap()).collect();
        let sources = Sources::new(sources);
        let (mut diagnostics, mut in_force) =
            (Diagnostics::new(&sources), Diagnostics::of(&sources, Precedent::InForce));
        let fragments = Fragments::from([("f".to_owned(), Some(trees[0].clone()))]);
        let layers = [read_layer(&trees[1], &mut diagnostics).unwrap()];
        // A mapping, a key and a list of two; a mapping, five keys, three words, and lists of two and of none.
        let (nodes, text_bytes) = (2 * (5 + 13), 2 * (7 + 40));
        let policies = [&trees[2], &trees[2]];
        let mut check = |nodes, text_bytes| {
            let max = Size { nodes, text_bytes };
            let passes = |diagnostics| check_shared_within(max, &policies, &fragments, &layers, diagnostics).is_some();
            (passes(&mut diagnostics), passes(&mut in_force))
        };
        assert_eq!(check(nodes, text_bytes), (true, true));
        // What was in force before is let in, and the same is said of it.
        assert_eq!(check(nodes - 1, text_bytes), (false, true));
        assert_eq!(check(nodes, text_bytes - 1), (false, true));
        assert_eq!(in_force.diagnostics, diagnostics.diagnostics);
        assert!(diagnostics.diagnostics.iter().all(|it| it.severity == Severity::StricterError));
        let messages: Vec<&str> = diagnostics.diagnostics.iter().map(|it| it.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "fragments and layers come to 36 values, counted for each policy that uses them, at most 35 are allowed; `l.layer.yaml` holds 13 and is used 2 times",
                "fragments and layers come to 94 bytes of text, counted for each policy that uses them, at most 93 are allowed; `l.layer.yaml` holds 40 and is used 2 times",
            ]
        );
        assert_eq!(diagnostics.diagnostics[0].place.as_ref().unwrap().file, "l.layer.yaml");
    }
}
