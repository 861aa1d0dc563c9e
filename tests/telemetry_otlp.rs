//! What the process says of itself reaches a collector, over the wire.
#![cfg(test)]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use requite::api::pb;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::client;
use requite::domain::words::{Outcome, ReasonCode};
use requite::telemetry::event::{Decided, Panicked, Reloaded};
use requite::telemetry::labels::{ReloadResult, ReloadTrigger};
use requite::telemetry::log_format::LogFormat;
use requite::telemetry::logs::LogSettings;
use requite::telemetry::settings::Export;
use requite::telemetry::{init, span};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::support::samples::{completed, late};
use crate::support::serve::{PATIENCE, policy, serve_with, standard_policies};

/// A collector that remembers everything.
#[derive(Clone, Default)]
struct Collector {
    traces: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.traces.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

impl Collector {
    /// Starts to listen; gives the endpoint.
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        endpoint
    }

    fn spans(&self) -> Vec<Span> {
        let traces = self.traces.lock().unwrap();
        let scopes = traces.iter().flat_map(|export| &export.resource_spans).flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    fn span(&self, name: &str) -> Span {
        let mut spans = self.spans();
        spans.retain(|span| span.name == name);
        assert_eq!(spans.len(), 1, "{name}: {:?}", self.spans());
        spans.pop().unwrap()
    }

    fn resource(&self) -> Vec<(String, String)> {
        let traces = self.traces.lock().unwrap();
        traces
            .iter()
            .flat_map(|export| &export.resource_spans)
            .filter_map(|spans| spans.resource.as_ref())
            .flat_map(|resource| labels(&resource.attributes))
            .collect()
    }

    /// The last count of a metric for each of its labels.
    fn counts(&self, name: &str) -> Vec<(Vec<(String, String)>, i64)> {
        let mut counts = Vec::new();
        self.each_metric(name, |data| {
            if let Data::Sum(sum) = data {
                counts = sum
                    .data_points
                    .iter()
                    .map(|point| match point.value {
                        Some(number_data_point::Value::AsInt(count)) => (labels(&point.attributes), count),
                        _ => panic!("{name} counts"),
                    })
                    .collect();
            }
        });
        counts.sort();
        counts
    }

    /// How many times a histogram has taken in all.
    fn times(&self, name: &str) -> Option<u64> {
        let mut times = None;
        self.each_metric(name, |data| {
            if let Data::Histogram(histogram) = data {
                times = Some(histogram.data_points.iter().map(|point| point.count).sum());
            }
        });
        times
    }

    fn each_metric(&self, name: &str, mut see: impl FnMut(&Data)) {
        let metrics = self.metrics.lock().unwrap();
        let scopes =
            metrics.iter().flat_map(|export| &export.resource_metrics).flat_map(|resource| &resource.scope_metrics);
        for metric in scopes.flat_map(|scope| &scope.metrics).filter(|metric| metric.name == name) {
            see(metric.data.as_ref().unwrap());
        }
    }
}

fn labels(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = attributes
        .iter()
        .map(|attribute| {
            let value = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(Value::StringValue(text)) => text.clone(),
                Some(Value::IntValue(number)) => number.to_string(),
                other => format!("{other:?}"),
            };
            (attribute.key.clone(), value)
        })
        .collect();
    labels.sort();
    labels
}

fn pairs(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn headers(pairs: &[(&'static str, &'static str)]) -> http::HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse::<http::HeaderValue>().unwrap()))
        .collect()
}

const METHOD: &str = "requite.v1.RefundPolicyService/EvaluateRefund";

