//! Exact numbers: rationals that never round by themselves.
//!
//! Every operation either gives the true result or says `Overflow`. The only way to lose
//! precision is [`Ratio::round`], and it names its increment and its mode.

mod small;

use std::cmp::Ordering;
use std::fmt;

use num_rational::Ratio as Quotient;
use num_traits::{CheckedAdd, CheckedDiv, CheckedMul, CheckedSub, Signed};

use crate::domain::limits::{DECIMAL_DIGITS_MAX, DECIMAL_PLACES_MAX};
use crate::domain::ratio::small::wide;

pub use small::SmallRatio;

/// A number with an exact value: numerator and denominator of 127 bits each, always reduced.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ratio(Parts);

/// The representation of a number. One that fits into 64 bits is always held in 64 bits, so equal numbers are held
/// alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Parts {
    SmallRatio(SmallRatio),
    Long(Long),
}

/// A number that does not fit into 64 bits. Packed, so that it makes no number larger than its parts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(Rust, packed(8))]
struct Long {
    numerator: i128,
    denominator: i128,
}

/// The true result does not fit into numerator and denominator of 127 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the exact result does not fit into 127 bits")]
pub struct Overflow;

/// The rounding of a value between two multiples of the increment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RoundingMode {
    /// To the nearest; a tie goes away from zero.
    HalfUp,
    /// To the nearest; a tie goes towards zero.
    HalfDown,
    /// To the nearest; a tie goes to the even multiple.
    HalfEven,
    /// Away from zero.
    Up,
    /// Towards zero.
    Down,
}

/// Rule for rounding a value: the increment and the mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rounding {
    /// The step between allowed values; more than zero.
    pub increment: Ratio,
    /// The choice between the two neighbours.
    pub mode: RoundingMode,
}

impl Ratio {
    /// Zero.
    pub const ZERO: Self = Self::whole(0);
    /// One.
    pub const ONE: Self = Self::whole(1);

    /// A whole number.
    #[must_use]
    #[inline]
    pub const fn whole(value: i128) -> Self {
        let short = value as i64;
        if short as i128 == value {
            Self(Parts::SmallRatio(SmallRatio { numerator: short, denominator: 1 }))
        } else {
            Self(Parts::Long(Long { numerator: value, denominator: 1 }))
        }
    }

    /// The product of two numbers of 64 bits, which always fits.
    #[must_use]
    #[inline]
    pub const fn product_of(a: i64, b: i64) -> Self {
        Self::whole(wide(a, b))
    }

    /// `numerator / denominator`; `None` where the denominator is zero or the sign of the
    /// smallest number cannot be turned.
    #[must_use]
    pub fn fraction(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 || numerator == i128::MIN || denominator == i128::MIN {
            return None;
        }
        Some(Self::from_ratio(Quotient::new(numerator, denominator)))
    }

