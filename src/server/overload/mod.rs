//! Overload: the calls that the data service takes, and the answer to those that it does not.
//!
//! A call costs microseconds, so there are hardly ever more calls in progress than threads: what grows
//! when there is too much to do is the time that calls wait to be begun. That time is measured: where
//! calls wait for too long and all threads are busy, each caller gets a share of work, the same for all,
//! and what it asks for beyond that is refused. Connections of callers over their share are read from
//! one after the other, and only while no other connection has work. Before anybody is over a share, and
//! without one, connections of one caller that have much to do get the threads one after the other: whoever
//! else calls waits for one of them, not for all.
//!
//! Under a fixed limit, calls in progress are counted instead.

mod admission;
mod answer;
mod caller;
mod limits;
mod monitor;
mod pace;
mod places;
mod refusal;
mod share;
#[cfg(test)]
mod simulation;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::HeaderName;
use tokio::sync::Semaphore;

pub(crate) use admission::Admission;
pub(crate) use answer::{AdmittedBody, Answering};
pub(crate) use caller::{CallerKey, Payer};
pub(crate) use monitor::watch;
pub(crate) use pace::{MoreToRead, Order, Pace, Reading, yield_to_others};
pub(crate) use places::{FairPlaces, Place};

use crate::server::limits::{BATCHES_AT_ONCE_MAX, HEAVY_CALLS_AT_ONCE_MAX, HEAVY_CALLS_AT_ONCE_MIN};
use crate::server::overload::caller::Callers;
use crate::server::overload::refusal::Refusals;
use crate::server::overload::share::Share;

/// Settings that protect the data service from overload.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OverloadConfig {
    /// Calls in progress at most; without it, calls are refused by how long they wait.
    pub concurrency_limit: Option<NonZeroUsize>,
    /// The header whose value names the caller; without it, and for calls without the header, a caller is
    /// an address.
    pub caller_header: Option<HeaderName>,
}

/// No share is in force.
const UNLIMITED: u64 = u64::MAX;

/// The limiter of a server.
#[derive(Debug)]
pub(crate) struct Limiter {
    config: OverloadConfig,
    callers: Callers,
    refusals: Refusals,
    /// The share in force, or [`UNLIMITED`].
    share: AtomicU64,
    /// Places to read for connections whose callers are over their share: one for each thread.
    readers: Arc<Semaphore>,
    places: Places,
}

/// Places that calls wait for if they are not answered at once.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// For calls that are answered on threads of their own.
    pub(crate) heavy: FairPlaces,
    /// For batches, which are answered between other calls.
    pub(crate) batches: FairPlaces,
}

impl Limiter {
    /// A limiter for a runtime of so many threads.
    pub(crate) fn new(config: OverloadConfig, threads: usize) -> Arc<Self> {
        Arc::new(Self {
            config,
            callers: Callers::new(threads),
            refusals: Refusals::new(),
            share: AtomicU64::new(UNLIMITED),
            readers: Arc::new(Semaphore::new(threads.max(1))),
            places: Places {
                heavy: FairPlaces::new(threads.clamp(HEAVY_CALLS_AT_ONCE_MIN, HEAVY_CALLS_AT_ONCE_MAX)),
                batches: FairPlaces::new(BATCHES_AT_ONCE_MAX),
            },
        })
    }

    /// Places for calls that are not answered at once.
    pub(crate) fn places(&self) -> Places {
        self.places.clone()
    }

    /// The payer for calls of unknown callers.
    pub(crate) fn unknown(&self) -> Payer {
        Payer(self.callers.get(CallerKey::Unknown, self.share()))
    }

    fn share(&self) -> Option<Share> {
        match self.share.load(Relaxed) {
            UNLIMITED => None,
            share => Some(share),
        }
    }

    fn set_share(&self, share: Option<Share>) {
        self.share.store(share.unwrap_or(UNLIMITED), Relaxed);
        self.callers.totals().limited.store(share.is_some(), Relaxed);
    }
}
