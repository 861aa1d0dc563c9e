//! Too much to do: what is refused, what the refusal says, and what is answered all the same.

use std::num::NonZeroUsize;

use http::HeaderName;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use requite::api::json::request_from_json;
use requite::api::pb;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::client;
use requite::engine::admit::admit;
use requite::engine::open;
use requite::server::{OverloadConfig, ServerConfig, serve};
use requite::source::embedded;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;
use tower::{Service as _, ServiceExt as _};

use crate::support::grpc::{PATIENCE, Running, start, start_with};

fn limited(max: usize, caller_header: Option<&'static str>) -> ServerConfig {
    let concurrency_limit = NonZeroUsize::new(max);
    let overload = OverloadConfig { concurrency_limit, caller_header: caller_header.map(HeaderName::from_static) };
    ServerConfig { overload, ..ServerConfig::default() }
}

/// A call whose message does not end: it holds its place until it is dropped.
struct Held {
    _body: mpsc::Sender<Result<Frame<Bytes>, Status>>,
    call: JoinHandle<()>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.call.abort();
    }
}

async fn hold(server: &Running, caller: &'static str) -> Held {
    let (body, frames) = mpsc::channel(1);
    let mut channel = server.channel().await;
    let request = http::Request::post(format!("http://{}/requite.v1.RefundPolicyService/GetServerInfo", server.addr))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-caller", caller)
        .body(Body::new(StreamBody::new(ReceiverStream::new(frames))))
        .unwrap();
    let call = tokio::spawn(async move {
        let _ = channel.ready().await.unwrap().call(request).await;
    });
    Held { _body: body, call }
}

async fn info(channel: &Channel, caller: &'static str) -> Result<(), Status> {
    let mut request = Request::new(pb::GetServerInfoRequest::default());
    request.metadata_mut().insert("x-caller", MetadataValue::from_static(caller));
    RefundPolicyServiceClient::new(channel.clone()).get_server_info(request).await.map(drop)
}

/// The first refusal; until what is held has arrived, calls are answered.
async fn refusal(channel: &Channel, caller: &'static str) -> Status {
    let refused = async {
        loop {
            match info(channel, caller).await {
                Ok(()) => sleep(std::time::Duration::from_millis(5)).await,
                Err(status) => return status,
            }
        }
    };
    timeout(PATIENCE, refused).await.unwrap()
}

