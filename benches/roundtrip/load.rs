//! A closed loop of calls over HTTP/2: every stream sends its next call when it has the answer.
//!
//! Calls are bytes made beforehand, so that the client takes little of the machine.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use h2::client::SendRequest;
use hyper::body::Bytes;
use prost::Message;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

/// How many calls are under way.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) streams: usize,
}

/// A call, ready to be sent.
#[derive(Clone)]
pub(crate) struct Call {
    head: http::Request<()>,
    message: Bytes,
}

/// What one server did in one turn.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) calls: u64,
    /// Processor time of the server.
    pub(crate) cpu: Duration,
    pub(crate) elapsed: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Call {
    pub(crate) fn new(path: &str, message: Bytes) -> Self {
        let head = http::Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", "5S")
            .body(())
            .unwrap();
        Self { head, message }
    }
}

/// A message with its prefix.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
    message.encode(&mut bytes).unwrap();
    bytes.into()
}

/// Puts a server under load; `cpu` tells what it has taken so far.
pub(crate) async fn run(
    address: SocketAddr,
    shape: Shape,
    call: &Call,
    warm_up: Duration,
    measured: Duration,
    cpu: impl Fn() -> Duration,
) -> Sample {
    let tasks = LocalSet::new();
    let latencies = Rc::new(RefCell::new(Vec::with_capacity(100_000)));
    tasks
        .run_until(async {
            let stopping = Rc::new(Cell::new(false));
            let mut connections = JoinSet::new();
            let mut streams = JoinSet::new();
            for _ in 0..shape.connections {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (sender, connection) = h2::client::handshake(stream).await.unwrap();
                connections.spawn_local(async move { connection.await.unwrap() });
                for _ in 0..shape.streams {
                    streams.spawn_local(call_on(
                        sender.clone(),
                        call.clone(),
                        Rc::clone(&latencies),
                        Rc::clone(&stopping),
                    ));
                }
            }
            tokio::time::sleep(warm_up).await;
            latencies.borrow_mut().clear();
            let (begun, cpu_before) = (Instant::now(), cpu());
            tokio::time::sleep(measured).await;
            let (cpu, elapsed) = (cpu().saturating_sub(cpu_before), begun.elapsed());
            let mut latencies = std::mem::take(&mut *latencies.borrow_mut());
            stopping.set(true);
            while let Some(ended) = streams.join_next().await {
                ended.unwrap();
            }
            connections.shutdown().await;
            latencies.sort_unstable();
            let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
            Sample { calls: latencies.len() as u64, cpu, elapsed, p50: at(0.5), p99: at(0.99) }
        })
        .await
}

async fn call_on(
    sender: SendRequest<Bytes>,
    call: Call,
    latencies: Rc<RefCell<Vec<Duration>>>,
    stopping: Rc<Cell<bool>>,
) {
    let mut sender = sender.ready().await.unwrap();
    while !stopping.get() {
        let begun = Instant::now();
        let (answer, mut body) = sender.send_request(call.head.clone(), false).unwrap();
        body.send_data(call.message.clone(), true).unwrap();
        let mut answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().get("grpc-status").is_none(), "{:?}", answer.headers());
        let body = answer.body_mut();
        let mut bytes = 0;
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            bytes += data.len();
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        assert!(5 < bytes, "an answer has a message");
        let trailers = body.trailers().await.unwrap().unwrap();
        assert_eq!(trailers.get("grpc-status").unwrap(), "0");
        latencies.borrow_mut().push(begun.elapsed());
        sender = sender.ready().await.unwrap();
    }
}
