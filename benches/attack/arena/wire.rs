//! Calls over HTTP/2 as a client makes them, and messages written by hand.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use h2::client::SendRequest;
use hyper::body::Bytes;
use prost::Message;
use requite::api::json;
use requite::api::pb::{EvaluateRefundRequest, ExplainLevel};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const EVALUATE: &str = "/requite.v1.RefundPolicyService/EvaluateRefund";
pub(crate) const BATCH: &str = "/requite.v1.RefundPolicyService/BatchEvaluateRefund";
pub(crate) const EVIDENCE: &str = "/requite.v1.RefundPolicyService/ValidateEvidence";
pub(crate) const HEALTH: &str = "/grpc.health.v1.Health/Check";
pub(crate) const WATCH: &str = "/grpc.health.v1.Health/Watch";
pub(crate) const VALIDATE: &str = "/requite.v1.PolicyAdminService/ValidatePolicy";
pub(crate) const STATUS: &str = "/requite.v1.PolicyAdminService/GetPolicyStatus";

/// A connection that speaks HTTP/2 properly.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<()>,
    silent: Arc<AtomicBool>,
}

/// The answer to one call.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status of HTTP.
    pub(crate) http: u16,
    /// `grpc-status`, from the headers or the trailers.
    pub(crate) grpc: Option<i32>,
    /// Its `grpc-message`.
    pub(crate) text: String,
    /// Bytes of the body.
    pub(crate) body: Vec<u8>,
}

/// A TCP connection from an address.
pub(crate) async fn connect(from: IpAddr, to: SocketAddr) -> Result<TcpStream, String> {
    let socket = TcpSocket::new_v4().map_err(|error| error.to_string())?;
    socket.bind(SocketAddr::new(from, 0)).map_err(|error| format!("cannot come from {from}: {error}"))?;
    let stream = timeout(Duration::from_secs(5), socket.connect(to)).await;
    let stream = stream.map_err(|_| "no connection in 5 s".to_owned())?.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

impl Connection {
    pub(crate) async fn open(from: IpAddr, to: SocketAddr) -> Result<Self, String> {
        Self::open_with_window(from, to, 1024 * 1024).await
    }

    /// One that lets the server send so much on each stream before it is read.
    pub(crate) async fn open_with_window(from: IpAddr, to: SocketAddr, window: u32) -> Result<Self, String> {
        let stream = connect(from, to).await?;
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(window)
            .initial_connection_window_size(16 * 1024 * 1024)
            .max_header_list_size(4 * 1024 * 1024)
            .handshake(stream)
            .await
            .map_err(|error| error.to_string())?;
        let silent = Arc::new(AtomicBool::new(false));
        let hushed = Arc::clone(&silent);
        let driver = tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            poll_fn(|cx| match hushed.load(Ordering::Relaxed) {
                true => Poll::Pending,
                // Each call tells what became of it.
                false => connection.as_mut().poll(cx).map(drop),
            })
            .await;
        });
        Ok(Self { sender, driver, silent })
    }

    /// One call with a message, as gRPC frames it.
    pub(crate) async fn call(&self, path: &str, message: &Bytes, deadline: Duration) -> Result<Reply, String> {
        self.request(head(path), framed(message), deadline).await
    }

    /// One call of an admin.
    pub(crate) async fn admin_call(
        &self,
        path: &str,
        token: &str,
        message: &Bytes,
        deadline: Duration,
    ) -> Result<Reply, String> {
        let mut head = head(path);
        head.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        self.request(head, framed(message), deadline).await
    }

    /// One request with a body as it is.
    pub(crate) async fn request(
        &self,
        head: http::Request<()>,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Reply, String> {
        let work = async {
            let mut sender = self.sender.clone().ready().await.map_err(|error| format!("connection: {error}"))?;
            let (answer, mut stream) =
                sender.send_request(head, false).map_err(|error| format!("connection: {error}"))?;
            let sending = async {
                // A server may answer before it has read everything.
                if send(&mut stream, body, 64 * 1024).await.is_ok() {
                    let _ = stream.send_data(Bytes::new(), true);
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                reply = receive(answer) => reply,
                () = sending => Err("unreached".to_owned()),
            }
        };
        timeout(deadline, work).await.map_err(|_| format!("no answer in {} s", deadline.as_secs_f32()))?
    }

    /// Begins a call, and sends a part of its body in pieces of such a size, as fast as the server
    /// takes it. The call is left open.
    pub(crate) async fn begin(&self, head: http::Request<()>, body: Bytes, piece: usize) -> Result<Open, String> {
        let mut sender = self.sender.clone().ready().await.map_err(|error| error.to_string())?;
        let (answer, mut stream) = sender.send_request(head, false).map_err(|error| error.to_string())?;
        send(&mut stream, body, piece).await.map_err(|error| error.to_string())?;
        Ok(Open { answer, stream })
    }

    /// Stops to read and to write, and keeps the connection.
    pub(crate) fn fall_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.driver.is_finished()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A call that has begun.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) answer: h2::client::ResponseFuture,
    stream: h2::SendStream<Bytes>,
}

