//! What one peer can take: settings, silence, floods, and too many connections.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::api::pb::{BatchEvaluateRefundRequest, EvaluateRefundRequest, GetServerInfoRequest};
use requite::server::ServerConfig;
use requite::server::limits::{BATCHES_AT_ONCE_MAX, FIRST_BYTES_TIMEOUT};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::grpc::{
    END_HEADERS_AND_STREAM, GOAWAY, HEADERS, PREFACE, SETTINGS, closed, frame, greet, next_frame, start,
};

/// Malformed HEADERS sent, at most: three times what the server puts up with.
const FLOOD: u32 = 3 * 1_024;

fn impatient() -> ServerConfig {
    ServerConfig { first_bytes_timeout: Duration::from_millis(200), ..ServerConfig::default() }
}

#[tokio::test]
async fn the_settings_on_the_wire_are_the_limits() {
    let server = start(ServerConfig::default()).await;
    let mut stream = greet(server.addr).await;
    let (kind, payload) = next_frame(&mut stream).await.unwrap();
    assert_eq!(kind, SETTINGS);
    let settings: HashMap<u16, u32> = payload
        .chunks(6)
        .map(|it| (u16::from_be_bytes([it[0], it[1]]), u32::from_be_bytes([it[2], it[3], it[4], it[5]])))
        .collect();
    let (max_concurrent_streams, initial_window_size, max_header_list_size) = (3, 4, 6);
    assert_eq!(settings[&max_concurrent_streams], 128);
    // The default of the protocol, 65535, may go unsaid; ours is one byte more.
    assert_eq!(settings[&initial_window_size], 64 * 1024);
    assert_eq!(settings[&max_header_list_size], 8 * 1024);
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    assert!(FIRST_BYTES_TIMEOUT < Duration::from_secs(6));
    let server = start(impatient()).await;
    let begun = Instant::now();
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    let mut slow = TcpStream::connect(server.addr).await.unwrap();
    slow.write_all(&PREFACE[..PREFACE.len() - 1]).await.unwrap();
    assert!(closed(&mut silent).await);
    assert!(closed(&mut slow).await);
    assert!(Duration::from_millis(200) <= begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5));
    server.stop().await;
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_closed_at_once() {
    let server = start(ServerConfig::default()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let begun = Instant::now();
    assert!(closed(&mut stream).await);
    assert!(begun.elapsed() < FIRST_BYTES_TIMEOUT);
    server.stop().await;
}

#[tokio::test]
async fn a_greeted_connection_may_be_idle() {
    let server = start(impatient()).await;
    let mut client = RefundPolicyServiceClient::new(server.channel().await);
    client.get_server_info(GetServerInfoRequest {}).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    client.get_server_info(GetServerInfoRequest {}).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_time_beyond_the_clock_never_comes() {
    let (age, idle) = (Duration::MAX, Duration::MAX);
    let config = ServerConfig { connection_age_max: age, connection_idle_max: idle, ..ServerConfig::default() };
    let server = start(config).await;
    let mut client = RefundPolicyServiceClient::new(server.channel().await);
    for _ in 0..3 {
        client.get_server_info(GetServerInfoRequest {}).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The connection is the first one still: nobody was told to go.
    let mut greeted = greet(server.addr).await;
    next_frame(&mut greeted).await.unwrap();
    drop(greeted);
    server.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once_and_honest_ones_served() {
    let server = start(ServerConfig { connections_max: 2, ..ServerConfig::default() }).await;
    let mut client = RefundPolicyServiceClient::new(server.channel().await);
    client.get_server_info(GetServerInfoRequest {}).await.unwrap();
    // Whoever has made a call a moment ago makes no room.
    let mut second = RefundPolicyServiceClient::new(server.channel().await);
    second.get_server_info(GetServerInfoRequest {}).await.unwrap();
    let mut third = TcpStream::connect(server.addr).await.unwrap();
    assert!(closed(&mut third).await);
    client.get_server_info(GetServerInfoRequest {}).await.unwrap();
    drop((second, third));
    server.stop().await;
}

#[tokio::test]
async fn a_flood_of_malformed_headers_ends_the_connection() {
    let server = start(ServerConfig::default()).await;
    let mut stream = greet(server.addr).await;
    // `connection: x`, which HTTP/2 forbids, without any of the headers that it demands.
    let malformed = [&[0x00, 10][..], b"connection", &[1], b"x"].concat();
    let flood: Vec<u8> =
        (0..FLOOD).flat_map(|place| frame(HEADERS, END_HEADERS_AND_STREAM, 2 * place + 1, &malformed)).collect();
    // The server may close before it has read all of it.
    let _ = stream.write_all(&flood).await;
    let mut said_goaway = false;
    let mut frames = 0;
    while let Some((kind, _)) = next_frame(&mut stream).await {
        said_goaway |= kind == GOAWAY;
        frames += 1;
        assert!(frames <= FLOOD, "the flood was answered to its end");
    }
    assert!(frames < FLOOD, "{frames} frames, GOAWAY: {said_goaway}");
    let mut client = RefundPolicyServiceClient::new(server.channel().await);
    client.get_server_info(GetServerInfoRequest {}).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn batches_beyond_those_at_once_wait_their_turn() {
    let server = start(ServerConfig::default()).await;
    let channel = server.channel().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..4 * BATCHES_AT_ONCE_MAX {
        let mut client = RefundPolicyServiceClient::new(channel.clone());
        let unknown = EvaluateRefundRequest { policy_id: "other".into(), ..EvaluateRefundRequest::default() };
        let batch = BatchEvaluateRefundRequest { requests: vec![unknown; 200] };
        calls.spawn(async move { client.batch_evaluate_refund(batch).await.unwrap().into_inner().items.len() });
    }
    assert_eq!(calls.join_all().await, vec![200; 4 * BATCHES_AT_ONCE_MAX]);
    server.stop().await;
}
