//! Evidence: kinds with their conditions, and requirement trees written out as alternatives.

use crate::domain::facts::FactId;
use crate::domain::limits::{EVIDENCE_ALTERNATIVES_MAX, EVIDENCE_MAX};
use crate::domain::time::Elapsed;
use crate::plan::evidence::{Conditions, EvidenceKind, MediaRange, Pieces, Requirement, Unstated, is_media_token};
use crate::plan::fact::Dimension;
use crate::plan::vocabulary::VocabularyId;
use crate::policy::check::draft::Draft;
use crate::policy::check::header::moment_fact;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::evidence::{EvidenceNode, KindNode, RequirementNode, TreeNode};
use crate::policy::literal;
use crate::policy::read::{Slug, Text};
use crate::policy::source::{Located, Span};
use crate::policy::unknown::unknown_word;

/// The largest size of all pieces together, in bytes.
pub fn bytes_max(written: Option<&EvidenceNode>) -> Option<i64> {
    written?.max_total_bytes.as_ref().map(|bytes| i64::from(bytes.value))
}

/// Checks the kinds, in the order of their vocabulary.
pub fn kinds(
    written: Option<&EvidenceNode>,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Vec<EvidenceKind> {
    let entries = written.map_or(&[][..], |evidence| evidence.kinds.entries.as_slice());
    entries.iter().map(|(slug, kind)| self::kind(slug, kind, draft, diagnostics)).collect()
}

fn kind(slug: &Text, kind: &KindNode, draft: &Draft, diagnostics: &mut Diagnostics<'_, '_>) -> EvidenceKind {
    let captured = kind.captured.as_ref();
    let moment = |name: Option<&Slug>, diagnostics: &mut Diagnostics<'_, '_>| bound(name?, draft, diagnostics);
    let label = draft.labels(kind.label.as_ref(), &slug.value, slug.span, diagnostics);
    let conditions = Conditions {
        media: kind.media.as_deref().unwrap_or(&[]).iter().filter_map(|text| media(text, diagnostics)).collect(),
        max_bytes: kind.max_bytes.as_ref().map(|bytes| i64::from(bytes.value)),
        captured_after: moment(captured.and_then(|captured| captured.after.as_ref()), diagnostics),
        captured_before: moment(captured.and_then(|captured| captured.before.as_ref()), diagnostics),
        max_age: captured.and_then(|captured| captured.within.as_ref()).and_then(|text| age(text, diagnostics)),
        fields: kind.fields.as_deref().unwrap_or(&[]).iter().map(|field| field.text().to_owned()).collect(),
        unstated: kind.unstated.as_ref().map_or(Unstated::Accepted, |word| unstated(word, diagnostics)),
    };
    EvidenceKind { label, conditions: Some(conditions).filter(|conditions| *conditions != Conditions::default()) }
}

/// A moment that bounds the time of capture. A piece of evidence is about the whole order, so the moment of a line cannot
/// bound it.
fn bound(name: &Slug, draft: &Draft, diagnostics: &mut Diagnostics<'_, '_>) -> Option<FactId> {
    let moment = moment_fact(name, draft, diagnostics)?;
    if let Some(of_a_line) = draft.of_a_line([moment]) {
        let message = format!("`{of_a_line}` is of a line, but a piece of evidence is of the whole order");
        let help = "name a moment of the order, such as `delivered_at`, or remove `scope: line` where the input is \
                    declared; a moment of a line bounds nothing";
        // To earlier versions it was a bound that never held anything back.
        diagnostics.stricter_error("line-fact-in-order", name.span(), message, help)?;
    }
    Some(moment)
}

fn media(text: &Text, diagnostics: &mut Diagnostics<'_, '_>) -> Option<MediaRange> {
    match text.value.split_once('/') {
        Some((family, "*")) if is_media_token(family) => {
            Some(MediaRange::Family(format!("{}/", family.to_ascii_lowercase())))
        }
        Some((family, subtype)) if is_media_token(family) && is_media_token(subtype) => {
            Some(MediaRange::Type(text.value.to_ascii_lowercase()))
        }
        Some(_) | None => {
            diagnostics.error(
                "bad-media-type",
                text.span,
                format!("`{}` is not a media type", text.value),
                "write `image/png`, or `image/*` for all images",
            );
            None
        }
    }
}

fn age(text: &Text, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Elapsed> {
    let age = literal::elapsed(&text.value)
        .and_then(|nanos| i64::try_from(nanos.numerator() / crate::domain::time::NANOS_PER_SECOND).ok())
        .filter(|&seconds| 0 < seconds)
        .and_then(|seconds| Elapsed::from_seconds(seconds, 0));
    if age.is_none() {
        diagnostics.error(
            "bad-literal",
            text.span,
            format!("`{}` is not an age", text.value),
            format!("expected {}", literal::example(Dimension::Elapsed)),
        );
    }
    age
}

fn unstated(word: &Slug, diagnostics: &mut Diagnostics<'_, '_>) -> Unstated {
    match word.text() {
        "accepted" => Unstated::Accepted,
        "rejected" => Unstated::Rejected,
        other => {
            unknown_word(
                other,
                word.span(),
                "value of `unstated`",
                &["accepted".to_owned(), "rejected".to_owned()],
                diagnostics,
            );
            Unstated::Accepted
        }
    }
}

/// Checks the requirements and writes each out.
pub fn requirements(
    written: Option<&EvidenceNode>,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Vec<Requirement> {
    let entries =
        written.and_then(|evidence| evidence.requirements.as_ref()).map_or(&[][..], |table| table.entries.as_slice());
    entries
        .iter()
        .map(|(name, tree)| {
            crate::policy::read::check_slug(name, diagnostics);
            let mut alternatives = alternatives(tree, name.span, draft, diagnostics).unwrap_or_default();
            // Smallest first; of equal size, kinds that are declared earlier first.
            alternatives.sort_by_key(|set| (set.size(), std::cmp::Reverse(set.kinds.reverse_bits())));
            Requirement { name: name.value.clone(), alternatives }
        })
        .collect()
}

type Alternatives = Vec<Pieces>;

/// The sets of pieces that satisfy a tree; none contains another.
fn alternatives(
    tree: &RequirementNode,
    at: Span,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Alternatives> {
    let written = match tree {
        RequirementNode::Kind(kind) => return Some(vec![Pieces::of(self::place(kind, draft, diagnostics)?, 1)]),
        RequirementNode::Tree(tree) => tree.as_ref(),
    };
    let (needed, parts) = match written {
        TreeNode { all_of: Some(parts), any_of: None, at_least: None, of: None, kind: None } => (parts.len(), parts),
        TreeNode { all_of: None, any_of: Some(parts), at_least: None, of: None, kind: None } => (1, parts),
        TreeNode { all_of: None, any_of: None, at_least: Some(count), of: None, kind: Some(kind) } => {
            return several(kind, count, draft, diagnostics);
        }
        TreeNode { all_of: None, any_of: None, at_least: Some(count), of: Some(parts), kind: None } => {
            if count.value == 0 || parts.len() < count.value as usize {
                diagnostics.error(
                    "bad-count",
                    count.span,
                    format!("`at_least: {}` of {} cannot be", count.value, parts.len()),
                    "count from 1 to the length of `of`",
                );
                return None;
            }
            (count.value as usize, parts)
        }
        TreeNode { .. } => {
            diagnostics.error(
                "requirement-shape",
                at,
                "a requirement has exactly one of `all_of`, `any_of`, `at_least` with `of`, or `kind` with `at_least`",
                "nest one in the other to combine them",
            );
            return None;
        }
    };
    if parts.is_empty() {
        diagnostics.error(
            "empty-list",
            at,
            "this requirement names no evidence",
            "list kinds of evidence, or remove the requirement",
        );
        return None;
    }
    check_repetition(needed, parts, diagnostics)?;
    let parts: Vec<Option<Alternatives>> =
        parts.iter().map(|part| alternatives(part, at, draft, diagnostics)).collect();
    let parts: Vec<Alternatives> = parts.into_iter().collect::<Option<_>>()?;
    let combined = at_least(needed, &parts);
    if combined.is_none() {
        diagnostics.error(
            "too-many-alternatives",
            at,
            format!("this requirement comes to more than {EVIDENCE_ALTERNATIVES_MAX} alternatives"),
            "make it simpler",
        );
    }
    combined
}

/// Several pieces of one kind.
fn several(
    kind: &Slug,
    count: &Located<u32>,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Alternatives> {
    let place = place(kind, draft, diagnostics);
    let pieces = u16::try_from(count.value).ok().filter(|&pieces| 0 < pieces && usize::from(pieces) <= EVIDENCE_MAX);
    if pieces.is_none() {
        let message = format!("`at_least: {}` pieces of one kind cannot be", count.value);
        diagnostics.error("bad-count", count.span, message, format!("count from 1 to {EVIDENCE_MAX}"));
    }
    Some(vec![Pieces::of(place?, pieces?)])
}

/// Checks that no kind stands in two parts of a list of which several are needed: one piece would count for both.
fn check_repetition(needed: usize, parts: &[RequirementNode], diagnostics: &mut Diagnostics<'_, '_>) -> Option<()> {
    let mut seen: Vec<&str> = Vec::new();
    for part in parts {
        let mut kinds = Vec::new();
        match part {
            // Of alternatives, parts may have kinds in common; a word that stands twice says nothing.
            RequirementNode::Tree(_) if needed == 1 => continue,
            RequirementNode::Tree(_) | RequirementNode::Kind(_) => kinds_of(part, &mut kinds),
        }
        if let Some(twice) = kinds.iter().find(|kind| seen.contains(&kind.text())) {
            let kind = twice.text();
            let message = format!("`{kind}` stands in two parts of one list: one piece would count for both");
            let help = format!("write `{{ kind: {kind}, at_least: 2 }}` where two pieces are needed, or remove one");
            // To earlier versions it did count for both.
            diagnostics.stricter_error("duplicate-word", twice.span(), message, help)?;
        }
        seen.extend(kinds.iter().map(|kind| kind.text()));
    }
    Some(())
}

/// All kinds that a part names.
fn kinds_of<'t>(part: &'t RequirementNode, kinds: &mut Vec<&'t Slug>) {
    match part {
        RequirementNode::Kind(kind) => kinds.push(kind),
        RequirementNode::Tree(tree) => {
            let TreeNode { kind, all_of, any_of, at_least: _, of } = tree.as_ref();
            kinds.extend(kind);
            let lists = [all_of, any_of, of].into_iter().flatten();
            lists.flatten().for_each(|part| kinds_of(part, kinds));
        }
    }
}

/// Ways to satisfy `needed` of the parts, or none where they are more than allowed. `counted[k]` are the ways to satisfy `k`
/// of the parts so far, left out where the parts that follow cannot make them enough.
fn at_least(needed: usize, parts: &[Alternatives]) -> Option<Alternatives> {
    let mut counted: Vec<Alternatives> = vec![vec![Pieces::default()]];
    counted.resize(needed + 1, Vec::new());
    for (at, part) in parts.iter().enumerate() {
        let to_come = parts.len() - at - 1;
        for count in (1.max(needed.saturating_sub(to_come))..=needed).rev() {
            let Some(fewer) = counted.get(count - 1).cloned() else { continue };
            let joined = fewer.iter().flat_map(|have| part.iter().map(move |more| have.or(more)));
            let mut all: Alternatives = counted.get(count).cloned().unwrap_or_default();
            all.extend(joined);
            let minimal = minimal(all);
            if EVIDENCE_ALTERNATIVES_MAX < minimal.len() {
                return None;
            }
            if let Some(place) = counted.get_mut(count) {
                *place = minimal;
            }
        }
    }
    counted.pop()
}

/// Leaves out every set that contains another.
fn minimal(sets: Alternatives) -> Alternatives {
    let mut kept: Alternatives = Vec::new();
    for set in sets {
        if kept.iter().any(|have| set.contains(have)) {
            continue;
        }
        kept.retain(|have| !have.contains(&set));
        kept.push(set);
    }
    kept
}

/// The place of a kind.
fn place(kind: &Slug, draft: &Draft, diagnostics: &mut Diagnostics<'_, '_>) -> Option<u16> {
    let known = draft.vocabularies.get(VocabularyId::EVIDENCE_KIND)?;
    match known.place(kind.text()) {
        Some(place) => Some(place),
        None => {
            if !draft.is_broken_word(VocabularyId::EVIDENCE_KIND, kind.text()) {
                unknown_word(kind.text(), kind.span(), &known.name, known.words(), diagnostics);
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(sets: &[u64]) -> Alternatives {
        sets.iter().map(|kinds| Pieces { kinds: *kinds, ..Pieces::default() }).collect()
    }

    fn kinds(alternatives: Option<Alternatives>) -> Vec<u64> {
        let mut kinds: Vec<u64> = alternatives.unwrap().iter().map(|set| set.kinds).collect();
        kinds.sort_unstable();
        kinds
    }

    #[test]
    fn two_of_three_has_three_ways() {
        assert_eq!(kinds(at_least(2, &[sets(&[1]), sets(&[2]), sets(&[4])])), [3, 5, 6]);
    }

    #[test]
    fn all_of_with_a_choice_multiplies() {
        assert_eq!(kinds(at_least(2, &[sets(&[1]), sets(&[2, 4])])), [3, 5]);
    }

    #[test]
    fn a_set_that_contains_another_is_no_alternative() {
        assert_eq!(minimal(sets(&[3, 1, 7, 4])), sets(&[1, 4]));
        let (three, two) = (Pieces::of(0, 3), Pieces::of(0, 2));
        assert_eq!(minimal(vec![three.clone(), two.clone(), Pieces::of(1, 1)]), [two, Pieces::of(1, 1)]);
        assert!(three.contains(&Pieces::of(0, 3)) && !three.contains(&Pieces::of(0, 4)));
    }

    #[test]
    fn pieces_are_counted_by_kind() {
        let both = Pieces::of(0, 3).or(&Pieces::of(2, 1)).or(&Pieces::of(0, 2));
        assert_eq!(both.counts().collect::<Vec<_>>(), [(0, 3), (2, 1)]);
        assert_eq!((both.size(), both.count(1)), (4, 0));
    }
}