/// Waits until calls of a caller are answered.
async fn answered(channel: &Channel, caller: &'static str) {
    let answered = async {
        while info(channel, caller).await.is_err() {
            sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, answered).await.unwrap();
}

fn reason(status: &Status) -> String {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    status.get_error_details().error_info().unwrap().reason.clone()
}

#[tokio::test]
async fn excess_is_refused_with_a_reason_and_a_delay_and_health_answers_meanwhile() {
    let server = start(limited(2, None)).await;
    let channel = server.channel().await;
    answered(&channel, "shop").await;
    let held = [hold(&server, "shop").await, hold(&server, "shop").await];
    let status = refusal(&channel, "shop").await;
    assert_eq!(reason(&status), "OVERLOADED");
    let delay = status.get_error_details().retry_info().unwrap().retry_delay.unwrap();
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap();
    assert_eq!(pushback, delay.as_millis().to_string());
    let health = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(health.into_inner().status, 1, "health stands outside of the limit");
    drop(held);
    answered(&channel, "shop").await;
    server.stop().await;
}

#[tokio::test]
async fn a_caller_has_no_more_than_its_part_of_the_places_while_others_call() {
    let server = start(limited(4, Some("x-caller"))).await;
    let channel = server.channel().await;
    let mut held = vec![hold(&server, "greedy").await];
    // Both are known as active by now.
    let both = async {
        loop {
            held.push(hold(&server, "greedy").await);
            answered(&channel, "modest").await;
            let status = refusal(&channel, "greedy").await;
            if reason(&status) == "CALLER_OVER_SHARE" {
                return;
            }
        }
    };
    timeout(PATIENCE, both).await.unwrap();
    for _ in 0..20 {
        info(&channel, "modest").await.unwrap();
    }
    drop(held);
    answered(&channel, "greedy").await;
    server.stop().await;
}

#[tokio::test]
async fn a_message_above_its_limit_says_so_and_not_when_to_come_back() {
    let server = start(ServerConfig::default()).await;
    let request = pb::EvaluateRefundRequest { request_id: "x".repeat(257 * 1024), ..Default::default() };
    let status = RefundPolicyServiceClient::new(server.channel().await).evaluate_refund(request).await.unwrap_err();
    assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
    assert!(status.get_error_details().retry_info().is_none(), "it will never be taken");
    server.stop().await;
}

/// Lines of a heavy call: with the rules of the standard policy they are more than is explained at once.
const HEAVY_LINES: i64 = 160;

/// A request whose answer takes long: many lines, all explained.
fn heavy() -> pb::EvaluateRefundRequest {
    let example = include_str!("../../policies/standard/requests/platform-late-partial.json");
    let mut request = request_from_json(example).unwrap();
    let order = request.order.as_mut().unwrap();
    let line = order.lines[0].clone();
    let paid = line.paid.as_ref().unwrap().units;
    order.lines =
        (0..HEAVY_LINES).map(|number| pb::OrderLine { line_id: number.to_string(), ..line.clone() }).collect();
    order.tenders[0].paid.as_mut().unwrap().units = HEAVY_LINES * paid;
    request.explain = pb::ExplainLevel::Full.into();
    request
}

fn called_by<T>(caller: &'static str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-caller", MetadataValue::from_static(caller));
    request
}

async fn start_standard(config: ServerConfig) -> Running {
    start_with(config, admit(&embedded::read().unwrap()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heavy_call_waits_for_its_turn_and_not_for_all_heavy_calls_of_another_caller() {
    const GREEDY: usize = 24;
    let server = start_standard(limited(10_000, Some("x-caller"))).await;
    let (channel, modest) = (server.channel().await, server.channel().await);
    info(&modest, "modest").await.unwrap();
    let mut greedy = JoinSet::new();
    for _ in 0..GREEDY {
        let mut client = RefundPolicyServiceClient::new(channel.clone());
        greedy.spawn(async move { client.evaluate_refund(called_by("greedy", heavy())).await.map(drop) });
    }
    // The others have come by then, and wait.
    greedy.join_next().await.unwrap().unwrap().unwrap();
    let mut client = RefundPolicyServiceClient::new(modest);
    let answer = client.evaluate_refund(called_by("modest", heavy())).await.unwrap().into_inner();
    assert_eq!(answer.explanation.unwrap().lines.len(), usize::try_from(HEAVY_LINES).unwrap());
    while greedy.try_join_next().is_some() {}
    assert!(GREEDY / 2 <= greedy.len(), "only {} of {GREEDY} wait still", greedy.len());
    greedy.shutdown().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heavy_calls_that_wait_for_too_long_are_refused_and_those_of_others_are_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (engine, _activator) = open(admit(&embedded::read().unwrap()).unwrap());
    let overload = OverloadConfig { concurrency_limit: None, caller_header: Some(HeaderName::from_static("x-caller")) };
    let config = ServerConfig { overload, ..ServerConfig::default() };
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, engine, config, async { stopped.await.unwrap_or_default() }));
    let channel = client::connect(&address).await.unwrap();
    let mut greedy = JoinSet::new();
    for _ in 0..24 {
        let mut client = RefundPolicyServiceClient::new(channel.clone());
        greedy.spawn(async move {
            loop {
                match client.evaluate_refund(called_by("greedy", heavy())).await {
                    Err(status) if status.code() == Code::ResourceExhausted => return status,
                    // Where the host is busy, some take longer than a call may.
                    Err(_) | Ok(_) => {}
                }
            }
        });
    }
    let modest = client::connect(&address).await.unwrap();
    let refused = async {
        loop {
            tokio::select! {
                status = greedy.join_next() => return status.unwrap().unwrap(),
                answer = info(&modest, "modest") => answer.unwrap(),
            }
            sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let status = timeout(2 * PATIENCE, refused).await.unwrap();
    assert!(["OVERLOADED", "CALLER_OVER_SHARE"].contains(&reason(&status).as_str()));
    greedy.shutdown().await;
    stop.send(()).unwrap();
    timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
}
