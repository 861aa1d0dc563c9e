//! Vague text: phrases, what excuses them, and characters read as others.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::domain::limits::{PHRASE_BYTES_MAX, PHRASES_MAX};
use crate::domain::text::{Fold, normalize};
use crate::plan::text::{ComparisonExcuses, TextRules};
use crate::plan::vocabulary::Labels;
use crate::policy::check::draft::Draft;
use crate::policy::check::header::first_span;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::evidence::TextNode;
use crate::policy::read::{Table, Text};
use crate::policy::source::Span;
use crate::policy::unknown::unknown_word;

/// Checks the rules on text; without any, no text is vague.
pub fn check(written: Option<&TextNode>, draft: &Draft, diagnostics: &mut Diagnostics<'_, '_>) -> Option<TextRules> {
    let Some(written) = written else {
        return Some(TextRules {
            phrases: Vec::new(),
            vague: None,
            checkable: None,
            fold: Fold::default(),
            comparison: ComparisonExcuses::No,
            suggestion: Labels::default(),
        });
    };
    let fold = fold(written.fold.as_ref(), diagnostics);
    let vague = automaton(&written.vague, &fold, diagnostics);
    let checkable = automaton(written.checkable.as_deref().unwrap_or(&[]), &fold, diagnostics);
    let suggestion = match &written.suggestion {
        Some(label) => draft.labels(Some(label), "suggestion", first_span(label), diagnostics),
        None => Labels::default(),
    };
    let comparison = match written.vague_excused_by.as_ref() {
        None => ComparisonExcuses::No,
        Some(word) if word.text() == "promised_actual" => ComparisonExcuses::Yes,
        Some(word) => {
            unknown_word(word.text(), word.span(), "excuse", &["promised_actual".to_owned()], diagnostics);
            ComparisonExcuses::No
        }
    };
    let phrases = written.vague.iter().map(|phrase| phrase.value.clone()).collect();
    Some(TextRules { phrases, vague: vague?, checkable: checkable?, fold, comparison, suggestion })
}

fn fold(written: Option<&Table<Text>>, diagnostics: &mut Diagnostics<'_, '_>) -> Fold {
    let mut fold = BTreeMap::new();
    let entries = written.map_or(&[][..], |table| table.entries.as_slice());
    for (from, to) in entries {
        let single = |text: &Text, diagnostics: &mut Diagnostics<'_, '_>| {
            let mut characters = text.value.chars();
            let (first, rest) = (characters.next(), characters.next());
            if first.is_none() || rest.is_some() {
                diagnostics.error(
                    "not-a-character",
                    text.span,
                    format!("`{}` is not one character", text.value),
                    "`fold` reads single characters as others: `滿: 满`",
                );
            }
            first.filter(|_| rest.is_none())
        };
        let (from, to) = (single(from, diagnostics), single(to, diagnostics));
        if let (Some(from), Some(to)) = (from, to) {
            fold.insert(from, to);
        }
    }
    Fold(fold)
}

/// An automaton that finds the phrases in normalized text; `None` inside where there are none.
fn automaton(phrases: &[Text], fold: &Fold, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Option<AhoCorasick>> {
    if let Some(first_over) = phrases.get(PHRASES_MAX) {
        diagnostics.error(
            "too-many-words",
            first_over.span,
            format!("there are more than {PHRASES_MAX} phrases"),
            "remove some",
        );
        return None;
    }
    let mut normalized: Vec<String> = Vec::with_capacity(phrases.len());
    let mut good = true;
    for phrase in phrases {
        if PHRASE_BYTES_MAX < phrase.value.len() {
            let message =
                format!("this phrase has {} bytes, at most {PHRASE_BYTES_MAX} are allowed", phrase.value.len());
            let help = "write the words that make a text vague, not the text";
            if diagnostics.stricter_error("too-large", phrase.span, message, help).is_none() {
                good = false;
                continue;
            }
        }
        let text = normalize(&phrase.value, fold).text;
        if text.is_empty() {
            diagnostics.error(
                "empty-phrase",
                phrase.span,
                format!("`{}` holds nothing that can be found in a text", phrase.value),
                "a phrase needs a letter or a digit",
            );
            good = false;
        } else if normalized.contains(&text) {
            diagnostics.error(
                "duplicate-word",
                phrase.span,
                format!("the phrase `{}` stands twice", phrase.value),
                "width, case, spaces, punctuation and folded characters do not count",
            );
            good = false;
        }
        normalized.push(text);
    }
    if !good {
        return None;
    }
    if normalized.is_empty() {
        return Some(None);
    }
    match AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&normalized) {
        Ok(automaton) => Some(Some(automaton)),
        Err(error) => {
            let at = phrases.first().map_or_else(Span::default, |phrase| phrase.span);
            diagnostics.error(
                "too-many-words",
                at,
                format!("the phrases do not fit into one automaton: {error}"),
                "remove some",
            );
            None
        }
    }
}
