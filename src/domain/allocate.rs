//! Splitting an amount into shares that add up to it exactly.
//!
//! Shares follow weights by largest remainder; ties go to the earlier share. No share exceeds
//! its capacity: what does not fit is offered to the others again.

use smallvec::SmallVec;

use crate::domain::money::Amount;

/// One who takes part in a split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Weight against the other shares. One of weight zero gets nothing while another with room has a weight.
    pub weight: Amount,
    /// The most it can take.
    pub capacity: Amount,
}

impl Share {
    /// That of one who takes no part.
    pub const NONE: Self = Self { weight: Amount::ZERO, capacity: Amount::ZERO };
}

/// The parts, in the order of the shares.
pub type Parts = SmallVec<[Amount; 4]>;

/// Splits `amount` over `shares`. The parts sum to `amount`, or to the sum of the capacities
/// where that is less; no part exceeds its capacity.
#[must_use]
pub fn allocate(amount: Amount, shares: impl Iterator<Item = Share> + Clone) -> Parts {
    at_once(amount, shares.clone()).unwrap_or_else(|| in_rounds(amount, &shares.collect::<SmallVec<[Share; 4]>>()))
}

/// The most shares that are split at once.
const AT_ONCE_MAX: usize = 8;

/// The parts, where the first round places everything, in numbers of 64 bits and between a few shares: the common
/// case. `None` where anything is out of the ordinary, and the rounds are taken.
fn at_once(amount: Amount, shares: impl Iterator<Item = Share> + Clone) -> Option<Parts> {
    let total = shares.clone().try_fold(0i64, |total, share| total.checked_add(share.weight.minor()))?;
    if total <= 0 {
        return None;
    }
    let mut parts = Parts::new();
    let mut remainders = [0i64; AT_ONCE_MAX];
    let mut unused = remainders.iter_mut();
    let mut spare = amount.minor();
    for share in shares {
        let product = amount.minor().checked_mul(share.weight.minor())?;
        let (whole, remainder) = (product / total, product % total);
        if share.capacity.minor() < whole + i64::from(remainder != 0) {
            return None;
        }
        spare -= whole;
        parts.push(Amount::from_minor(whole));
        *unused.next()? = remainder;
    }
    while 0 < spare {
        // Of equal remainders the earlier share comes first.
        let largest = remainders.iter().copied().max()?;
        let (remainder, part) = remainders.iter_mut().zip(&mut parts).find(|(remainder, _)| **remainder == largest)?;
        *remainder = 0;
        *part = part.plus(Amount::from_minor(1));
        spare -= 1;
    }
    Some(parts)
}

/// The parts, offered in rounds. Each round either places everything or fills at least one share, so it ends after
/// as many rounds as there are shares.
#[inline(never)]
fn in_rounds(amount: Amount, shares: &[Share]) -> Parts {
    let mut parts = Parts::from_elem(Amount::ZERO, shares.len());
    let capacity = Amount::sum(shares.iter().map(|share| share.capacity));
    let mut left = amount.min(capacity);
    while !left.is_zero() {
        let placed = round_of_allocation(left, shares, &mut parts);
        left = left.less(placed);
    }
    parts
}

/// The offer to one share in a round.
#[derive(Clone, Copy)]
struct Offer {
    index: usize,
    whole: i128,
    remainder: i128,
    room: Amount,
}

