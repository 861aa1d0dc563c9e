//! Calls to the admin service of one replica: who calls, over which connection, and what to do
//! where it does not work. What the answers mean is known above.

use std::future::Future;
use std::time::Duration;

use prost::Message as _;
use tokio::time::timeout;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::api::pb;
use crate::api::pb::policy_admin_service_client::PolicyAdminServiceClient;
use crate::client::CONNECT_TIMEOUT;
use crate::client::credentials::{Credentials, Token};
use crate::domain::printable::Printable;
use crate::telemetry::codes::code_name;

/// Timeout for an answer about the state.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout for an answer that needs policies to be read, checked and rehearsed.
const WORK_TIMEOUT: Duration = Duration::from_secs(120);

/// Silence on a connection until the server is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Largest answer taken, in bytes: two bundles of the largest size, as text.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Largest header list taken, in bytes: the report of a rejection comes as one.
const HEADERS_BYTES_MAX: u32 = 4 * 1024 * 1024;

/// Error of an admin call.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is none.
    #[error("`{addr}` is not an address")]
    Address {
        /// As given.
        addr: String,
    },
    /// A certificate or key cannot be used.
    #[error("cannot use TLS with {addr}")]
    Tls {
        /// As given.
        addr: String,
        /// The cause.
        #[source]
        source: tonic::transport::Error,
    },
    /// No connection was made.
    #[error("cannot connect to {addr}")]
    Connect {
        /// As given.
        addr: String,
        /// Error of the network.
        #[source]
        source: tonic::transport::Error,
    },
    /// No connection or no answer in time.
    #[error("{addr} gave no answer within {} s", after.as_secs())]
    Timeout {
        /// As given.
        addr: String,
        /// Time waited.
        after: Duration,
        /// True if a request to change something may have reached the server.
        changes: bool,
    },
    /// The connection broke after the request went out.
    #[error("the connection to {addr} broke before the answer")]
    Broken {
        /// As given.
        addr: String,
        /// True if the request was to change something: it may have.
        changes: bool,
        /// Error of the network.
        #[source]
        source: Box<Status>,
    },
    /// The server refused.
    #[error("{addr} refused: {}", said(status))]
    Refused {
        /// As given.
        addr: String,
        /// Its status.
        status: Box<Status>,
    },
}

/// Kind of a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// There are no valid credentials.
    Unauthenticated,
    /// They do not reach so far.
    Forbidden,
    /// The request is wrong.
    BadRequest,
    /// Something else is in force than was expected.
    OtherInForce,
    /// Something else is staged than was meant.
    Conflict,
    /// A colleague's candidate is staged.
    Staged,
    /// The candidate was asked about no request yet.
    Untried,
    /// The candidate was rolled back from.
    RolledBack,
    /// All that there is to go back to was rolled back from.
    Withdrawn,
    /// The policies of the source are held back.
    HeldBack,
    /// The policies may not be put in force.
    Rejected,
    /// The source of the policies cannot be read.
    Unreadable,
    /// There is no such revision or candidate.
    Missing,
    /// The server has no admin service at this address.
    NoService,
    /// Anything else.
    Other,
}

impl AdminError {
    /// A call without an answer: a no comes out of headers and has no cause; what has one was found on this side.
    fn of_call(addr: &str, changes: bool, status: Status) -> Self {
        let (addr, status) = (addr.to_owned(), Box::new(status));
        match std::error::Error::source(status.as_ref()) {
            Some(_) => Self::Broken { addr, changes, source: status },
            None => Self::Refused { addr, status },
        }
    }

    /// The right that is missing, where that is what the server said.
    #[must_use]
    pub fn missing_right(&self) -> Option<String> {
        let Self::Refused { status, .. } = self else { return None };
        let info = status.get_details_error_info().filter(|info| info.reason == "RIGHT_MISSING")?;
        info.metadata.get("right").cloned()
    }

