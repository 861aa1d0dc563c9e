//! From rules to their index.
//!
//! A test comes to ranges of classes that it accepts. A sweep over the classes keeps the rules whose
//! ranges are open; each class at which something changed gets a set of its own. How much room that
//! will take is counted before, and classes are put together in pairs until it fits.

use std::collections::BTreeMap;
use std::ops::Bound;

use smallvec::SmallVec;

use crate::domain::facts::{FactId, Value};
use crate::domain::ratio::Ratio;
use crate::plan::index::classes::{Classes, Edges, Steps};
use crate::plan::index::sets::{FEW_RULES, Kept, Rows};
use crate::plan::index::{Column, Index};
use crate::plan::rule::Rule;
use crate::plan::test::{Accepts, Answer, Interval, Test};

/// Words of 64 rules that the sets of one fact may take for each rule of the plan: less than a rule
/// itself takes.
const WORDS_PER_RULE_MAX: usize = 8;

/// Words that the sets of one fact may take in any case: an eighth of a megabyte.
const WORDS_FREE: usize = 16 * 1024;

/// Words of a set of which rules test whether a value holds them, that the index tells apart: each
/// doubles the classes.
const SET_WORDS_MAX: usize = 6;

/// The index of rules.
pub fn index(rules: &[Rule]) -> Index {
    let count = rules.len();
    let mut tested: BTreeMap<FactId, Vec<(u32, &Test)>> = BTreeMap::new();
    for (place, rule) in (0u32..).zip(rules) {
        for test in &rule.tests {
            tested.entry(test.fact).or_default().push((place, test));
        }
    }
    let mut rows = Rows::default();
    let columns = tested.into_iter().map(|(fact, tests)| column(fact, &tests, count, &mut rows)).collect();
    Index { rules: u32::try_from(count).unwrap_or(u32::MAX), columns, rows }
}

/// Builds the column of one fact from its tests.
fn column(fact: FactId, tests: &[(u32, &Test)], count: usize, rows: &mut Rows) -> Column {
    let fine = classes(tests);
    let mut always = vec![true; count];
    let mut absent = vec![true; count];
    let mut never: Vec<u32> = Vec::new();
    // Of several tests of one rule the first that the classes know stands for all: one *no* is enough.
    let mut ranged: Vec<(u32, Ranges)> = Vec::new();
    for (rule, test) in tests {
        let clear = |rules: &mut Vec<bool>| {
            if let Some(rule) = rules.get_mut(*rule as usize) {
                *rule = false;
            }
        };
        match &test.accepts {
            Accepts::Present => clear(&mut absent),
            Accepts::Absent => {
                clear(&mut always);
                never.push(*rule);
            }
            Accepts::Flag(_)
            | Accepts::Words(_)
            | Accepts::HasAny(_)
            | Accepts::HasAll(_)
            | Accepts::HasNone(_)
            | Accepts::Within(_) => {
                let known = ranged.last().is_some_and(|(last, _)| last == rule);
                if let Some(ranges) = ranges(&test.accepts, &fine).filter(|_| !known) {
                    clear(&mut always);
                    ranged.push((*rule, ranges));
                }
            }
        }
    }
    ranged.retain(|(rule, _)| never.binary_search(rule).is_err());
    let events = Events::new(&ranged);
    let mut sweep = Sweep::new(count);
    if count <= FEW_RULES {
        let (absent, always) = (one_word(&absent), one_word(&always));
        let of_class = events.sweep(&fine, &mut sweep, |sweep| always | sweep.words.first().copied().unwrap_or(0));
        return Column { fact, classes: fine, kept: Kept::Few { absent, of_class } };
    }
    let budget = WORDS_FREE.max(count.saturating_mul(WORDS_PER_RULE_MAX));
    let mut classes = fine;
    while budget < events.words(&classes, count) && coarsen(&mut classes) {}
    let of_class = events.sweep(&classes, &mut sweep, |sweep| rows.add(sweep.filled_words()));
    let kept = Kept::Many { absent: add(&absent, rows), always: add(&always, rows), of_class };
    Column { fact, classes, kept }
}

