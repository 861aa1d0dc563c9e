//! Connections that share a thread: calls of one caller do not wait for all that those of another have to do.

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
use hyper::body::Bytes;
use hyper::service::Service;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tonic::Status;

use super::{Bounds, serve};
use crate::server::limits::CALLS_PER_TURN;
use crate::server::overload::{Admission, CallerKey, Limiter, OverloadConfig};
use crate::server::transport::budget::ByteBudget;
use crate::server::transport::peer::Peer;
use crate::server::transport::request_body::RequestBody;
use crate::server::transport::state::ConnectionState;
use crate::server::transport::stop::{StopSignal, stop_signal};
use crate::server::transport::supervision::Stay;
use crate::telemetry::labels::Listener;

/// Calls that a greedy connection has open at once.
const OPEN_CALLS: usize = 100;

/// Calls that are measured.
const MODEST_CALLS: usize = 200;

/// Answers at once, and counts.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Service<Request<RequestBody>> for Counting {
    type Response = Response<BoxBody<Bytes, Status>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, _: Request<RequestBody>) -> Self::Future {
        self.0.fetch_add(1, Relaxed);
        ready(Ok(Response::new(Empty::new().map_err(|never: Infallible| match never {}).boxed())))
    }
}

/// A connection of this host, on the thread of all others.
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
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (there, _) = listener.accept().await.unwrap();
    tokio::spawn(serve(there, None, calls.clone(), state, Some(admission), bounds, stop.clone()));
    let (client, connection) = h2::client::handshake(here).await.unwrap();
    tokio::spawn(async move { connection.await.unwrap_or(()) });
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
    // Callers and server share the thread, so that it is not the host who says who goes first; nor does the thread look
    // at its sockets by itself.
    let runtime = Builder::new_current_thread().event_interval(1_000).enable_all().build().unwrap();
    let mut before_me = runtime.block_on(async {
        let (_switch, stop) = stop_signal();
        let limiter = Limiter::new(OverloadConfig::default(), 1);
        let (greedy, modest) = (Counting::default(), Counting::default());
        let mut load = JoinSet::new();
        for _ in 0..8 {
            let client = connected(&limiter, 1, &greedy, &stop).await;
            for _ in 0..OPEN_CALLS {
                let client = client.clone();
                load.spawn(async move {
                    loop {
                        call(&client).await;
                    }
                });
            }
        }
        let client = connected(&limiter, 2, &modest, &stop).await;
        let mut before_me = Vec::new();
        for _ in 0..MODEST_CALLS {
            let before = greedy.0.load(Relaxed);
            call(&client).await;
            before_me.push(greedy.0.load(Relaxed) - before);
        }
        assert_eq!(modest.0.load(Relaxed), MODEST_CALLS);
        before_me
    });
    before_me.sort_unstable();
    let half = before_me[MODEST_CALLS / 2];
    // A turn each while a call arrives, while it is read, and while its answer is. If connections handed their turns on
    // without a look at others, these were forty.
    assert!(half <= 4 * CALLS_PER_TURN, "{half} calls went first: {before_me:?}");
}
