//! Exact arithmetic against arithmetic on big numbers.

use super::*;
use proptest::sample::select;

use proptest::prelude::*;

/// Numbers on both sides of every bound at which another road is taken.
fn number() -> impl Strategy<Value = Ratio> {
    let whole = prop_oneof![
        3 => -50i128..50,
        2 => (-1_000_000_000_000_000i128..1_000_000_000_000_000).prop_map(|n| n * 10_000),
        1 => select(vec![i128::from(i64::MAX), i128::from(i64::MIN), i128::from(i64::MAX) + 1, i128::MAX, i128::MIN + 1]),
        1 => proptest::num::i64::ANY.prop_map(i128::from),
    ];
    let below =
        prop_oneof![3 => Just(1i128), 3 => 1i128..60, 1 => 1i128..=i128::from(i64::MAX) + 1, 1 => Just(i128::MAX)];
    (whole, below).prop_map(|(numerator, denominator)| Ratio::fraction(numerator, denominator).unwrap())
}

#[test]
fn a_fraction_whose_sign_cannot_be_turned_is_none() {
    for (numerator, denominator) in [(1, 0), (0, 0), (i128::MIN, 0), (i128::MIN, 1), (i128::MIN, -1), (1, i128::MIN)] {
        assert_eq!(Ratio::fraction(numerator, denominator), None, "{numerator} / {denominator}");
    }
    assert_eq!(Ratio::fraction(i128::MIN + 1, -1), Some(Ratio::whole(i128::MAX)));
}

proptest! {
    #[test]
    fn short_roads_lead_where_the_long_one_does(a in number(), b in number()) {
        let long = |result: Option<Quotient<i128>>| result.map(Ratio::from_ratio).ok_or(Overflow);
        prop_assert_eq!(a.plus(b), long(a.ratio().checked_add(&b.ratio())));
        prop_assert_eq!(a.minus(b), long(a.ratio().checked_sub(&b.ratio())));
        prop_assert_eq!(a.times(b), long(a.ratio().checked_mul(&b.ratio())));
        if !b.is_zero() {
            prop_assert_eq!(a.over(b), Some(long(a.ratio().checked_div(&b.ratio()))));
        }
        prop_assert_eq!(a.cmp(&b), a.ratio().cmp(&b.ratio()));
        prop_assert_eq!(a == b, a.ratio() == b.ratio());
        prop_assert_eq!(a.floor(), a.ratio().numer().div_euclid(*a.ratio().denom()));
        if Ratio::ZERO < b {
            for mode in [RoundingMode::HalfUp, RoundingMode::HalfDown, RoundingMode::HalfEven, RoundingMode::Up, RoundingMode::Down] {
                let steps = a.over(b).unwrap().and_then(|steps| steps.round_to_whole(mode));
                let long = steps.and_then(|steps| Ratio::whole(steps).times(b));
                prop_assert_eq!(a.round(to(b, mode)), long, "{:?}", mode);
            }
        }
    }
}

fn exact(numerator: i128, denominator: i128) -> Ratio {
    Ratio::fraction(numerator, denominator).unwrap()
}

fn to(increment: Ratio, mode: RoundingMode) -> Rounding {
    Rounding { increment, mode }
}

#[test]
fn three_thirds_are_one() {
    let third = exact(1, 3);
    assert_eq!(third.plus(third).unwrap().plus(third).unwrap(), Ratio::ONE);
}

#[test]
fn rounding_takes_the_named_side_of_a_tie() {
    let tie = exact(5, 2);
    for (mode, expected) in [
        (RoundingMode::HalfUp, 3),
        (RoundingMode::HalfDown, 2),
        (RoundingMode::HalfEven, 2),
        (RoundingMode::Up, 3),
        (RoundingMode::Down, 2),
    ] {
        assert_eq!(tie.round(to(Ratio::ONE, mode)).unwrap(), Ratio::whole(expected), "{mode:?}");
        let minus = tie.negate().unwrap();
        assert_eq!(minus.round(to(Ratio::ONE, mode)).unwrap(), Ratio::whole(-expected), "-{mode:?}");
    }
}

#[test]
fn rounding_goes_to_any_increment() {
    let fee = exact(2765, 100);
    assert_eq!(fee.round(to(exact(1, 2), RoundingMode::HalfUp)).unwrap(), exact(55, 2));
    assert_eq!(fee.round(to(Ratio::whole(10), RoundingMode::Down)).unwrap(), Ratio::whole(20));
}

#[test]
fn overflow_is_said_and_never_wraps() {
    let large = Ratio::whole(i128::MAX);
    assert_eq!(large.plus(Ratio::ONE), Err(Overflow));
    assert_eq!(large.times(Ratio::whole(2)), Err(Overflow));
    assert_eq!(Ratio::whole(i128::MIN).over(Ratio::whole(-1)), Some(Err(Overflow)));
    assert_eq!(exact(1, i128::MAX).times(exact(1, 3)), Err(Overflow));
}

#[test]
fn ordering_holds_where_cross_products_do_not_fit() {
    let a = exact(i128::MAX, i128::MAX - 1);
    let b = exact(i128::MAX - 1, i128::MAX - 2);
    assert!(a < b);
}

#[test]
fn display_is_a_decimal_where_one_exists() {
    assert_eq!(exact(3, 8).to_string(), "0.375");
    assert_eq!(exact(-1, 2).to_string(), "-0.5");
    assert_eq!(exact(-5, 2).to_string(), "-2.5");
    assert_eq!(exact(1, 3).to_string(), "1/3");
    assert_eq!(Ratio::whole(42).to_string(), "42");
}
