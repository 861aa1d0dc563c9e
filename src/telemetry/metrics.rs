//! The instruments. Without a meter there are none, and recording costs one load.

use std::sync::OnceLock;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::domain::time::NANOS_PER_SECOND;
use crate::telemetry::InitError;
use crate::telemetry::event::Success;
use crate::telemetry::reloads::ConfigGauges;

/// Bounds of the evaluation histogram: a decision takes microseconds, a stall milliseconds.
const EVALUATION_SECONDS: [f64; 15] =
    [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 1e-1, 1.0];

static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();

#[derive(Debug)]
pub(super) struct Instruments {
    pub(super) decisions: Counter<u64>,
    pub(super) evaluation_seconds: Histogram<f64>,
    pub(super) reloads: Counter<u64>,
    pub(super) panics: Counter<u64>,
    pub(super) flaps: Counter<u64>,
    pub(super) state_failures: Counter<u64>,
}

/// The instruments, if metrics are exported.
pub(super) fn instruments() -> Option<&'static Instruments> {
    INSTRUMENTS.get()
}

pub(super) fn install(provider: &SdkMeterProvider) -> Result<(), InitError> {
    let meter = provider.meter("requite");
    let instruments = Instruments {
        decisions: meter
            .u64_counter("requite.decisions")
            .with_unit("{decision}")
            .with_description("Claims decided, by outcome and primary reason code.")
            .build(),
        evaluation_seconds: meter
            .f64_histogram("requite.evaluation.duration")
            .with_unit("s")
            .with_description("Time from facts to decision.")
            .with_boundaries(EVALUATION_SECONDS.into())
            .build(),
        reloads: meter
            .u64_counter("requite.reloads")
            .with_unit("{reload}")
            .with_description("Attempts to load the policy bundle again, by trigger and result.")
            .build(),
        panics: meter
            .u64_counter("requite.panics")
            .with_unit("{panic}")
            .with_description("Panics that were caught. Each is a bug.")
            .build(),
        flaps: meter
            .u64_counter("requite.source.flaps")
            .with_unit("{hold}")
            .with_description("Times the source was held down because it changed between good and bad.")
            .build(),
        state_failures: meter
            .u64_counter("requite.state.failures")
            .with_unit("{failure}")
            .with_description("Writes of the state directory that failed.")
            .build(),
    };
    gauges(&meter);
    INSTRUMENTS.set(instruments).map_err(|_| InitError::AlreadySetUp)
}

/// Gauges that are read when they are exported: of the digests only the one in force is shown.
fn gauges(meter: &Meter) {
    meter
        .u64_observable_gauge("requite.config.last_reload.successful")
        .with_description("Whether the last attempt to put policies in force succeeded: 1 or 0.")
        .with_callback(|gauge| {
            if let Some(shown) = ConfigGauges::shown() {
                gauge.observe(u64::from(shown.last == Success::Yes), &[]);
            }
        })
        .build();
    meter
        .f64_observable_gauge("requite.config.last_reload.success.timestamp")
        .with_unit("s")
        .with_description("When the last successful attempt was, in seconds since 1970.")
        .with_callback(|gauge| {
            if let Some(at) = ConfigGauges::shown().and_then(|shown| shown.last_success_at) {
                gauge.observe(at.nanos() as f64 / NANOS_PER_SECOND as f64, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("requite.config.info")
        .with_description("1, with the digest of the policies in force.")
        .with_callback(|gauge| {
            if let Some(shown) = ConfigGauges::shown() {
                gauge.observe(1, &[KeyValue::new("digest", shown.digest)]);
            }
        })
        .build();
}
