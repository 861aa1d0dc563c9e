//! Exact numbers and chance, without the library.

use std::cmp::Ordering;

/// A fraction in lowest terms. The generator keeps numbers small; one that is not is a mistake of the test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rat {
    pub n: i128,
    pub d: i128,
}

const SMALL: &str = "the generator keeps numbers small";

fn product(a: i128, b: i128) -> i128 {
    a.checked_mul(b).expect(SMALL)
}

impl Rat {
    pub const ZERO: Self = Self { n: 0, d: 1 };
    pub const ONE: Self = Self { n: 1, d: 1 };

    pub const fn whole(n: i128) -> Self {
        Self { n, d: 1 }
    }

    pub fn new(n: i128, d: i128) -> Self {
        assert_ne!(d, 0);
        if d == 1 {
            return Self { n, d };
        }
        let (mut a, mut b) = (n.abs(), d.abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self { n: n / a * d.signum(), d: d.abs() / a }
    }

    pub fn plus(self, other: Self) -> Self {
        let n = product(self.n, other.d).checked_add(product(other.n, self.d)).expect(SMALL);
        Self::new(n, product(self.d, other.d))
    }

    pub fn minus(self, other: Self) -> Self {
        self.plus(other.negated())
    }

    pub fn times(self, other: Self) -> Self {
        Self::new(product(self.n, other.n), product(self.d, other.d))
    }

    pub fn over(self, other: Self) -> Option<Self> {
        (other.n != 0).then(|| Self::new(product(self.n, other.d), product(self.d, other.n)))
    }

    pub fn negated(self) -> Self {
        Self { n: -self.n, d: self.d }
    }

    pub fn floor(self) -> i128 {
        self.n.div_euclid(self.d)
    }

    pub fn ceil(self) -> i128 {
        -self.negated().floor()
    }

    /// To multiples of `step`: the neighbours on both sides are looked at, and one of them is taken.
    pub fn rounded(self, step: Self, mode: Mode) -> Self {
        let steps = self.over(step).expect("a step is above zero");
        let (low, high) = (steps.floor(), steps.ceil());
        let (inner, outer) = if steps.n < 0 { (high, low) } else { (low, high) };
        let to_inner = steps.minus(Self::whole(inner));
        let to_outer = Self::whole(outer).minus(steps);
        let nearer = Self { n: to_inner.n.abs(), ..to_inner }.cmp(&Self { n: to_outer.n.abs(), ..to_outer });
        let taken = match (mode, nearer) {
            _ if low == high => low,
            (Mode::Down, _) => inner,
            (Mode::Up, _) => outer,
            (_, Ordering::Less) => inner,
            (_, Ordering::Greater) => outer,
            (Mode::HalfUp, Ordering::Equal) => outer,
            (Mode::HalfDown, Ordering::Equal) => inner,
            (Mode::HalfEven, Ordering::Equal) if inner % 2 == 0 => inner,
            (Mode::HalfEven, Ordering::Equal) => outer,
        };
        Self::whole(taken).times(step)
    }
}

impl PartialOrd for Rat {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rat {
    fn cmp(&self, other: &Self) -> Ordering {
        product(self.n, other.d).cmp(&product(other.n, self.d))
    }
}

/// How a number between two steps is rounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    HalfUp,
    HalfDown,
    HalfEven,
    Up,
    Down,
}

impl Mode {
    pub const ALL: [Self; 5] = [Self::HalfUp, Self::HalfDown, Self::HalfEven, Self::Up, Self::Down];

    pub const fn word(self) -> &'static str {
        match self {
            Self::HalfUp => "half_up",
            Self::HalfDown => "half_down",
            Self::HalfEven => "half_even",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Chance from a seed: the same on every machine.
#[derive(Debug)]
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ (b >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(usize::try_from(high - low + 1).unwrap())).unwrap()
    }

    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Some of these, in their order; `least` at least.
    pub fn some<T: Copy>(&mut self, from: &[T], least: usize) -> Vec<T> {
        let mut kept: Vec<T> = from.iter().copied().filter(|_| self.percent(50)).collect();
        while kept.len() < least.min(from.len()) {
            let one = self.below(from.len());
            kept = from.iter().copied().skip(one).take(least).collect();
        }
        kept
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let other = self.below(at + 1);
            items.swap(at, other);
        }
    }
}
