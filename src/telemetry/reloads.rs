//! How the attempts to put policies in force came out, as numbers: a pure count for whoever shows
//! it, and the same for the collector.

use std::sync::{Mutex, PoisonError};

use crate::domain::time::Timestamp;
use crate::telemetry::event::{ReloadResult, ReloadTrigger, Reloaded, Success};

/// Attempts since the program was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReloadStats {
    /// By trigger and result, in the order in which they are declared.
    counts: [[u64; ReloadResult::ALL.len()]; ReloadTrigger::ALL.len()],
    /// How the last one came out; `None` before the first.
    last: Option<Success>,
    /// When the last successful one was.
    last_success_at: Option<Timestamp>,
    /// How often a revision could not be kept in the state directory.
    not_kept: u64,
}

/// What the gauges of the configuration show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigGauges {
    /// How the last attempt came out.
    pub last: Success,
    /// When the last successful one was.
    pub last_success_at: Option<Timestamp>,
    /// The digest in force.
    pub digest: String,
}

static GAUGES: Mutex<Option<ConfigGauges>> = Mutex::new(None);

impl ReloadStats {
    /// Counts an attempt.
    pub fn note(&mut self, attempt: Reloaded, at: Timestamp) {
        let Reloaded { trigger, result } = attempt;
        if let Some(count) = self.counts.get_mut(trigger as usize).and_then(|row| row.get_mut(result as usize)) {
            *count = count.saturating_add(1);
        }
        self.last = Some(result.success());
        if result.success() == Success::Yes {
            self.last_success_at = Some(at);
        }
    }

    /// Counts a revision that could not be kept.
    pub const fn note_not_kept(&mut self) {
        self.not_kept = self.not_kept.saturating_add(1);
    }

    /// How many attempts, by trigger and result; every pair, also where there was none.
    pub fn counts(&self) -> impl Iterator<Item = (ReloadTrigger, ReloadResult, u64)> {
        ReloadTrigger::ALL.into_iter().zip(self.counts).flat_map(|(trigger, row)| {
            ReloadResult::ALL.into_iter().zip(row).map(move |(result, count)| (trigger, result, count))
        })
    }

    /// How the last attempt came out; `None` before the first.
    #[must_use]
    pub const fn last(&self) -> Option<Success> {
        self.last
    }

    /// When the last successful attempt was.
    #[must_use]
    pub const fn last_success_at(&self) -> Option<Timestamp> {
        self.last_success_at
    }

    /// How often a revision could not be kept in the state directory.
    #[must_use]
    pub const fn not_kept(&self) -> u64 {
        self.not_kept
    }
}

impl ConfigGauges {
    /// From now on, the gauges show this.
    pub fn show(self) {
        *GAUGES.lock().unwrap_or_else(PoisonError::into_inner) = Some(self);
    }

    /// What the gauges show; `None` before anything is in force.
    pub(super) fn shown() -> Option<Self> {
        GAUGES.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_words_is_the_order_of_the_counts() {
        for (n, trigger) in ReloadTrigger::ALL.into_iter().enumerate() {
            assert_eq!(trigger as usize, n);
            assert_eq!(ReloadTrigger::of_slug(trigger.slug()), Some(trigger));
        }
        for (n, result) in ReloadResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, n);
        }
    }

    #[test]
    fn a_failure_keeps_the_time_of_the_last_success() {
        let at = |seconds| Timestamp::from_unix(seconds, 0).unwrap();
        let mut stats = ReloadStats::default();
        stats.note(Reloaded { trigger: ReloadTrigger::Signal, result: ReloadResult::Applied }, at(1));
        stats.note(Reloaded { trigger: ReloadTrigger::Poll, result: ReloadResult::Rejected }, at(2));
        assert_eq!((stats.last(), stats.last_success_at()), (Some(Success::No), Some(at(1))));
        let counted: Vec<_> = stats.counts().filter(|(_, _, count)| *count > 0).collect();
        let (signal, poll) = (ReloadTrigger::Signal, ReloadTrigger::Poll);
        assert_eq!(counted, [(poll, ReloadResult::Rejected, 1), (signal, ReloadResult::Applied, 1)]);
        assert_eq!(stats.counts().count(), 28);
    }
}
