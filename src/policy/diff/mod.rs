//! Differences between two bundles, in the words of their authors.
//!
//! Documents are compared with each other part by part: rules by their ids, declarations by their
//! names, everything else by its key. How a document is laid out is no difference: comments,
//! spaces, quotes, the order of keys that have an order of their own, the names of policy files.
//! Where nothing comes out, both bundles decide alike. What a difference means is not known here.

mod bound;
mod documents;
mod order;
mod parts;
mod semantic;
mod shape;
mod text;

use crate::policy::bundle::Bundle;
pub use crate::policy::diff::bound::Changes;
use crate::policy::diff::bound::{Collector, TextBound};
use crate::policy::diff::documents::{Document, Pair, pairs};
use crate::policy::diff::order::{Step, moved, steps};
use crate::policy::diff::parts::{Part, parts};
pub use crate::policy::diff::semantic::{Content, SemanticDigest};
use crate::policy::diff::shape::{same, shape_of};
use crate::policy::load::FileRole;

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Kind of change to the part.
    pub kind: ChangeKind,
    /// The document it is in: for a policy its id, with its version behind a space where there are
    /// several; otherwise its path in the bundle.
    pub document: String,
    /// The key under which it stands, such as `rules` or `evidence.kinds`; empty for a whole
    /// document.
    pub section: String,
    /// Its name: the id of a rule, the name of a fact; empty where the section is all there is.
    pub name: String,
    /// As it was written before, without comments and laid out in one way; empty for what is new.
    /// For what moved, where it stood: `first`, or "behind `unpaid`"; for a layer, its path.
    pub before: String,
    /// As it is written now; empty for what is gone. For what moved, where it stands.
    pub after: String,
}

/// Kind of change to a part of a policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It says something else.
    Changed,
    /// It stands at another place among those that stayed. One that also says something else
    /// comes out twice: as changed, then as moved.
    Moved,
}

/// All differences: policies first and cases last, each in the order of the new document; what is
/// gone stands where it was. Together their texts are about as long as the parts that differ; a document that is new, gone or cannot
/// be read is one difference with all of its text.
#[must_use]
pub fn diff(before: &Bundle, after: &Bundle) -> Vec<Change> {
    let mut found = Collector::of_all();
    collect(before, after, &mut found);
    found.done().shown
}

/// Differences as far as an answer has room for them: texts are cut to 16 KiB each, no more are
/// shown than have 512 KiB together, and the rest is counted. Nothing beyond is ever written.
#[must_use]
pub fn bounded_diff(before: &Bundle, after: &Bundle) -> Changes {
    let mut found = Collector::bounded();
    collect(before, after, &mut found);
    found.done()
}

fn collect(before: &Bundle, after: &Bundle, changes: &mut Collector) {
    if before.digest() == after.digest() {
        return;
    }
    let (before, after) = (documents::read(before), documents::read(after));
    let name = |document: &Document<'_>| document.name(&before, &after);
    for pair in pairs(&before, &after) {
        match pair {
            Pair::Gone(gone) => whole(changes, ChangeKind::Removed, name(gone), (gone.bytes, &[])),
            Pair::New(new) => whole(changes, ChangeKind::Added, name(new), (&[], new.bytes)),
            Pair::Both(before, after) => compare(before, after, &name(after), changes),
        }
    }
}

/// A difference of whole documents, whose texts are these bytes.
fn whole(changes: &mut Collector, kind: ChangeKind, document: String, (before, after): (&[u8], &[u8])) {
    changes.push(|text| Change {
        kind,
        document: text.cut(document.as_bytes()),
        section: String::new(),
        name: String::new(),
        before: text.cut(before),
        after: text.cut(after),
    });
}

fn compare(before: &Document<'_>, after: &Document<'_>, name: &str, changes: &mut Collector) {
    // Of two layers, the one whose file comes first stands above the other.
    if after.role == FileRole::Layer && before.path != after.path {
        whole(changes, ChangeKind::Moved, name.to_owned(), (before.path.as_bytes(), after.path.as_bytes()));
    }
    if before.bytes == after.bytes {
        return;
    }
    let shape = shape_of(after.role);
    let split = before
        .tree
        .as_ref()
        .zip(after.tree.as_ref())
        .and_then(|(old, new)| Some((parts(old, before.role, &shape)?, parts(new, after.role, &shape)?)));
    match split {
        Some((old, new)) => of_parts(&old, &new, name, changes),
        None => whole(changes, ChangeKind::Changed, name.to_owned(), (before.bytes, after.bytes)),
    }
}

fn of_parts(before: &[Part<'_>], after: &[Part<'_>], document: &str, changes: &mut Collector) {
    let moved = moved(before, after);
    for step in steps(before, after) {
        let (kind, old, new) = match step {
            Step::Gone(old) => (ChangeKind::Removed, Some(old), None),
            Step::New(new) => (ChangeKind::Added, None, Some(new)),
            Step::Both(old, new) => (ChangeKind::Changed, Some(old), Some(new)),
        };
        let Some(part) = new.or(old) else { continue };
        let change = |kind, text: TextBound, before: String, after: String| Change {
            kind,
            document: text.cut(document.as_bytes()),
            section: text.cut(part.section.as_bytes()),
            name: text.cut(part.name.as_bytes()),
            before: text.cut_text(before),
            after: text.cut_text(after),
        };
        if !old.zip(new).is_some_and(|(old, new)| same(old.value, new.value, new.shape)) {
            let written = |part: Option<&Part<'_>>| part.map(Part::text).unwrap_or_default();
            changes.push(|text| change(kind, text, written(old), written(new)));
        }
        if let Some((from, to)) = new.and_then(|new| moved.get(&new.key())) {
            changes.push(|text| change(ChangeKind::Moved, text, from.clone(), to.clone()));
        }
    }
}
