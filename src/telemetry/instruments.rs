//! The instruments of a collector that record where something happens: histograms, which cannot be read when they are
//! exported.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;

use crate::telemetry::InitError;

static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();

#[derive(Debug)]
pub(super) struct Instruments {
    pub(super) evaluation_seconds: Histogram<f64>,
    pub(super) request_seconds: Histogram<f64>,
}

impl Instruments {
    /// From now on, these record.
    pub(super) fn install(self) -> Result<(), InitError> {
        INSTRUMENTS.set(self).map_err(|_| InitError::AlreadySetUp)
    }

    /// Records how long a call of a method took.
    pub(super) fn request_finished(&self, method: &'static str, elapsed: Duration) {
        self.request_seconds.record(elapsed.as_secs_f64(), &[KeyValue::new("method", method)]);
    }
}

/// The instruments that record, if metrics are exported.
pub(super) fn instruments() -> Option<&'static Instruments> {
    INSTRUMENTS.get()
}
