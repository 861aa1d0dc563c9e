//! Too much to do: what is refused, what the refusal says, and what is answered all the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test may panic to fail, also in its helper functions"
)]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of the support")]

mod grpc_support;

use std::num::NonZeroUsize;

use grpc_support::{PATIENCE, Running, start};
use http::HeaderName;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use requite::server::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::server::{OverloadConfig, ServerConfig, pb};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
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
    let request = pb::EvaluateRefundRequest { request_id: "x".repeat(65 * 1024), ..Default::default() };
    let status = RefundPolicyServiceClient::new(server.channel().await).evaluate_refund(request).await.unwrap_err();
    assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
    assert!(status.get_error_details().retry_info().is_none(), "it will never be taken");
    server.stop().await;
}
