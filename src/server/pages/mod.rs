//! Pages over HTTP for what watches the process: whether it lives, whether it is ready, and its
//! metrics. They tell nothing that a policy or a request says, and change nothing.

mod metrics;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::reload::status_view::StatusHandle;
use crate::server::series::declare_series;
use crate::server::transport::budget::ByteBudget;
use crate::server::transport::connections::{Connections, Drained, Places, peer_share};
use crate::server::transport::state::{ConnectionState, Stage};
use crate::server::transport::stop::{StopSignal, stop_signal};
use crate::telemetry::event::{ConnectionClosed, Panicked};
use crate::telemetry::exposition;
use crate::telemetry::labels::{Closure, Listener};

/// Connections open at once: a few scrapers and probes.
pub const PAGES_CONNECTIONS_MAX: usize = 256;

/// Timeout for the head of a request, from when the connection is ready for it: also the idle
/// timeout of a connection.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// When crowded: minimum time without a page of a connection that is closed to make room.
const CROWDED_UNANSWERED_MIN: Duration = Duration::from_secs(2);

/// Timeout for making a page.
pub const PAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum age of a connection, whatever it does: a client that reads an answer byte by byte must
/// not hold it for ever.
pub const CONNECTION_TIME_MAX: Duration = Duration::from_secs(300);

/// The head of a request, in bytes; the smallest that the library takes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// Timeout for a connection to close once it was told to.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(2);

/// Settings for serving the pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PagesConfig {
    /// Connections open at once.
    pub connections_max: usize,
    /// Timeout for the head of a request, and of an idle connection.
    pub head_timeout: Duration,
    /// Maximum age of a connection.
    pub connection_time_max: Duration,
}

impl Default for PagesConfig {
    fn default() -> Self {
        Self {
            connections_max: PAGES_CONNECTIONS_MAX,
            head_timeout: HEAD_TIMEOUT,
            connection_time_max: CONNECTION_TIME_MAX,
        }
    }
}

/// Readiness to serve callers, as health reports it over gRPC. Rejected policies do not
/// change it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// Not yet.
    Starting,
    /// They are.
    Serving,
    /// Not any more: the server stops.
    Draining,
}

/// Data that the pages show.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Readiness to serve callers.
    pub readiness: watch::Receiver<Readiness>,
    /// Policy status of the replica.
    pub shown: StatusHandle,
}

/// Error that keeps the pages from being served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for pages on `{address}`")]
pub struct PagesError {
    /// The address as written.
    pub address: String,
    /// The cause.
    pub source: io::Error,
}

/// The pages, ready to be served.
#[derive(Debug)]
pub struct PagesListener {
    listener: TcpListener,
    address: SocketAddr,
}