/// The classes that the tests of one fact need.
fn classes(tests: &[(u32, &Test)]) -> Classes {
    let accepts = || tests.iter().map(|(_, test)| &test.accepts);
    let kind = accepts().find(|accepts| !matches!(accepts, Accepts::Present | Accepts::Absent));
    match kind {
        None | Some(Accepts::Present | Accepts::Absent) => Classes::Any,
        Some(Accepts::Flag(_)) => Classes::Flag,
        Some(Accepts::Words(_)) => {
            let last = |accepts: &Accepts| if let Accepts::Words(words) = accepts { words.last() } else { None };
            let named = accepts().filter_map(last);
            Classes::Words(Steps { fine: named.max().map_or(1, |last| usize::from(last) + 2), shift: 0 })
        }
        Some(Accepts::HasAny(_) | Accepts::HasAll(_) | Accepts::HasNone(_)) => Classes::Sets(often(accepts())),
        Some(Accepts::Within(_)) => {
            let edges = Edges::new(accepts().flat_map(intervals_of).flat_map(edges_of).collect());
            let fine = edges.places();
            Classes::Numbers(edges, Steps { fine, shift: 0 })
        }
    }
}

/// The words of a set that rules ask for most often.
fn often<'a>(tests: impl Iterator<Item = &'a Accepts>) -> Vec<u16> {
    let mut asked = [0usize; 64];
    for accepts in tests {
        if let Accepts::HasAny(mask) | Accepts::HasAll(mask) | Accepts::HasNone(mask) = accepts {
            for (word, asked) in asked.iter_mut().enumerate() {
                *asked += usize::from(mask >> word & 1 == 1);
            }
        }
    }
    let mut words: Vec<(usize, u16)> = asked.into_iter().zip(0u16..).filter(|(asked, _)| 0 < *asked).collect();
    words.sort_by_key(|(asked, _)| std::cmp::Reverse(*asked));
    words.truncate(SET_WORDS_MAX);
    words.into_iter().map(|(_, word)| word).collect()
}

/// Ranges of classes, both ends included; in order.
type Ranges = SmallVec<[(u32, u32); 1]>;

/// The classes that a test accepts; `None` where the classes do not tell.
fn ranges(accepts: &Accepts, classes: &Classes) -> Option<Ranges> {
    match (accepts, classes) {
        (Accepts::Flag(wanted), Classes::Flag) => Some(runs(2, |class| (class == 1) == *wanted)),
        (Accepts::Words(words), Classes::Words(steps)) => {
            Some(runs(steps.fine, |class| u16::try_from(class).is_ok_and(|word| words.contains(word))))
        }
        (Accepts::HasAny(mask) | Accepts::HasAll(mask) | Accepts::HasNone(mask), Classes::Sets(words)) => {
            let known = words.iter().fold(0, |known, word| known | 1u64 << word);
            let holds = |class: usize| accepts.answer(Some(&Value::Set(of_class(words, class)))) == Answer::Yes;
            // What asks for a word that no class knows is left to the rule itself.
            (mask & !known == 0).then(|| runs(classes.count(), holds))
        }
        (Accepts::Within(intervals), Classes::Numbers(edges, _)) => {
            Some(intervals.iter().filter_map(|interval| places_of(interval, edges)).collect())
        }
        (_, _) => None,
    }
}

/// A set of a class: the words that it says are held.
fn of_class(words: &[u16], class: usize) -> u64 {
    words.iter().enumerate().map(|(bit, word)| u64::from(class >> bit & 1 == 1) << word).sum()
}

fn intervals_of(accepts: &Accepts) -> &[Interval] {
    if let Accepts::Within(intervals) = accepts { intervals } else { &[] }
}

/// The numbers at which an interval begins and ends.
fn edges_of(interval: &Interval) -> impl Iterator<Item = Ratio> {
    [interval.lower, interval.upper].into_iter().filter_map(|bound| match bound {
        Bound::Included(edge) | Bound::Excluded(edge) => Some(edge),
        Bound::Unbounded => None,
    })
}

