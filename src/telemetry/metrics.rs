//! The instruments of a collector. What is counted stands in [`counts`] and is only read here, when
//! it is exported; a histogram cannot be read so, and is recorded where it happens.

use std::sync::OnceLock;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::domain::words::ReasonCode;
use crate::telemetry::{InitError, counts};

static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();

#[derive(Debug)]
pub(super) struct Instruments {
    pub(super) evaluation_seconds: Histogram<f64>,
}

/// The instruments that record, if metrics are exported.
pub(super) fn instruments() -> Option<&'static Instruments> {
    INSTRUMENTS.get()
}

pub(super) fn install(provider: &SdkMeterProvider) -> Result<(), InitError> {
    let meter = provider.meter("requite");
    let bounds = counts::EVALUATION_NANOS.iter().map(|&nanos| std::time::Duration::from_nanos(nanos).as_secs_f64());
    let instruments = Instruments {
        evaluation_seconds: meter
            .f64_histogram("requite.evaluation.duration")
            .with_unit("s")
            .with_description("Time from facts to decision.")
            .with_boundaries(bounds.collect())
            .build(),
    };
    // The meter keeps what observes; the handles that it gives back are good for nothing else.
    let _ = meter
        .u64_observable_counter("requite.decisions")
        .with_unit("{decision}")
        .with_description("Claims decided, by outcome and primary reason code.")
        .with_callback(|observer| {
            for (outcome, reason, count) in counts::decisions() {
                let reason = reason.map_or("none", ReasonCode::slug);
                let labels = [KeyValue::new("outcome", outcome.slug()), KeyValue::new("reason_code", reason)];
                observer.observe(count, &labels);
            }
        })
        .build();
    let _ = meter
        .u64_observable_counter("requite.reloads")
        .with_unit("{reload}")
        .with_description("Attempts to put policies in force, by trigger and result.")
        .with_callback(|observer| {
            for (trigger, result, count) in counts::reloads().into_iter().filter(|(_, _, count)| *count != 0) {
                let labels = [KeyValue::new("trigger", trigger.slug()), KeyValue::new("result", result.slug())];
                observer.observe(count, &labels);
            }
        })
        .build();
    let _ = meter
        .u64_observable_counter("requite.panics")
        .with_unit("{panic}")
        .with_description("Panics that were caught. Each is a bug.")
        .with_callback(|observer| {
            for ([method], count) in counts::panics() {
                observer.observe(count, &[KeyValue::new("method", method)]);
            }
        })
        .build();
    INSTRUMENTS.set(instruments).map_err(|_| InitError::AlreadySetUp)
}
