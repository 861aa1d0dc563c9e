//! Several files into one policy: fragments that it uses, and layers that stand above it.
//!
//! Merging happens on trees, before anything is read as a policy, and every value keeps the
//! place where it was written: so a mistake is reported in the file that made it.

use std::collections::BTreeMap;

use crate::plan::rule::LayerPower;
use crate::policy::document::{LayerRules, Policy, RuleKey};
use crate::policy::read::{Read, Reader, Shape, Slug, entries, field};
use crate::policy::source::{Located, Span};
use crate::policy::tree::{Node, NodeBudget, NodeKind, over_budget};
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
    /// Whether it may only improve the refund.
    pub may: LayerPower,
    rules: Vec<RuleKey>,
    shared: Node,
    /// Values in its file.
    nodes: usize,
}

/// Reads a fragment: only declarations.
pub fn read_fragment(node: &Node, reader: &mut Reader<'_, '_>) -> Option<Node> {
    entries(node, "a fragment", &SHARED_KEYS, reader)?;
    Some(node.clone())
}

/// Reads a layer.
pub fn read_layer(node: &Node, reader: &mut Reader<'_, '_>) -> Option<Layer> {
    const NAME: &str = "a layer";
    let keys: Vec<&str> = LAYER_KEYS.into_iter().chain(SHARED_KEYS).collect();
    let all = entries(node, NAME, &keys, reader)?;
    let name = field::<Slug>(all, "layer", node.span, NAME, reader);
    let overrides = field::<Vec<Slug>>(all, "overrides", node.span, NAME, reader);
    let may = field::<Slug>(all, "may", node.span, NAME, reader);
    let rules = field::<Vec<RuleKey>>(all, "rules", node.span, NAME, reader);
    let may = may.and_then(|may| match may.text() {
        "improve" => Some(LayerPower::Improve),
        "replace" => Some(LayerPower::Replace),
        other => {
            unknown_word(other, may.span(), "power of a layer", &["improve".to_owned(), "replace".to_owned()], reader);
            None
        }
    });
    let shared = all.iter().filter(|(key, _)| SHARED_KEYS.contains(&key.value.as_str())).cloned().collect();
    Some(Layer {
        name: name?,
        overrides: overrides?,
        may: may?,
        rules: rules?,
        nodes: node.count(),
        shared: Node { kind: NodeKind::Mapping(shared), span: node.span },
    })
}

/// A policy's tree with all that it uses and all that stands above it; and the layers' rules. `None` after a report
/// that the budget of the bundle does not hold that much: one fragment may be used by a thousand policies.
pub fn merge(
    policy: Node,
    fragments: &Fragments,
    layers: &[Layer],
    budget: &mut NodeBudget,
    reader: &mut Reader<'_, '_>,
) -> Option<(Node, Vec<LayerRules>)> {
    let nodes = policy.count();
    let NodeKind::Mapping(mut merged) = policy.kind else { return Some((policy, Vec::new())) };
    let id = merged.iter().find(|(key, _)| key.value == "policy").map(|(_, node)| node.kind.clone());
    let used = used(&merged, reader);
    let above: Vec<&Layer> = layers.iter().filter(|layer| layer.is_above(id.as_ref())).collect();
    let fragment_nodes = |name: &Slug| fragments.get(name.text()).and_then(Option::as_ref).map_or(0, Node::count);
    let added = used.iter().map(fragment_nodes).chain(above.iter().map(|layer| layer.nodes));
    if budget.take(added.fold(nodes, usize::saturating_add)).is_none() {
        let what = "the policies, each with its fragments and layers,";
        reader.error("too-large", policy.span, over_budget(what), "share less, or split the bundle");
        return None;
    }
    merged.retain(|(key, _)| key.value != "use");
    for name in used {
        match fragments.get(name.text()) {
            Some(Some(fragment)) => add(&mut merged, fragment, reader),
            Some(None) => {}
            None => {
                let known: Vec<String> = fragments.keys().cloned().collect();
                unknown_word(name.text(), name.span(), "fragment of this bundle", &known, reader);
            }
        }
    }
    let mut rules = Vec::new();
    for layer in above {
        add(&mut merged, &layer.shared, reader);
        rules.push(LayerRules { name: layer.name.clone(), power: layer.may, rules: layer.rules.clone() });
    }
    Some((Node { kind: NodeKind::Mapping(merged), span: policy.span }, rules))
}

