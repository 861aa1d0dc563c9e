//! Rules for claims that are too vague, as automata over normalized text.

use aho_corasick::AhoCorasick;

use crate::domain::text::Fold;
use crate::plan::vocabulary::Labels;

/// The policy's rules on text.
#[derive(Debug)]
pub struct TextRules {
    /// Phrases that say nothing checkable, as the author wrote them.
    pub phrases: Vec<String>,
    /// Finds the phrases in normalized text; `None` where there are none.
    pub vague: Option<AhoCorasick>,
    /// Finds words that make a text checkable, in normalized text; `None` where there are none.
    pub checkable: Option<AhoCorasick>,
    /// Characters that are read as others.
    pub fold: Fold,
    /// Effect of a promised/actual pair on vague text.
    pub comparison: ComparisonExcuses,
    /// Suggestion of what to write instead.
    pub suggestion: Labels,
}

/// Effect of a promised/actual pair on vague text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ComparisonExcuses {
    /// It does.
    Yes,
    /// It does not.
    No,
}
