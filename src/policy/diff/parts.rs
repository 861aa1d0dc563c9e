//! A document in the parts that people speak of: rules, facts, reasons, keys of the head.

use std::collections::HashMap;

use crate::policy::diff::text;
use crate::policy::document::{BundleNode, CalendarNode, Policy};
use crate::policy::load::FileRole;
use crate::policy::merge::{fragment_shape, layer_shape};
use crate::policy::read::{Read, Shape};
use crate::policy::source::Located;
use crate::policy::tree::{Node, NodeKind};

/// A part of a document.
#[derive(Debug)]
pub(super) struct Part<'d> {
    /// The key under which it stands.
    pub(super) section: String,
    /// Its name; empty where the section is all there is.
    pub(super) name: String,
    /// Number of parts of this name before it: more than none only in a wrong document.
    namesakes_before: usize,
    /// Significance of its place among the others of its section.
    pub(super) place: Place,
    /// The key behind which it is written; `None` for the item of a list.
    key: Option<&'d str>,
    /// Value of the part.
    pub(super) value: &'d Node,
    /// Shape of the value.
    pub(super) shape: &'d Shape,
}

/// Significance of the order of a section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// It does, or shows in answers: rules are tried in it, names are listed in it.
    Counts,
    /// It does not.
    Free,
}

/// Key that tells a part from all others of its document.
pub(super) type Key<'p> = (&'p str, &'p str, usize);

/// Keys of the head that hold further keys, each a part of its own.
const OPENED: [&str; 3] = ["evidence", "text", "routes"];

/// Shape of a document.
pub(super) fn shape_of(role: FileRole) -> Shape {
    match role {
        FileRole::Policy => Policy::shape(),
        FileRole::Fragment => fragment_shape(),
        FileRole::Layer => layer_shape(),
        FileRole::Calendar => CalendarNode::shape(),
        FileRole::Manifest => BundleNode::shape(),
        // Cases are known above; what they hold has no order of its own.
        FileRole::Cases => Shape::Record(vec![
            ("policy", Shape::Any),
            ("given", Shape::Table(Box::new(Shape::Any))),
            ("cases", Shape::List(Box::new(Shape::Any))),
        ]),
        FileRole::Unknown => Shape::Any,
    }
}

/// The parts of a document, as they follow each other; `None` where it is no mapping.
pub(super) fn parts<'d>(tree: &'d Node, role: FileRole, shape: &'d Shape) -> Option<Vec<Part<'d>>> {
    let NodeKind::Mapping(entries) = &tree.kind else { return None };
    let place = if role == FileRole::Cases { Place::Free } else { Place::Counts };
    let mut parts = Vec::new();
    for (key, value) in entries {
        let shape = under(shape, &key.value);
        match &value.kind {
            NodeKind::Mapping(inner) if OPENED.contains(&key.value.as_str()) => {
                for (name, value) in inner {
                    let section = format!("{}.{}", key.value, name.value);
                    match under(shape, &name.value) {
                        shape @ Shape::Table(_) => section_parts(section, name, value, shape, place, &mut parts),
                        shape @ (Shape::Any | Shape::Record(_) | Shape::List(_)) => {
                            parts.push(Part::new(
                                &key.value,
                                &name.value,
                                Place::Free,
                                Some(&name.value),
                                value,
                                shape,
                            ));
                        }
                    }
                }
            }
            NodeKind::Scalar(..) | NodeKind::List(_) | NodeKind::Mapping(_) => {
                section_parts(key.value.clone(), key, value, shape, place, &mut parts);
            }
        }
    }
    number(&mut parts);
    Some(parts)
}

/// The names of a table, the items of a list of named ones, or the value as a whole.
fn section_parts<'d>(
    section: String,
    key: &'d Located<String>,
    value: &'d Node,
    shape: &'d Shape,
    place: Place,
    parts: &mut Vec<Part<'d>>,
) {
    match (&value.kind, shape, named_by(&section)) {
        (NodeKind::Mapping(entries), Shape::Table(of), _) if !entries.is_empty() => {
            let part = |(name, value): &'d (Located<String>, Node)| {
                Part::new(&section, &name.value, place, Some(&name.value), value, of)
            };
            parts.extend(entries.iter().map(part));
        }
        (NodeKind::List(items), Shape::List(of), Some(by)) if !items.is_empty() => {
            let part = |item: &'d Node| Part::new(&section, name_of(item, by), place, None, item, of);
            parts.extend(items.iter().map(part));
        }
        (NodeKind::Scalar(..) | NodeKind::List(_) | NodeKind::Mapping(_), _, _) => {
            parts.push(Part::new(&section, "", Place::Free, Some(&key.value), value, shape));
        }
    }
}

