//! Numbers of 64 bits: what nearly all formulas calculate with.
//!
//! Nothing here is longer than 64 bits between two operations; what does not fit is left to [`Ratio`].

use std::cmp::Ordering;

use crate::domain::ratio::{Ratio, RoundingMode};

/// A number of 64 bits, as amounts, shares and moments are: a reduced fraction, the denominator above zero.
///
/// Products of two of its parts always fit into 127 bits, so most of what formulas do needs neither a check nor a
/// long division. Its own operations give the true result, or nothing where that does not fit into 64 bits on the way:
/// then the same operation of [`Ratio`] takes the long way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SmallRatio {
    pub(super) numerator: i64,
    pub(super) denominator: i64,
}

impl SmallRatio {
    #[inline]
    pub(super) const fn whole(value: i64) -> Self {
        Self { numerator: value, denominator: 1 }
    }

    #[inline]
    const fn is_whole(self) -> bool {
        self.denominator == 1
    }

    /// The sum.
    #[must_use]
    #[inline]
    pub fn plus(self, other: Self) -> Option<Self> {
        if self.is_whole() && other.is_whole() {
            return self.numerator.checked_add(other.numerator).map(Self::whole);
        }
        let numerator = wide(self.numerator, other.denominator) + wide(other.numerator, self.denominator);
        let numerator = i64::try_from(numerator).ok()?;
        let denominator = i64::try_from(wide(self.denominator, other.denominator)).ok()?;
        let (numerator, denominator) = reduced(numerator, denominator);
        Some(Self { numerator, denominator })
    }

    /// The difference.
    #[must_use]
    #[inline]
    pub fn minus(self, other: Self) -> Option<Self> {
        if self.is_whole() && other.is_whole() {
            return self.numerator.checked_sub(other.numerator).map(Self::whole);
        }
        self.plus(Self { numerator: other.numerator.checked_neg()?, ..other })
    }

    /// The product.
    #[must_use]
    #[inline]
    pub fn times(self, other: Self) -> Option<Self> {
        let (a, b) = self.crosswise(other);
        let numerator = a.numerator.checked_mul(b.numerator)?;
        Some(Self { numerator, denominator: a.denominator.checked_mul(b.denominator)? })
    }

    /// The product, however long it is.
    #[inline]
    pub(super) fn product(self, other: Self) -> Ratio {
        let (a, b) = self.crosswise(other);
        Ratio::reduced(wide(a.numerator, b.numerator), wide(a.denominator, b.denominator))
    }

    /// Both as factors, without their common divisors: each is reduced, so only crosswise can there be any. What is
    /// left of each is no fraction of its own.
    #[inline]
    fn crosswise(self, other: Self) -> (Self, Self) {
        let (a_numerator, b_denominator) = reduced(self.numerator, other.denominator);
        let (b_numerator, a_denominator) = reduced(other.numerator, self.denominator);
        let a = Self { numerator: a_numerator, denominator: a_denominator };
        (a, Self { numerator: b_numerator, denominator: b_denominator })
    }

    /// One over the number; `None` where it is not above zero.
    #[inline]
    pub(super) const fn turned(self) -> Option<Self> {
        if 0 < self.numerator { Some(Self { numerator: self.denominator, denominator: self.numerator }) } else { None }
    }

    /// Divides by an increment above zero and rounds to a whole number; `None` where it does not fit into 64 bits.
    #[must_use]
    #[inline]
    pub fn rounded(self, increment: i64, mode: RoundingMode) -> Option<i64> {
        self.steps_of(Self::whole(increment), mode)
    }

    /// Divides by the increment and rounds to a whole number; `None` where it does not fit into 64 bits.
    #[inline]
    pub(super) fn steps_of(self, increment: Self, mode: RoundingMode) -> Option<i64> {
        let value = i64::try_from(wide(self.numerator, increment.denominator)).ok()?;
        let step = i64::try_from(wide(self.denominator, increment.numerator)).ok().filter(|&step| 0 < step)?;
        let (below, rest) = (value / step, (value % step).abs());
        if rest == 0 {
            return Some(below);
        }
        let away = mode.is_away(rest.cmp(&(step - rest)), below % 2 != 0);
        below.checked_add(if away { value.signum() } else { 0 })
    }
}

#[inline]
pub(super) const fn wide(a: i64, b: i64) -> i128 {
    // 63 bits times 63 bits: this never wraps, and without a check it is one instruction.
    (a as i128).wrapping_mul(b as i128)
}

/// Both without their common divisor, for a second number above zero.
#[inline]
fn reduced(a: i64, above_zero: i64) -> (i64, i64) {
    match divisor(a, above_zero) {
        // The common case, and a division by one takes as long as any other.
        1 => (a, above_zero),
        common => (a / common, above_zero / common),
    }
}

/// The greatest common divisor, for a second number above zero.
#[inline]
fn divisor(a: i64, above_zero: i64) -> i64 {
    let (mut a, mut b) = (a, above_zero);
    // One is the common case, and a division takes longer than everything else here.
    while 1 < b {
        (a, b) = (b, (a % b).abs());
    }
    if b == 1 { 1 } else { a }
}

impl PartialOrd for SmallRatio {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SmallRatio {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        if self.denominator == other.denominator {
            return self.numerator.cmp(&other.numerator);
        }
        wide(self.numerator, other.denominator).cmp(&wide(other.numerator, self.denominator))
    }
}