/// The first and the last place that lie in an interval whose ends are edges; `None` for an empty one.
fn places_of(interval: &Interval, edges: &Edges) -> Option<(u32, u32)> {
    let first = match interval.lower {
        Bound::Included(edge) => edges.place(edge),
        Bound::Excluded(edge) => edges.place(edge) + 1,
        Bound::Unbounded => 0,
    };
    let last = match interval.upper {
        Bound::Included(edge) => edges.place(edge),
        Bound::Excluded(edge) => edges.place(edge).checked_sub(1)?,
        Bound::Unbounded => edges.places() - 1,
    };
    if last < first { None } else { Some((u32::try_from(first).ok()?, u32::try_from(last).ok()?)) }
}

/// The runs of classes for which something holds.
fn runs(classes: usize, holds: impl Fn(usize) -> bool) -> Ranges {
    let mut runs = Ranges::new();
    for (class, place) in (0..classes).zip(0u32..) {
        match runs.last_mut() {
            _ if !holds(class) => {}
            Some((_, last)) if *last + 1 == place => *last = place,
            Some(_) | None => runs.push((place, place)),
        }
    }
    runs
}

/// Puts neighbouring classes together; says whether it could.
fn coarsen(classes: &mut Classes) -> bool {
    match classes {
        Classes::Words(steps) | Classes::Numbers(_, steps) if 1 < steps.count() => {
            steps.shift += 1;
            true
        }
        Classes::Any | Classes::Flag | Classes::Words(_) | Classes::Sets(_) | Classes::Numbers(..) => false,
    }
}

fn shift(classes: &Classes) -> u32 {
    match classes {
        Classes::Words(steps) | Classes::Numbers(_, steps) => steps.shift,
        Classes::Any | Classes::Flag | Classes::Sets(_) => 0,
    }
}

/// Begins and ends of ranges of classes, each in order.
struct Events {
    begins: Vec<(u32, u32)>,
    ends: Vec<(u32, u32)>,
}

impl Events {
    fn new(ranged: &[(u32, Ranges)]) -> Self {
        let all = || ranged.iter().flat_map(|(rule, ranges)| ranges.iter().map(move |range| (*range, *rule)));
        let mut begins: Vec<(u32, u32)> = all().map(|((first, _), rule)| (first, rule)).collect();
        let mut ends: Vec<(u32, u32)> = all().map(|((_, last), rule)| (last, rule)).collect();
        begins.sort_unstable();
        ends.sort_unstable();
        Self { begins, ends }
    }

    /// Number of words that the sets of these classes take.
    fn words(&self, classes: &Classes, count: usize) -> usize {
        let mut words = 0usize;
        self.sweep(classes, &mut Sweep::new(count), |sweep| {
            // A set and its groups take room as well.
            words = words.saturating_add(sweep.filled + 2 * sweep.filled.min(count.div_ceil(64 * 64)) + 2);
        });
        words
    }

    /// Goes through the classes; where the open ranges have changed, `set` makes a set of them.
    fn sweep<S: Copy>(&self, classes: &Classes, sweep: &mut Sweep, mut set: impl FnMut(&Sweep) -> S) -> Vec<S> {
        let (mut begins, mut ends) = (self.begins.iter().peekable(), self.ends.iter().peekable());
        let shift = shift(classes);
        let mut of_class = Vec::with_capacity(classes.count());
        let mut changed = true;
        for class in (0..classes.count()).map(|class| u32::try_from(class).unwrap_or(u32::MAX)) {
            while let Some((_, rule)) = begins.next_if(|(first, _)| first >> shift <= class) {
                sweep.open(*rule);
                changed = true;
            }
            match of_class.last() {
                Some(&last) if !changed => of_class.push(last),
                Some(_) | None => of_class.push(set(sweep)),
            }
            changed = false;
            while let Some((_, rule)) = ends.next_if(|(last, _)| last >> shift <= class) {
                sweep.close(*rule);
                changed = true;
            }
        }
        of_class
    }
}

