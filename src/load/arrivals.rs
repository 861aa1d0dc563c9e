//! When requests are meant to be sent: an open loop, fixed before the first answer is seen.
//!
//! Nothing here knows of answers, connections or clocks. That is the point: a server that stalls
//! cannot slow the schedule down, so its stall shows in every request that fell into it.

use std::time::Duration;

use crate::load::random::Random;

/// Requests per second at most; above it, a nanosecond clock has too few steps between two of them.
pub const RATE_PER_S_MAX: u32 = 1_000_000;

/// Distribution of requests over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrivals {
    /// Every gap is the same.
    Constant,
    /// Independent callers: gaps are exponential, and bursts happen as they do in the field.
    Poisson,
}

/// The part of the whole load that one thread sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Counted from zero.
    pub index: u32,
    /// Of so many; at least one.
    pub of: u32,
}

/// The moments of one part, counted from the beginning of the run. Without an end.
#[derive(Clone, Debug)]
pub struct Schedule {
    rate_per_s: u32,
    part: Part,
    gaps: Gaps,
    next: Duration,
}

#[derive(Clone, Debug)]
enum Gaps {
    /// Number of requests of the whole load that come before the next of this part.
    Constant {
        before: u64,
    },
    Poisson {
        random: Random,
    },
}

impl Schedule {
    /// The schedule of a part. All parts together have the whole rate.
    #[must_use]
    pub fn new(arrivals: Arrivals, rate_per_s: u32, part: Part, seed: u64) -> Self {
        let part = Part { of: part.of.max(1), ..part };
        let gaps = match arrivals {
            Arrivals::Constant => Gaps::Constant { before: u64::from(part.index) },
            // Each part is a process of its own; together they are one of the whole rate.
            Arrivals::Poisson => Gaps::Poisson { random: Random::new(seed ^ u64::from(part.index).rotate_left(32)) },
        };
        let mut schedule = Self { rate_per_s: rate_per_s.max(1), part, gaps, next: Duration::ZERO };
        schedule.next = schedule.moment();
        schedule
    }

    /// When the next request is meant to be sent.
    #[must_use]
    pub const fn next(&self) -> Duration {
        self.next
    }

    /// Goes on to the one after it.
    pub fn advance(&mut self) {
        if let Gaps::Constant { before } = &mut self.gaps {
            *before = before.saturating_add(u64::from(self.part.of));
        }
        self.next = self.moment();
    }

    fn moment(&mut self) -> Duration {
        match &mut self.gaps {
            // From the count and not from the moment before, so that no rounding adds up.
            Gaps::Constant { before } => {
                let nanos = u128::from(*before) * 1_000_000_000 / u128::from(self.rate_per_s);
                Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
            }
            Gaps::Poisson { random } => {
                let mean_s = f64::from(self.part.of) / f64::from(self.rate_per_s);
                // The logarithm of the smallest share is -37, so a gap is never out of range.
                self.next + Duration::from_secs_f64(-random.share().ln() * mean_s)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(arrivals: Arrivals, rate: u32, part: Part, count: usize) -> Vec<Duration> {
        let mut schedule = Schedule::new(arrivals, rate, part, 42);
        let step = |schedule: &mut Schedule| {
            let moment = schedule.next();
            schedule.advance();
            moment
        };
        (0..count).map(|_| step(&mut schedule)).collect()
    }

    #[test]
    fn parts_of_a_constant_load_interleave_to_the_whole() {
        let whole = moments(Arrivals::Constant, 3_000, Part { index: 0, of: 1 }, 3_001);
        assert_eq!(whole[3_000], Duration::from_secs(1), "no rounding adds up");
        let mut parts: Vec<_> =
            (0..3).flat_map(|index| moments(Arrivals::Constant, 3_000, Part { index, of: 3 }, 1_000)).collect();
        parts.sort();
        assert_eq!(parts, whole[..3_000]);
    }

    #[test]
    fn parts_of_a_poisson_load_have_the_whole_rate_and_differ() {
        let parts: Vec<_> =
            (0..2).map(|index| moments(Arrivals::Poisson, 1_000, Part { index, of: 2 }, 20_000)).collect();
        assert_ne!(parts[0], parts[1]);
        for part in &parts {
            assert!(part.is_sorted());
            // 20 000 gaps of 2 ms: 40 s, give or take five of the 0.28 s that chance allows.
            let last = part.last().unwrap().as_secs_f64();
            assert!((38.6..41.4).contains(&last), "{last}");
        }
    }

    #[test]
    fn poisson_gaps_vary_as_much_as_they_are_long() {
        let moments = moments(Arrivals::Poisson, 1_000, Part { index: 0, of: 1 }, 20_000);
        let gaps: Vec<f64> = moments.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let spread = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!((0.9..1.1).contains(&(spread / mean)), "{spread} of {mean}");
    }

    #[test]
    fn a_seed_repeats_itself() {
        let part = Part { index: 1, of: 2 };
        assert_eq!(moments(Arrivals::Poisson, 50, part, 100), moments(Arrivals::Poisson, 50, part, 100));
    }
}