impl Open {
    /// Sends some more.
    pub(crate) async fn send(&mut self, body: Bytes) -> Result<(), String> {
        let piece = body.len();
        send(&mut self.stream, body, piece).await.map_err(|error| error.to_string())
    }

    /// Sends the end, and waits for the answer.
    pub(crate) async fn finish(mut self) -> Result<Reply, String> {
        // A server may have answered before it has read everything.
        let _ = self.stream.send_data(Bytes::new(), true);
        receive(self.answer).await
    }

    /// Sends the end, and gives the answer that nobody has read.
    pub(crate) fn end(mut self) -> h2::client::ResponseFuture {
        // As above.
        let _ = self.stream.send_data(Bytes::new(), true);
        self.answer
    }
}

/// Sends bytes in frames of at most such a size.
async fn send(stream: &mut h2::SendStream<Bytes>, mut body: Bytes, piece: usize) -> Result<(), h2::Error> {
    while !body.is_empty() {
        let wanted = body.len().min(piece);
        stream.reserve_capacity(wanted);
        let Some(capacity) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return Ok(()) };
        let capacity = capacity?.min(wanted);
        if 0 < capacity {
            let part = body.split_to(capacity);
            stream.send_data(part, false)?;
        }
    }
    Ok(())
}

pub(crate) async fn receive(answer: h2::client::ResponseFuture) -> Result<Reply, String> {
    let answer = answer.await.map_err(|error| error.to_string())?;
    let http = answer.status().as_u16();
    let mut status = grpc_status(answer.headers());
    let mut stream = answer.into_body();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.map_err(|error| error.to_string())?;
        body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len()).map_err(|error| error.to_string())?;
    }
    if let Some(trailers) = stream.trailers().await.map_err(|error| error.to_string())? {
        status = grpc_status(&trailers).or(status);
    }
    let (grpc, text) = status.map_or((None, String::new()), |(code, text)| (Some(code), text));
    Ok(Reply { http, grpc, text, body })
}

fn grpc_status(headers: &http::HeaderMap) -> Option<(i32, String)> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    let text = headers.get("grpc-message").and_then(|text| text.to_str().ok()).unwrap_or_default();
    Some((code, text.to_owned()))
}

/// The head of a call.
pub(crate) fn head(path: &str) -> http::Request<()> {
    http::Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// A message with its prefix.
pub(crate) fn framed(message: &Bytes) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(message);
    bytes.into()
}

/// A field of bytes: a text, a message, an entry of a map.
pub(crate) fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    prost::encoding::encode_varint(u64::from(number << 3 | 2), &mut out);
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

/// As many copies of a field as fit into so many bytes.
pub(crate) fn repeated(number: u32, bytes: &[u8], room: usize) -> Vec<u8> {
    let one = field(number, bytes);
    one.repeat(room / one.len())
}

/// What an honest caller asks: one line, one tender, two pieces of evidence.
pub(crate) fn honest_request() -> EvaluateRefundRequest {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/standard/requests/platform-late-partial.json");
    let mut request = json::request_from_json(&std::fs::read_to_string(path).unwrap()).unwrap();
    request.explain = ExplainLevel::None.into();
    request
}

/// A large and valid request: 256 lines, all explained.
pub(crate) fn large_request() -> EvaluateRefundRequest {
    let mut request = honest_request();
    request.explain = ExplainLevel::Full.into();
    let order = request.order.as_mut().unwrap();
    let line = order.lines[0].clone();
    order.tenders.clear();
    order.lines =
        (0..256).map(|place| requite::api::pb::OrderLine { line_id: format!("l{place}"), ..line.clone() }).collect();
    if let Some(claim) = request.claim.as_mut() {
        claim.line_ids.clear();
        claim.requested_amount = None;
    }
    request
}

/// Its bytes.
pub(crate) fn encoded(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}
