//! Logs: one line per fact, on standard error, as text for people or as JSON.

use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::telemetry::{InitError, span};

/// How logs are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What is logged, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSettings {
    /// How logs are written.
    pub format: LogFormat,
    /// What is logged, as `RUST_LOG` writes it: `info`, `warn,requite=debug`.
    pub filter: String,
}

pub(super) fn install(settings: &LogSettings, tracer: Option<&SdkTracerProvider>) -> Result<(), InitError> {
    let chosen = EnvFilter::try_new(&settings.filter)
        .map_err(|source| InitError::Filter { filter: settings.filter.clone(), source })?;
    // These write request headers at their most detailed levels, and with them credentials of
    // callers and of the collector. No filter may ask for that.
    let ceiling = Targets::new().with_default(LevelFilter::TRACE).with_targets(
        ["h2", "hyper", "hyper_util", "tonic", "opentelemetry"].map(|target| (target, LevelFilter::INFO)),
    );
    let lines = match settings.format {
        LogFormat::Text => {
            tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).boxed()
        }
        LogFormat::Json => tracing_subscriber::fmt::layer().with_writer(io::stderr).json().flatten_event(true).boxed(),
    };
    // Only the span of an RPC becomes part of a trace: what an exporter logs would be exported
    // again, and events within an RPC are in the log.
    let traces = tracer.map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("requite"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(span::TARGET, LevelFilter::DEBUG))
    });
    tracing_subscriber::registry()
        .with(lines.with_filter(chosen.and(ceiling)))
        .with(traces)
        .try_init()
        .map_err(|_| InitError::AlreadySetUp)
}

/// From now on, a panic is a line of the log like any other, not free text between lines of JSON.
pub fn log_panics() {
    panic::set_hook(Box::new(log_panic));
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("unknown");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(%location, "panicked, this is a bug: {message}");
}
