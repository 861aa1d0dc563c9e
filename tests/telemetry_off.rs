//! Without a collector nothing is made, and what is recorded goes nowhere.
#![cfg(test)]

use std::time::{Duration, Instant};

use requite::domain::words::Outcome;
use requite::telemetry::event::Decided;
use requite::telemetry::log_format::LogFormat;
use requite::telemetry::logs::LogSettings;
use requite::telemetry::settings::Export;
use requite::telemetry::{init, span};

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_that_nobody_asked_for_costs_next_to_nothing() {
    let logs = LogSettings { format: LogFormat::Text, filter: "info".to_owned() };
    let guard = init(&logs, &Export::default()).unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());

    let began = Instant::now();
    for _ in 0..100_000 {
        let span = span::rpc("requite.v1.RefundPolicyService/EvaluateRefund", &headers);
        assert!(span.is_disabled());
        let (policy_id, policy_version, digest) = ("policy", "1", "digest");
        let outcome = Outcome::Denied;
        span::DecisionAttributes { decision_id: "id", policy_id, policy_version, digest, rule: "rule", outcome }
            .record(&span);
        span::finished(&span, 0);
        Decided { outcome: Outcome::Denied, reason: None, elapsed: Duration::ZERO }.record();
    }
    // A thousand times what it takes: this fails for work, not for a slow machine.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(init(&logs, &Export::default()).is_err(), "telemetry is set up once");
    guard.shut_down().await;
}
