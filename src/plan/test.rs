//! Unary tests: what one fact must be for a rule to match.

use std::ops::Bound;

use smallvec::SmallVec;

use crate::domain::facts::{FactId, Value};
use crate::domain::ratio::Ratio;

/// One condition of a rule: a fact, and the values accepted.
#[derive(Clone, PartialEq, Debug)]
pub struct Test {
    /// The fact tested.
    pub fact: FactId,
    /// The values accepted.
    pub accepts: Accepts,
    /// The test as the author wrote it, without the fact: `<= 24h`.
    pub text: String,
}

/// The values that a test accepts.
#[derive(Clone, PartialEq, Debug)]
#[repr(u8)]
pub enum Accepts {
    /// The fact is there, whatever it is.
    Present,
    /// The fact is not there.
    Absent,
    /// The flag is this.
    Flag(bool),
    /// The word is one of these.
    Words(WordSet),
    /// The set holds at least one of these.
    HasAny(u64),
    /// The set holds all of these.
    HasAll(u64),
    /// The set holds none of these.
    HasNone(u64),
    /// The number lies in one of these; sorted, without overlap.
    Within(SmallVec<[Interval; 1]>),
}

/// A set of words of one vocabulary, one bit each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WordSet {
    /// The first 64 words of the vocabulary: mostly all of them.
    first: u64,
    /// The rest, 64 in each.
    rest: Vec<u64>,
}

/// A range of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// Lower bound.
    pub lower: Bound<Ratio>,
    /// Upper bound.
    pub upper: Bound<Ratio>,
}

/// The three answers of a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// The fact is missing or not computable, so nobody knows.
    Unknown,
}

impl Accepts {
    /// Tests a value; `None` is a missing fact.
    #[must_use]
    #[inline]
    pub fn answer(&self, value: Option<&Value>) -> Answer {
        match (self, value) {
            // Most tests are on words.
            (Self::Words(words), Some(Value::Word(word))) => Answer::known(words.contains(*word)),
            (_, value) => self.answer_of_any(value),
        }
    }

    #[inline(never)]
    fn answer_of_any(&self, value: Option<&Value>) -> Answer {
        let holds = match (self, value) {
            (Self::Present, value) => value.is_some(),
            (Self::Absent, value) => value.is_none(),
            (_, None) => return Answer::Unknown,
            (Self::Flag(wanted), Some(Value::Flag(flag))) => wanted == flag,
            (Self::Words(words), Some(Value::Word(word))) => words.contains(*word),
            (Self::HasAny(mask), Some(Value::Set(set))) => set & mask != 0,
            (Self::HasAll(mask), Some(Value::Set(set))) => set & mask == *mask,
            (Self::HasNone(mask), Some(Value::Set(set))) => set & mask == 0,
            (Self::Within(intervals), Some(Value::Quantity(number))) => {
                intervals.iter().any(|interval| interval.contains(*number))
            }
            // The checker gives a test the type of its fact.
            (
                Self::Flag(_) | Self::Words(_) | Self::HasAny(_) | Self::HasAll(_) | Self::HasNone(_) | Self::Within(_),
                Some(_),
            ) => false,
        };
        Answer::known(holds)
    }
}

impl Answer {
    #[inline]
    const fn known(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl WordSet {
    /// The set of these words.
    #[must_use]
    pub fn new(words: impl IntoIterator<Item = u16>) -> Self {
        let mut set = Self::default();
        for word in words {
            let (block, bit) = (usize::from(word / 64), word % 64);
            if set.rest.len() < block {
                set.rest.resize(block, 0);
            }
            if let Some(bits) = block.checked_sub(1).map_or(Some(&mut set.first), |block| set.rest.get_mut(block)) {
                *bits |= 1 << bit;
            }
        }
        set
    }

    /// The last of its words.
    #[must_use]
    pub fn last(&self) -> Option<u16> {
        let blocks = std::iter::once(&self.first).chain(&self.rest).zip((0u16..).step_by(64));
        let (bits, from) = blocks.filter(|(bits, _)| **bits != 0).last()?;
        Some(from + u16::try_from(bits.ilog2()).ok()?)
    }

    /// Returns `true` if the word is in it.
    #[must_use]
    #[inline]
    pub fn contains(&self, word: u16) -> bool {
        let bits = match usize::from(word / 64).checked_sub(1) {
            None => self.first,
            Some(block) => self.rest.get(block).copied().unwrap_or(0),
        };
        bits >> (word % 64) & 1 == 1
    }
}

impl Interval {
    /// Exactly this number.
    #[must_use]
    pub const fn only(value: Ratio) -> Self {
        Self { lower: Bound::Included(value), upper: Bound::Included(value) }
    }

    /// Returns `true` if the number lies in it.
    #[must_use]
    #[inline]
    pub fn contains(&self, value: Ratio) -> bool {
        let above = match self.lower {
            Bound::Included(lower) => lower <= value,
            Bound::Excluded(lower) => lower < value,
            Bound::Unbounded => true,
        };
        let below = match self.upper {
            Bound::Included(upper) => value <= upper,
            Bound::Excluded(upper) => value < upper,
            Bound::Unbounded => true,
        };
        above && below
    }

    /// Returns `true` if no number lies in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match (self.lower, self.upper) {
            (Bound::Included(lower), Bound::Included(upper)) => upper < lower,
            (Bound::Included(lower) | Bound::Excluded(lower), Bound::Included(upper) | Bound::Excluded(upper)) => {
                upper <= lower
            }
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_keeps_its_edges() {
        let interval = Interval { lower: Bound::Included(Ratio::whole(48)), upper: Bound::Excluded(Ratio::whole(192)) };
        for (value, expected) in [(47, false), (48, true), (191, true), (192, false)] {
            assert_eq!(interval.contains(Ratio::whole(value)), expected, "{value}");
        }
    }

    #[test]
    fn a_third_lands_on_its_edge() {
        let third = Ratio::fraction(1, 3).unwrap();
        let upto = Interval { lower: Bound::Unbounded, upper: Bound::Included(third) };
        assert!(upto.contains(Ratio::fraction(33, 99).unwrap()));
        assert!(!upto.contains(Ratio::fraction(34, 99).unwrap()));
    }

    #[test]
    fn a_missing_fact_is_unknown_but_may_be_asked_for() {
        assert_eq!(Accepts::Flag(true).answer(None), Answer::Unknown);
        assert_eq!(Accepts::Absent.answer(None), Answer::Yes);
        assert_eq!(Accepts::Present.answer(None), Answer::No);
    }

    #[test]
    fn word_sets_span_blocks() {
        let set = WordSet::new([3, 64, 4_095]);
        assert!(set.contains(3) && set.contains(64) && set.contains(4_095));
        assert!(!set.contains(4) && !set.contains(65) && !set.contains(9_999));
    }
}