/// The rules whose ranges are open at one class.
struct Sweep {
    /// Number of open ranges of each rule.
    open: Vec<u32>,
    /// The rules with any, one bit each.
    words: Vec<u64>,
    /// The words that are not empty, one bit each.
    groups: Vec<u64>,
    /// Number of words that are not empty.
    filled: usize,
}

impl Sweep {
    fn new(rules: usize) -> Self {
        let words = rules.div_ceil(64);
        Self { open: vec![0; rules], words: vec![0; words], groups: vec![0; words.div_ceil(64)], filled: 0 }
    }

    fn open(&mut self, rule: u32) {
        let (rule, at) = (rule as usize, rule as usize / 64);
        let (Some(open), Some(word)) = (self.open.get_mut(rule), self.words.get_mut(at)) else { return };
        *open += 1;
        self.filled += usize::from(*word == 0);
        *word |= 1 << (rule % 64);
        if let Some(group) = self.groups.get_mut(at / 64) {
            *group |= 1 << (at % 64);
        }
    }

    fn close(&mut self, rule: u32) {
        let (rule, at) = (rule as usize, rule as usize / 64);
        let (Some(open), Some(word)) = (self.open.get_mut(rule), self.words.get_mut(at)) else { return };
        *open = open.saturating_sub(1);
        if 0 < *open {
            return;
        }
        *word &= !(1 << (rule % 64));
        if *word == 0 {
            self.filled -= 1;
            if let Some(group) = self.groups.get_mut(at / 64) {
                *group &= !(1 << (at % 64));
            }
        }
    }

    /// The words that are not empty, with their places.
    fn filled_words(&self) -> impl Iterator<Item = (usize, u64)> {
        let filled =
            self.groups.iter().enumerate().flat_map(|(group, bits)| {
                (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| group * 64 + bit)
            });
        filled.filter_map(|at| Some((at, *self.words.get(at)?)))
    }
}

/// Adds the set of the rules that are marked.
fn add(marked: &[bool], rows: &mut Rows) -> u32 {
    rows.add(marked.chunks(64).map(one_word).enumerate().filter(|(_, word)| *word != 0))
}

/// The rules that are marked, one bit each; of up to 64.
fn one_word(marked: &[bool]) -> u64 {
    marked.iter().rev().fold(0, |word, rule| word << 1 | u64::from(*rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_the_places_of_the_numbers_in_it() {
        let edges = Edges::new([1, 2, 3].map(Ratio::whole).to_vec());
        let halves: Vec<Ratio> = (1..=7).filter_map(|halves| Ratio::fraction(halves, 2)).collect();
        let ends = || {
            let at = [1, 2, 3].map(Ratio::whole);
            std::iter::once(Bound::Unbounded).chain(at.map(Bound::Included)).chain(at.map(Bound::Excluded))
        };
        for lower in ends() {
            for upper in ends() {
                let interval = Interval { lower, upper };
                let within = || halves.iter().filter(|number| interval.contains(**number));
                let place = |number: &Ratio| u32::try_from(edges.place(*number)).unwrap();
                let expected = within().map(place).min().zip(within().map(place).max());
                assert_eq!(places_of(&interval, &edges), expected, "{interval:?}");
            }
        }
    }

    #[test]
    fn a_rule_is_in_the_set_while_one_of_its_ranges_is_open() {
        let mut sweep = Sweep::new(5_000);
        [0, 65, 65, 66, 199, 4_999].into_iter().for_each(|rule| sweep.open(rule));
        let set = |sweep: &Sweep| (sweep.filled, sweep.filled_words().collect::<Vec<_>>());
        assert_eq!(set(&sweep), (4, vec![(0, 1), (1, 0b110), (3, 1 << 7), (78, 1 << 7)]));
        [65, 66, 0].into_iter().for_each(|rule| sweep.close(rule));
        assert_eq!(set(&sweep), (3, vec![(1, 0b10), (3, 1 << 7), (78, 1 << 7)]));
        [65, 4_999].into_iter().for_each(|rule| sweep.close(rule));
        assert_eq!(set(&sweep), (1, vec![(3, 1 << 7)]));
    }
}
