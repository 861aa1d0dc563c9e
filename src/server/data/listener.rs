//! Taking connections, and stopping in bounded time.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body as HttpBody, Bytes};
use hyper::service::Service as HyperService;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::{BoxError, Service};

use crate::api::limits::SMALL_MESSAGE_BYTES_MAX;
use crate::api::pb::DATA_DESCRIPTOR_SET;
use crate::engine::Engine;
use crate::server::data::beside::BesideData;
use crate::server::data::guard::Guard;
use crate::server::data::health::Reported;
use crate::server::data::method::Method;
use crate::server::data::service::LimitedService;
use crate::server::data::shadow::{self, Shadow};
use crate::server::limits::{
    CONCURRENT_STREAMS_MAX, CONNECTION_AGE_MAX, CONNECTION_IDLE_MAX, CONNECTIONS_MAX, CROWDED_UNANSWERED_MIN,
    DRAIN_TIME_MAX, FIRST_BYTES_TIMEOUT, HELD_BYTES_DIVISOR, HELD_BYTES_MAX, STOP_NOTICE, STOP_TIME_MAX,
    STREAM_WINDOW_BYTES,
};
use crate::server::overload::{self, Admission, AdmittedBody, Answering, CallerKey, Limiter, OverloadConfig};
use crate::server::transport::budget::ByteBudget;
use crate::server::transport::connection::{self, Bounds};
use crate::server::transport::connections::{Connections, Drained, Places, peer_share};
use crate::server::transport::peer::Peer;
use crate::server::transport::request_body::RequestBody;
use crate::server::transport::state::ConnectionState;
use crate::server::transport::stop::{StopSignal, StopSwitch, stop_signal};
use crate::server::transport::supervision::Stay;
use crate::telemetry::labels::Listener;
use crate::telemetry::requests::{ActiveRequest, RequestMethod};

/// Settings of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerConfig {
    /// Connections open at once; never more than half of the descriptors that the process may have.
    pub connections_max: usize,
    /// Connections of one peer (an address, or a network of 64 bits); `None`: nine of ten.
    pub connections_per_peer_max: Option<usize>,
    /// Maximum age of a connection, a tenth more or less.
    pub connection_age_max: Duration,
    /// Idle timeout of a connection without a call.
    pub connection_idle_max: Duration,
    /// Timeout for the HTTP/2 preface of a new connection.
    pub first_bytes_timeout: Duration,
    /// Time after NOT_SERVING in which new connections are accepted.
    pub stop_notice: Duration,
    /// Time for calls in progress to finish after GOAWAY.
    pub drain_time_max: Duration,
    /// Rules for refusing calls under overload.
    pub overload: OverloadConfig,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            connections_per_peer_max: None,
            connection_age_max: CONNECTION_AGE_MAX,
            connection_idle_max: CONNECTION_IDLE_MAX,
            first_bytes_timeout: FIRST_BYTES_TIMEOUT,
            stop_notice: STOP_NOTICE,
            drain_time_max: DRAIN_TIME_MAX,
            overload: OverloadConfig::default(),
        }
    }
}

/// Error in starting a server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors of the services cannot be read.
    #[error("the reflection service cannot be set up")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The operating system gives no thread.
    #[error("no thread can be had for candidates")]
    Thread(#[source] io::Error),
}

/// Serves callers on a listener until `stop` is ready, then says so, drains and ends. The stop
/// takes at most [`STOP_TIME_MAX`], whatever hangs.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    config: ServerConfig,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<Drained, ServeError> {
    let (switch, signal) = stop_signal();
    let health = Reported::serving(&[LimitedService::NAME]).await;
    let (shadow, asking) = shadow::start(engine.clone()).map_err(ServeError::Thread)?;
    let limiter = Limiter::new(config.overload.clone(), Handle::current().metrics().num_workers());
    let monitor = tokio::spawn(overload::watch(Arc::clone(&limiter)));
    let (data, others) = (Guard::new(LimitedService::new(engine, shadow, &limiter)), routes(&health, &signal)?);
    let front = |peer: CallerKey| {
        let admission = Admission::new(&limiter, peer);
        (Front { data: data.clone(), others: others.clone(), admission: admission.clone() }, Some(admission))
    };
    let stopping = async move { health.not_serving().await };
    let drained = run(listener, front, config, (switch, signal), stop, stopping).await;
    monitor.abort();
    asking.join().await;
    Ok(drained)
}

