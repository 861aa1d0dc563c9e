//! Places for connections: who makes room where they are crowded, and how long one may stay.

use std::error::Error;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use requite::api::pb::GetServerInfoRequest;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::server::ServerConfig;
use requite::server::limits::{CROWDED_IDLE_MIN, CROWDED_SILENT_MIN, CROWDED_UNANSWERED_MIN};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::grpc::{GOAWAY, PATIENCE, Running, closed, greet, greet_from, next_frame, start};

fn places(connections_max: usize) -> ServerConfig {
    ServerConfig { connections_max, connections_per_peer_max: Some(connections_max), ..ServerConfig::default() }
}

/// Whether someone new is served.
async fn serves(server: &Running) -> bool {
    let Ok(channel) = requite::client::connect(&server.addr.to_string()).await else { return false };
    RefundPolicyServiceClient::new(channel).get_server_info(GetServerInfoRequest {}).await.is_ok()
}

/// Clients with connections of their own, on each of which a call was answered.
async fn called(server: &Running, count: usize) -> Vec<RefundPolicyServiceClient<Channel>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = RefundPolicyServiceClient::new(server.channel().await);
        client.get_server_info(GetServerInfoRequest {}).await.unwrap();
        clients.push(client);
    }
    clients
}

/// Reads frames until the connection is told to go.
async fn told_to_go(stream: &mut TcpStream) -> bool {
    while let Some((kind, _)) = next_frame(stream).await {
        if kind == GOAWAY {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn idle_connections_make_room_where_they_are_crowded() {
    let server = start(places(4)).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut stream = greet(server.addr).await;
        next_frame(&mut stream).await.unwrap();
        idle.push(stream);
    }
    sleep(CROWDED_IDLE_MIN).await;
    assert!(serves(&server).await);
    assert!(told_to_go(&mut idle[0]).await, "the one that is idle for longest makes room");
    server.stop().await;
}

#[tokio::test]
async fn connections_that_were_used_a_moment_ago_keep_their_places() {
    let server = start(places(4)).await;
    let mut used = called(&server, 4).await;
    assert!(closed(&mut TcpStream::connect(server.addr).await.unwrap()).await);
    for client in &mut used {
        client.get_server_info(GetServerInfoRequest {}).await.unwrap();
    }
    server.stop().await;
}

#[tokio::test]
async fn silent_connections_make_room_first() {
    let server = start(places(2)).await;
    let mut idle = greet(server.addr).await;
    next_frame(&mut idle).await.unwrap();
    sleep(CROWDED_IDLE_MIN).await;
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    sleep(CROWDED_SILENT_MIN).await;
    assert!(serves(&server).await);
    assert!(closed(&mut silent).await);
    assert!(timeout(Duration::from_millis(200), told_to_go(&mut idle)).await.is_err(), "the idle one may stay");
    server.stop().await;
}

#[tokio::test]
async fn new_connections_that_say_nothing_keep_nobody_out() {
    let server = start(places(2)).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(TcpStream::connect(server.addr).await.unwrap());
        assert!(serves(&server).await);
    }
    server.stop().await;
}

#[tokio::test]
async fn new_connections_that_make_no_call_keep_nobody_out() {
    let server = start(places(16)).await;
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(greet(server.addr).await);
        assert!(serves(&server).await);
    }
    server.stop().await;
}

/// One address that opens many connections at the same moment, beside hundreds that hold a few each: those few
/// are looked through once for many, and a caller is no intruder because it has more of them than others.
#[tokio::test]
async fn many_peers_that_hold_a_few_connections_each_keep_no_burst_of_callers_out() {
    let (peers, of_each, callers) = (150, 4, 60);
    let server = start(places(peers * of_each)).await;
    let mut held = Vec::new();
    for place in 0..peers * of_each {
        let peer = Ipv4Addr::new(127, 0, 1, 1 + u8::try_from(place % peers).unwrap());
        held.push(greet_from(peer, server.addr).await);
    }
    let mut calls = JoinSet::new();
    for _ in 0..callers {
        let addr = server.addr.to_string();
        calls.spawn(async move {
            let channel = requite::client::connect(&addr).await?;
            RefundPolicyServiceClient::new(channel).get_server_info(GetServerInfoRequest {}).await?;
            Ok::<(), Box<dyn Error + Send + Sync>>(())
        });
    }
    let mut failed = Vec::new();
    while let Some(ended) = calls.join_next().await {
        failed.extend(ended.unwrap().err().map(|error| error.to_string()));
    }
    assert!(failed.is_empty(), "{} of {callers} callers: {failed:?}", failed.len());
    server.stop().await;
}

#[tokio::test]
async fn connections_that_only_watch_make_room_in_the_end() {
    let server = start(places(3)).await;
    let mut watching = Vec::new();
    for _ in 0..3 {
        let mut client = HealthClient::new(server.channel().await);
        let mut updates = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
        updates.message().await.unwrap().unwrap();
        watching.push((client, updates));
    }
    assert!(!serves(&server).await);
    sleep(CROWDED_UNANSWERED_MIN).await;
    assert!(serves(&server).await);
    server.stop().await;
}

#[tokio::test]
async fn a_peer_has_no_more_than_its_share() {
    let server = start(ServerConfig { connections_per_peer_max: Some(2), ..places(10) }).await;
    let _taken = called(&server, 2).await;
    assert!(closed(&mut TcpStream::connect(server.addr).await.unwrap()).await);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_without_calls_is_told_to_go() {
    let connection_idle_max = Duration::from_millis(300);
    let server = start(ServerConfig { connection_idle_max, ..ServerConfig::default() }).await;
    let begun = Instant::now();
    let mut idle = greet(server.addr).await;
    assert!(told_to_go(&mut idle).await);
    assert!(connection_idle_max <= begun.elapsed() && begun.elapsed() < PATIENCE);
    // One with a call stays, and so does one whose calls follow each other.
    let mut client = HealthClient::new(server.channel().await);
    let mut updates = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    updates.message().await.unwrap().unwrap();
    assert!(timeout(2 * connection_idle_max, updates.message()).await.is_err(), "it goes on");
    server.stop().await;
}

#[tokio::test]
async fn an_old_connection_is_told_to_go_and_its_client_notices_nothing() {
    let connection_age_max = Duration::from_millis(500);
    let server = start(ServerConfig { connection_age_max, ..ServerConfig::default() }).await;
    let mut old = greet(server.addr).await;
    let mut client = RefundPolicyServiceClient::new(server.channel().await);
    let begun = Instant::now();
    while begun.elapsed() < 4 * connection_age_max {
        if let Err(status) = client.get_server_info(GetServerInfoRequest {}).await {
            // A call that meets the end of the connection before it was sent is sent again, which most clients do
            // by themselves, but not this one.
            assert_eq!(status.code(), Code::Cancelled, "{status}");
            client.get_server_info(GetServerInfoRequest {}).await.unwrap();
        }
        sleep(Duration::from_millis(5)).await;
    }
    assert!(told_to_go(&mut old).await);
    server.stop().await;
}