/// Takes the address: `HOST:PORT`; port 0 takes a free one.
pub async fn open(address: &str) -> Result<PagesListener, PagesError> {
    declare_series();
    let unheard = |source| PagesError { address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(unheard)?;
    let address = listener.local_addr().map_err(unheard)?;
    Ok(PagesListener { listener, address })
}

impl PagesListener {
    /// The address that it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves the pages until `stop` is ready. That should be after callers were drained: until then
/// the pages say so, and the last metrics can be fetched.
pub async fn serve(
    listener: PagesListener,
    sources: Sources,
    config: PagesConfig,
    stop: impl Future<Output = ()>,
) -> Drained {
    let PagesListener { listener, address } = listener;
    tracing::info!(%address, "serving pages");
    let (switch, signal) = stop_signal();
    let max = config.connections_max.max(1);
    let places = Places {
        max,
        per_peer_max: peer_share(max),
        unauthenticated_max: None,
        unanswered_max: CROWDED_UNANSWERED_MIN,
    };
    let mut connections = Connections::new(Listener::Pages, places);
    // Requests have no bodies, and a page is small.
    let account = ByteBudget::counting().account();
    let open = |peer| ConnectionState::new(peer, Arc::clone(&account), Arc::clone(&account));
    let serve = |stream, state| connection(stream, state, sources.clone(), config, signal.clone());
    connections.accept(&listener, open, serve, stop).await;
    drop(listener);
    switch.drain();
    connections.drain(Instant::now() + CLOSING_TIME_MAX).await
}

async fn connection(
    stream: TcpStream,
    state: Arc<ConnectionState>,
    sources: Sources,
    config: PagesConfig,
    mut stop: StopSignal,
) {
    let service = service_fn(|request| {
        state.reach(Stage::Greeted);
        let (call, sources) = (state.call(), sources.clone());
        async move {
            let page = answer(request, sources).await;
            call.answered();
            page
        }
    });
    let connection = http1::Builder::new()
        // The library cannot write years after 9999, and no page needs a date.
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let (ended, closure) = tokio::select! {
        ended = connection.as_mut() => (ended, None),
        closure = told_to_close(&state, config, &mut stop) => match closure {
            // Others want the place now.
            Some(Closure::Crowded) => (Ok(()), closure),
            Some(_) | None => {
                connection.as_mut().graceful_shutdown();
                // Cut where that takes too long.
                (timeout(CLOSING_TIME_MAX, connection).await.unwrap_or(Ok(())), closure)
            }
        },
    };
    let broken = ended.err().map(|error| {
        tracing::debug!(%error, "a connection to the pages ended with an error");
        // A head that takes too long.
        if error.is_timeout() {
            Closure::NoGreeting
        } else if error.is_parse() {
            Closure::Protocol
        } else {
            Closure::Lost
        }
    });
    if let Some(closure) = closure.or(broken) {
        ConnectionClosed { listener: Listener::Pages, closure }.record();
    }
}

/// Waits until a connection has to end, and says why if it is not for the stop.
async fn told_to_close(state: &ConnectionState, config: PagesConfig, stop: &mut StopSignal) -> Option<Closure> {
    tokio::select! {
        () = stop.draining() => None,
        () = sleep(config.connection_time_max) => Some(Closure::Age),
        () = state.closing() => Some(Closure::Crowded),
    }
}

/// A page: its status, its content type, its text.
type Page = (StatusCode, &'static str, String);

const TEXT: &str = "text/plain; charset=utf-8";

async fn answer(request: Request<Incoming>, sources: Sources) -> Result<Response<Full<Bytes>>, Infallible> {
    let method = request.method().clone();
    let reads = method == Method::GET || method == Method::HEAD;
    let has_body = !request.body().is_end_stream();
    let (status, content_type, text) = match (reads, has_body) {
        (false, _) => (StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD are answered\n".to_owned()),
        (true, true) => (StatusCode::PAYLOAD_TOO_LARGE, TEXT, "a request here has no body\n".to_owned()),
        (true, false) => match timeout(PAGE_TIMEOUT, page(request.uri().path(), &sources)).await {
            Ok(page) => page,
            Err(_elapsed) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "the page took too long\n".to_owned()),
        },
    };
    // Who answers HEAD leaves the text out and keeps its length.
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !reads {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    if has_body {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn page(path: &str, sources: &Sources) -> Page {
    match path {
        "/-/healthy" => (StatusCode::OK, TEXT, "healthy\n".to_owned()),
        "/-/ready" => ready(*sources.readiness.borrow()),
        "/metrics" => metrics_page(sources).await,
        _ => {
            let text = "there is no such page; there are /-/healthy, /-/ready and /metrics\n";
            (StatusCode::NOT_FOUND, TEXT, text.to_owned())
        }
    }
}

fn ready(readiness: Readiness) -> Page {
    let (status, text) = match readiness {
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Readiness::Serving => (StatusCode::OK, "ready\n"),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    };
    (status, TEXT, text.to_owned())
}

/// Pages of metrics that are made at once in this process; others wait. Each takes a thread of its own.
static METRICS_AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Reads files of the system, so it is made where that may block.
async fn metrics_page(sources: &Sources) -> Page {
    // It is never closed.
    let _turn = METRICS_AT_ONCE.acquire().await.ok();
    let (shown, readiness) = (sources.shown.clone(), *sources.readiness.borrow());
    match tokio::task::spawn_blocking(move || metrics::text(&shown.now(), readiness)).await {
        Ok(text) => (StatusCode::OK, exposition::CONTENT_TYPE, text),
        Err(_panicked) => {
            Panicked { method: "metrics" }.record();
            (StatusCode::INTERNAL_SERVER_ERROR, TEXT, "internal error\n".to_owned())
        }
    }
}
