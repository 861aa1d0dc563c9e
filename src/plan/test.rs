//! Unary tests: what one fact must be for a rule to match.

use std::ops::Bound;

use smallvec::SmallVec;

use crate::domain::exact::Exact;
use crate::domain::facts::{FactId, Value};

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
pub struct WordSet(SmallVec<[u64; 2]>);

/// A range of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// Where it begins.
    pub lower: Bound<Exact>,
    /// Where it ends.
    pub upper: Bound<Exact>,
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
    /// Whether a value is accepted; `None` is a missing fact.
    #[must_use]
    #[inline]
    pub fn answer(&self, value: Option<Value>) -> Answer {
        let holds = match (self, value) {
            (Self::Present, value) => value.is_some(),
            (Self::Absent, value) => value.is_none(),
            (_, None) => return Answer::Unknown,
            (Self::Flag(wanted), Some(Value::Flag(flag))) => *wanted == flag,
            (Self::Words(words), Some(Value::Word(word))) => words.contains(word),
            (Self::HasAny(mask), Some(Value::Set(set))) => set & mask != 0,
            (Self::HasAll(mask), Some(Value::Set(set))) => set & mask == *mask,
            (Self::HasNone(mask), Some(Value::Set(set))) => set & mask == 0,
            (Self::Within(intervals), Some(Value::Quantity(number))) => {
                intervals.iter().any(|interval| interval.contains(number))
            }
            // The checker gives a test the type of its fact.
            (
                Self::Flag(_) | Self::Words(_) | Self::HasAny(_) | Self::HasAll(_) | Self::HasNone(_) | Self::Within(_),
                Some(_),
            ) => false,
        };
        if holds { Answer::Yes } else { Answer::No }
    }
}

impl WordSet {
    /// The set of these words.
    #[must_use]
    pub fn new(words: impl IntoIterator<Item = u16>) -> Self {
        let mut set = Self::default();
        for word in words {
            let (block, bit) = (usize::from(word / 64), word % 64);
            if set.0.len() <= block {
                set.0.resize(block + 1, 0);
            }
            if let Some(bits) = set.0.get_mut(block) {
                *bits |= 1 << bit;
            }
        }
        set
    }

    /// The last of its words.
    #[must_use]
    pub fn last(&self) -> Option<u16> {
        let (block, bits) = self.0.iter().enumerate().rev().find(|(_, bits)| **bits != 0)?;
        u16::try_from(block * 64 + 63 - bits.leading_zeros() as usize).ok()
    }

    /// Whether the word is in it.
    #[must_use]
    #[inline]
    pub fn contains(&self, word: u16) -> bool {
        self.0.get(usize::from(word / 64)).is_some_and(|bits| bits >> (word % 64) & 1 == 1)
    }
}

impl Interval {
    /// Exactly this number.
    #[must_use]
    pub const fn only(value: Exact) -> Self {
        Self { lower: Bound::Included(value), upper: Bound::Included(value) }
    }

    /// Whether the number lies in it.
    #[must_use]
    #[inline]
    pub fn contains(&self, value: Exact) -> bool {
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

    /// Whether no number lies in it.
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
        let interval = Interval { lower: Bound::Included(Exact::whole(48)), upper: Bound::Excluded(Exact::whole(192)) };
        for (value, expected) in [(47, false), (48, true), (191, true), (192, false)] {
            assert_eq!(interval.contains(Exact::whole(value)), expected, "{value}");
        }
    }

    #[test]
    fn a_third_lands_on_its_edge() {
        let third = Exact::fraction(1, 3).unwrap();
        let upto = Interval { lower: Bound::Unbounded, upper: Bound::Included(third) };
        assert!(upto.contains(Exact::fraction(33, 99).unwrap()));
        assert!(!upto.contains(Exact::fraction(34, 99).unwrap()));
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
