//! Count of the claims decided by one snapshot, kept without any thread waiting for another.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counters of one tally. More than the threads that decide on most machines; two threads that
/// share one are still right, only slower.
const STRIPES: usize = 16;

/// A counter on cache lines of its own, two of them: they are fetched in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

/// A count that every thread adds to in a place of its own.
#[derive(Debug, Default)]
pub struct Tally {
    stripes: [Stripe; STRIPES],
}

thread_local! {
    /// Index of the stripe that this thread adds to; none before it first adds.
    static OWN: Cell<Option<usize>> = const { Cell::new(None) };
}

impl Tally {
    /// Adds to the count.
    pub fn add(&self, count: u64) {
        // A thread that is ending has no place of its own any more.
        let own = OWN.try_with(|own| own.get().unwrap_or_else(|| assign(own))).unwrap_or_default();
        if let Some(Stripe(counter)) = self.stripes.get(own) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// The count. What is added meanwhile may or may not be in it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.stripes.iter().fold(0, |total, Stripe(counter)| total.wrapping_add(counter.load(Ordering::Relaxed)))
    }
}

fn assign(own: &Cell<Option<usize>>) -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    let stripe = THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES;
    own.set(Some(stripe));
    stripe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_when_more_threads_count_than_there_are_stripes() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..STRIPES + 4 {
                scope.spawn(|| (0..1_000).for_each(|_| tally.add(2)));
            }
        });
        assert_eq!(tally.total(), (STRIPES as u64 + 4) * 2_000);
    }
}
