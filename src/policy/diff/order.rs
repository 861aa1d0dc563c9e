//! The order of two documents' parts: which belong together, which moved, and in which order they
//! are told.

use std::collections::HashMap;

use crate::policy::diff::parts::{Key, Part, Place};

/// A part of one document or of both.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'p, 'd> {
    /// It is in the first one only.
    Gone(&'p Part<'d>),
    /// It is in the second one only.
    New(&'p Part<'d>),
    /// It is in both.
    Both(&'p Part<'d>, &'p Part<'d>),
}

/// Every part once, in the order of the second document; what is gone stands behind what it stood
/// behind.
pub(super) fn steps<'p, 'd>(before: &'p [Part<'d>], after: &'p [Part<'d>]) -> Vec<Step<'p, 'd>> {
    let now = places(after);
    let mut gone: HashMap<Option<usize>, Vec<&Part<'_>>> = HashMap::new();
    let mut behind = None;
    for part in before {
        match now.get(&part.key()) {
            Some(place) => behind = Some(*place),
            None => gone.entry(behind).or_default().push(part),
        }
    }
    let then: HashMap<Key<'_>, &Part<'_>> = before.iter().map(|part| (part.key(), part)).collect();
    let mut steps: Vec<Step<'p, 'd>> = Vec::with_capacity(after.len());
    let mut take = |behind: Option<usize>, steps: &mut Vec<Step<'p, 'd>>| {
        steps.extend(gone.remove(&behind).unwrap_or_default().into_iter().map(Step::Gone));
    };
    take(None, &mut steps);
    for (place, part) in after.iter().enumerate() {
        steps.push(match then.get(&part.key()) {
            Some(old) => Step::Both(old, part),
            None => Step::New(part),
        });
        take(Some(place), &mut steps);
    }
    steps
}

/// The fewest parts that have to move so that all others keep their order, with where each stood
/// and where it stands.
pub(super) fn moved<'p>(before: &'p [Part<'_>], after: &'p [Part<'_>]) -> HashMap<Key<'p>, (String, String)> {
    let then = places(before);
    // Parts of one section stand together, so a section is a run of them.
    let both: Vec<(usize, usize)> = after
        .iter()
        .enumerate()
        .filter(|(_, part)| part.place == Place::Counts)
        .filter_map(|(now, part)| then.get(&part.key()).map(|&then| (then, now)))
        .collect();
    let section = |&(_, now): &(usize, usize)| after.get(now).map(|part| part.section.as_str());
    let mut moved = HashMap::new();
    for run in both.chunk_by(|a, b| section(a) == section(b)) {
        let stayed = longest_rising(&run.iter().map(|&(then, _)| then).collect::<Vec<_>>());
        for (&(then, now), stays) in run.iter().zip(stayed) {
            if let (Stays::No, Some(part)) = (stays, after.get(now)) {
                moved.insert(part.key(), (place_of(before, then), place_of(after, now)));
            }
        }
    }
    moved
}

fn places<'p>(parts: &'p [Part<'_>]) -> HashMap<Key<'p>, usize> {
    parts.iter().enumerate().map(|(place, part)| (part.key(), place)).collect()
}

/// Describes the place of a part by its neighbour.
fn place_of(parts: &[Part<'_>], place: usize) -> String {
    let section = parts.get(place).map(|part| part.section.as_str());
    let neighbour = place.checked_sub(1).and_then(|place| parts.get(place));
    match neighbour.filter(|neighbour| Some(neighbour.section.as_str()) == section) {
        Some(neighbour) => format!("behind `{}`", neighbour.name),
        None => "first".to_owned(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stays {
    Yes,
    No,
}

/// Longest rising subsequence of these numbers, in n log n.
fn longest_rising(numbers: &[usize]) -> Vec<Stays> {
    // For each length, the place of the smallest number that ends a row of that length.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(numbers.len());
    let number = |place: usize| numbers.get(place).copied().unwrap_or(usize::MAX);
    for (place, &value) in numbers.iter().enumerate() {
        let length = ends.partition_point(|&end| number(end) < value);
        previous.push(length.checked_sub(1).and_then(|length| ends.get(length)).copied());
        match ends.get_mut(length) {
            Some(end) => *end = place,
            None => ends.push(place),
        }
    }
    let mut stays = vec![Stays::No; numbers.len()];
    let mut next = ends.last().copied();
    while let Some(place) = next {
        if let Some(stays) = stays.get_mut(place) {
            *stays = Stays::Yes;
        }
        next = previous.get(place).copied().flatten();
    }
    stays
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaving(numbers: &[usize]) -> Vec<usize> {
        let stays = longest_rising(numbers);
        numbers.iter().zip(stays).filter(|(_, stays)| *stays == Stays::No).map(|(number, _)| *number).collect()
    }

    #[test]
    fn as_few_as_possible_move() {
        assert!(leaving(&[0, 1, 2, 3]).is_empty());
        assert_eq!(leaving(&[3, 0, 1, 2]), [3]);
        assert_eq!(leaving(&[1, 2, 3, 0]), [0]);
        assert_eq!(leaving(&[0, 2, 1, 3]).len(), 1);
        assert_eq!(leaving(&[3, 2, 1, 0]).len(), 3);
        assert!(leaving(&[]).is_empty());
    }
}
