//! What the process says of itself reaches a collector, over the wire.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic to fail")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
use requite::domain::words::{Outcome, ReasonCode};
use requite::telemetry::event::{Decided, Panicked, ReloadResult, ReloadTrigger, Reloaded};
use requite::telemetry::logs::{LogFormat, LogSettings};
use requite::telemetry::settings::Export;
use requite::telemetry::{init, span};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

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

/// One test, because telemetry is set up once in a process.
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
    span::decided(&continued, "blake3:abc", "not-started", "approved_full");
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

/// The program, which does not outlive its test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The whole road: the program as it is run, a call with a trace, and what the collector gets
/// from both before the program has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_served_call_is_a_span_of_the_callers_trace() {
    let collector = Collector::default();
    let endpoint = collector.start().await;
    let mut served = Served(
        Command::new(env!("CARGO_BIN_EXE_requite"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "trace"])
            .env_clear()
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")
            .env("OTEL_SERVICE_NAME", "refunds")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let child = &mut served.0;
    let mut stderr = child.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        log
    });
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let serving: serde_json::Value = serde_json::from_str(&line).unwrap();

    let address = format!("http://{}", serving.get("address").and_then(serde_json::Value::as_str).unwrap());
    let channel = tonic::transport::Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let mut request = Request::new(());
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    let path = http::uri::PathAndQuery::from_static("/requite.v1.RefundPolicyService/EvaluateRefund");
    // Empty, and so a bad request: it is traced all the same.
    let call = client.unary(request, path, tonic_prost::ProstCodec::<(), ()>::default());
    let status = tokio::time::timeout(Duration::from_secs(10), call).await.unwrap().unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    drop(client);

    let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert!(child.wait().unwrap().success());
    let span = collector.span(METHOD);
    assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331");
    assert!(collector.resource().contains(&("service.name".to_owned(), "refunds".to_owned())));
    assert!(!log.join().unwrap().contains("hunter2"), "no secret is logged at any level");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