    /// The digest that an admin put in force instead of what the source holds, where that is why the source is held back.
    #[must_use]
    pub fn put_in_force_instead(&self) -> Option<String> {
        let Self::Refused { status, .. } = self else { return None };
        let info = status.get_details_error_info().filter(|info| info.reason == "POLICY_SOURCE_HELD_BACK")?;
        let overridden = info.metadata.get("hold").is_some_and(|hold| hold == "overridden");
        info.metadata.get("found").filter(|_| overridden).cloned()
    }

    /// The kind of refusal; `None` if the server did not answer.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        let Self::Refused { status, .. } = self else { return None };
        Some(match status.code() {
            Code::Unauthenticated => Refused::Unauthenticated,
            Code::PermissionDenied => Refused::Forbidden,
            Code::InvalidArgument => Refused::BadRequest,
            Code::Aborted => match status.get_details_error_info() {
                Some(info) if info.reason == "CANDIDATE_STAGED" => Refused::Staged,
                Some(info) if info.reason == "POLICY_DIGEST_MISMATCH" => Refused::OtherInForce,
                Some(_) | None => Refused::Conflict,
            },
            Code::NotFound => Refused::Missing,
            Code::Unimplemented => Refused::NoService,
            Code::FailedPrecondition => match status.get_details_error_info() {
                Some(info) if info.reason == "POLICY_SOURCE_UNREADABLE" => Refused::Unreadable,
                Some(info) if info.reason == "POLICY_REJECTED" => Refused::Rejected,
                Some(info) if info.reason == "CANDIDATE_UNTRIED" => Refused::Untried,
                Some(info) if info.reason == "CANDIDATE_WITHDRAWN" => Refused::RolledBack,
                Some(info) if info.reason == "POLICY_REVISIONS_WITHDRAWN" => Refused::Withdrawn,
                Some(info) if info.reason == "POLICY_SOURCE_HELD_BACK" => Refused::HeldBack,
                Some(_) | None => Refused::Other,
            },
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::AlreadyExists
            | Code::ResourceExhausted
            | Code::OutOfRange
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Refused::Other,
        })
    }

    /// The reasons for rejecting policies, if the server gave them.
    #[must_use]
    pub fn rejection(&self) -> Option<pb::PolicyRejection> {
        let Self::Refused { status, .. } = self else { return None };
        let details = tonic_types::pb::Status::decode(status.details()).ok()?;
        let named = |url: &str| url.rsplit('/').next() == Some("requite.v1.PolicyRejection");
        let found = details.details.into_iter().find(|detail| named(&detail.type_url))?;
        pb::PolicyRejection::decode(found.value.as_slice()).ok()
    }
}

/// Code, message, and every bad field on a line of its own.
fn said(status: &Status) -> String {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|it| it.field_violations.as_slice()).unwrap_or_default();
    let lines: String = violations
        .iter()
        .map(|violation| format!("\n  {}: {}", Printable(&violation.field), Printable(&violation.description)))
        .collect();
    format!("{}: {}{lines}", code_name(status.code() as i32), status.message())
}

/// The admin service of one replica.
#[derive(Clone, Debug)]
pub struct AdminClient {
    addr: String,
    token: Option<Token>,
    service: PolicyAdminServiceClient<Channel>,
}

impl AdminClient {
    /// Connects to `HOST:PORT` or `unix:/PATH`.
    pub async fn connect(addr: &str, credentials: &Credentials) -> Result<Self, AdminError> {
        let endpoint = endpoint(addr, credentials)?;
        let channel = match timeout(CONNECT_TIMEOUT, endpoint.connect_timeout(CONNECT_TIMEOUT).connect()).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(source)) => return Err(AdminError::Connect { addr: addr.to_owned(), source }),
            Err(_elapsed) => {
                return Err(AdminError::Timeout { addr: addr.to_owned(), after: CONNECT_TIMEOUT, changes: false });
            }
        };
        let service = PolicyAdminServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(Self { addr: addr.to_owned(), token: credentials.token.clone(), service })
    }

    /// The address of the server.
    #[must_use]
    pub fn addr(&self) -> &str {
        &self.addr
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(Token(token)) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }

    async fn answer<T>(
        &self,
        after: Duration,
        changes: bool,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, AdminError> {
        match timeout(after, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(AdminError::of_call(&self.addr, changes, status)),
            Err(_elapsed) => Err(AdminError::Timeout { addr: self.addr.clone(), after, changes }),
        }
    }

    /// The status of the replica, now and after every change.
    pub async fn watch(&self) -> Result<Watch, AdminError> {
        let call = self.request(pb::WatchPolicyStatusRequest {});
        let mut service = self.service.clone();
        let statuses = self.answer(READ_TIMEOUT, false, service.watch_policy_status(call)).await?;
        Ok(Watch { addr: self.addr.clone(), statuses })
    }
}