    /// Reads a decimal by a strict grammar: a sign or none, digits, at most one point with digits
    /// on both sides. No exponent, no separators; at most [`DECIMAL_DIGITS_MAX`] digits before
    /// the point and [`DECIMAL_PLACES_MAX`] after it.
    #[must_use]
    pub fn parse_decimal(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, places) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole)
            || !all_digits(places)
            || whole.len() > DECIMAL_DIGITS_MAX
            || places.len() > DECIMAL_PLACES_MAX
        {
            return None;
        }
        let magnitude: i128 = format!("{whole}{places}").parse().ok()?;
        let scale = 10i128.checked_pow(u32::try_from(places.len()).ok()?)?;
        Self::fraction(if negative { -magnitude } else { magnitude }, scale)
    }

    /// The numerator of the reduced fraction; carries the sign.
    #[must_use]
    #[inline]
    pub const fn numerator(self) -> i128 {
        match self.0 {
            Parts::SmallRatio(short) => short.numerator as i128,
            Parts::Long(long) => long.numerator,
        }
    }

    /// The denominator of the reduced fraction; more than zero.
    #[must_use]
    #[inline]
    pub const fn denominator(self) -> i128 {
        match self.0 {
            Parts::SmallRatio(short) => short.denominator as i128,
            Parts::Long(long) => long.denominator,
        }
    }

    /// Returns true if there is nothing behind the decimal point.
    #[must_use]
    #[inline]
    pub const fn is_whole(self) -> bool {
        self.denominator() == 1
    }

    /// The number, where it fits into 64 bits.
    #[must_use]
    #[inline]
    pub const fn short(self) -> Option<SmallRatio> {
        match self.0 {
            Parts::SmallRatio(short) => Some(short),
            Parts::Long(_) => None,
        }
    }

    /// The number, where it is whole and fits into 64 bits.
    #[must_use]
    #[inline]
    pub const fn whole_of_64_bits(self) -> Option<i64> {
        match self.0 {
            Parts::SmallRatio(SmallRatio { numerator, denominator: 1 }) => Some(numerator),
            Parts::SmallRatio(_) | Parts::Long(_) => None,
        }
    }

    /// Returns true if the value is below zero.
    #[must_use]
    #[inline]
    pub const fn is_negative(self) -> bool {
        self.numerator() < 0
    }

    /// Returns true if the value is zero.
    #[must_use]
    #[inline]
    pub const fn is_zero(self) -> bool {
        self.numerator() == 0
    }

    /// The sum.
    #[inline]
    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        if let (Some(a), Some(b)) = (self.short(), other.short())
            && let Some(sum) = a.plus(b)
        {
            return Ok(sum.into());
        }
        self.long_plus(other)
    }

    #[inline(never)]
    fn long_plus(self, other: Self) -> Result<Self, Overflow> {
        if self.is_whole() && other.is_whole() {
            return self.numerator().checked_add(other.numerator()).map(Self::whole).ok_or(Overflow);
        }
        self.ratio().checked_add(&other.ratio()).map(Self::from_ratio).ok_or(Overflow)
    }

    /// The difference.
    #[inline]
    pub fn minus(self, other: Self) -> Result<Self, Overflow> {
        if let (Some(a), Some(b)) = (self.short(), other.short())
            && let Some(difference) = a.minus(b)
        {
            return Ok(difference.into());
        }
        self.long_minus(other)
    }

    #[inline(never)]
    fn long_minus(self, other: Self) -> Result<Self, Overflow> {
        if self.is_whole() && other.is_whole() {
            return self.numerator().checked_sub(other.numerator()).map(Self::whole).ok_or(Overflow);
        }
        self.ratio().checked_sub(&other.ratio()).map(Self::from_ratio).ok_or(Overflow)
    }

    /// The product.
    #[inline]
    pub fn times(self, other: Self) -> Result<Self, Overflow> {
        if let (Some(a), Some(b)) = (self.short(), other.short()) {
            return Ok(a.product(b));
        }
        self.long_times(other)
    }

    #[inline(never)]
    fn long_times(self, other: Self) -> Result<Self, Overflow> {
        if self.is_whole() && other.is_whole() {
            return self.numerator().checked_mul(other.numerator()).map(Self::whole).ok_or(Overflow);
        }
        self.ratio().checked_mul(&other.ratio()).map(Self::from_ratio).ok_or(Overflow)
    }

    /// The quotient; `None` where `other` is zero.
    #[inline]
    pub fn over(self, other: Self) -> Option<Result<Self, Overflow>> {
        if other.is_zero() {
            return None;
        }
        if let (Some(a), Some(b)) = (self.short(), other.short())
            && let Some(turned) = b.turned()
        {
            return Some(Ok(a.product(turned)));
        }
        if self.numerator() == i128::MIN || other.numerator() == i128::MIN {
            return Some(Err(Overflow));
        }
        Some(self.ratio().checked_div(&other.ratio()).map(Self::from_ratio).ok_or(Overflow))
    }

    /// The value with the other sign.
    pub fn negate(self) -> Result<Self, Overflow> {
        Self::ZERO.minus(self)
    }

    /// The largest whole number not above the value.
    #[must_use]
    #[inline]
    pub fn floor(self) -> i128 {
        match self.0 {
            Parts::SmallRatio(SmallRatio { numerator, denominator: 1 }) => numerator.into(),
            Parts::SmallRatio(SmallRatio { numerator, denominator }) => numerator.div_euclid(denominator).into(),
            Parts::Long(Long { numerator, denominator: 1 }) => numerator,
            Parts::Long(Long { numerator, denominator }) => numerator.div_euclid(denominator),
        }
    }

    /// The smallest whole number not below the value.
    #[must_use]
    pub fn ceil(self) -> i128 {
        let floor = self.floor();
        if self.is_whole() { floor } else { floor.saturating_add(1) }
    }

    /// The nearest multiple of the increment, as the mode says.
    #[inline]
    pub fn round(self, rounding: Rounding) -> Result<Self, Overflow> {
        if let (Some(value), Some(increment)) = (self.short(), rounding.increment.short())
            && let Some(steps) = value.steps_of(increment, rounding.mode)
        {
            return Ok(SmallRatio::whole(steps).product(increment));
        }
        let steps = self.over(rounding.increment).unwrap_or(Err(Overflow))?;
        Self::whole(steps.round_to_whole(rounding.mode)?).times(rounding.increment)
    }

    fn ratio(self) -> Quotient<i128> {
        Quotient::new_raw(self.numerator(), self.denominator())
    }

    fn from_ratio(ratio: Quotient<i128>) -> Self {
        let (numerator, denominator) = ratio.into_raw();
        Self::reduced(numerator, denominator)
    }

    /// A fraction that is reduced already.
    #[inline]
    fn reduced(numerator: i128, denominator: i128) -> Self {
        Self(match (i64::try_from(numerator), i64::try_from(denominator)) {
            (Ok(numerator), Ok(denominator)) => Parts::SmallRatio(SmallRatio { numerator, denominator }),
            (_, _) => Parts::Long(Long { numerator, denominator }),
        })
    }

    fn round_to_whole(self, mode: RoundingMode) -> Result<i128, Overflow> {
        if self.is_whole() {
            return Ok(self.numerator());
        }
        let magnitude = Self::from_ratio(self.ratio().abs());
        let below = magnitude.floor();
        let rest = magnitude.minus(Self::whole(below))?;
        let away = mode.is_away(rest.plus(rest)?.cmp(&Self::ONE), below.rem_euclid(2) == 1);
        let whole = if away { below.checked_add(1).ok_or(Overflow)? } else { below };
        Ok(if self.is_negative() { whole.checked_neg().ok_or(Overflow)? } else { whole })
    }
}

