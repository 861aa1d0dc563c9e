//! Bounds of a list of differences: how long each text and all of them together may be. What is beyond is counted and
//! never written.

use crate::policy::diff::Change;

/// A text of a difference in an answer, in bytes: a long rule fits many times.
const CHANGE_TEXT_BYTES_MAX: usize = 16 * 1024;

/// All differences in an answer, in bytes: a report of 1 MiB has room for them and for what is wrong.
const CHANGES_BYTES_MAX: usize = 512 * 1024;

/// Upper bound on the size of a difference as a message, in bytes, without its texts.
const CHANGE_FRAME_BYTES: usize = 32;

/// Differences as far as they are shown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// Those that are shown, the first ones.
    pub shown: Vec<Change>,
    /// Number of further differences.
    pub further: usize,
}

/// Differences while they are found.
#[derive(Debug)]
pub(super) struct Collector {
    found: Changes,
    text: TextBound,
    bytes_left: usize,
}

impl Collector {
    /// Takes all of them, whole.
    pub(super) fn of_all() -> Self {
        Self { found: Changes::default(), text: TextBound(usize::MAX), bytes_left: usize::MAX }
    }

    /// Takes as much as an answer has room for.
    pub(super) fn bounded() -> Self {
        Self { found: Changes::default(), text: TextBound(CHANGE_TEXT_BYTES_MAX), bytes_left: CHANGES_BYTES_MAX }
    }

    /// Takes a difference, or counts it; it is only written where it may have room.
    pub(super) fn push(&mut self, write: impl FnOnce(TextBound) -> Change) {
        if self.found.further == 0 {
            let change = write(self.text);
            let Change { kind: _, document, section, name, before, after } = &change;
            let bytes: usize = [document, section, name, before, after].iter().map(|text| text.len()).sum();
            if let Some(left) = self.bytes_left.checked_sub(bytes.saturating_add(CHANGE_FRAME_BYTES)) {
                self.bytes_left = left;
                self.found.shown.push(change);
                return;
            }
        }
        self.found.further += 1;
    }

    /// Differences found.
    pub(super) fn done(self) -> Changes {
        self.found
    }
}

/// Upper bound on the length of a text of a difference, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextBound(usize);

impl TextBound {
    /// The text in these bytes; of a longer one its beginning, and how much is left out.
    pub(super) fn cut(self, bytes: &[u8]) -> String {
        let Some(beginning) = bytes.get(..self.0) else { return String::from_utf8_lossy(bytes).into_owned() };
        if beginning.len() == bytes.len() {
            return String::from_utf8_lossy(bytes).into_owned();
        }
        // A character that is cut in two is left out.
        let halved = beginning.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
        let end = beginning.len() - halved;
        let beginning = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
        format!("{beginning}\u{2026} ({} more bytes)", bytes.len() - end)
    }

    /// The same of a text that is there.
    pub(super) fn cut_text(self, text: String) -> String {
        if text.len() <= self.0 { text } else { self.cut(text.as_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::bundle::{Bundle, BundleFile};
    use crate::policy::diff::{bounded_diff, diff};

    const P: &str = "p.policy.yaml";

    fn bundle(path: &str, text: &str) -> Bundle {
        Bundle::new(vec![BundleFile { path: path.into(), bytes: text.as_bytes().to_vec() }]).unwrap()
    }

    fn bytes(changes: &Changes) -> usize {
        let of = |change: &Change| change.document.len() + change.name.len() + change.before.len() + change.after.len();
        changes.shown.iter().map(of).sum()
    }

    #[test]
    fn a_text_is_cut_between_characters_and_says_how_much_is_left_out() {
        assert_eq!(TextBound(4).cut(b"abcd"), "abcd");
        assert_eq!(TextBound(4).cut(b"abcdef"), "abcd\u{2026} (2 more bytes)");
        assert_eq!(TextBound(4).cut("ab\u{754c}\u{754c}".as_bytes()), "ab\u{2026} (6 more bytes)");
        assert_eq!(TextBound(6).cut_text("ab\u{754c}\u{754c}".into()), "ab\u{754c}\u{2026} (3 more bytes)");
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let rules: String = (0..20_000).map(|at| format!("  - {{ id: r{at}, refund: full }}\n")).collect();
        let (before, after) = (bundle(P, "policy: p\nrules: []\n"), bundle(P, &format!("policy: p\nrules:\n{rules}")));
        let found = bounded_diff(&before, &after);
        let all = diff(&before, &after);
        assert_eq!(found.shown.len() + found.further, all.len());
        assert!(0 < found.further && bytes(&found) <= CHANGES_BYTES_MAX);
        assert_eq!(found.shown, all[..found.shown.len()]);
    }

    #[test]
    fn a_document_of_many_bytes_is_shown_by_its_beginning() {
        let (before, after) =
            (bundle(P, "policy: p\n"), bundle("q.policy.yaml", &format!("policy: q\n# {}\n", "x".repeat(3_000_000))));
        let found = bounded_diff(&before, &after);
        assert_eq!((found.shown.len(), found.further), (2, 0));
        assert!(bytes(&found) < 2 * CHANGE_TEXT_BYTES_MAX, "{}", bytes(&found));
    }
}