/// Statuses of a replica until either side ends the stream.
#[derive(Debug)]
pub struct Watch {
    addr: String,
    statuses: Streaming<pb::WatchPolicyStatusResponse>,
}

impl Watch {
    /// The next status; `None` once the server has ended it.
    pub async fn next(&mut self) -> Result<Option<pb::WatchPolicyStatusResponse>, AdminError> {
        self.statuses.message().await.map_err(|status| AdminError::of_call(&self.addr, false, status))
    }
}

/// Flags: the call only reads, or changes something.
const READS: bool = false;

const CHANGES: bool = true;

/// One method for each call: what it asks, what it gets, how long that may take, and whether it is to change something.
macro_rules! calls {
    ($( $(#[$meta:meta])* $name:ident($request:ident) -> $response:ident via $method:ident within $time:ident, $changes:ident; )+) => {
        impl AdminClient {
            $( $(#[$meta])*
            pub async fn $name(&self, message: pb::$request) -> Result<pb::$response, AdminError> {
                let call = self.request(message);
                let mut service = self.service.clone();
                self.answer($time, $changes, service.$method(call)).await
            } )+
        }
    };
}

calls! {
    /// The policy status.
    status(GetPolicyStatusRequest) -> GetPolicyStatusResponse via get_policy_status within READ_TIMEOUT, READS;
    /// The revisions that can be gone back to.
    revisions(ListPolicyRevisionsRequest) -> ListPolicyRevisionsResponse via list_policy_revisions within READ_TIMEOUT, READS;
    /// The files of a revision.
    policy(GetPolicyRequest) -> GetPolicyResponse via get_policy within WORK_TIMEOUT, READS;
    /// Reads the source again and puts what it holds in force.
    reload(ReloadPolicyRequest) -> ReloadPolicyResponse via reload_policy within WORK_TIMEOUT, CHANGES;
    /// Puts an earlier revision in force again.
    rollback(RollbackPolicyRequest) -> RollbackPolicyResponse via rollback_policy within WORK_TIMEOUT, CHANGES;
    /// Takes a candidate.
    stage(StageCandidateRequest) -> StageCandidateResponse via stage_candidate within WORK_TIMEOUT, CHANGES;
    /// Puts the candidate in force.
    promote(PromoteCandidateRequest) -> PromoteCandidateResponse via promote_candidate within WORK_TIMEOUT, CHANGES;
    /// Lets the candidate go.
    discard(DiscardCandidateRequest) -> DiscardCandidateResponse via discard_candidate within READ_TIMEOUT, CHANGES;
}

fn endpoint(addr: &str, credentials: &Credentials) -> Result<Endpoint, AdminError> {
    let bad_address = |_| AdminError::Address { addr: addr.to_owned() };
    let bad_tls = |source| AdminError::Tls { addr: addr.to_owned(), source };
    let endpoint = match (&credentials.tls, addr.starts_with("unix:")) {
        (_, true) => Endpoint::from_shared(addr.to_owned()).map_err(bad_address)?,
        (None, false) => Endpoint::from_shared(format!("http://{addr}")).map_err(bad_address)?,
        (Some(tls), false) => {
            let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.ca));
            if let Some((cert, key)) = &tls.identity {
                config = config.identity(Identity::from_pem(cert, key));
            }
            let endpoint = Endpoint::from_shared(format!("https://{addr}")).map_err(bad_address)?;
            endpoint.tls_config(config).map_err(bad_tls)?
        }
    };
    Ok(endpoint
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        // A watch that hears nothing still notices a server that is gone.
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(READ_TIMEOUT))
}