/// Serves any services within the bounds of this server, for what is measured beside it.
pub async fn serve_routes(
    listener: TcpListener,
    routes: Routes,
    config: ServerConfig,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Drained {
    let routes = TowerToHyperService::new(routes);
    run(listener, |_| (routes.clone(), None), config, stop_signal(), stop, async {}).await
}

/// The data service as every connection has it, for calls without a socket.
#[must_use]
pub fn data_service(
    engine: Engine,
    overload: OverloadConfig,
) -> impl Service<
    Request<Body>,
    Response = Response<impl HttpBody<Data = Bytes, Error = Status>>,
    Error = Infallible,
    Future: Send,
> + Clone {
    let limiter = Limiter::new(overload, 1);
    let service = LimitedService::new(engine.clone(), Shadow::of_nobody(engine), &limiter);
    DataService { data: Guard::new(service), admission: Admission::new(&limiter, CallerKey::Unknown) }
}

/// Takes connections until `stop` is ready; `stopping` runs once it is.
async fn run<S: Services<B>, B: HttpBody<Data = Bytes, Error = Status> + Unpin + Send + 'static>(
    listener: TcpListener,
    services: impl Fn(CallerKey) -> (S, Option<Admission>),
    config: ServerConfig,
    (switch, signal): (StopSwitch, StopSignal),
    stop: impl Future<Output = ()>,
    stopping: impl Future<Output = ()>,
) -> Drained {
    let bounds = Bounds {
        listener: Listener::Data,
        stay: Stay {
            age_max: config.connection_age_max,
            idle_max: config.connection_idle_max,
            unauthenticated_max: None,
        },
        first_bytes_timeout: config.first_bytes_timeout,
        streams_max: CONCURRENT_STREAMS_MAX,
        stream_window_bytes: STREAM_WINDOW_BYTES,
    };
    let budget = ByteBudget::new(HELD_BYTES_MAX, HELD_BYTES_DIVISOR);
    let open = |peer: Peer| {
        let account = budget.account_of(peer);
        ConnectionState::new(peer, Arc::clone(&account), account)
    };
    let serve = |stream: TcpStream, state: Arc<ConnectionState>| {
        connection::without_delay(&stream);
        let peer = stream.peer_addr().map_or(CallerKey::Unknown, |peer| CallerKey::of_address(peer.ip()));
        let (services, admission) = services(peer);
        if let Some(admission) = &admission {
            // It is new: nobody has said so before.
            let _ = state.payer.set(admission.peer());
        }
        connection::serve(stream, None, services, state, admission, bounds, signal.clone())
    };
    let max = connections_max(config.connections_max).max(1);
    let places = Places {
        max,
        per_peer_max: config.connections_per_peer_max.unwrap_or_else(|| peer_share(max)).min(max),
        unauthenticated_max: None,
        unanswered_max: CROWDED_UNANSWERED_MIN,
    };
    let mut connections = Connections::new(Listener::Data, places);
    connections.accept(&listener, open, serve, stop).await;
    let stopped_at = Instant::now();
    stopping.await;
    connections.accept(&listener, open, serve, sleep(config.stop_notice.min(STOP_TIME_MAX))).await;
    drop(listener);
    switch.drain();
    connections.drain((Instant::now() + config.drain_time_max).min(stopped_at + STOP_TIME_MAX)).await
}

/// Services behind a connection.
trait Services<B>:
    HyperService<Request<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send + Unpin + 'static>
    + Clone
    + Send
    + 'static
{
}

impl<S, B> Services<B> for S where
    S: HyperService<Request<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send + Unpin + 'static>
        + Clone
        + Send
        + 'static
{
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// The data service, and behind it all others: most calls need no router to find their way.
#[derive(Clone)]
struct Front {
    data: Guard<LimitedService>,
    others: Routes,
    admission: Admission,
}

impl HyperService<Request<RequestBody>> for Front {
    type Response = Response<AdmittedBody>;
    type Error = Infallible;
    type Future = Answering<Answer>;

    fn call(&self, request: Request<RequestBody>) -> Self::Future {
        let path = request.uri().path().strip_prefix('/');
        // Both are always ready.
        match path.and_then(|path| path.strip_prefix(LimitedService::NAME)) {
            Some(method) if method.starts_with('/') => limited(&self.admission, &self.data, request),
            Some(_) | None => {
                let method = RequestMethod::beside_data(request.uri().path());
                let call = BesideData::begin(method, request.headers(), request.extensions().get());
                let mut others = self.others.clone();
                Answering::Unlimited(Box::pin(call.answer(async move { others.call(request).await })))
            }
        }
    }
}

/// Calls the data service, unless there is too much to do.
fn limited<B>(admission: &Admission, data: &Guard<LimitedService>, mut request: Request<B>) -> Answering<Answer>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    match admission.admit(request.headers()) {
        Ok(permit) => {
            if let Some(caller) = permit.named() {
                request.extensions_mut().insert(caller);
            }
            Answering::Admitted(data.clone().call(request), Some(permit))
        }
        Err((refused, caller)) => {
            let active = ActiveRequest::begin(Method::of(request.uri().path()).counted(), Instant::now().into_std());
            active.by(caller).finish(Code::ResourceExhausted as i32);
            Answering::Refused(Some(admission.refusal(refused)))
        }
    }
}

/// The data service alone.
#[derive(Clone)]
struct DataService {
    data: Guard<LimitedService>,
    admission: Admission,
}

impl Service<Request<Body>> for DataService {
    type Response = Response<AdmittedBody>;
    type Error = Infallible;
    type Future = Answering<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        limited(&self.admission, &self.data, request)
    }
}

/// The other services. They stand outside the guard: they answer whatever happens to the data
/// service, and watching has no deadline.
fn routes(health: &Reported, signal: &StopSignal) -> Result<Routes, ServeError> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DATA_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = reflection().build_v1().map_err(ServeError::Reflection)?;
    let v1alpha = reflection().build_v1alpha().map_err(ServeError::Reflection)?;
    Ok(Routes::new(health.server(signal.clone()))
        .add_service(v1.max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
        .add_service(v1alpha.max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
        .prepare())
}

/// The configured number, or half of the descriptors that the process may have if that is less:
/// files, sources and telemetry need some too.
fn connections_max(configured: usize) -> usize {
    match std::fs::read_to_string("/proc/self/limits").ok().and_then(|limits| descriptors_max(&limits)) {
        Some(descriptors) => configured.min(descriptors / 2),
        None => configured,
    }
}

/// The soft limit on open files, in the format of `/proc/self/limits`; `None` where there is none.
fn descriptors_max(limits: &str) -> Option<usize> {
    let row = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    row.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_on_open_files_is_read() {
        let limits = "\
Limit                     Soft Limit           Hard Limit           Units     
Max processes             127456               127456               processes 
Max open files            1024                 1048576              files     
";
        assert_eq!(descriptors_max(limits), Some(1024));
        assert_eq!(descriptors_max("Max open files            unlimited            unlimited            files"), None);
        assert_eq!(descriptors_max(""), None);
    }
}