/// One test, because telemetry is set up once in a process; the others run the program.
#[tokio::test(flavor = "multi_thread")]
async fn spans_and_metrics_reach_the_collector() {
    let collector = Collector::default();
    let endpoint = collector.start().await;
    let logs = LogSettings { format: LogFormat::Json, filter: "off".to_owned() };
    let guard = init(&logs, &Export { traces: Some(endpoint.clone()), metrics: Some(endpoint) }).unwrap();

    let traced = headers(&[
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "shop=1"),
    ]);
    let continued = span::rpc(METHOD, &traced);
    assert!(!continued.is_disabled());
    continued.in_scope(|| tracing::error!("not part of the trace"));
    span::DecisionAttributes {
        decision_id: "00ff",
        policy_id: "standard",
        policy_version: "7",
        digest: "blake3:abc",
        rule: "not-started",
        outcome: Outcome::ApprovedFull,
    }
    .record(&continued);
    span::finished(&continued, 0);
    drop(continued);
    let failed = span::rpc("requite.v1.RefundPolicyService/GetServerInfo", &headers(&[("traceparent", "nonsense")]));
    span::finished(&failed, 13);
    drop(failed);
    let unsampled = headers(&[("traceparent", "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")]);
    drop(span::rpc("requite.v1.RefundPolicyService/Unsampled", &unsampled));

    let decided = |outcome, reason| Decided { outcome, reason, elapsed: Duration::from_micros(3) }.record();
    decided(Outcome::ApprovedFull, None);
    decided(Outcome::Denied, Some(ReasonCode::WindowExpired));
    decided(Outcome::Denied, Some(ReasonCode::WindowExpired));
    Reloaded { trigger: ReloadTrigger::Signal, result: ReloadResult::Rejected }.record();
    Panicked { method: METHOD }.record();
    guard.shut_down().await;

    let span = collector.span(METHOD);
    assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331");
    assert_eq!(span.trace_state, "shop=1");
    assert_eq!(span.kind, SpanKind::Server as i32);
    assert!(span.events.is_empty(), "{:?}", span.events);
    let attributes = labels(&span.attributes);
    for attribute in pairs(&[
        ("rpc.system", "grpc"),
        ("rpc.service", "requite.v1.RefundPolicyService"),
        ("rpc.method", "EvaluateRefund"),
        ("rpc.grpc.status_code", "0"),
        ("requite.decision.id", "00ff"),
        ("requite.policy.id", "standard"),
        ("requite.policy.version", "7"),
        ("requite.policy.digest", "blake3:abc"),
        ("requite.rule", "not-started"),
        ("requite.outcome", "approved_full"),
    ]) {
        assert!(attributes.contains(&attribute), "{attribute:?} in {attributes:?}");
    }

    let span = collector.span("requite.v1.RefundPolicyService/GetServerInfo");
    assert_eq!(hex(&span.parent_span_id), "");
    assert_eq!(span.status.unwrap().code, StatusCode::Error as i32);
    assert_eq!(collector.spans().len(), 2, "the caller's decision not to sample is kept");
    assert!(
        collector.resource().contains(&("service.name".to_owned(), "requite".to_owned())),
        "{:?}",
        collector.resource()
    );

    assert_eq!(
        collector.counts("requite.decisions"),
        [
            (pairs(&[("outcome", "approved_full"), ("reason_code", "none")]), 1),
            (pairs(&[("outcome", "denied"), ("reason_code", "window_expired")]), 2),
        ]
    );
    assert_eq!(collector.counts("requite.reloads"), [(pairs(&[("result", "rejected"), ("trigger", "signal")]), 1)]);
    assert_eq!(collector.counts("requite.panics"), [(pairs(&[("method", METHOD)]), 1)]);
    let mut evaluations = 0;
    collector.each_metric("requite.evaluation.duration", |data| {
        let Data::Histogram(histogram) = data else { panic!("a histogram, got {data:?}") };
        evaluations = histogram.data_points.iter().map(|point| point.count).sum();
        let within_microseconds = histogram.data_points.iter().all(|point| point.bucket_counts.get(2) == Some(&3));
        assert!(within_microseconds, "{histogram:?}");
    });
    assert_eq!(evaluations, 3);
}