/// Offers `left` once to every share with room, and returns how much was taken; more than zero
/// while there is room.
fn round_of_allocation(left: Amount, shares: &[Share], parts: &mut Parts) -> Amount {
    let weighted =
        shares.iter().zip(parts.iter()).any(|(share, part)| *part < share.capacity && !share.weight.is_zero());
    // Where only weightless shares have room, they count alike.
    let weight_of = |share: &Share| if weighted { i128::from(share.weight.minor()) } else { 1 };
    let is_open = |share: &Share, part: &Amount| *part < share.capacity && 0 < weight_of(share);
    let open = || shares.iter().zip(parts.iter()).enumerate().filter(|(_, (share, part))| is_open(share, part));
    let total: i128 = open().map(|(_, (share, _))| weight_of(share)).sum();
    if total == 0 {
        return left;
    }
    let amount = i128::from(left.minor());
    let mut spare = amount;
    let mut offers: SmallVec<[Offer; 4]> = SmallVec::new();
    for (index, (share, part)) in open() {
        let (whole, remainder) = divided(amount * weight_of(share), total);
        spare -= whole;
        offers.push(Offer { index, whole, remainder, room: share.capacity.less(*part) });
    }
    if 0 < spare {
        // Stable: of equal remainders the earlier share comes first.
        offers.sort_by_key(|offer| std::cmp::Reverse(offer.remainder));
    }
    let mut placed = Amount::ZERO;
    for Offer { index, whole, remainder: _, room } in offers {
        let extra = i128::from(spare > 0);
        spare -= extra;
        let offered = Amount::from_minor(i64::try_from(whole + extra).unwrap_or(i64::MAX));
        let taken = offered.min(room);
        if let Some(part) = parts.get_mut(index) {
            *part = part.plus(taken);
        }
        placed = placed.plus(taken);
    }
    placed
}

/// The quotient and the rest. Most fit into 64 bits, where a division takes a fraction of the time.
fn divided(number: i128, by: i128) -> (i128, i128) {
    match (u64::try_from(number), u64::try_from(by)) {
        (Ok(number), Ok(by)) if by != 0 => (i128::from(number / by), i128::from(number % by)),
        (_, _) => (number / by, number % by),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn share(weight: i64, capacity: i64) -> Share {
        Share { weight: Amount::from_minor(weight), capacity: Amount::from_minor(capacity) }
    }

    fn split(amount: i64, shares: &[Share]) -> Vec<i64> {
        allocate(Amount::from_minor(amount), shares.iter().copied()).iter().map(|part| part.minor()).collect()
    }

    #[test]
    fn the_largest_remainder_takes_the_odd_cent() {
        assert_eq!(split(100, &[share(1, 100), share(1, 100), share(1, 100)]), [34, 33, 33]);
        assert_eq!(split(12_500, &[share(15_000, 15_000), share(5_000, 5_000)]), [9_375, 3_125]);
        assert_eq!(split(10, &[share(1, 10), share(2, 10)]), [3, 7]);
    }

    #[test]
    fn what_does_not_fit_goes_to_the_others() {
        assert_eq!(split(100, &[share(1, 10), share(1, 200)]), [10, 90]);
        assert_eq!(split(100, &[share(5, 10), share(0, 200)]), [10, 90]);
        assert_eq!(split(100, &[share(1, 10), share(1, 20)]), [10, 20]);
    }

    #[test]
    fn all_zero_weights_count_alike() {
        assert_eq!(split(3, &[share(0, 2), share(0, 2)]), [2, 1]);
        assert_eq!(split(3, &[]), Vec::<i64>::new());
    }

    proptest! {
        #[test]
        fn a_split_at_once_is_that_of_the_rounds(
            amount in 0i64..5_000,
            shares in proptest::collection::vec((0i64..4_000, 0i64..4_000), 0..12),
        ) {
            let shares: Vec<Share> = shares.into_iter().map(|(weight, capacity)| share(weight, capacity)).collect();
            let amount = Amount::from_minor(amount);
            prop_assert_eq!(allocate(amount, shares.iter().copied()), in_rounds(amount, &shares));
        }

        #[test]
        fn parts_add_up_and_fit(
            amount in 0i64..1_000_000,
            shares in proptest::collection::vec((0i64..1_000, 0i64..200_000), 0..8),
        ) {
            let shares: Vec<Share> = shares.into_iter().map(|(weight, capacity)| share(weight, capacity)).collect();
            let parts = split(amount, &shares);
            let capacity: i64 = shares.iter().map(|share| share.capacity.minor()).sum();
            prop_assert_eq!(parts.iter().sum::<i64>(), amount.min(capacity));
            for (part, share) in parts.iter().zip(&shares) {
                prop_assert!(0 <= *part && *part <= share.capacity.minor());
            }
        }
    }
}
