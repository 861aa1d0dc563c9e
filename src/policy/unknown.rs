//! What to say of a word that is not known: which are, or which one was meant.

use crate::policy::read::{Reader, quoted_list, suggestion};
use crate::policy::source::Span;

/// Reports a word that its vocabulary does not have.
pub fn unknown_word(word: &str, span: Span, vocabulary: &str, words: &[String], reader: &mut Reader<'_, '_>) {
    let help = suggestion(word, words.iter().map(String::as_str)).map_or_else(
        || {
            if words.is_empty() {
                format!("the policy declares no {vocabulary}")
            } else {
                format!("known are {}", quoted_list(words.iter().take(20)))
            }
        },
        |near| format!("did you mean `{near}`?"),
    );
    reader.error("unknown-word", span, format!("`{word}` is not a known {vocabulary}"), help);
}
