//! What is different between two bundles, in the words of their authors.

use crate::policy::bundle::Bundle;

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// What became of the part.
    pub kind: ChangeKind,
    /// The document it is in: for a policy its id, otherwise its path in the bundle.
    pub document: String,
    /// The key under which it stands, such as `rules`; empty for a whole document.
    pub section: String,
    /// Its name: the id of a rule, the name of a fact; empty where the section is all there is.
    pub name: String,
    /// As it was written before; empty for what is new.
    pub before: String,
    /// As it is written now; empty for what is gone.
    pub after: String,
}

/// What became of a part of a policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It says something else.
    Changed,
    /// It says the same and is tried at another place.
    Moved,
}

/// All differences, in the order of the new bundle; what is gone stands where it was.
#[must_use]
pub fn diff(before: &Bundle, after: &Bundle) -> Vec<Change> {
    let text = |bundle: &Bundle, path: &str| {
        bundle.file(path).map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).unwrap_or_default()
    };
    let mut paths: Vec<&str> = before.files().iter().chain(after.files()).map(|file| file.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    let change = |path: &str| {
        let kind = match (before.file(path), after.file(path)) {
            (Some(before), Some(after)) if before.bytes == after.bytes => return None,
            (Some(_), Some(_)) => ChangeKind::Changed,
            (Some(_), None) => ChangeKind::Removed,
            (None, _) => ChangeKind::Added,
        };
        Some(Change {
            kind,
            document: path.to_owned(),
            section: String::new(),
            name: String::new(),
            before: text(before, path),
            after: text(after, path),
        })
    };
    paths.into_iter().filter_map(change).collect()
}
