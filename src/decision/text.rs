//! Check for customer's words that are too vague to be checked.

use smallvec::SmallVec;

use crate::domain::decision::TextFinding;
use crate::domain::facts::{ClaimFacts, Comparison};
use crate::domain::text::normalize;
use crate::plan::text::{ComparisonExcuses, TextRules};

/// The vague phrases of a claim's text; none where the text is checkable, excused, or not there.
///
/// A text is vague where it holds a vague phrase and nothing checkable: no digit and none of the
/// policy's checkable words.
#[must_use]
pub fn vague_phrases(rules: &TextRules, claim: &ClaimFacts<'_>) -> SmallVec<[TextFinding; 1]> {
    let Some(vague) = &rules.vague else { return SmallVec::new() };
    if claim.text.is_empty() {
        return SmallVec::new();
    }
    match (rules.comparison, claim.comparison) {
        (ComparisonExcuses::Yes, Comparison::Given) => return SmallVec::new(),
        (ComparisonExcuses::Yes, Comparison::NotGiven) | (ComparisonExcuses::No, _) => {}
    }
    let text = normalize(claim.text, &rules.fold);
    if text.has_digit() || rules.checkable.as_ref().is_some_and(|checkable| checkable.is_match(&text.text)) {
        return SmallVec::new();
    }
    vague
        .find_iter(&text.text)
        .map(|found| {
            let (start, end) = text.original(found.start(), found.end());
            TextFinding { phrase: u16::try_from(found.pattern().as_usize()).unwrap_or(u16::MAX), start, end }
        })
        .collect()
}
