//! Telemetry of the process: logs, traces, metrics. The only place that names them.
//!
//! Logs go to standard error. Traces and metrics go nowhere unless the standard `OTEL_*`
//! variables name a collector. Nothing here knows what a policy or a request is; callers report
//! named facts ([`event`]) and hang what they do under a [`span`].

pub mod audit;
pub mod bad_fields;
pub mod caller;
pub mod codes;
mod counts;
pub mod cpu;
pub mod event;
pub mod exposition;
mod instruments;
pub mod labels;
mod log_escape;
pub mod log_format;
pub mod log_limit;
mod log_queue;
pub mod logs;
mod metrics;
mod otlp;
pub mod overload;
mod process;
pub mod prometheus;
pub mod reloads;
pub mod requests;
pub mod settings;
pub mod sharded;
pub mod span;
pub mod terminal;

use std::time::Duration;

use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::telemetry::logs::LogSettings;
use crate::telemetry::settings::Export;

/// Longest wait for a collector at the end: an unreachable one must not keep the process alive.
pub const FLUSH_MAX: Duration = Duration::from_secs(3);

/// Reasons why telemetry could not be set up. All of these are mistakes in how the process was started.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The log filter cannot be read.
    #[error("cannot read the log filter `{filter}` (write a level, `info`, or `info,requite=debug`)")]
    Filter {
        /// The filter as written.
        filter: String,
        /// The error of the parser.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The exporter of a signal cannot be built.
    #[error("cannot export {signal} to `{endpoint}`")]
    Exporter {
        /// `traces` or `metrics`.
        signal: &'static str,
        /// The endpoint of the collector.
        endpoint: String,
        /// The error of the exporter.
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// There is no thread for the log, or it has no place to go.
    #[error("cannot write a log")]
    Log(#[source] std::io::Error),
    /// This process has a subscriber or instruments already.
    #[error("telemetry is set up already")]
    AlreadySetUp,
}

/// The exporters to flush at the end. Dropping it without [`Guard::shut_down`] may lose the last seconds of traces and
/// metrics.
#[must_use]
#[derive(Debug)]
pub struct Guard {
    tracer: Option<SdkTracerProvider>,
    meter: Option<SdkMeterProvider>,
}

/// Sets up logs, and traces and metrics as far as they are asked for. To be called once, on the
/// runtime that will carry the exports.
pub fn init(logs: &LogSettings, export: &Export) -> Result<Guard, InitError> {
    let tracer = export.traces.as_deref().map(otlp::tracer_provider).transpose()?;
    let meter = export.metrics.as_deref().map(otlp::meter_provider).transpose()?;
    logs::install(logs, tracer.as_ref())?;
    if let Some(meter) = &meter {
        metrics::install(meter)?;
    }
    Ok(Guard { tracer, meter })
}

/// Series that are known before anything happens.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KnownSeries {
    /// Places where panics are caught: methods by their full names, and others.
    pub panics: Vec<&'static str>,
    /// The methods of admins, by their names without the service.
    pub admin_methods: Vec<&'static str>,
    /// Faults that the credentials of admins can have.
    pub admin_causes: Vec<&'static str>,
    /// The fields of requests, by their paths with `[]` for an entry of a list or a map.
    pub request_fields: Vec<String>,
}

/// Puts these series at 0, where they are not counted already.
pub fn declare(series: KnownSeries) {
    let KnownSeries { panics, admin_methods, admin_causes, request_fields } = series;
    counts::declare_panics(panics);
    counts::declare_admin_calls(admin_methods);
    counts::declare_admin_unauthenticated(admin_causes);
    bad_fields::declare(request_fields);
}

impl Guard {
    /// Sends what has not been sent and stops; gives up after [`FLUSH_MAX`].
    pub async fn shut_down(self) {
        let Self { tracer, meter } = self;
        // The shutdowns of the two block their threads, and that of the meter ignores any limit:
        // both at once and under a limit of our own.
        let tracer = tokio::task::spawn_blocking(move || tracer.map(|tracer| tracer.shutdown_with_timeout(FLUSH_MAX)));
        let meter = tokio::task::spawn_blocking(move || meter.map(|meter| meter.shutdown()));
        let both = async { [tracer.await, meter.await] };
        match tokio::time::timeout(FLUSH_MAX, both).await {
            Ok(results) => {
                for error in results.into_iter().filter_map(|result| result.ok()??.err()) {
                    tracing::warn!(%error, "the last traces or metrics may not have reached the collector");
                }
            }
            Err(_) => tracing::warn!("the collector did not answer: the last traces and metrics are lost"),
        }
    }
}
