//! Classes of the values of a fact: values of one class are alike to every test.

use crate::domain::facts::Value;
use crate::domain::ratio::Ratio;

/// Classes of the values of a fact.
#[derive(Clone, PartialEq, Debug)]
#[repr(u8)]
pub enum Classes {
    /// Rules only ask whether the fact is there: all values are alike.
    Any,
    /// No, and yes.
    Flag,
    /// Words, by their places; those that no rule names are the last class.
    Words(Steps),
    /// Sets, by which of these words they hold: one bit of the class each.
    Sets(Vec<u16>),
    /// Numbers: below the first edge, the edge, above it up to the next, and so on.
    Numbers(Edges, Steps),
}

/// Classes before and after neighbours are put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Steps {
    /// Number of classes before.
    pub fine: usize,
    /// Each class holds two to this power.
    pub shift: u32,
}

/// The numbers at which tests change their answer, sorted.
#[derive(Clone, PartialEq, Debug)]
pub enum Edges {
    /// As multiples of a fraction.
    Scaled {
        /// Number of them that make one.
        per_one: i64,
        /// The edges.
        edges: Vec<i64>,
    },
    /// As they are, where no such fraction is large enough.
    Ratio(Vec<Ratio>),
}

impl Steps {
    /// Number of classes.
    pub fn count(self) -> usize {
        (self.fine.saturating_sub(1) >> self.shift) + 1
    }

    #[inline]
    fn class(self, fine: usize) -> usize {
        fine.min(self.fine.saturating_sub(1)) >> self.shift
    }
}

impl Classes {
    /// Number of classes.
    pub fn count(&self) -> usize {
        match self {
            Self::Any => 1,
            Self::Flag => 2,
            Self::Words(steps) | Self::Numbers(_, steps) => steps.count(),
            Self::Sets(words) => 1 << words.len(),
        }
    }

    /// The class of a value; `None` for a value of another type.
    #[inline]
    pub fn class(&self, value: &Value) -> Option<usize> {
        match (self, value) {
            // Most classes are of words.
            (Self::Words(steps), Value::Word(word)) => Some(steps.class(usize::from(*word))),
            (_, value) => self.class_of_any(value),
        }
    }

    #[inline(never)]
    fn class_of_any(&self, value: &Value) -> Option<usize> {
        match (self, value) {
            (Self::Any, _) => Some(0),
            (Self::Flag, Value::Flag(flag)) => Some(usize::from(*flag)),
            (Self::Words(steps), Value::Word(word)) => Some(steps.class(usize::from(*word))),
            (Self::Sets(words), Value::Set(set)) => Some(chosen(words, *set)),
            (Self::Numbers(edges, steps), Value::Quantity(number)) => Some(steps.class(edges.place(*number))),
            (Self::Flag | Self::Words(_) | Self::Sets(_) | Self::Numbers(..), _) => None,
        }
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Any | Self::Flag | Self::Words(_) => 0,
            Self::Sets(words) => size_of_val(words.as_slice()),
            Self::Numbers(Edges::Scaled { per_one: _, edges }, _) => size_of_val(edges.as_slice()),
            Self::Numbers(Edges::Ratio(edges), _) => size_of_val(edges.as_slice()),
        }
    }
}

/// Words that are in a set, one bit each.
pub fn chosen(words: &[u16], set: u64) -> usize {
    words.iter().enumerate().map(|(bit, &word)| usize::from(set >> word & 1 == 1) << bit).sum()
}

impl Edges {
    /// Sorts these numbers into edges.
    pub fn new(mut numbers: Vec<Ratio>) -> Self {
        numbers.sort_unstable();
        numbers.dedup();
        let per_one = numbers.iter().try_fold(1i64, |so_far, number| common(so_far, number.denominator()));
        let scaled = per_one.and_then(|per_one| {
            let scaled = |number: &Ratio| number.times(Ratio::whole(per_one.into())).ok()?.numerator().try_into().ok();
            Some(Self::Scaled { per_one, edges: numbers.iter().map(scaled).collect::<Option<Vec<i64>>>()? })
        });
        scaled.unwrap_or(Self::Ratio(numbers))
    }

    /// Number of places that numbers have between and on the edges.
    pub fn places(&self) -> usize {
        let edges = match self {
            Self::Scaled { per_one: _, edges } => edges.len(),
            Self::Ratio(edges) => edges.len(),
        };
        2 * edges + 1
    }

    /// The place of a number: even between two edges, odd on one.
    pub fn place(&self, number: Ratio) -> usize {
        match self {
            Self::Scaled { per_one, edges } => match scaled(number, *per_one) {
                Some((below, true)) => {
                    let before = edges.partition_point(|edge| *edge < below);
                    2 * before + usize::from(edges.get(before) == Some(&below))
                }
                Some((below, false)) => 2 * edges.partition_point(|edge| *edge <= below),
                None => {
                    let edge = |edge: &i64| Ratio::fraction((*edge).into(), (*per_one).into());
                    let before = edges.partition_point(|at| edge(at).is_some_and(|edge| edge < number));
                    2 * before + usize::from(edges.get(before).and_then(edge) == Some(number))
                }
            },
            Self::Ratio(edges) => {
                let before = edges.partition_point(|edge| *edge < number);
                2 * before + usize::from(edges.get(before) == Some(&number))
            }
        }
    }
}

/// The largest multiple of the fraction not above a number, and whether it is the number; `None` beyond 64 bits.
#[inline]
fn scaled(number: Ratio, per_one: i64) -> Option<(i64, bool)> {
    let numerator = i64::try_from(number.numerator()).ok()?;
    if number.is_whole() {
        return Some((numerator.checked_mul(per_one)?, true));
    }
    let denominator = i64::try_from(number.denominator()).ok()?;
    let many = numerator.checked_mul(per_one)?;
    Some((many.div_euclid(denominator), many.rem_euclid(denominator) == 0))
}

/// The least common multiple; `None` beyond a billion.
fn common(a: i64, b: i128) -> Option<i64> {
    const PER_ONE_MAX: i64 = 1_000_000_000;
    let b = i64::try_from(b).ok()?;
    let part = Ratio::fraction(a.into(), b.into())?;
    // a / b reduced by their divisor: what is left above the line times b is the multiple.
    let multiple = i64::try_from(part.numerator()).ok()?.checked_mul(b)?;
    (multiple <= PER_ONE_MAX).then_some(multiple)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = Ratio> {
        let near = (-40i128..40, 1i128..8);
        let far = (proptest::num::i128::ANY.prop_map(|n| n / 2), 1i128..=i128::MAX / 2);
        let fine = (proptest::num::i64::ANY.prop_map(i128::from), 1i128..=i128::from(i64::MAX) * 8);
        prop_oneof![6 => near, 1 => far, 1 => fine].prop_map(|(n, d)| Ratio::fraction(n, d).unwrap())
    }

    proptest! {
        #[test]
        fn a_number_finds_its_place_among_any_edges(
            edges in proptest::collection::vec(number(), 0..6),
            numbers in proptest::collection::vec(number(), 1..20),
        ) {
            let mut sorted = edges.clone();
            sorted.sort();
            sorted.dedup();
            let found = Edges::new(edges);
            prop_assert_eq!(found.places(), 2 * sorted.len() + 1);
            for number in numbers.iter().chain(&sorted) {
                let expected = sorted.iter().map(|edge| usize::from(edge <= number) + usize::from(edge < number)).sum::<usize>();
                prop_assert_eq!(found.place(*number), expected, "{:?} among {:?}", number, sorted);
            }
        }
    }
}
