//! What calls may hold while they wait: messages in crumbs, bodies that never end, answers that nobody reads.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request};
use prost::Message as _;
use requite::api::limits::{MATERIAL_MESSAGE_BYTES_MAX, SMALL_FRAMES_MAX};
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::api::pb::{BatchEvaluateRefundRequest, EvaluateRefundRequest, GetServerInfoRequest};
use requite::server::ServerConfig;
use requite::server::limits::{
    ANSWER_SLICE_BYTES, CALL_TIME_MAX, CONNECTION_CHECK_INTERVAL, HELD_BYTES_DIVISOR, HELD_BYTES_MAX,
    LOCAL_ERROR_RESETS_MAX,
};
use requite::telemetry::prometheus;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::METRICS;
use crate::support::grpc::{PATIENCE, frame, greet, next_frame, start};

const BATCH: &str = "BatchEvaluateRefund";

// Kinds of frames, and flags.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection by hand.
async fn connect(addr: SocketAddr, builder: &h2::client::Builder) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(async move {
        // How it ends is what some tests are about; they see it in their calls.
        let _ = connection.await;
    });
    sender
}

/// Begins a call; its message follows by hand.
async fn begin(sender: &mut SendRequest<Bytes>, method: &str) -> (ResponseFuture, SendStream<Bytes>) {
    let mut ready = sender.clone().ready().await.unwrap();
    let request = Request::post(format!("http://localhost/requite.v1.RefundPolicyService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    ready.send_request(request, false).unwrap()
}

/// Sends bytes as far as the window of the stream lets them through.
async fn send(stream: &mut SendStream<Bytes>, mut bytes: Bytes, last: bool) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.transpose()?.unwrap_or(0);
        let part = bytes.split_to(room.min(bytes.len()));
        stream.send_data(part, last && bytes.is_empty())?;
    }
    Ok(())
}

/// A message with its prefix.
fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat().into()
}

/// The status that an answer begins with; `None` where it begins with a message.
async fn early_status(response: ResponseFuture) -> Option<Status> {
    let response = timeout(PATIENCE, response).await.unwrap().unwrap();
    Status::from_header_map(response.headers())
}

/// Reads an answer to its end: its bytes, and its trailers.
async fn read_all(mut body: RecvStream) -> Result<(usize, Option<HeaderMap>), h2::Error> {
    let mut bytes = 0;
    while let Some(data) = timeout(PATIENCE, body.data()).await.unwrap() {
        let data = data?;
        bytes += data.len();
        body.flow_control().release_capacity(data.len())?;
    }
    Ok((bytes, body.trailers().await?))
}

/// What calls of callers hold now, as the metrics say.
fn held_bytes() -> usize {
    let page = prometheus::page().into_text();
    let held = page.lines().filter(|line| line.starts_with("requite_buffered_bytes{"));
    held.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum()
}

