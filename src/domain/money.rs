//! Amounts of money as whole minor units of one currency.
//!
//! A decision is made in one currency, so an [`Amount`] does not carry it: the currency is
//! checked once, where money enters, and named once, where it leaves.

use std::fmt;

use crate::domain::limits::AMOUNT_MINOR_UNITS_MAX;
use crate::domain::ratio::{Overflow, Ratio};

/// A unit of account: an ISO 4217 currency, or one that a policy declares (points, credits).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Currency {
    /// `CNY`, `JPY`, …
    pub code: String,
    /// Decimal places of the minor unit: 2 for CNY, 0 for JPY, 3 for BHD.
    pub exponent: u8,
}

/// The largest number of decimal places that a currency may have: nine, as in `google.type.Money`.
pub const EXPONENT_MAX: u8 = 9;

/// Minor units of one unit, by the number of decimal places.
const MINOR_PER_UNIT: [i64; EXPONENT_MAX as usize + 1] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// An amount in minor units; never below zero in a fact or a decision.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Amount(i64);

/// Reasons why units and nanos are not an amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MoneyError {
    /// `nanos` is outside ±999 999 999.
    #[error("nanos must lie between -999999999 and 999999999")]
    NanosOutOfRange,
    /// One of units and nanos is above zero and the other below.
    #[error("units and nanos must have the same sign")]
    MixedSigns,
    /// Below zero.
    #[error("must not be negative")]
    Negative,
    /// Finer than the minor unit of the currency.
    #[error("must be a multiple of the currency's minor unit (nanos are billionths of a unit: 0.50 is 500000000)")]
    TooPrecise,
    /// Above [`AMOUNT_MINOR_UNITS_MAX`].
    #[error("must be at most {AMOUNT_MINOR_UNITS_MAX} minor units")]
    TooLarge,
}

impl Currency {
    /// The ISO 4217 currency of this code, with its published number of decimal places.
    /// `None` where the code is not of the standard, or has no minor unit (XAU, XXX).
    #[must_use]
    pub fn iso(code: &str) -> Option<Self> {
        let currency = iso_currency::Currency::from_code(code)?;
        let exponent = u8::try_from(currency.exponent()?).ok()?;
        Some(Self { code: currency.code().to_owned(), exponent })
    }

    /// Number of minor units in one unit.
    #[must_use]
    pub fn minor_per_unit(&self) -> i64 {
        MINOR_PER_UNIT.get(usize::from(self.exponent)).copied().unwrap_or(1_000_000_000)
    }

    /// The amount that `units` and `nanos` (billionths of a unit) stand for.
    pub fn amount(&self, units: i64, nanos: i32) -> Result<Amount, MoneyError> {
        if !(-999_999_999..=999_999_999).contains(&nanos) {
            return Err(MoneyError::NanosOutOfRange);
        }
        if (units > 0 && nanos < 0) || (units < 0 && nanos > 0) {
            return Err(MoneyError::MixedSigns);
        }
        if units < 0 || nanos < 0 {
            return Err(MoneyError::Negative);
        }
        let nanos_per_minor = self.nanos_per_minor();
        if i64::from(nanos) % nanos_per_minor != 0 {
            return Err(MoneyError::TooPrecise);
        }
        units
            .checked_mul(self.minor_per_unit())
            .and_then(|minor| minor.checked_add(i64::from(nanos) / nanos_per_minor))
            .filter(|&minor| minor <= AMOUNT_MINOR_UNITS_MAX)
            .map(Amount)
            .ok_or(MoneyError::TooLarge)
    }

    /// Units and nanos of an amount: what [`Currency::amount`] reads.
    #[must_use]
    pub fn units_and_nanos(&self, amount: Amount) -> (i64, i32) {
        let per_unit = self.minor_per_unit();
        let nanos = (amount.0 % per_unit) * self.nanos_per_minor();
        // Below one thousand million in magnitude by construction.
        (amount.0 / per_unit, i32::try_from(nanos).unwrap_or(0))
    }

    /// The amount in billionths of a unit: what formulas calculate in.
    #[must_use]
    pub fn nanos(&self, amount: Amount) -> Ratio {
        // At most 10^15 minor units of at most 10^9 billionths each: far inside 127 bits.
        Ratio::product_of(amount.minor(), self.nanos_per_minor())
    }

    /// Billionths of a unit in one minor unit.
    #[must_use]
    pub fn nanos_per_minor(&self) -> i64 {
        // The same table from its end: the exponents of both add up to nine.
        MINOR_PER_UNIT.iter().rev().nth(self.exponent.into()).copied().unwrap_or(1)
    }

