//! Calls to a server, one of each kind, and what to do where they do not work.

pub mod admin;
pub mod credentials;

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_types::{FieldViolation, StatusExt as _};

use crate::api::pb;
use crate::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use crate::domain::printable::Printable;
use crate::telemetry::codes::code_name;

/// Timeout for making the connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout for the answer once there is a connection.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer that is read, in bytes: what a server may send, and its frame.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024 + 1024;

/// Error of a call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The address is none.
    #[error("`{addr}` is not an address")]
    Address {
        /// As given.
        addr: String,
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
    #[error("{addr} gave no answer within {} s", after.as_secs_f64())]
    Timeout {
        /// As given.
        addr: String,
        /// Time waited.
        after: Duration,
    },
    /// The server ended the call without an answer.
    #[error("{addr} {}", said(status))]
    Status {
        /// As given.
        addr: String,
        /// Its status.
        status: Box<Status>,
    },
}

impl CallError {
    /// Advice on the error; none where the server has given it.
    #[must_use]
    pub const fn help(&self) -> Option<&'static str> {
        match self {
            Self::Address { .. } => Some("write host and port, such as `127.0.0.1:50051`"),
            Self::Connect { .. } => Some("see whether a server runs there; `requite serve` starts one"),
            Self::Timeout { .. } => Some("see whether the server is overloaded or unreachable"),
            Self::Status { .. } => None,
        }
    }

    /// Returns true if the request is wrong, and no server would answer it.
    #[must_use]
    pub fn is_bad_request(&self) -> bool {
        match self {
            Self::Address { .. } | Self::Connect { .. } | Self::Timeout { .. } => false,
            Self::Status { status, .. } => status.code() == Code::InvalidArgument,
        }
    }

    /// Returns true if a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Address { .. } => false,
            Self::Connect { .. } | Self::Timeout { .. } => true,
            Self::Status { status, .. } => {
                matches!(status.code(), Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded)
            }
        }
    }
}

/// Asks the server at an address (`host:port`) for one decision.
pub async fn call(addr: &str, request: pb::EvaluateRefundRequest) -> Result<pb::EvaluateRefundResponse, CallError> {
    evaluate(addr, request, CALL_TIMEOUT).await
}

/// Asks for one decision, and waits so long for it once there is a connection.
pub async fn evaluate(
    addr: &str,
    request: pb::EvaluateRefundRequest,
    patience: Duration,
) -> Result<pb::EvaluateRefundResponse, CallError> {
    let mut client = RefundPolicyServiceClient::new(connect(addr).await?);
    answered(addr, patience, client.evaluate_refund(timed(request, patience))).await
}

/// Asks for many decisions by the same policies.
pub async fn evaluate_batch(
    addr: &str,
    request: pb::BatchEvaluateRefundRequest,
    patience: Duration,
) -> Result<pb::BatchEvaluateRefundResponse, CallError> {
    let mut client = RefundPolicyServiceClient::new(connect(addr).await?).max_decoding_message_size(ANSWER_BYTES_MAX);
    answered(addr, patience, client.batch_evaluate_refund(timed(request, patience))).await
}

/// Asks whether the material of a claim is enough.
pub async fn validate_evidence(
    addr: &str,
    request: pb::ValidateEvidenceRequest,
    patience: Duration,
) -> Result<pb::ValidateEvidenceResponse, CallError> {
    let mut client = RefundPolicyServiceClient::new(connect(addr).await?);
    answered(addr, patience, client.validate_evidence(timed(request, patience))).await
}

/// Asks what the server is and which policies are in force.
pub async fn server_info(addr: &str, patience: Duration) -> Result<pb::GetServerInfoResponse, CallError> {
    let mut client = RefundPolicyServiceClient::new(connect(addr).await?);
    answered(addr, patience, client.get_server_info(timed(pb::GetServerInfoRequest {}, patience))).await
}

fn timed<T>(message: T, patience: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(patience);
    request
}

async fn answered<T>(
    addr: &str,
    patience: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, CallError> {
    let late = || CallError::Timeout { addr: addr.to_owned(), after: patience };
    // The server keeps the deadline; this one is for a server that is not there any more.
    match timeout(patience, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        // What the library calls cancelled is its own timer; the server never says it.
        Ok(Err(status)) if matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded) => Err(late()),
        Ok(Err(status)) => Err(CallError::Status { addr: addr.to_owned(), status: Box::new(status) }),
        Err(_elapsed) => Err(late()),
    }
}

/// A connection to a server.
pub async fn connect(addr: &str) -> Result<Channel, CallError> {
    let bad_address = |_| CallError::Address { addr: addr.to_owned() };
    let endpoint = Endpoint::from_shared(format!("http://{addr}")).map_err(bad_address)?;
    match timeout(CONNECT_TIMEOUT, endpoint.connect_timeout(CONNECT_TIMEOUT).connect()).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(source)) => Err(CallError::Connect { addr: addr.to_owned(), source }),
        Err(_elapsed) => Err(CallError::Timeout { addr: addr.to_owned(), after: CONNECT_TIMEOUT }),
    }
}

/// Every bad field, one a line; code and text where it is about something else.
fn said(status: &Status) -> String {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|it| it.field_violations.as_slice()).unwrap_or_default();
    if violations.is_empty() {
        return format!("did not answer: {}: {}", code_name(status.code() as i32), status.message());
    }
    let line = |violation: &FieldViolation| match violation.field.as_str() {
        // What the server had no room for is not about one field.
        "" => format!("\n  {}", Printable(&violation.description)),
        field => format!("\n  {}: {}", Printable(field), Printable(&violation.description)),
    };
    format!("cannot decide the request:{}", violations.iter().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::errors::Failure;
    use crate::domain::request::FieldViolation as Violation;

    #[test]
    fn every_bad_field_gets_its_line() {
        let status = Failure::BadRequest(vec![Violation::new("order", "a"), Violation::new("claim", "b")]);
        let error = CallError::Status { addr: "h:1".into(), status: Box::new(status.status()) };
        let expected = "h:1 cannot decide the request:\n  order: a\n  claim: b";
        assert_eq!(error.to_string(), expected);
    }
}
