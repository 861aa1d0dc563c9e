//! Logs: one line per fact, on standard error, as text for people or as JSON. Nobody waits for
//! whoever reads it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::telemetry::log_escape::PrintableFields;
use crate::telemetry::log_format::LogFormat;
use crate::telemetry::log_limit::LogLimiter;
use crate::telemetry::log_queue::LogQueue;
use crate::telemetry::terminal::shows_colour;
use crate::telemetry::{InitError, span};

/// The format and the filter of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSettings {
    /// The format of log lines.
    pub format: LogFormat,
    /// The filter, in the syntax of `RUST_LOG`: `info`, `warn,requite=debug`.
    pub filter: String,
}

pub(super) fn install(settings: &LogSettings, tracer: Option<&SdkTracerProvider>) -> Result<(), InitError> {
    let chosen = EnvFilter::try_new(&settings.filter)
        .map_err(|source| InitError::Filter { filter: settings.filter.clone(), source })?;
    // These write request headers at their most detailed levels, and with them credentials of
    // callers and of the collector. No filter may ask for that.
    let ceiling = Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_targets(["hyper", "hyper_util", "tonic", "opentelemetry"].map(|target| (target, LevelFilter::INFO)));
    // They warn where nothing is wrong here, and without limit: of each directory that goes away, which is
    // how a ConfigMap is changed; of each connection that breaks the protocol, which is counted and has a
    // limited line of its own.
    let ceiling = ceiling.with_targets(["notify", "h2"].map(|target| (target, LevelFilter::ERROR)));
    let queue = LogQueue::start(standard_error().map_err(InitError::Log)?, settings.format).map_err(InitError::Log)?;
    let writer = queue.clone();
    let lines = match settings.format {
        LogFormat::Text => {
            let ansi = shows_colour(&io::stderr());
            let text = fmt::layer().fmt_fields(PrintableFields).with_ansi(ansi).log_internal_errors(false);
            text.with_writer(writer).boxed()
        }
        LogFormat::Json => {
            fmt::layer().with_writer(writer).json().flatten_event(true).log_internal_errors(false).boxed()
        }
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
        .map_err(|_| InitError::AlreadySetUp)?;
    QUEUE.set(queue).map_err(|_| InitError::AlreadySetUp)
}

/// The queue of this process.
static QUEUE: OnceLock<LogQueue> = OnceLock::new();

/// Standard error, without the lock that others take who write to it: where nobody reads it, the
/// thread of the log waits alone.
fn standard_error() -> io::Result<File> {
    io::stderr().as_fd().try_clone_to_owned().map(File::from)
}

/// Waits until the log is written, but not for longer than this. Blocks the thread.
pub fn flush(longest: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(longest);
    }
}

/// From now on, a panic is a line of the log like any other, not free text between lines of JSON.
pub fn log_panics() {
    panic::set_hook(Box::new(log_panic));
}

fn log_panic(info: &PanicHookInfo<'_>) {
    static LIMITER: LogLimiter = LogLimiter::new();
    let Some(suppressed) = LIMITER.permit() else { return };
    let message = info.payload_as_str().unwrap_or("unknown");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(%location, suppressed, "panicked, this is a bug: {message}");
}
