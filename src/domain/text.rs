//! Text as it is compared: without width, case, invisible characters, or punctuation.
//!
//! Normalization is deterministic and keeps the way back: every byte of the result knows which
//! bytes of the original it came from.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// Characters that are read as others: `滿` as `满`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fold(pub BTreeMap<char, char>);

/// A normalized text, and the way back to the original.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Normalized {
    /// The text: compatibility forms unified, lower case, folded, only letters and digits.
    pub text: String,
    /// For each byte of `text`, the bytes of the original it came from.
    origins: Vec<(u32, u32)>,
}

impl Normalized {
    /// The range of the original that a range of the normalized text came from.
    #[must_use]
    pub fn original(&self, start: usize, end: usize) -> (u32, u32) {
        let first = self.origins.get(start).map_or(0, |origin| origin.0);
        let last = end.checked_sub(1).and_then(|last| self.origins.get(last)).map_or(first, |origin| origin.1);
        (first, last)
    }

    /// Returns true if the text holds a digit.
    #[must_use]
    pub fn has_digit(&self) -> bool {
        self.text.chars().any(|character| character.is_ascii_digit())
    }
}

/// Normalizes a text: NFKC of each base character with its marks, lower case, the policy's fold;
/// what is neither letter nor digit (punctuation, spaces, joiners, loose marks) is left out.
#[must_use]
pub fn normalize(text: &str, fold: &Fold) -> Normalized {
    let mut normalized = Normalized::default();
    let mut rest = text.char_indices().peekable();
    while let Some((start, base)) = rest.next() {
        let mut end = start + base.len_utf8();
        while let Some(&(at, mark)) = rest.peek() {
            if canonical_combining_class(mark) == 0 {
                break;
            }
            end = at + mark.len_utf8();
            rest.next();
        }
        let cluster = text.get(start..end).unwrap_or("");
        let origin = (u32::try_from(start).unwrap_or(u32::MAX), u32::try_from(end).unwrap_or(u32::MAX));
        for character in cluster.nfkc().flat_map(char::to_lowercase) {
            let character = fold.0.get(&character).copied().unwrap_or(character);
            if is_kept(character) {
                normalized.text.push(character);
                normalized.origins.extend(std::iter::repeat_n(origin, character.len_utf8()));
            }
        }
    }
    normalized
}

/// Letters and digits, with the marks that are part of them. Marks that stay apart, format
/// characters, joiners and variation selectors are left out: they could hide a phrase.
fn is_kept(character: char) -> bool {
    character.is_alphanumeric() && canonical_combining_class(character) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        normalize(text, &Fold::default()).text
    }

    #[test]
    fn width_case_punctuation_and_joiners_do_not_count() {
        assert_eq!(plain("不好用!!!"), "不好用");
        assert_eq!(plain("不\u{200d}好\u{200b}用。"), "不好用");
        assert_eq!(plain("  不 好,用~\u{feff}"), "不好用");
        assert_eq!(plain("BAD bad"), "badbad");
    }

    #[test]
    fn folded_characters_are_read_as_others() {
        let fold = Fold([('滿', '满')].into());
        assert_eq!(normalize("不滿意", &fold).text, "不满意");
    }

    #[test]
    fn a_range_leads_back_to_the_original() {
        let original = "我说:不\u{200d}好用!";
        let normalized = normalize(original, &Fold::default());
        let at = normalized.text.find("不好用").unwrap();
        let (start, end) = normalized.original(at, at + "不好用".len());
        assert_eq!(&original[start as usize..end as usize], "不\u{200d}好用");
    }

    #[test]
    fn marks_stay_with_their_letter_or_go() {
        assert_eq!(plain("e\u{301}"), "é");
        assert_eq!(plain("不\u{301}好用"), "不好用");
    }
}
