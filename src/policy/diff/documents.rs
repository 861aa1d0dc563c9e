//! The documents of two bundles, and which of them is the same one in both.

use std::collections::BTreeMap;

use crate::policy::bundle::{Bundle, BundleFile};
use crate::policy::diagnostic::{Precedent, Severity};
use crate::policy::load::{FileRole, role};
use crate::policy::source::Source;
use crate::policy::tree::{Node, NodeBudget, NodeKind, parse_within};

/// A file of a bundle.
#[derive(Debug)]
pub(super) struct Document<'b> {
    /// Its path within the bundle.
    pub(super) path: &'b str,
    /// Role of the document.
    pub(super) role: FileRole,
    /// Its bytes.
    pub(super) bytes: &'b [u8],
    /// Content; `None` where it cannot be read, or is read by nobody.
    pub(super) tree: Option<Node>,
}

/// A document of one bundle or of both.
#[derive(Debug)]
pub(super) enum Pair<'d, 'b> {
    /// It is in both.
    Both(&'d Document<'b>, &'d Document<'b>),
    /// It is in the first one only.
    Gone(&'d Document<'b>),
    /// It is in the second one only.
    New(&'d Document<'b>),
}

/// The documents of a bundle, by path. It may have been let in though stricter checks refuse it now.
pub(super) fn read(bundle: &Bundle) -> Vec<Document<'_>> {
    bundle.files().iter().map(document).collect()
}

/// The document of a file.
pub(super) fn document(file: &BundleFile) -> Document<'_> {
    let role = role(&file.path);
    let mut diagnostics = Vec::new();
    let tree = match role {
        FileRole::Unknown => None,
        FileRole::Policy
        | FileRole::Fragment
        | FileRole::Layer
        | FileRole::Cases
        | FileRole::Calendar
        | FileRole::Manifest => {
            let mut budget = NodeBudget::of(Precedent::InForce);
            let source = Source::open(file, 0).ok();
            source.and_then(|source| parse_within(&source, &mut budget, &mut diagnostics))
        }
    };
    // A key that stands twice would hide one of its two values.
    let tree = tree.filter(|_| !diagnostics.iter().any(|it| it.severity == Severity::Error));
    Document { path: &file.path, role, bytes: &file.bytes, tree }
}

impl Document<'_> {
    /// Name for people: the id of a policy, with its version where either bundle has several
    /// of them; the path of anything else.
    pub(super) fn name(&self, before: &[Self], after: &[Self]) -> String {
        let Some(id) = self.policy_id() else { return self.path.to_owned() };
        let several =
            |documents: &[Self]| documents.iter().filter(|document| document.policy_id() == Some(id)).nth(1).is_some();
        match self.top("version") {
            Some(version) if several(before) || several(after) => format!("{id} {version}"),
            Some(_) | None => id.to_owned(),
        }
    }

    fn policy_id(&self) -> Option<&str> {
        self.of_policy().then(|| self.top("policy")).flatten()
    }

    fn of_policy(&self) -> bool {
        self.role == FileRole::Policy
    }

    /// The text under a key of the document.
    fn top(&self, key: &str) -> Option<&str> {
        text_of(under(self.tree.as_ref()?, key)?)
    }
}

fn under<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.kind {
        NodeKind::Mapping(entries) => entries.iter().find(|(name, _)| name.value == key).map(|(_, value)| value),
        NodeKind::Scalar(..) | NodeKind::List(_) => None,
    }
}

fn text_of(node: &Node) -> Option<&str> {
    match &node.kind {
        NodeKind::Scalar(text, _) => Some(text),
        NodeKind::List(_) | NodeKind::Mapping(_) => None,
    }
}

/// Something that a document may be known by.
type Known = fn(&Document<'_>) -> Option<Vec<u8>>;

/// By what a document is known, the surest first. A policy keeps its name when its file gets
/// another one; a fragment and a calendar are known by their files alone.
const KNOWN_BY: [Known; 6] = [
    |document| Some(joined(&[document.policy_id()?, document.top("version")?])),
    |document| {
        let begins = under(under(document.tree.as_ref()?, "effective")?, "from").and_then(text_of)?;
        Some(joined(&[document.policy_id()?, begins]))
    },
    |document| Some(joined(&[document.policy_id()?, document.path])),
    |document| match document.role {
        FileRole::Policy => Some(joined(&[document.policy_id()?])),
        FileRole::Layer => Some(joined(&["layer", document.top("layer")?])),
        FileRole::Fragment | FileRole::Cases | FileRole::Calendar | FileRole::Manifest | FileRole::Unknown => None,
    },
    |document| Some(document.path.as_bytes().to_vec()),
    |document| (document.role == FileRole::Cases).then(|| document.bytes.to_vec()),
];

fn joined(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

/// Every document once: policies first and cases last, each by path.
pub(super) fn pairs<'d, 'b>(before: &'d [Document<'b>], after: &'d [Document<'b>]) -> Vec<Pair<'d, 'b>> {
    let (mut old, mut new): (Vec<_>, Vec<_>) = (before.iter().collect(), after.iter().collect());
    let mut pairs = Vec::new();
    for key in KNOWN_BY {
        let (old_keys, new_keys) = (only(&old, key), only(&new, key));
        for (key, document) in &new_keys {
            if let Some(partner) = old_keys.get(key) {
                pairs.push(Pair::Both(partner, document));
                old.retain(|other| other.path != partner.path);
                new.retain(|other| other.path != document.path);
            }
        }
    }
    pairs.extend(old.into_iter().map(Pair::Gone));
    pairs.extend(new.into_iter().map(Pair::New));
    pairs.sort_by_key(|pair| match pair {
        Pair::Both(_, document) | Pair::Gone(document) | Pair::New(document) => (rank(document.role), document.path),
    });
    pairs
}

/// Order of documents: what decides comes first, cases and the like last.
const fn rank(role: FileRole) -> u8 {
    match role {
        FileRole::Policy => 0,
        FileRole::Layer => 1,
        FileRole::Fragment => 2,
        FileRole::Calendar => 3,
        FileRole::Manifest => 4,
        FileRole::Cases => 5,
        FileRole::Unknown => 6,
    }
}

/// The documents by what they are known by, without those that share it.
fn only<'d, 'b>(documents: &[&'d Document<'b>], key: Known) -> BTreeMap<Vec<u8>, &'d Document<'b>> {
    let mut found: BTreeMap<Vec<u8>, Option<&Document<'b>>> = BTreeMap::new();
    for &document in documents {
        if let Some(key) = key(document) {
            found.entry(key).and_modify(|known| *known = None).or_insert(Some(document));
        }
    }
    found.into_iter().filter_map(|(key, document)| Some((key, document?))).collect()
}