impl From<SmallRatio> for Ratio {
    #[inline]
    fn from(short: SmallRatio) -> Self {
        Self(Parts::SmallRatio(short))
    }
}

impl RoundingMode {
    /// Returns true if a value between two multiples is rounded to the one away from zero. `half` is its order against
    /// the middle; `odd` is true if the multiple nearer to zero is odd.
    #[inline]
    const fn is_away(self, half: Ordering, odd: bool) -> bool {
        match (self, half) {
            (Self::Down, _) => false,
            (Self::Up, _) => true,
            (Self::HalfUp | Self::HalfDown | Self::HalfEven, Ordering::Less) => false,
            (Self::HalfUp | Self::HalfDown | Self::HalfEven, Ordering::Greater) => true,
            (Self::HalfUp, Ordering::Equal) => true,
            (Self::HalfDown, Ordering::Equal) => false,
            (Self::HalfEven, Ordering::Equal) => odd,
        }
    }
}

impl PartialOrd for Ratio {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ratio {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Some(a), Some(b)) = (self.short(), other.short()) {
            return a.cmp(&b);
        }
        // Compares by continued fractions where a cross product would not fit.
        self.ratio().cmp(&other.ratio())
    }
}

impl fmt::Display for Ratio {
    /// A decimal where one exists within twelve places, otherwise a fraction: `0.375`, `1/3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (numerator, denominator) = (self.numerator(), self.denominator());
        let places = (0u32..=12).find(|&places| 10i128.pow(places) % denominator == 0);
        match places {
            Some(0) => write!(f, "{numerator}"),
            Some(places) => {
                let scale = 10i128.pow(places);
                let whole = numerator / denominator;
                let rest = (numerator % denominator).abs() * (scale / denominator);
                let sign = if numerator < 0 && whole == 0 { "-" } else { "" };
                write!(f, "{sign}{whole}.{rest:0width$}", width = places as usize)
            }
            None => write!(f, "{numerator}/{denominator}"),
        }
    }
}

#[cfg(test)]
mod tests;
