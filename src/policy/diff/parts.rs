//! A document in the parts that people speak of: rules, facts, reasons, keys of the head.

use std::collections::HashMap;

use crate::policy::diff::shape::under;
use crate::policy::diff::text;
use crate::policy::load::FileRole;
use crate::policy::read::Shape;
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