async fn nothing_is_held() {
    let begun = Instant::now();
    while held_bytes() != 0 {
        assert!(begun.elapsed() < PATIENCE, "{} bytes are still held", held_bytes());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A metric without labels.
fn metric(name: &str) -> u64 {
    let page = prometheus::page().into_text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().parse().unwrap()
}

fn batch(items: usize) -> Bytes {
    let unknown = EvaluateRefundRequest { policy_id: "other".into(), ..EvaluateRefundRequest::default() };
    framed(&BatchEvaluateRefundRequest { requests: vec![unknown; items] }.encode_to_vec())
}

#[tokio::test]
async fn a_message_in_pieces_is_answered_and_one_in_crumbs_refused() {
    let _turn = METRICS.lock().await;
    let server = start(ServerConfig::default()).await;
    let mut sender = connect(server.addr, &h2::client::Builder::new()).await;
    let message = batch(100);
    let (response, mut stream) = begin(&mut sender, BATCH).await;
    for piece in message.chunks(7) {
        send(&mut stream, Bytes::copy_from_slice(piece), false).await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.send_data(Bytes::new(), true).unwrap();
    let response = timeout(PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(Status::from_header_map(response.headers()).map(|status| status.code()), None);
    let (_, trailers) = read_all(response.into_body()).await.unwrap();
    assert_eq!(trailers.unwrap()["grpc-status"], "0");

    let (response, mut stream) = begin(&mut sender, BATCH).await;
    send(&mut stream, Bytes::from_static(&[0, 0, 1, 0, 0]), false).await.unwrap();
    for _ in 0..=SMALL_FRAMES_MAX {
        // It may be refused before all of them are sent.
        let _ = send(&mut stream, Bytes::from_static(b"x"), false).await;
    }
    let status = early_status(response).await.unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("frames"), "{status:?}");
    drop((stream, sender));
    nothing_is_held().await;
    server.stop().await;
}

#[tokio::test]
async fn bodies_that_never_end_hold_no_more_than_their_share_and_honest_calls_go_on() {
    let _turn = METRICS.lock().await;
    let server = start(ServerConfig::default()).await;
    let share = HELD_BYTES_MAX / HELD_BYTES_DIVISOR;
    let mut connections = Vec::new();
    for connection in 0..3 {
        let mut sender = connect(server.addr, &h2::client::Builder::new()).await;
        let mut statuses = tokio::task::JoinSet::new();
        let mut endless = Vec::new();
        for _ in 0..100 {
            let (response, mut stream) = begin(&mut sender, BATCH).await;
            statuses.spawn(early_status(response));
            let prefix = u32::try_from(MATERIAL_MESSAGE_BYTES_MAX).unwrap().to_be_bytes();
            let part = [&[0][..], &prefix, &vec![0; MATERIAL_MESSAGE_BYTES_MAX / 2]].concat();
            // What is refused is reset before all of it is sent.
            let _ = timeout(PATIENCE, send(&mut stream, part.into(), false)).await.unwrap();
            endless.push(stream);
        }
        let status = timeout(PATIENCE, statuses.join_next()).await.unwrap().unwrap().unwrap().unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "OVERLOADED");
        assert!(details.retry_info().unwrap().retry_delay.is_some());
        assert!(held_bytes() <= (connection + 1) * share, "{} bytes are held", held_bytes());
        connections.push((sender, endless, statuses));
    }
    assert!(share / 2 <= held_bytes());
    let mut honest = RefundPolicyServiceClient::new(server.channel().await);
    honest.get_server_info(GetServerInfoRequest {}).await.unwrap();
    let unknown = EvaluateRefundRequest { policy_id: "x".repeat(30), ..EvaluateRefundRequest::default() };
    let large = BatchEvaluateRefundRequest { requests: vec![unknown; 1_000] };
    honest.batch_evaluate_refund(large).await.unwrap();
    drop(connections);
    nothing_is_held().await;
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up_and_others_are_sent() {
    let _turn = METRICS.lock().await;
    let server = start(ServerConfig::default()).await;
    let before = metric("requite_answers_not_read_total");
    // One byte of the answer may be sent, then no more.
    let mut sender = connect(server.addr, h2::client::Builder::new().initial_window_size(1)).await;
    let mut unread = Vec::new();
    for _ in 0..20 {
        let mut ready = sender.clone().ready().await.unwrap();
        let request = Request::post(format!("http://localhost/requite.v1.RefundPolicyService/{BATCH}"))
            .header("content-type", "application/grpc")
            .header("grpc-timeout", "2S")
            .body(())
            .unwrap();
        let (response, mut stream) = ready.send_request(request, false).unwrap();
        send(&mut stream, batch(500), true).await.unwrap();
        let response = timeout(PATIENCE, response).await.unwrap().unwrap();
        assert!(Status::from_header_map(response.headers()).is_none());
        unread.push(response.into_body());
    }
    assert!(20 * ANSWER_SLICE_BYTES < held_bytes(), "{} bytes are held", held_bytes());
    // A small one on the same connection is sent beside them.
    let (response, mut stream) = begin(&mut sender, "GetServerInfo").await;
    send(&mut stream, framed(&[]), true).await.unwrap();
    let response = timeout(PATIENCE, response).await.unwrap().unwrap();
    let (bytes, trailers) = read_all(response.into_body()).await.unwrap();
    assert!(0 < bytes && trailers.unwrap()["grpc-status"] == "0");
    for mut body in unread {
        body.data().await.unwrap().unwrap();
        let end = timeout(PATIENCE, body.data()).await.unwrap().unwrap();
        assert!(end.unwrap_err().is_reset());
    }
    nothing_is_held().await;
    assert_eq!(metric("requite_answers_not_read_total") - before, 20);
    server.stop().await;
}

#[tokio::test]
async fn a_large_answer_arrives_whole_at_whoever_reads_it() {
    let _turn = METRICS.lock().await;
    let server = start(ServerConfig::default()).await;
    let mut sender = connect(server.addr, &h2::client::Builder::new()).await;
    let (response, mut stream) = begin(&mut sender, BATCH).await;
    send(&mut stream, batch(1_000), true).await.unwrap();
    let response = timeout(PATIENCE, response).await.unwrap().unwrap();
    let (bytes, trailers) = read_all(response.into_body()).await.unwrap();
    assert!(32 * 1_024 < bytes, "{bytes} bytes");
    assert_eq!(trailers.unwrap()["grpc-status"], "0");
    nothing_is_held().await;
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_takes_nothing_that_was_handed_over_is_closed() {
    let _turn = METRICS.lock().await;
    let server = start(ServerConfig::default()).await;
    let mut sender = connect(server.addr, h2::client::Builder::new().initial_window_size(1)).await;
    // Less than a slice: the HTTP/2 layer has all of it.
    let (response, mut stream) = begin(&mut sender, BATCH).await;
    send(&mut stream, batch(100), true).await.unwrap();
    let mut body = timeout(PATIENCE, response).await.unwrap().unwrap().into_body();
    body.data().await.unwrap().unwrap();
    assert_ne!(held_bytes(), 0);
    let longest = 2 * CONNECTION_CHECK_INTERVAL + Duration::from_secs(5);
    assert!(timeout(longest, body.data()).await.unwrap().unwrap().is_err());
    nothing_is_held().await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_call_is_refused_as_the_protocol_has_it() {
    let server = start(ServerConfig::default()).await;
    let sender = connect(server.addr, &h2::client::Builder::new()).await;
    let ask = async |method: &str, content_type: Option<&str>, body: Bytes| {
        let mut ready = sender.clone().ready().await.unwrap();
        let mut request =
            Request::builder().method(method).uri("http://localhost/requite.v1.RefundPolicyService/GetServerInfo");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        // Without `te: trailers`: a proxy may have dropped it.
        let (response, mut stream) = ready.send_request(request.body(()).unwrap(), false).unwrap();
        let _ = send(&mut stream, body, true).await;
        let response = timeout(PATIENCE, response).await.unwrap().unwrap();
        let status = Status::from_header_map(response.headers()).map(|status| status.code());
        (response.status().as_u16(), status)
    };
    let one = framed(&[]);
    assert_eq!(ask("POST", Some("application/grpc"), one.clone()).await, (200, None));
    assert_eq!(ask("POST", Some("application/grpc+proto"), one.clone()).await, (200, None));
    assert_eq!(ask("POST", Some("application/json"), one.clone()).await, (415, None));
    assert_eq!(ask("POST", None, one.clone()).await, (415, None));
    assert_eq!(ask("GET", Some("application/grpc"), one.clone()).await, (405, None));
    let grpc = Some("application/grpc");
    let two = [one.clone(), one.clone()].concat();
    assert_eq!(ask("POST", grpc, two.into()).await, (200, Some(Code::Unimplemented)));
    for bad_flag in [1, 2, 255] {
        let bad: Bytes = vec![bad_flag, 0, 0, 0, 0].into();
        assert_eq!(ask("POST", grpc, bad).await, (200, Some(Code::InvalidArgument)), "{bad_flag}");
    }
    server.stop().await;
}

/// The head of a request that is refused before anything of its body is read, written by hand.
fn head_of_a_refused_request(stream: u32) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let path = text("/requite.v1.RefundPolicyService/GetServerInfo");
    // `POST` and `http` by their places in the table of the protocol, then names by theirs, none to be remembered.
    let headers =
        [vec![0x83, 0x86, 0x04], path, [vec![0x01], text("localhost"), vec![0x0f, 0x10], text("text/plain")].concat()]
            .concat();
    frame(HEADERS, END_HEADERS, stream, &headers)
}

#[tokio::test]
async fn bodies_that_arrive_after_a_refusal_cost_no_connection() {
    // More than resets that a connection may cause by its mistakes, and streams that are remembered.
    let calls = u32::try_from(LOCAL_ERROR_RESETS_MAX).unwrap() + 100;
    let server = start(ServerConfig::default()).await;
    let mut connection = greet(server.addr).await;
    connection.set_nodelay(true).unwrap();
    for stream in (0..calls).map(|call| 2 * call + 1) {
        connection.write_all(&head_of_a_refused_request(stream)).await.unwrap();
        loop {
            let (kind, payload) = next_frame(&mut connection).await.expect("the connection stays");
            assert!(kind != RST_STREAM && kind != GOAWAY, "{stream}: a frame {kind}: {payload:?}");
            if kind == HEADERS {
                break;
            }
        }
        // A client that had not read the refusal would send this.
        connection.write_all(&frame(DATA, END_STREAM, stream, &framed(&[7; 600]))).await.unwrap();
    }
    drop(connection);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_goes_on_after_a_refusal_is_reset() {
    let server = start(ServerConfig::default()).await;
    let mut connection = greet(server.addr).await;
    connection.write_all(&head_of_a_refused_request(1)).await.unwrap();
    let mut kinds = Vec::new();
    while let Some((kind, _)) = next_frame(&mut connection).await {
        kinds.push(kind);
        if kind == RST_STREAM {
            break;
        }
        connection.write_all(&frame(DATA, 0, 1, &[7; 100])).await.unwrap();
    }
    assert!(kinds.contains(&HEADERS) && kinds.last() == Some(&RST_STREAM), "{kinds:?}");
    drop(connection);
    server.stop().await;
}

#[tokio::test]
async fn a_method_that_does_not_exist_is_refused_before_its_body_has_come() {
    let server = start(ServerConfig::default()).await;
    let sender = connect(server.addr, &h2::client::Builder::new()).await;
    for path in ["requite.v1.RefundPolicyService/NoSuchMethod", "other.Service/Method"] {
        let mut ready = sender.clone().ready().await.unwrap();
        let request = Request::builder()
            .method("POST")
            .uri(format!("http://localhost/{path}"))
            .header("content-type", "application/grpc");
        // No byte of the body is sent, and it never ends.
        let (response, _stream) = ready.send_request(request.body(()).unwrap(), false).unwrap();
        let response = timeout(CALL_TIME_MAX / 2, response).await.expect("it is answered at once").unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
    server.stop().await;
}
