//! The checks around every call of an admin, in this order: the caller, their right, the time limit,
//! the size of the request. Until the first two are done, nothing of a message is read.
//! However a call ends, it ends with a standard status and an audit record.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;

use crate::api::errors::Failure;
use crate::reload::handle::{ReloadHandle, Requester};
use crate::server::admin::config::AdminLimits;
use crate::server::admin::credentials::{Caller, Shown, Unrecognised};
use crate::server::admin::failure::AdminFailure;
use crate::server::admin::keep::Kept;
use crate::server::admin::limits::SMALL_CALL_BYTES_MAX;
use crate::server::admin::method::{Effect, Large, Method};
use crate::server::admin::record::{Mentions, Notes, ReadMentions, Record};
use crate::server::data::guard::{Panic, catch_panic, parse_timeout, with_standard_status};
use crate::server::transport::answer::send_by;
use crate::server::transport::budget::{Account, ByteBudget};
use crate::server::transport::message::{Message, MessageReader};
use crate::server::transport::request_body::RequestBody;
use crate::server::transport::state::{ConnectionState, Stage};
use crate::server::transport::unary::MESSAGE_PREFIX_BYTES;
use crate::telemetry;
use crate::telemetry::audit::Unauthenticated;

/// State that all connections of admins share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) kept: Kept,
    pub(crate) reload: ReloadHandle,
    pub(crate) limits: AdminLimits,
    pub(crate) routes: Routes,
    pub(crate) large: Arc<Semaphore>,
    pub(crate) budget: Arc<ByteBudget>,
    /// Memory held by large calls; the permits bound it.
    pub(crate) large_account: Arc<Account>,
    pub(crate) mentions: Mentions,
    pub(crate) reads: Arc<ReadMentions>,
    /// Calls that change something. They are finished, and written down, though the caller may be gone.
    pub(crate) changing: Mutex<JoinSet<()>>,
}

/// Address of a connection, and its certificate.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// For audit records.
    pub(crate) address: Arc<str>,
    /// The names of its certificate, if it has shown one that was verified.
    pub(crate) certificate: Option<Arc<[String]>>,
}

/// The share of the memory for large calls that a call holds; none where it is small.
#[derive(Clone, Debug)]
pub(crate) struct Share(pub(crate) Option<Arc<OwnedSemaphorePermit>>);

/// Data of a call for its handler.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The caller.
    pub(crate) caller: Caller,
    /// Notes for the audit record.
    pub(crate) notes: Notes,
    /// When the caller does not want the answer any more; `None`: they did not say.
    pub(crate) asked_until: Option<Instant>,
}

impl Call {
    /// The caller and the reason, as the reload task remembers them.
    pub(crate) fn requester(&self, reason: Option<String>) -> Requester {
        Requester { actor: self.caller.name.to_string(), reason: reason.unwrap_or_default() }
    }
}

/// The gate of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    shared: Arc<Shared>,
    peer: Peer,
}

impl Gate {
    /// For what comes from this peer.
    pub(crate) const fn new(shared: Arc<Shared>, peer: Peer) -> Self {
        Self { shared, peer }
    }
}

impl Service<Request<RequestBody>> for Gate {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let Self { shared, peer } = self.clone();
        let method = Method::of(request.uri().path());
        let span = telemetry::span::rpc(method.full_name(), request.headers());
        Box::pin(async move {
            let response = shared.through(peer, method, request.map(Body::new)).instrument(span.clone()).await;
            telemetry::span::finished(&span, code_of(&response) as i32);
            Ok(response)
        })
    }
}

/// The status that a response begins with. One without any has its status at the end, and that is
/// good: only errors are known from the start.
fn code_of(response: &Response<Body>) -> Code {
    response.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}

impl Shared {
    async fn through(self: Arc<Self>, peer: Peer, method: Method, request: Request<Body>) -> Response<Body> {
        let caller = match self.recognise(&peer, &request) {
            Ok(caller) => {
                if let Some(connection) = request.extensions().get::<Arc<ConnectionState>>() {
                    connection.reach(Stage::Authenticated);
                }
                caller
            }
            Err(cause) => {
                self.unauthenticated(&peer.address, method.name(), cause.as_str());
                return AdminFailure::Unauthenticated(cause).status().into_http();
            }
        };
        if method == Method::Reflection {
            return self.reflect(request).await;
        }
        let in_force = self.reload.shown.told.borrow().in_force.digest;
        let record = Record::begin(caller, peer.address, method, in_force, Arc::clone(&self.reads));
        let deadline = match self.deadline(method, record.caller(), &request) {
            Ok(deadline) => deadline,
            Err(failure) => {
                let status = failure.status();
                record.answered(status.code());
                return status.into_http();
            }
        };
        let response = match method.effect() {
            Effect::None => self.finished(record, method, deadline, request).await,
            Effect::Change => self.finished_though_nobody_waits(record, method, deadline, request).await,
        };
        // Whoever watches does so without an end.
        if method != Method::WatchPolicyStatus {
            send_by(deadline.either());
        }
        response
    }

    fn recognise(&self, peer: &Peer, request: &Request<Body>) -> Result<Caller, Unrecognised> {
        let shown = Shown::of(request.headers(), peer.certificate.as_ref())?;
        self.kept.credentials.load().recognise(shown, (self.reload.shown.clock)())
    }

