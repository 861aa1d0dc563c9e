//! Counters that no thread waits for: each thread adds to a shard of its own, and whoever asks adds the shards up.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Number of shards: enough for the threads of a large host. Two threads that share one count right all the same, only
/// slower.
pub const SHARDS: usize = 16;

/// One shard, on cache lines of its own: two of them, since they are fetched in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard<T>(pub T);

/// Counters of one kind, once for each shard.
#[derive(Debug, Default)]
pub struct Sharded<T>(pub [Shard<T>; SHARDS]);

impl<T> Sharded<T> {
    /// The counters that this thread adds to.
    pub fn own(&self) -> &T {
        let [first, ..] = &self.0;
        let Shard(own) = self.0.get(shard_index()).unwrap_or(first);
        own
    }

    /// The sum of one counter over all shards. What is added meanwhile may or may not be in it.
    pub fn sum<'s>(&'s self, counter: impl Fn(&'s T) -> Option<&'s AtomicU64>) -> u64 {
        let counts = self.0.iter().filter_map(|Shard(counters)| Some(counter(counters)?.load(Relaxed)));
        counts.fold(0, u64::wrapping_add)
    }
}

/// One counter with a shard for each thread.
#[derive(Debug, Default)]
pub struct ShardedCounter(Sharded<AtomicU64>);

impl ShardedCounter {
    /// Adds to the count.
    pub fn add(&self, count: u64) {
        self.0.own().fetch_add(count, Relaxed);
    }

    /// Returns the count.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.sum(Some)
    }
}

/// The index of this thread's shard, below [`SHARDS`].
fn shard_index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    let index = OWN.try_with(|own| {
        own.get().unwrap_or_else(|| {
            let index = NEXT.fetch_add(1, Relaxed) % SHARDS;
            own.set(Some(index));
            index
        })
    });
    // A thread that is ending has no shard of its own any more, and may use any.
    index.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_when_more_threads_count_than_there_are_shards() {
        let counter = ShardedCounter::default();
        std::thread::scope(|scope| {
            for _ in 0..SHARDS + 4 {
                scope.spawn(|| (0..1_000).for_each(|_| counter.add(2)));
            }
        });
        assert_eq!(counter.total(), (SHARDS as u64 + 4) * 2_000);
    }
}
