//! Hash of what a bundle says: the same for two bundles that decide alike and differ in their layout alone.
//!
//! It leaves out what [`super::diff`] does not tell (comments, spaces, quotes, the order of keys that have an order of
//! their own, the names of policy files) and the cases, which decide nothing. Everything else counts, so two bundles that
//! decide alike in other words have two of them.

use std::fmt;
use std::str::FromStr;

use crate::policy::bundle::{Bundle, Digest, NotADigest};
use crate::policy::diff::documents::{Document, document};
use crate::policy::diff::shape::{alone, of_items, shape_of, under};
use crate::policy::load::FileRole;
use crate::policy::read::Shape;
use crate::policy::tree::{Node, NodeKind};

/// The identity of what a bundle says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SemanticDigest([u8; 32]);

/// A bundle by its bytes, and by what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// The identity of its bytes.
    pub digest: Digest,
    /// The identity of what it says; `None` where that was not kept: only the same bytes say the same then.
    pub semantic: Option<SemanticDigest>,
}

impl Content {
    /// Of a bundle. Reads all of it, which takes about as long as it takes to parse it.
    #[must_use]
    pub fn of(bundle: &Bundle) -> Self {
        Self { digest: bundle.digest(), semantic: Some(SemanticDigest::of(bundle)) }
    }

    /// Returns `true` if both say the same, as far as it is known.
    #[must_use]
    pub fn says_as(self, other: Self) -> bool {
        self.digest == other.digest || (self.semantic.is_some() && self.semantic == other.semantic)
    }
}

impl SemanticDigest {
    fn of(bundle: &Bundle) -> Self {
        // One document at a time: a tree is many times as large as its text.
        let decides = |document: &Document<'_>| document.role != FileRole::Cases;
        let mut documents: Vec<[u8; 32]> =
            bundle.files().iter().map(document).filter(decides).map(|document| hash_of(&document)).collect();
        documents.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"requite semantic 1\n");
        for document in &documents {
            hasher.update(document);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

fn hash_of(document: &Document<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    // A policy is known by what it says, everything else by its path too.
    let path = if document.role == FileRole::Policy { "" } else { document.path };
    text(&mut hasher, b'p', path);
    match &document.tree {
        Some(tree) => value(&mut hasher, tree, &shape_of(document.role)),
        None => {
            text(&mut hasher, b'b', document.path);
            hasher.update(document.bytes);
        }
    }
    *hasher.finalize().as_bytes()
}

/// Lengths are hashed before texts and counts before values, so that no two values read the same.
fn text(hasher: &mut blake3::Hasher, tag: u8, text: &str) {
    count(hasher, tag, text.len());
    hasher.update(text.as_bytes());
}

fn count(hasher: &mut blake3::Hasher, tag: u8, count: usize) {
    hasher.update(&[tag]);
    hasher.update(&(count as u64).to_le_bytes());
}

/// The same for two values of this shape exactly where [`super::shape::same`] says so.
fn value(hasher: &mut blake3::Hasher, node: &Node, shape: &Shape) {
    match (&node.kind, shape) {
        (NodeKind::List(many), _) => match alone(many, shape) {
            Some(one) => value(hasher, one, of_items(shape)),
            None => {
                count(hasher, b'l', many.len());
                many.iter().for_each(|item| value(hasher, item, of_items(shape)));
            }
        },
        // One value where a list of them may stand.
        (NodeKind::Scalar(..) | NodeKind::Mapping(_), Shape::List(one)) => value(hasher, node, one),
        (NodeKind::Scalar(scalar, _), _) => {
            text(hasher, if node.is_blank() { b'n' } else { b's' }, scalar);
        }
        (NodeKind::Mapping(entries), _) => {
            count(hasher, b'm', entries.len());
            let mut entries: Vec<_> = entries.iter().map(|(key, value)| (key.value.as_str(), value)).collect();
            if !matches!(shape, Shape::Table(_)) {
                entries.sort_by_key(|(key, _)| *key);
            }
            for (key, of_key) in entries {
                text(hasher, b'k', key);
                value(hasher, of_key, under(shape, key));
            }
        }
    }
}

impl FromStr for SemanticDigest {
    type Err = NotADigest;

    /// Reads what `Display` writes: 64 hex digits.
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes())).map_err(|_| NotADigest)
    }
}