    /// Notes that someone was not recognised.
    pub(crate) fn unauthenticated(&self, peer: &str, method: &'static str, cause: &'static str) {
        let mention = self.mentions.next(std::time::Instant::now());
        Unauthenticated { peer, method, cause, mention }.record();
    }

    /// Checks the right; returns the deadline.
    fn deadline(&self, method: Method, caller: &Caller, request: &Request<Body>) -> Result<Deadline, AdminFailure> {
        if let Some(right) = method.right()
            && !caller.rights.has(right)
        {
            return Err(AdminFailure::NotPermitted { right });
        }
        let now = Instant::now();
        let limit = now + self.limits.call_time_max;
        let asked = match request.headers().get("grpc-timeout") {
            None => None,
            Some(value) => Some(value.to_str().ok().and_then(parse_timeout).ok_or(Failure::BadTimeout)?),
        };
        // A time beyond what the clock can say is as good as none.
        let asked = asked.and_then(|asked| now.checked_add(asked));
        if asked.is_some_and(|asked| asked <= now) {
            return Err(Failure::DeadlineExceeded.into());
        }
        Ok(Deadline { limit, asked })
    }

    async fn finished(
        self: Arc<Self>,
        record: Record,
        method: Method,
        deadline: Deadline,
        request: Request<Body>,
    ) -> Response<Body> {
        self.answered(record, method, deadline, deadline.either(), request).await
    }

    /// Finishes a call that changes something, even without its caller, so that the record has its result.
    async fn finished_though_nobody_waits(
        self: Arc<Self>,
        record: Record,
        method: Method,
        deadline: Deadline,
        request: Request<Body>,
    ) -> Response<Body> {
        let (reply, response) = oneshot::channel();
        let shared = Arc::clone(&self);
        let work = async move {
            let response = shared.answered(record, method, deadline, deadline.limit, request).await;
            // Whoever waited may be gone.
            let _ = reply.send(response);
        };
        {
            let mut changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
            while changing.try_join_next().is_some() {}
            changing.spawn(work.in_current_span());
        }
        match timeout_at(deadline.either(), response).await {
            Ok(Ok(response)) => response,
            Ok(Err(_cut)) => AdminFailure::Stopping.status().into_http(),
            Err(_elapsed) => Failure::DeadlineExceeded.status().into_http(),
        }
    }

    async fn answered(
        self: Arc<Self>,
        record: Record,
        method: Method,
        deadline: Deadline,
        until: Instant,
        mut request: Request<Body>,
    ) -> Response<Body> {
        let (caller, notes) = (record.caller().clone(), record.notes());
        request.extensions_mut().insert(Call { caller, notes, asked_until: deadline.asked });
        let answer = catch_panic(Arc::clone(&self).answer(method, request));
        let response = match timeout_at(until, answer).await {
            Ok(Ok(Ok(response))) => with_standard_status(response),
            Ok(Ok(Err(failure))) => failure.status().into_http(),
            Ok(Err(Panic)) => {
                telemetry::event::Panicked { method: method.full_name() }.record();
                Failure::Bug.status().into_http()
            }
            Err(_elapsed) => Failure::DeadlineExceeded.status().into_http(),
        };
        record.answered(code_of(&response));
        response
    }

    async fn answer(self: Arc<Self>, method: Method, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let (parts, body) = request.into_parts();
        let mut permit = match method.large() {
            Large::Answer => self.permit().await,
            // The permit of a large request is taken once it is seen to be large.
            Large::Request | Large::Neither => None,
        };
        let connection = parts.extensions.get::<Arc<ConnectionState>>().ok_or(Failure::Bug)?;
        let account = &connection.requests;
        let message = self.read(body, method, account, &mut permit).await?;
        let body = Body::new(Full::new(message.bytes.clone()));
        let permit = permit.map(Arc::new);
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(Share(permit.clone()));
        let response = self.route(request).await;
        drop(message);
        Ok(match permit {
            None => response,
            Some(permit) => response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    // Held until the last byte is on its way.
                    let _held = &permit;
                    frame
                }))
            }),
        })
    }

    async fn route(&self, request: Request<Body>) -> Response<Body> {
        match self.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Reads a body to its end: one message with its prefix. Beyond what every call may say, it
    /// needs a permit.
    async fn read(
        &self,
        body: Body,
        method: Method,
        account: &Arc<Account>,
        permit: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<Message, Failure> {
        let (mut body, mut reader) = (pin!(body), MessageReader::new(method.bytes_max(), account));
        while let Some(data) = reader.next(body.as_mut()).await? {
            if MESSAGE_PREFIX_BYTES + SMALL_CALL_BYTES_MAX < reader.len() + data.len() && permit.is_none() {
                *permit = self.permit().await;
                reader.charge(&self.large_account);
            }
            reader.push(data)?;
        }
        reader.finish()
    }

    /// Waits for room for a large call.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.large).acquire_owned().await.ok()
    }

    /// Reflection is for tools of those who may call; what they ask it is not worth a record.
    async fn reflect(&self, request: Request<Body>) -> Response<Body> {
        match catch_panic(self.route(request)).await {
            Ok(response) => response,
            Err(Panic) => {
                telemetry::event::Panicked { method: Method::Reflection.full_name() }.record();
                Status::from(Failure::Bug).into_http()
            }
        }
    }
}

/// Until when a call may take.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    limit: Instant,
    asked: Option<Instant>,
}

impl Deadline {
    fn either(self) -> Instant {
        self.asked.map_or(self.limit, |asked| asked.min(self.limit))
    }
}
