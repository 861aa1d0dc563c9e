//! One span per RPC, which continues the caller's W3C trace context.
//!
//! Attribute names follow the OpenTelemetry conventions for RPC. Where nobody wants spans,
//! making one costs a single check.

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of RPC spans, for log filters: `requite::rpc=debug` shows them in the log.
pub(super) const TARGET: &str = "requite::rpc";

/// The span of one RPC; `method` is its full name, `package.Service/Method`.
#[must_use]
pub fn rpc(method: &'static str, headers: &HeaderMap) -> Span {
    let full = method.trim_start_matches('/');
    let (service, name) = full.split_once('/').unwrap_or(("", full));
    let span = tracing::debug_span!(
        target: TARGET,
        "rpc",
        otel.name = full,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = name,
        rpc.grpc.status_code = Empty,
        requite.policy.digest = Empty,
        requite.rule = Empty,
        requite.outcome = Empty,
    );
    if !span.is_disabled() && headers.contains_key("traceparent") {
        // Without traces there is no layer that takes the parent, and none is needed.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(headers)));
    }
    span
}

/// The span of the RPC under way, if anybody wants spans. Looking it up costs more than all else
/// here.
#[must_use]
pub fn current() -> Option<Span> {
    (LevelFilter::DEBUG <= LevelFilter::current()).then(Span::current)
}

/// Writes onto the span what was decided, by which rule of which bundle.
pub fn decided(span: &Span, digest: &str, rule: &str, outcome: &'static str) {
    span.record("requite.policy.digest", digest);
    span.record("requite.rule", rule);
    span.record("requite.outcome", outcome);
}

/// Writes onto the span how the RPC ended: its gRPC status code. Those that are the server's
/// fault mark the span as failed; a bad request is the caller's.
pub fn finished(span: &Span, code: i32) {
    const UNKNOWN: i32 = 2;
    const DEADLINE_EXCEEDED: i32 = 4;
    const UNIMPLEMENTED: i32 = 12;
    const INTERNAL: i32 = 13;
    const UNAVAILABLE: i32 = 14;
    const DATA_LOSS: i32 = 15;
    span.record("rpc.grpc.status_code", code);
    if matches!(code, UNKNOWN | DEADLINE_EXCEEDED | UNIMPLEMENTED | INTERNAL | UNAVAILABLE | DATA_LOSS) {
        span.record("otel.status_code", "ERROR");
    }
}

/// Request headers, read by the propagator. Values that are not text are as good as absent.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