    /// The amount of so many billionths of a unit, which were rounded to whole minor units.
    pub fn from_nanos(&self, nanos: Ratio) -> Result<Amount, Overflow> {
        if let Some(nanos) = nanos.whole_of_64_bits() {
            let (minor, rest) = (nanos / self.nanos_per_minor(), nanos % self.nanos_per_minor());
            return if rest == 0 { Ok(Amount(minor)) } else { Err(Overflow) };
        }
        let minor = nanos.over(Ratio::whole(i128::from(self.nanos_per_minor()))).ok_or(Overflow)??;
        Amount::from_exact(minor)
    }

    /// The amount as a person writes it, without the code: `125.00`.
    #[must_use]
    pub fn decimal(&self, amount: Amount) -> String {
        let per_unit = self.minor_per_unit().unsigned_abs();
        let magnitude = amount.0.unsigned_abs();
        let sign = if amount.0 < 0 { "-" } else { "" };
        match self.exponent {
            0 => format!("{sign}{magnitude}"),
            places => {
                let (whole, rest) = (magnitude / per_unit, magnitude % per_unit);
                format!("{sign}{whole}.{rest:0width$}", width = usize::from(places))
            }
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)
    }
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many minor units.
    #[must_use]
    pub const fn from_minor(minor: i64) -> Self {
        Self(minor)
    }

    /// The number of minor units.
    #[must_use]
    pub const fn minor(self) -> i64 {
        self.0
    }

    /// Returns true if the amount is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The amount as an exact number of minor units.
    #[must_use]
    pub const fn exact(self) -> Ratio {
        Ratio::whole(self.0 as i128)
    }

    /// A whole number of minor units as an amount, from an exact number that was rounded to one.
    pub fn from_exact(value: Ratio) -> Result<Self, Overflow> {
        if !value.is_whole() {
            return Err(Overflow);
        }
        i64::try_from(value.numerator()).map(Self).map_err(|_| Overflow)
    }

    /// The sum. The bounds of a request keep every sum of an order inside an `i64`
    /// (see [`crate::domain::limits`]), so it does not overflow.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns the amount less `other`; zero where `other` is more.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        if other.0 >= self.0 { Self::ZERO } else { Self(self.0 - other.0) }
    }

    /// The sum of several amounts.
    #[must_use]
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Self {
        amounts.into_iter().fold(Self::ZERO, Self::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::iso(code).unwrap()
    }

    #[test]
    fn iso_exponents_are_the_published_ones() {
        for (code, exponent) in [("CNY", 2), ("JPY", 0), ("BHD", 3), ("USD", 2)] {
            assert_eq!(currency(code).exponent, exponent, "{code}");
        }
        assert_eq!(Currency::iso("cny"), None);
        assert_eq!(Currency::iso("XAU"), None);
    }

    #[test]
    fn money_finer_than_the_minor_unit_is_an_error() {
        assert_eq!(currency("JPY").amount(100, 500_000_000), Err(MoneyError::TooPrecise));
        assert_eq!(currency("CNY").amount(1, 1), Err(MoneyError::TooPrecise));
        assert_eq!(currency("CNY").amount(1, 10_000_000), Ok(Amount(101)));
        assert_eq!(currency("BHD").amount(1, 1_000_000), Ok(Amount(1001)));
    }

    #[test]
    fn signs_and_ranges_are_checked() {
        let cny = currency("CNY");
        assert_eq!(cny.amount(1, -10_000_000), Err(MoneyError::MixedSigns));
        assert_eq!(cny.amount(-1, 10_000_000), Err(MoneyError::MixedSigns));
        assert_eq!(cny.amount(-1, 0), Err(MoneyError::Negative));
        assert_eq!(cny.amount(0, -10_000_000), Err(MoneyError::Negative));
        assert_eq!(cny.amount(0, 1_000_000_000), Err(MoneyError::NanosOutOfRange));
        assert_eq!(cny.amount(i64::MAX, 0), Err(MoneyError::TooLarge));
        assert_eq!(cny.amount(10_000_000_000_000, 0), Ok(Amount(AMOUNT_MINOR_UNITS_MAX)));
        assert_eq!(cny.amount(10_000_000_000_000, 10_000_000), Err(MoneyError::TooLarge));
    }

    #[test]
    fn decimals_show_every_place_of_the_currency() {
        assert_eq!(currency("CNY").decimal(Amount(12_500)), "125.00");
        assert_eq!(currency("CNY").decimal(Amount(5)), "0.05");
        assert_eq!(currency("JPY").decimal(Amount(500)), "500");
        assert_eq!(currency("BHD").decimal(Amount(1)), "0.001");
    }
}