/// A call with a trace of the caller's.
fn traced<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request
}

/// Waits until the collector has it.
async fn arrives<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match find() {
            Some(found) => return found,
            None if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(10)).await,
            None => panic!("{what} arrives at the collector"),
        }
    }
}

/// The whole road: the program as it is run, calls with a trace, policies that change, and what
/// the collector gets of it while the program runs.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_decided_and_reloaded_reaches_the_collector_while_it_is_served() {
    let collector = Collector::default();
    let endpoint = collector.start().await;
    let dir = standard_policies();
    let policies = dir.path().to_str().unwrap();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2"),
        ("OTEL_SERVICE_NAME", "refunds"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let mut service = serve_with(&["--policies", policies, "--log-level", "trace"], &variables);
    let mut client = RefundPolicyServiceClient::new(client::connect(&service.address).await.unwrap());
    let decided = client.evaluate_refund(traced(late())).await.unwrap().into_inner();

    let span = arrives("the span", || collector.spans().into_iter().find(|span| span.name == METHOD)).await;
    assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331");
    assert_eq!(span.kind, SpanKind::Server as i32);
    let attributes = labels(&span.attributes);
    let policy_ref = decided.policy.unwrap();
    for attribute in pairs(&[
        ("rpc.grpc.status_code", "0"),
        ("requite.decision.id", &decided.decision_id),
        ("requite.policy.id", &policy_ref.policy_id),
        ("requite.policy.version", &policy_ref.version),
        ("requite.policy.digest", &policy_ref.digest),
        ("requite.rule", "in-progress-platform-liable"),
        ("requite.outcome", "approved_partial"),
    ]) {
        assert!(attributes.contains(&attribute), "{attribute:?} in {attributes:?}");
    }
    assert!(collector.resource().contains(&("service.name".to_owned(), "refunds".to_owned())));

    for _ in 0..2 {
        client.evaluate_refund(completed()).await.unwrap();
    }
    // A bad request is no decision.
    client.evaluate_refund(pb::EvaluateRefundRequest::default()).await.unwrap_err();
    let decision = |outcome, reason| pairs(&[("outcome", outcome), ("reason_code", reason)]);
    let decisions =
        vec![(decision("approved_partial", "deductions_applied"), 1), (decision("denied", "order_completed"), 2)];
    arrives("the number of decisions", || (collector.counts("requite.decisions") == decisions).then_some(())).await;
    arrives("their time", || (collector.times("requite.evaluation.duration") == Some(3)).then_some(())).await;

    let text = fs::read_to_string(policy(&dir)).unwrap();
    fs::write(policy(&dir), text.replace("deny: ORDER_CANCELLED", "deny: NOTHING_KNOWN")).unwrap();
    service.says("policies rejected");
    fs::write(policy(&dir), format!("{text}# a comment\n")).unwrap();
    service.says("policies applied");
    service.signal("-HUP");
    service.says("policies unchanged");
    let reloads = [("applied", "file_change"), ("rejected", "file_change"), ("unchanged", "signal")];
    let counted = |(result, trigger)| {
        let labels = pairs(&[("result", result), ("trigger", trigger)]);
        collector.counts("requite.reloads").iter().any(|(found, count)| *found == labels && 1 <= *count)
    };
    arrives("the number of reloads", || reloads.into_iter().all(counted).then_some(())).await;

    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(0));
    let failed = collector.spans().into_iter().filter(|span| span.name == METHOD).count();
    assert_eq!(failed, 4, "the last spans are sent before the end, that of the bad request too");
    let log = service.whole_log();
    assert!(!log.iter().any(|line| line.to_string().contains("hunter2")), "no secret is logged at any level");
}

