//! Seeing to a connection: when it has to be closed from here, and why.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::server::limits::CONNECTION_CHECK_INTERVAL;
use crate::server::transport::state::{ConnectionState, Stage};
use crate::server::transport::unsent::Progress;
use crate::telemetry::labels::Closure;

/// Time limits of a listener's connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stay {
    /// Until one is told to go; each a tenth more or less of it, so that they do not all go at once.
    pub(crate) age_max: Duration,
    /// Without an open call.
    pub(crate) idle_max: Duration,
    /// Until the peer is authenticated; `None`: authentication is not required.
    pub(crate) unauthenticated_max: Option<Duration>,
}

/// Waits until a connection has to be closed.
pub(crate) async fn must_close(state: &ConnectionState, stay: Stay) -> Closure {
    let Stay { age_max, idle_max, unauthenticated_max } = stay;
    // What lies beyond the clock never comes.
    let aged = state.opened().checked_add(jittered(age_max));
    let unauthenticated = unauthenticated_max.and_then(|time| state.opened().checked_add(time));
    let mut checked = Instant::now() + CONNECTION_CHECK_INTERVAL;
    loop {
        // Where a call is open, it ends no sooner than now.
        let used_at = if state.is_idle() { state.used_at() } else { Instant::now() };
        let unknown = unauthenticated.filter(|_| !state.has_reached(Stage::Authenticated));
        let next = [aged, used_at.checked_add(idle_max), Some(checked), unknown].into_iter().flatten().min();
        tokio::select! {
            () = sleep_until(next.unwrap_or(checked)) => {}
            () = state.closing() => return Closure::Crowded,
        }
        let now = Instant::now();
        if unknown.is_some_and(|at| at <= now) && !state.has_reached(Stage::Authenticated) {
            return Closure::Unauthenticated;
        }
        if checked <= now {
            if state.unsent.end_period() == Progress::Stalled {
                return Closure::Stalled;
            }
            checked = now + CONNECTION_CHECK_INTERVAL;
        }
        if aged.is_some_and(|at| at <= now) {
            return Closure::Age;
        }
        if state.is_idle() && idle_max <= now.saturating_duration_since(state.used_at()) {
            return Closure::Idle;
        }
    }
}

/// A length of time, a tenth more or less.
fn jittered(time: Duration) -> Duration {
    // Seeded anew each time; nobody should be able to tell it, and nothing depends on it.
    let random = RandomState::new().build_hasher().finish() % 201;
    time.saturating_mul(u32::try_from(900 + random).unwrap_or(1_000)) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_spread_by_a_tenth() {
        let ages: Vec<Duration> = (0..200).map(|_| jittered(Duration::from_secs(1_000))).collect();
        let (least, most) = (ages.iter().min().unwrap().as_secs(), ages.iter().max().unwrap().as_secs());
        assert!(900 <= least && most <= 1_100 && least + 50 < most, "{least} to {most}");
    }
}
