//! Connections that share a thread: calls of one caller begin while those of another do not wait for long.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use h2::client::SendRequest;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::Service;
use tokio::task::{LocalSet, spawn_local};
use tonic::Status;

use super::{Bounds, serve};
use crate::server::limits::{CALLS_PER_TURN, TURNS_MAX};
use crate::server::overload::{Admission, CallerKey, Limiter, OverloadConfig};
use crate::server::stop::{StopSignal, stop_signal};
use crate::server::transport::budget::ByteBudget;
use crate::server::transport::peer::Peer;
use crate::server::transport::state::ConnectionState;
use crate::server::transport::supervision::Stay;
use crate::telemetry::event::Listener;

/// Bytes that fit between a client and the server.
const PIPE_BYTES: usize = 256 * 1024;

/// Calls that a greedy connection has open at once.
const OPEN_CALLS: usize = 100;

/// Times that a call changes hands: from its caller to its connection, to the server, and the same way back.
const HANDS: usize = 4;

/// Answers at once, and counts.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Service<Request<Incoming>> for Counting {
    type Response = Response<BoxBody<Bytes, Status>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, _: Request<Incoming>) -> Self::Future {
        self.0.fetch_add(1, Relaxed);
        ready(Ok(Response::new(Empty::new().map_err(|never: Infallible| match never {}).boxed())))
    }
}

/// A connection of this host, served beside all others on this thread.
async fn connected(limiter: &Arc<Limiter>, host: u8, calls: &Counting, stop: &StopSignal) -> SendRequest<Bytes> {
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, host));
    let account = ByteBudget::counting().account();
    let state = Arc::new(ConnectionState::new(
        Peer::from(std::net::SocketAddr::new(address, 1)),
        Arc::clone(&account),
        account,
    ));
    let admission = Admission::new(limiter, CallerKey::of_address(address));
    let hour = Duration::from_secs(3_600);
    let bounds = Bounds {
        listener: Listener::Data,
        stay: Stay { age_max: hour, idle_max: hour, unauthenticated_max: None },
        first_bytes_timeout: hour,
        streams_max: 128,
        stream_window_bytes: 65_535,
    };
    let (here, there) = tokio::io::duplex(PIPE_BYTES);
    spawn_local(serve(there, None, calls.clone(), state, Some(admission), bounds, stop.clone()));
    let (client, connection) = h2::client::handshake(here).await.unwrap();
    spawn_local(async move { connection.await.unwrap_or(()) });
    client
}

fn request() -> Request<()> {
    let request = Request::post("http://server/requite.v1.RefundPolicyService/EvaluateRefund");
    request.header("content-type", "application/grpc").header("te", "trailers").body(()).unwrap()
}

/// Makes one call and waits for its answer.
async fn call(client: &SendRequest<Bytes>) {
    let mut client = client.clone().ready().await.unwrap();
    let (answer, _) = client.send_request(request(), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
}

#[test]
fn a_caller_does_not_wait_for_all_connections_of_another() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let limiter = Limiter::new(OverloadConfig::default(), 1);
        let (greedy, modest) = (Counting::default(), Counting::default());
        let (_switch, stop) = stop_signal();
        for _ in 0..8 {
            let client = connected(&limiter, 1, &greedy, &stop).await;
            for _ in 0..OPEN_CALLS {
                let client = client.clone();
                spawn_local(async move {
                    loop {
                        call(&client).await;
                    }
                });
            }
        }
        let client = connected(&limiter, 2, &modest, &stop).await;
        let mut most = 0;
        for _ in 0..100 {
            let before = greedy.0.load(Relaxed);
            call(&client).await;
            most = most.max(greedy.0.load(Relaxed) - before);
        }
        assert_eq!(modest.0.load(Relaxed), 100);
        assert!(800 < greedy.0.load(Relaxed), "the other caller has enough to do");
        // On its way, a call is handed on four times; each time, two stretches of the other caller go first at most. If all of
        // its connections went first each time, these were four times as many.
        assert!(most <= HANDS * 2 * TURNS_MAX * CALLS_PER_TURN, "{most} calls went first");
    });
}
