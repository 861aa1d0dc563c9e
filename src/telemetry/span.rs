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

use crate::domain::words::Outcome;

/// The target of RPC spans, for log filters: `requite::rpc=debug` shows them in the log.
pub(super) const TARGET: &str = "requite::rpc";

/// The span of one RPC; `method` is its full name, `package.Service/Method`.
#[must_use]
pub fn rpc(method: &'static str, headers: &HeaderMap) -> Span {
    let span = tracing::debug_span!(
        target: TARGET,
        "rpc",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = service_and_name(method).0,
        rpc.method = service_and_name(method).1,
        rpc.grpc.status_code = Empty,
        requite.decision.id = Empty,
        requite.policy.id = Empty,
        requite.policy.version = Empty,
        requite.policy.digest = Empty,
        requite.rule = Empty,
        requite.outcome = Empty,
        requite.batch.items = Empty,
        requite.batch.failed = Empty,
        requite.batch.approved_full = Empty,
        requite.batch.approved_partial = Empty,
        requite.batch.more_info_required = Empty,
        requite.batch.manual_review = Empty,
        requite.batch.denied = Empty,
    );
    if !span.is_disabled() && headers.contains_key("traceparent") {
        // Without traces there is no layer that takes the parent, and none is needed.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(headers)));
    }
    span
}

/// The two parts of a full method name.
fn service_and_name(method: &'static str) -> (&'static str, &'static str) {
    method.split_once('/').unwrap_or(("", method))
}

/// The span of the RPC under way, if anybody wants spans. Looking it up costs more than all else
/// here.
#[must_use]
pub fn current() -> Option<Span> {
    (LevelFilter::DEBUG <= LevelFilter::current()).then(Span::current)
}

/// Attributes of a span about the one decision of its call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecisionAttributes<'a> {
    /// The identity of the decision, in hexadecimal digits.
    pub decision_id: &'a str,
    /// The policy that decided.
    pub policy_id: &'a str,
    /// Its version.
    pub policy_version: &'a str,
    /// The digest of what is in force.
    pub digest: &'a str,
    /// The rule that decided the first line.
    pub rule: &'a str,
    /// The answer.
    pub outcome: Outcome,
}

/// Writes onto the span of a call without a decision which policy answered it. To be called once for a
/// span.
pub fn policy(span: &Span, id: &str, version: &str, digest: &str) {
    span.record("requite.policy.id", id);
    span.record("requite.policy.version", version);
    span.record("requite.policy.digest", digest);
}

/// Attributes of a span about the decisions of a batch: sums, so that no key is written twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BatchAttributes {
    items: u64,
    outcomes: [u64; Outcome::ALL.len()],
}

impl DecisionAttributes<'_> {
    /// Writes them onto the span. To be called once for a span: an attribute that is written twice
    /// stands there twice.
    pub fn record(self, span: &Span) {
        let Self { decision_id, policy_id, policy_version, digest, rule, outcome } = self;
        policy(span, policy_id, policy_version, digest);
        span.record("requite.decision.id", decision_id);
        span.record("requite.rule", rule);
        span.record("requite.outcome", outcome.as_str());
    }
}

impl BatchAttributes {
    /// Those of a batch of so many items, none of which is decided yet.
    #[must_use]
    pub fn of_items(items: usize) -> Self {
        Self { items: u64::try_from(items).unwrap_or(u64::MAX), ..Self::default() }
    }

    /// Adds an item that was decided.
    pub fn add_decided(&mut self, outcome: Outcome) {
        if let Some(count) = self.outcomes.get_mut(usize::from(outcome.index())) {
            *count += 1;
        }
    }

    /// Writes them onto the span, with the digest that decided all of it. To be called once for a
    /// span.
    pub fn record(self, span: &Span, digest: &str) {
        let Self { items, outcomes } = self;
        span.record("requite.policy.digest", digest);
        span.record("requite.batch.items", items);
        span.record("requite.batch.failed", items.saturating_sub(outcomes.iter().sum()));
        for (outcome, count) in Outcome::ALL.iter().zip(outcomes) {
            span.record(batch_key(*outcome), count);
        }
    }
}

/// The key of the number of items that were decided so.
const fn batch_key(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::ApprovedFull => "requite.batch.approved_full",
        Outcome::ApprovedPartial => "requite.batch.approved_partial",
        Outcome::MoreInfoRequired => "requite.batch.more_info_required",
        Outcome::ManualReview => "requite.batch.manual_review",
        Outcome::Denied => "requite.batch.denied",
    }
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
