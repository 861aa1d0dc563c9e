//! The monitor: one task that measures how long tasks and calls wait, and sets the share by it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::runtime::RuntimeMetrics;
use tokio::time::{Instant, sleep_until};

use crate::server::overload::Limiter;
use crate::server::overload::limits::{FAIR_DIVISOR, TICK, WINDOW};
use crate::server::overload::places::PlacesUse;
use crate::server::overload::share::{Controller, Share, Window};
use crate::telemetry;

/// Timers are as coarse as this, so a task that is so late was not kept from running.
const TIMER_GRAIN: Duration = Duration::from_millis(1);

/// Measures and sets the share until it is dropped.
pub(crate) async fn watch(limiter: Arc<Limiter>) {
    let metrics = tokio::runtime::Handle::current().metrics();
    let mut controller = Controller::default();
    let mut meter = Meter::new(&metrics);
    loop {
        let window = meter.window(&limiter, &metrics).await;
        if limiter.config.concurrency_limit.is_some() {
            continue;
        }
        let (before, share) = (limiter.share(), controller.update(&window));
        limiter.set_share(share);
        telemetry::overload::observe(window.waited(), share);
        match (before, share) {
            (None, Some(_)) => {
                let Window { lag, delay, heavy_delay, .. } = window;
                tracing::info!(?lag, ?delay, ?heavy_delay, "overloaded: calls of callers over their share are refused");
            }
            (Some(_), None) => tracing::info!("no longer overloaded: all calls are taken"),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

/// Work that each of `active` callers may always bring, in nanoseconds of these threads per second.
fn fair(threads: u64, active: u64) -> Share {
    threads.saturating_mul(1_000_000_000) / active.max(1) / FAIR_DIVISOR
}

/// The last measurements, and their time.
#[derive(Debug)]
struct Meter {
    at: Instant,
    /// Of each thread.
    busy: Vec<Duration>,
    admitted: u64,
    delay_nanos: u64,
    heavy: PlacesUse,
    batches: PlacesUse,
    /// Wait of the heavy calls that got a place last.
    heavy_delay: Duration,
}

impl Meter {
    fn new(metrics: &RuntimeMetrics) -> Self {
        let busy = (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).collect();
        let (heavy, batches) = (PlacesUse::default(), PlacesUse::default());
        Self { at: Instant::now(), busy, admitted: 0, delay_nanos: 0, heavy, batches, heavy_delay: Duration::ZERO }
    }

    /// The part of the threads' time in which they were busy since the last time, 0 to 1. A thread says so
    /// only now and then: one that has said nothing and does not sleep is busy.
    fn utilization(&mut self, metrics: &RuntimeMetrics, elapsed: Duration) -> f64 {
        let mut sum = Duration::ZERO;
        for (worker, before) in self.busy.iter_mut().enumerate() {
            let now = metrics.worker_total_busy_duration(worker);
            let busy = now.saturating_sub(*before);
            let sleeps = metrics.worker_park_unpark_count(worker) % 2 == 1;
            sum += if busy.is_zero() && !sleeps { elapsed } else { busy.min(elapsed) };
            *before = now;
        }
        let all = elapsed.as_secs_f64() * self.busy.len().max(1) as f64;
        sum.as_secs_f64() / all.max(f64::MIN_POSITIVE)
    }

    /// Measures one window; a longer one while nobody calls.
    async fn window(&mut self, limiter: &Limiter, metrics: &RuntimeMetrics) -> Window {
        let totals = limiter.callers.totals();
        let begun = self.at;
        let mut lag = Duration::ZERO;
        let mut ticks = 0_u32;
        // Not so many ticks but so much time: where the ticks are late, there is no time to lose.
        while self.at.saturating_duration_since(begun) < WINDOW {
            let idle = totals.admitted.load(Relaxed) == self.admitted && limiter.share().is_none();
            let due = Instant::now() + if idle { WINDOW } else { TICK };
            sleep_until(due).await;
            let now = Instant::now();
            lag += now.saturating_duration_since(due + TIMER_GRAIN);
            if let Some(share) = limiter.share() {
                limiter.callers.refill(share, now - self.at);
            }
            self.at = now;
            ticks += 1;
        }
        self.end_window(limiter, metrics, begun, lag / ticks.max(1))
    }

    fn end_window(&mut self, limiter: &Limiter, metrics: &RuntimeMetrics, begun: Instant, lag: Duration) -> Window {
        let totals = limiter.callers.totals();
        let elapsed = self.at - begun;
        let brought = limiter.callers.end_window();
        let admitted = totals.admitted.load(Relaxed);
        let delay_nanos = totals.delay_nanos.load(Relaxed);
        let calls = admitted.wrapping_sub(self.admitted).saturating_add(brought.refused);
        let (heavy, batches) = (limiter.places.heavy.measure(), limiter.places.batches.measure());
        let (heavily, in_batches) = (heavy.since(self.heavy), batches.since(self.batches));
        // Where no place was given, those that wait do so for no less than those before them.
        if heavily.given != 0 || heavily.crowded.is_zero() {
            self.heavy_delay = heavily.mean_wait();
        }
        let waited = delay_nanos.wrapping_sub(self.delay_nanos);
        let waited = waited.saturating_add(u64::try_from(in_batches.waited.as_nanos()).unwrap_or(u64::MAX));
        let window = Window {
            utilization: self.utilization(metrics, elapsed),
            call_work: brought.work as f64 / (elapsed.as_nanos() as f64 * self.busy.len().max(1) as f64),
            lag,
            delay: Duration::from_nanos(waited.checked_div(calls).unwrap_or(0)),
            heavy_crowded: heavily.crowded.as_secs_f64() / elapsed.as_secs_f64().max(f64::MIN_POSITIVE),
            heavy_delay: self.heavy_delay,
            refused: brought.refused,
            busiest: (brought.busiest as f64 / elapsed.as_secs_f64()) as u64,
            fair: fair(self.busy.len() as u64, totals.active.load(Relaxed) as u64),
        };
        (self.admitted, self.delay_nanos, self.heavy, self.batches) = (admitted, delay_nanos, heavy, batches);
        window
    }
}
