//! Stopping: in bounded time, with notice, whatever hangs.

use std::time::{Duration, Instant};

use requite::api::pb::GetServerInfoRequest;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::client;
use requite::server::limits::{DRAIN_TIME_MAX, STOP_TIME_MAX};
use requite::server::{Drained, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::grpc::{GOAWAY, PREFACE, SETTINGS, frame, greet, next_frame, start};

#[tokio::test]
async fn a_watcher_hears_of_the_stop_and_does_not_hold_it_up() {
    let server = start(ServerConfig::default()).await;
    let mut client = HealthClient::new(server.channel().await);
    let mut watch = client.watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let begun = Instant::now();
    let stopping = server.begin_stop();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(watch.message().await.unwrap_err().code(), Code::Unavailable);
    let drained = stopping.ended().await;
    assert_eq!(drained, Drained { connections_closed: 1, connections_cut: 0 });
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn calls_are_answered_until_the_notice_is_over() {
    let config = ServerConfig { stop_notice: Duration::from_millis(500), ..ServerConfig::default() };
    let server = start(config).await;
    let addr = server.addr.to_string();
    let stopping = server.begin_stop();
    let mut client = RefundPolicyServiceClient::new(client::connect(&addr).await.unwrap());
    client.get_server_info(GetServerInfoRequest {}).await.unwrap();
    stopping.ended().await;
    assert!(client::connect(&addr).await.is_err());
}

#[tokio::test]
async fn a_peer_that_does_not_answer_is_told_and_then_cut() {
    assert!(DRAIN_TIME_MAX < STOP_TIME_MAX);
    let config = ServerConfig { drain_time_max: Duration::from_millis(300), ..ServerConfig::default() };
    let server = start(config).await;
    let mut deaf = greet(server.addr).await;
    next_frame(&mut deaf).await.unwrap();
    let begun = Instant::now();
    let drained = server.stop().await;
    assert_eq!(drained, Drained { connections_closed: 0, connections_cut: 1 });
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let mut kinds = Vec::new();
    while let Some((kind, _)) = next_frame(&mut deaf).await {
        kinds.push(kind);
    }
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
}

#[tokio::test]
async fn a_connection_that_begins_while_the_server_stops_is_told_so() {
    let config = ServerConfig { stop_notice: Duration::ZERO, ..ServerConfig::default() };
    let server = start(config).await;
    let mut late = Vec::new();
    for _ in 0..20 {
        late.push(TcpStream::connect(server.addr).await.unwrap());
    }
    // Connections are taken in the order in which they come: when this one is answered, all of those are.
    RefundPolicyServiceClient::new(server.channel().await).get_server_info(GetServerInfoRequest {}).await.unwrap();
    let stopping = server.begin_stop();
    tokio::time::sleep(Duration::from_millis(10)).await;
    // All of them at once: what comes later than the time for a greeting is cut.
    for stream in &mut late {
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    }
    for mut stream in late {
        let mut kinds = Vec::new();
        while let Some((kind, _)) = next_frame(&mut stream).await {
            kinds.push(kind);
            if kind == GOAWAY {
                break;
            }
        }
        assert!(kinds.contains(&GOAWAY), "a caller cannot know whether its call was taken: {kinds:?}");
    }
    stopping.ended().await;
}