impl fmt::Display for SemanticDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for SemanticDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::bundle::BundleFile;
    use crate::policy::diff::diff;

    const POLICY: &str = "policy: shop\nversion: \"1\"\ntimezone: UTC\ncurrencies: [CNY]\nrules:\n  - id: late\n    \
                          when: delivered\n    deny: TOO_LATE\n  - id: rest\n    refund: full\nfacts:\n  a: { type: boolean }\n  \
                          b: { type: boolean }\n";

    fn bundle(files: &[(&str, &str)]) -> Bundle {
        let file = |(path, text): &(&str, &str)| BundleFile { path: (*path).to_owned(), bytes: text.as_bytes().into() };
        Bundle::new(files.iter().map(file).collect()).unwrap()
    }

    fn shop(text: &str) -> Bundle {
        bundle(&[("shop.policy.yaml", text)])
    }

    #[test]
    fn the_layout_and_the_cases_are_left_out() {
        let before = Content::of(&shop(POLICY));
        for text in [
            format!("# a comment\n\n{POLICY}"),
            POLICY.replace("\"1\"", "'1'"),
            POLICY.replace("[CNY]", "CNY"),
            POLICY.replace("timezone: UTC\ncurrencies: [CNY]", "currencies: [CNY]\ntimezone: UTC"),
            POLICY.replace("    when: delivered\n    deny: TOO_LATE", "    deny: TOO_LATE\n    when: delivered"),
        ] {
            let after = shop(&text);
            assert_ne!(after.digest(), before.digest);
            assert_eq!(diff(&shop(POLICY), &after), [], "{text}");
            assert!(before.says_as(Content::of(&after)), "{text}");
        }
        let cases = bundle(&[("shop.policy.yaml", POLICY), ("shop.cases.yaml", "policy: shop\n")]);
        assert!(before.says_as(Content::of(&cases)));
        assert!(before.says_as(Content::of(&bundle(&[("other.policy.yaml", POLICY)]))));
    }

    #[test]
    fn every_word_and_every_place_counts() {
        let before = Content::of(&shop(POLICY));
        for (old, new) in [
            ("version: \"1\"", "version: \"2\""),
            ("refund: full", "refund: none"),
            ("id: rest", "id: others"),
            ("version: \"1\"", "version: \"\""),
            ("[CNY]", "[CNY, EUR]"),
            ("[CNY]", "[[CNY]]"),
            ("  a: { type: boolean }\n  b: { type: boolean }\n", "  b: { type: boolean }\n  a: { type: boolean }\n"),
            ("rules:\n", "rules:\n  - id: first\n    refund: full\n"),
            ("rules:", "rules"),
        ] {
            let text = POLICY.replace(old, new);
            assert_ne!(text, POLICY, "{old}");
            assert!(!before.says_as(Content::of(&shop(&text))), "{new}");
        }
        let layer = ("base.layer.yaml", "layer: base\n");
        let with = |path| Content::of(&bundle(&[("shop.policy.yaml", POLICY), (path, layer.1)]));
        assert!(!with(layer.0).says_as(before));
        assert!(!with(layer.0).says_as(with("other.layer.yaml")));
    }

    #[test]
    fn without_what_it_says_only_the_same_bytes_say_the_same() {
        let known = Content::of(&shop(POLICY));
        let unknown = Content { semantic: None, ..known };
        let other = Content { semantic: None, ..Content::of(&shop(&format!("{POLICY}\n"))) };
        assert!(known.says_as(unknown) && !unknown.says_as(other));
        assert_eq!(known.semantic.unwrap().to_string().parse(), Ok(known.semantic.unwrap()));
    }
}
