//! Reports on a word that is not known: the known ones, or the one that was probably meant.

use crate::policy::diagnostics::{Diagnostics, quoted_list};
use crate::policy::source::Span;

/// Reports a word that its vocabulary does not have.
pub fn unknown_word(word: &str, span: Span, vocabulary: &str, words: &[String], diagnostics: &mut Diagnostics<'_, '_>) {
    let help = diagnostics.suggestion(word, words.iter().map(String::as_str)).map_or_else(
        || {
            if words.is_empty() {
                format!("the policy declares no {vocabulary}")
            } else {
                format!("known are {}", quoted_list(words.iter().take(20)))
            }
        },
        |near| format!("did you mean `{near}`?"),
    );
    diagnostics.error("unknown-word", span, format!("`{word}` is not a known {vocabulary}"), help);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::{DIAGNOSTICS_MAX, VOCABULARY_WORDS_MAX};
    use crate::policy::source::Sources;

    #[test]
    fn every_mistake_that_is_shown_has_its_suggestion_and_later_ones_cost_nothing() {
        let words: Vec<String> = (0..VOCABULARY_WORDS_MAX).map(|place| format!("word{place}")).collect();
        let sources = Sources::default();
        let mut diagnostics = Diagnostics::new(&sources);
        for _ in 0..2 * DIAGNOSTICS_MAX {
            unknown_word("wrd7", Span::default(), "word", &words, &mut diagnostics);
        }
        let suggested = |help: &Option<String>| help.as_deref() == Some("did you mean `word7`?");
        let helps: Vec<bool> = diagnostics.diagnostics.iter().map(|diagnostic| suggested(&diagnostic.help)).collect();
        assert!(helps[..DIAGNOSTICS_MAX].iter().all(|&suggested| suggested));
        assert!(!helps[2 * DIAGNOSTICS_MAX - 1]);
    }
}