/// Each key stands once, none was dropped, and the keys of these values are there.
fn holds_once(span: &Span, expected: &[(&str, &str)]) {
    let attributes = labels(&span.attributes);
    let mut keys: Vec<_> = attributes.iter().map(|(key, _)| key).collect();
    let all = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), all, "no key stands twice in {attributes:?}");
    assert_eq!(span.dropped_attributes_count, 0);
    for attribute in pairs(expected) {
        assert!(attributes.contains(&attribute), "{attribute:?} in {attributes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_span_of_a_batch_has_sums_and_its_status_code() {
    let collector = Collector::default();
    let endpoint = collector.start().await;
    let quick = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "20")];
    let mut service = serve_with(&[], &quick);
    let mut client = RefundPolicyServiceClient::new(client::connect(&service.address).await.unwrap());
    let explained = pb::EvaluateRefundRequest { explain: pb::ExplainLevel::Full.into(), ..late() };
    // Plain ones, a decoded one and one that fails.
    let mut requests = vec![late(); 97];
    requests.extend([completed(), explained, pb::EvaluateRefundRequest::default()]);
    let batch = pb::BatchEvaluateRefundRequest { requests };
    let answered = client.batch_evaluate_refund(traced(batch.clone())).await.unwrap().into_inner();
    client.batch_evaluate_refund(traced(pb::BatchEvaluateRefundRequest { requests: vec![] })).await.unwrap();
    let evidence = pb::ValidateEvidenceRequest { order: late().order, claim: late().claim, ..Default::default() };
    client.validate_evidence(traced(evidence)).await.unwrap();
    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(0));

    let spans = collector.spans();
    let of = |method: &str| -> Vec<&Span> { spans.iter().filter(|span| span.name.ends_with(method)).collect() };
    let batches = of("/BatchEvaluateRefund");
    holds_once(
        batches[0],
        &[
            ("rpc.grpc.status_code", "0"),
            ("requite.policy.digest", &answered.digest),
            ("requite.batch.items", "100"),
            ("requite.batch.failed", "1"),
            ("requite.batch.approved_partial", "98"),
            ("requite.batch.denied", "1"),
            ("requite.batch.approved_full", "0"),
            ("requite.batch.manual_review", "0"),
            ("requite.batch.more_info_required", "0"),
        ],
    );
    assert!(!labels(&batches[0].attributes).iter().any(|(key, _)| key == "requite.rule"), "a batch has many rules");
    holds_once(batches[1], &[("rpc.grpc.status_code", "0"), ("requite.batch.items", "0")]);
    let evidence = of("/ValidateEvidence");
    holds_once(
        evidence[0],
        &[
            ("rpc.grpc.status_code", "0"),
            ("requite.policy.id", "standard"),
            ("requite.policy.digest", &answered.digest),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_when_it_is_switched_off() {
    let collector = Collector::default();
    let endpoint = collector.start().await;
    let quick = [("OTEL_METRIC_EXPORT_INTERVAL", "20"), ("OTEL_BSP_SCHEDULE_DELAY", "20")];
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str());
    let none = [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")];
    for variables in [vec![], vec![endpoint, ("OTEL_SDK_DISABLED", "true")], [&none[..], &[endpoint]].concat()] {
        let mut service = serve_with(&[], &[&variables[..], &quick].concat());
        let mut client = RefundPolicyServiceClient::new(client::connect(&service.address).await.unwrap());
        client.evaluate_refund(traced(late())).await.unwrap();
        service.signal("-TERM");
        // What is exported at all is exported before the end.
        assert_eq!(service.exit_code(), Some(0));
    }
    assert_eq!(collector.spans(), []);
    assert!(collector.metrics.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_costs_no_decision_and_no_stop() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("http://{nobody}");
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_METRIC_EXPORT_INTERVAL", "20")];
    let mut service = serve_with(&[], &variables);
    let mut client = RefundPolicyServiceClient::new(client::connect(&service.address).await.unwrap());
    for _ in 0..100 {
        client.evaluate_refund(traced(late())).await.unwrap();
    }
    let began = Instant::now();
    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