impl Layer {
    /// Whether it stands above the policy of this id.
    fn is_above(&self, id: Option<&NodeKind>) -> bool {
        self.overrides.iter().any(|base| matches!(id, Some(NodeKind::Scalar(id, _)) if id == base.text()))
    }
}

fn used(own: &[Entry], reader: &mut Reader<'_, '_>) -> Vec<Slug> {
    match own.iter().find(|(key, _)| key.value == "use") {
        Some((_, node)) => Vec::read(node, reader).unwrap_or_default(),
        None => Vec::new(),
    }
}

/// Adds what `from` declares in front of what there is, so that it is known to what follows.
fn add(merged: &mut Vec<Entry>, from: &Node, reader: &mut Reader<'_, '_>) {
    let NodeKind::Mapping(added) = &from.kind else { return };
    for (key, node) in added {
        match merged.iter_mut().find(|(known, _)| known.value == key.value) {
            Some((known, own)) => join(known, own, node, reader),
            // Behind the head of a policy and before its last key.
            None => merged.insert(0, (key.clone(), node.clone())),
        }
    }
}

fn join(key: &Located<String>, own: &mut Node, added: &Node, reader: &mut Reader<'_, '_>) {
    match (&mut own.kind, &added.kind) {
        (NodeKind::List(own), NodeKind::List(added)) => {
            own.splice(0..0, added.iter().cloned());
        }
        (NodeKind::Mapping(own), NodeKind::Mapping(added)) => {
            let mut front = Vec::new();
            for (name, node) in added {
                match own.iter_mut().find(|(known, _)| known.value == name.value) {
                    Some((known, inner)) if is_table(&key.value) => join(known, inner, node, reader),
                    Some((known, _)) => clash(known, name.span, reader),
                    None => front.push((name.clone(), node.clone())),
                }
            }
            own.splice(0..0, front);
        }
        (NodeKind::Scalar(..) | NodeKind::List(_) | NodeKind::Mapping(_), _) => clash(key, added.span, reader),
    }
}

/// Keys whose value is a mapping of further lists and tables, not of names.
fn is_table(key: &str) -> bool {
    matches!(key, "evidence" | "text" | "routes")
}

fn clash(own: &Located<String>, other: Span, reader: &mut Reader<'_, '_>) {
    let other = reader.sources.place(other);
    let message = format!("`{}` is declared in `{}` already", own.value, other.file);
    let help = format!("line {} there declares it; remove one of them, or choose another name", other.line);
    reader.error("duplicate-key", own.span, message, help);
}

/// How a fragment is built.
#[must_use]
pub fn fragment_shape() -> Shape {
    Shape::Record(shared_shape())
}

/// How a layer is built: its own keys, what it declares, its rules.
#[must_use]
pub fn layer_shape() -> Shape {
    let (head, rest) = LAYER_KEYS.split_at(6);
    let head = head.iter().map(|&key| (key, Shape::Any));
    let rest = rest.iter().map(|&key| (key, if key == "rules" { Vec::<RuleKey>::shape() } else { Shape::Any }));
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
    use crate::policy::source::{Source, Sources};
    use crate::policy::tree::parse;

    #[test]
    fn a_fragment_counts_for_each_policy_that_uses_it() {
        let tree = |text: &str| parse(&Source::new("p", text, 0), &mut Vec::new()).unwrap();
        // A mapping, its key and a list of three; a mapping with two keys, a word, and a list of one.
        let fragments = Fragments::from([("f".to_owned(), Some(tree("tags: [a, b, c]\n")))]);
        let (mut budget, sources) = (NodeBudget::new(2 * (6 + 6)), Sources::default());
        let mut reader = Reader::new(&sources);
        for _ in 0..2 {
            assert!(merge(tree("policy: p\nuse: [f]\n"), &fragments, &[], &mut budget, &mut reader).is_some());
        }
        assert!(reader.diagnostics.is_empty(), "{:?}", reader.diagnostics);
        assert!(merge(tree("policy: p\nuse: [f]\n"), &fragments, &[], &mut budget, &mut reader).is_none());
        assert!(
            reader.diagnostics[0].message.starts_with("the policies, each with its fragments and layers, hold more")
        );
    }
}
