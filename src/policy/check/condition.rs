//! Unary tests: from `"[48h..8d)"` to the numbers accepted.

use std::ops::Bound;

use smallvec::SmallVec;

use crate::domain::ratio::Ratio;
use crate::plan::fact::{Dimension, FactType};
use crate::plan::test::{Accepts, Interval, Test, WordSet};
use crate::plan::vocabulary::VocabularyId;
use crate::policy::check::draft::Draft;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::shared::TestNode;
use crate::policy::formula::describe::describe_dimension;
use crate::policy::literal;
use crate::policy::read::{Table, Text};
use crate::policy::slip;
use crate::policy::source::Located;
use crate::policy::unknown::unknown_word;

type Intervals = SmallVec<[Interval; 1]>;

/// Checks the tests of a `when`; `None` after a report.
pub fn tests(
    when: Option<&Table<TestNode>>,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Vec<Test>> {
    let Some(when) = when else { return Some(Vec::new()) };
    let tests: Vec<Option<Test>> =
        when.entries.iter().map(|(subject, accepted)| test(subject, accepted, draft, diagnostics)).collect();
    if tests.is_empty() && when.broken.is_empty() {
        // A mapping without entries has no place of its own to point at; the rule reports it.
        return Some(Vec::new());
    }
    tests.into_iter().collect()
}

fn test(subject: &Text, accepted: &TestNode, draft: &mut Draft, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Test> {
    let (fact, fact_type) = draft.subject(subject, diagnostics)?;
    let items = &accepted.0.0;
    let text = items.iter().map(|item| item.value.trim()).collect::<Vec<_>>().join(", ");
    let accepts = match items.as_slice() {
        [only] if only.value.trim() == "present" => Accepts::Present,
        [only] if only.value.trim() == "absent" => Accepts::Absent,
        items => of_type(items, fact_type, subject, draft, diagnostics)?,
    };
    Some(Test { fact, accepts, text })
}

/// A comma ends an item inside of `[ … ]`, so a call there needs quotes.
fn cut_at_comma(items: &[Text], diagnostics: &mut Diagnostics<'_, '_>) -> bool {
    let cut = items.iter().find(|item| {
        ["not", "all"].iter().any(|name| item.value.starts_with(&format!("{name}("))) && !item.value.ends_with(')')
    });
    if let Some(item) = cut {
        diagnostics.error(
            "test-unquoted",
            item.span,
            format!("`{}` ends at the comma", item.value),
            "put quotes around the whole test: `\"not(a, b)\"`",
        );
    }
    cut.is_some()
}

fn of_type(
    items: &[Text],
    fact_type: FactType,
    subject: &Text,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Accepts> {
    if let Some(item) = items.iter().find(|item| matches!(item.value.trim(), "present" | "absent")) {
        diagnostics.error(
            "test-mixed",
            item.span,
            format!("`{}` cannot stand in a list", item.value.trim()),
            "make two rules of it",
        );
        return None;
    }
    if cut_at_comma(items, diagnostics) {
        return None;
    }
    match fact_type {
        FactType::Flag => flag(items, diagnostics),
        FactType::Word(vocabulary) => words(items, vocabulary, draft, diagnostics),
        FactType::Set(vocabulary) => set(items, vocabulary, draft, diagnostics),
        FactType::Quantity(dimension) => {
            let mut intervals = Intervals::new();
            for item in items {
                intervals.extend(ranges(item, dimension, diagnostics)?);
            }
            Some(Accepts::Within(union(intervals)))
        }
        FactType::Text => {
            diagnostics.error(
                "test-of-text",
                subject.span,
                format!("rules cannot look into the text `{}`", subject.value),
                "test it with `present` or `absent`",
            );
            None
        }
    }
}

fn flag(items: &[Text], diagnostics: &mut Diagnostics<'_, '_>) -> Option<Accepts> {
    match items {
        [only] if only.value == "true" => Some(Accepts::Flag(true)),
        [only] if only.value == "false" => Some(Accepts::Flag(false)),
        [only] => {
            diagnostics.error("wrong-type", only.span, format!("expected `true` or `false`, got `{}`", only.value), "");
            None
        }
        [first, ..] => {
            diagnostics.error(
                "test-mixed",
                first.span,
                "a flag is tested for one value",
                "write `true` or `false`, or `present` if either will do",
            );
            None
        }
        [] => None,
    }
}

/// The inside of `name( … )`, split at commas.
fn call<'t>(text: &'t str, name: &str) -> Option<Vec<&'t str>> {
    let inside = text.trim().strip_prefix(name)?.trim_start().strip_prefix('(')?.strip_suffix(')')?;
    Some(inside.split(',').map(str::trim).collect())
}

fn places<'w>(
    words: impl IntoIterator<Item = &'w str>,
    item: &Text,
    vocabulary: VocabularyId,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Vec<u16>> {
    let known = draft.vocabularies.get(vocabulary)?;
    let found: Vec<Option<u16>> = words
        .into_iter()
        .map(|word| {
            let place = known.place(word);
            if place.is_none() && !draft.is_broken_word(vocabulary, word) {
                unknown_word(word, item.span, &known.name, known.words(), diagnostics);
            }
            place
        })
        .collect();
    found.into_iter().collect()
}

fn words(
    items: &[Text],
    vocabulary: VocabularyId,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Accepts> {
    let mut accepted = Vec::new();
    for item in items {
        match call(&item.value, "not") {
            Some(excluded) => {
                let excluded = places(excluded, item, vocabulary, draft, diagnostics)?;
                let all = u16::try_from(draft.vocabularies.get(vocabulary)?.words().len()).unwrap_or(u16::MAX);
                accepted.extend((0..all).filter(|place| !excluded.contains(place)));
            }
            None => accepted.extend(places([item.value.trim()], item, vocabulary, draft, diagnostics)?),
        }
    }
    Some(Accepts::Words(WordSet::new(accepted)))
}

fn set(
    items: &[Text],
    vocabulary: VocabularyId,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Accepts> {
    let mask = |places: Vec<u16>| {
        places.into_iter().fold(0u64, |mask, place| mask | 1u64.checked_shl(u32::from(place)).unwrap_or(0))
    };
    if let [only] = items {
        if let Some(excluded) = call(&only.value, "not") {
            return Some(Accepts::HasNone(mask(places(excluded, only, vocabulary, draft, diagnostics)?)));
        }
        if let Some(all) = call(&only.value, "all") {
            return Some(Accepts::HasAll(mask(places(all, only, vocabulary, draft, diagnostics)?)));
        }
    }
    let mut any = 0;
    for item in items {
        if call(&item.value, "not").or_else(|| call(&item.value, "all")).is_some() {
            diagnostics.error(
                "test-mixed",
                item.span,
                format!("`{}` cannot stand in a list", item.value),
                "write all words in one `not(…)` or `all(…)`",
            );
            return None;
        }
        any |= mask(places([item.value.trim()], item, vocabulary, draft, diagnostics)?);
    }
    Some(Accepts::HasAny(any))
}

/// The ranges that one item of a test accepts.
fn ranges(item: &Text, dimension: Dimension, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Intervals> {
    match call(&item.value, "not") {
        Some(excluded) => {
            let mut intervals = Intervals::new();
            for text in excluded {
                intervals.push(range(&item.with(text.to_owned()), dimension, diagnostics)?);
            }
            Some(complement(&union(intervals)))
        }
        None => Some(SmallVec::from_iter([range(item, dimension, diagnostics)?])),
    }
}

/// One range: `<= 24h`, `[48h..8d)`, or a single value.
pub fn range(item: &Located<String>, dimension: Dimension, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Interval> {
    let text = item.value.trim();
    if let Some((wrong, meant)) = slip::of_comparison(text) {
        let help = match meant {
            "" => "write the value alone: a test without a comparison is for this very value".to_owned(),
            meant => format!("write `{meant}`"),
        };
        diagnostics.error("bad-range", item.span, format!("`{wrong}` is not a comparison"), help);
        return None;
    }
    let mut value = |text: &str| {
        let value = literal::quantity(text.trim(), dimension);
        if value.is_none() {
            let message = format!("`{}` is not {}", text.trim(), describe_dimension(dimension));
            let help = match slip::of_literal(text, dimension) {
                Some(meant) => format!("write `{meant}`"),
                None => format!("expected {}", literal::example(dimension)),
            };
            diagnostics.error("bad-literal", item.span, message, help);
        }
        value
    };
    for (symbol, bounds) in COMPARISONS {
        if let Some(rest) = text.strip_prefix(symbol) {
            return Some(bounds(value(rest)?));
        }
    }
    let opening = text.chars().next().filter(|opening| matches!(opening, '[' | '('));
    let Some(opening) = opening else { return Some(Interval::only(value(text)?)) };
    let closing = text.chars().last().filter(|closing| matches!(closing, ']' | ')'));
    let inside = text.get(1..text.len().saturating_sub(1)).and_then(|inside| inside.split_once(".."));
    let (Some(closing), Some((lower, upper))) = (closing, inside) else {
        diagnostics.error(
            "bad-range",
            item.span,
            format!("`{text}` is not a range"),
            "write `[48h..8d)`: square brackets include the edge, round ones leave it out",
        );
        return None;
    };
    let (lower, upper) = (value(lower), value(upper));
    let (lower, upper) = (lower?, upper?);
    let interval = Interval {
        lower: if opening == '[' { Bound::Included(lower) } else { Bound::Excluded(lower) },
        upper: if closing == ']' { Bound::Included(upper) } else { Bound::Excluded(upper) },
    };
    if interval.is_empty() {
        diagnostics.error(
            "empty-range",
            item.span,
            format!("no value lies in `{text}`"),
            "write the smaller edge first",
        );
        return None;
    }
    Some(interval)
}

type Bounds = fn(Ratio) -> Interval;

/// Longer symbols come before those they begin with.
const COMPARISONS: [(&str, Bounds); 4] = [
    ("<=", |value| Interval { lower: Bound::Unbounded, upper: Bound::Included(value) }),
    (">=", |value| Interval { lower: Bound::Included(value), upper: Bound::Unbounded }),
    ("<", |value| Interval { lower: Bound::Unbounded, upper: Bound::Excluded(value) }),
    (">", |value| Interval { lower: Bound::Excluded(value), upper: Bound::Unbounded }),
];

/// Sort key of the beginning of an interval: open edges after closed ones.
pub fn lower_key(interval: &Interval) -> (bool, Ratio, bool) {
    match interval.lower {
        Bound::Unbounded => (false, Ratio::ZERO, false),
        Bound::Included(value) => (true, value, false),
        Bound::Excluded(value) => (true, value, true),
    }
}

/// Relation of two intervals, the first beginning first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seam {
    /// Some value lies in both.
    Overlap,
    /// One begins where the other ends.
    Touch,
    /// Some value lies between them.
    Gap,
}

/// Relation of `next` to `before`, which begins no later.
#[must_use]
pub fn seam(before: &Interval, next: &Interval) -> Seam {
    let (upper, upper_open) = match before.upper {
        Bound::Unbounded => return Seam::Overlap,
        Bound::Included(value) => (value, false),
        Bound::Excluded(value) => (value, true),
    };
    let (lower, lower_open) = match next.lower {
        Bound::Unbounded => return Seam::Overlap,
        Bound::Included(value) => (value, false),
        Bound::Excluded(value) => (value, true),
    };
    match (upper.cmp(&lower), upper_open, lower_open) {
        (std::cmp::Ordering::Less, ..) | (std::cmp::Ordering::Equal, true, true) => Seam::Gap,
        (std::cmp::Ordering::Equal, false, false) | (std::cmp::Ordering::Greater, ..) => Seam::Overlap,
        (std::cmp::Ordering::Equal, true, false) | (std::cmp::Ordering::Equal, false, true) => Seam::Touch,
    }
}

/// The same values in as few intervals as possible, sorted.
fn union(mut intervals: Intervals) -> Intervals {
    intervals.sort_by_key(lower_key);
    let mut merged = Intervals::new();
    for interval in intervals {
        match merged.last_mut() {
            Some(last) if seam(last, &interval) != Seam::Gap => {
                if upper_key(&last.upper) < upper_key(&interval.upper) {
                    last.upper = interval.upper;
                }
            }
            Some(_) | None => merged.push(interval),
        }
    }
    merged
}

/// Sort key of the end of an interval: open edges before closed ones.
fn upper_key(bound: &Bound<Ratio>) -> (bool, Ratio, bool) {
    match *bound {
        Bound::Unbounded => (true, Ratio::ZERO, false),
        Bound::Included(value) => (false, value, true),
        Bound::Excluded(value) => (false, value, false),
    }
}

/// The values outside of sorted, merged intervals.
fn complement(intervals: &Intervals) -> Intervals {
    let flip = |bound| match bound {
        Bound::Included(value) => Bound::Excluded(value),
        Bound::Excluded(value) => Bound::Included(value),
        Bound::Unbounded => Bound::Unbounded,
    };
    let mut outside = Intervals::new();
    let mut lower = Some(Bound::Unbounded);
    for interval in intervals {
        if let (Some(lower), false) = (lower, interval.lower == Bound::Unbounded) {
            outside.push(Interval { lower, upper: flip(interval.lower) });
        }
        lower = (interval.upper != Bound::Unbounded).then(|| flip(interval.upper));
    }
    outside.extend(lower.map(|lower| Interval { lower, upper: Bound::Unbounded }));
    outside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::source::{Source, Sources, Span};

    fn read(text: &str) -> Result<Intervals, String> {
        let sources = Sources::new(vec![Source::new("p.yaml", text, 0)]);
        let mut diagnostics = Diagnostics::new(&sources);
        let item = Located { value: text.to_owned(), span: Span::new(0, 0, text.len()) };
        match ranges(&item, Dimension::Number, &mut diagnostics) {
            Some(intervals) => Ok(intervals),
            None => Err(diagnostics.diagnostics.first().map(|d| d.code.to_owned()).unwrap_or_default()),
        }
    }

    fn accepted(text: &str) -> Vec<i128> {
        let intervals = read(text).unwrap();
        (0..10).filter(|&value| intervals.iter().any(|interval| interval.contains(Ratio::whole(value)))).collect()
    }

    #[test]
    fn ranges_keep_their_edges() {
        assert_eq!(accepted("<= 2"), [0, 1, 2]);
        assert_eq!(accepted("> 7"), [8, 9]);
        assert_eq!(accepted("[2..4)"), [2, 3]);
        assert_eq!(accepted("(2..4]"), [3, 4]);
        assert_eq!(accepted("5"), [5]);
        assert_eq!(accepted("not(2, > 4)"), [0, 1, 3, 4]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(read("[4..2]").unwrap_err(), "empty-range");
        assert_eq!(read("(2..2)").unwrap_err(), "empty-range");
        assert_eq!(read("[2-4]").unwrap_err(), "bad-range");
        assert_eq!(read("<= 5%%").unwrap_err(), "bad-literal");
        assert_eq!(read("24h").unwrap_err(), "bad-literal");
    }

    #[test]
    fn seams_tell_gaps_from_touches() {
        let interval = |text: &str| read(text).unwrap()[0];
        assert_eq!(seam(&interval("[1..2)"), &interval("[2..3)")), Seam::Touch);
        assert_eq!(seam(&interval("[1..2]"), &interval("[2..3)")), Seam::Overlap);
        assert_eq!(seam(&interval("[1..2)"), &interval("(2..3)")), Seam::Gap);
    }
}