/// The key by which the items of a list are named.
fn named_by(section: &str) -> Option<&'static str> {
    match section {
        "rules" => Some("id"),
        "cases" => Some("case"),
        _ => None,
    }
}

fn name_of<'d>(item: &'d Node, by: &str) -> &'d str {
    let NodeKind::Mapping(entries) = &item.kind else { return "" };
    let named = entries.iter().find(|(key, _)| key.value == by).map(|(_, value)| &value.kind);
    if let Some(NodeKind::Scalar(text, _)) = named { text } else { "" }
}

fn number(parts: &mut [Part<'_>]) {
    let mut seen: HashMap<(String, String), usize> = HashMap::new();
    for part in parts {
        let count = seen.entry((part.section.clone(), part.name.clone())).or_default();
        part.namesakes_before = *count;
        *count += 1;
    }
}

impl<'d> Part<'d> {
    fn new(section: &str, name: &str, place: Place, key: Option<&'d str>, value: &'d Node, shape: &'d Shape) -> Self {
        Self { section: section.to_owned(), name: name.to_owned(), namesakes_before: 0, place, key, value, shape }
    }

    /// Key that tells it from all others of its document.
    pub(super) fn key(&self) -> Key<'_> {
        (&self.section, &self.name, self.namesakes_before)
    }

    /// As it is written, without comments and laid out in one way.
    pub(super) fn text(&self) -> String {
        match self.key {
            Some(key) => text::entry(key, self.value, self.shape),
            None => text::item(self.value, self.shape),
        }
    }
}

/// The shape of the value under a key.
pub(super) fn under<'s>(shape: &'s Shape, key: &str) -> &'s Shape {
    match shape {
        Shape::Record(keys) => keys.iter().find(|(known, _)| *known == key).map_or(&Shape::Any, |(_, shape)| shape),
        Shape::Table(value) => value,
        // One value where a list of them may stand.
        Shape::List(one) => under(one, key),
        Shape::Any => &Shape::Any,
    }
}

/// The shape of the items of a list.
pub(super) fn of_items(shape: &Shape) -> &Shape {
    match shape {
        Shape::List(one) => one,
        Shape::Any | Shape::Record(_) | Shape::Table(_) => &Shape::Any,
    }
}

/// Returns `true` if two values of this shape are equal. Quotes do not matter, and keys that have an
/// order of their own may stand in any; names stand in the order of the author, which counts.
pub(super) fn same(a: &Node, b: &Node, shape: &Shape) -> bool {
    match (&a.kind, &b.kind) {
        (NodeKind::Scalar(a_text, _), NodeKind::Scalar(b_text, _)) => a_text == b_text && a.is_blank() == b.is_blank(),
        (NodeKind::List(a), NodeKind::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, of_items(shape)))
        }
        (NodeKind::Mapping(a), NodeKind::Mapping(b)) => a.len() == b.len() && same_entries(a, b, shape),
        (NodeKind::List(many), _) => alone(many, shape).is_some_and(|one| same(one, b, of_items(shape))),
        (_, NodeKind::List(many)) => alone(many, shape).is_some_and(|one| same(a, one, of_items(shape))),
        (NodeKind::Scalar(..), NodeKind::Mapping(_)) | (NodeKind::Mapping(_), NodeKind::Scalar(..)) => false,
    }
}

/// The only item of a list where it may as well stand without brackets.
pub(super) fn alone<'n>(items: &'n [Node], shape: &Shape) -> Option<&'n Node> {
    match (items, shape) {
        ([one], Shape::List(_)) => Some(one),
        (_, Shape::Any | Shape::Record(_) | Shape::Table(_) | Shape::List(_)) => None,
    }
}

fn same_entries(a: &[(Located<String>, Node)], b: &[(Located<String>, Node)], shape: &Shape) -> bool {
    let shape = match shape {
        Shape::List(one) => one,
        Shape::Any | Shape::Record(_) | Shape::Table(_) => shape,
    };
    match shape {
        Shape::Table(of) => {
            a.iter().zip(b).all(|((a_name, a), (b_name, b))| a_name.value == b_name.value && same(a, b, of))
        }
        Shape::Any | Shape::Record(_) | Shape::List(_) => {
            let others: HashMap<&str, &Node> = b.iter().map(|(key, value)| (key.value.as_str(), value)).collect();
            a.iter().all(|(key, value)| {
                let other = others.get(key.value.as_str());
                other.is_some_and(|other| same(value, other, under(shape, &key.value)))
            })
        }
    }
}
