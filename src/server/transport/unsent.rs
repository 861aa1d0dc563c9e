//! The answers of one connection that were handed over and are not sent: whether any of them waits for
//! longer than an answer may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Periods that are told apart: this one, the one before, and all that are older.
const PERIODS: usize = 3;

/// Number of unsent parts, by the period in which each was handed over.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    period: AtomicUsize,
    parts: [AtomicUsize; PERIODS],
}

/// A part of an answer that is not sent; dropped when it is.
#[must_use]
#[derive(Debug)]
pub(crate) struct UnsentPart {
    unsent: Arc<Unsent>,
    slot: usize,
}

/// Progress in sending the parts that were handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// Nothing waits for a whole period.
    Good,
    /// Something waits for one to two periods.
    Stalled,
}

impl Unsent {
    /// Notes a part that is handed over now.
    pub(crate) fn part(self: &Arc<Self>) -> UnsentPart {
        let slot = self.period.load(Relaxed) % PERIODS;
        if let Some(parts) = self.parts.get(slot) {
            parts.fetch_add(1, Relaxed);
        }
        UnsentPart { unsent: Arc::clone(self), slot }
    }

    /// Ends a period. To be called by one task, once in each.
    pub(crate) fn end_period(&self) -> Progress {
        let period = self.period.load(Relaxed);
        // The slot that comes next is the oldest.
        let next = (period + 1) % PERIODS;
        let before = (period + PERIODS - 1) % PERIODS;
        let waiting = |slot: usize| self.parts.get(slot).is_some_and(|parts| parts.load(Relaxed) != 0);
        if waiting(before) || waiting(next) {
            return Progress::Stalled;
        }
        self.period.store(next, Relaxed);
        Progress::Good
    }
}

impl Drop for UnsentPart {
    fn drop(&mut self) {
        if let Some(parts) = self.unsent.parts.get(self.slot) {
            parts.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_within_a_period_is_good_and_what_is_not_stalls() {
        let unsent = Arc::new(Unsent::default());
        for _ in 0..10 {
            let part = unsent.part();
            assert_eq!(unsent.end_period(), Progress::Good);
            drop(part);
        }
        let part = unsent.part();
        assert_eq!(unsent.end_period(), Progress::Good);
        assert_eq!(unsent.end_period(), Progress::Stalled);
        drop(part);
        assert_eq!(unsent.end_period(), Progress::Good);
    }
}
