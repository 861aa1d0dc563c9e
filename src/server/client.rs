//! One call to a server, and what to do where it does not work.

use std::time::Duration;

use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::server::pb;
use crate::server::pb::refund_policy_service_client::RefundPolicyServiceClient;

/// How long the connection may take to be made.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the answer may take once there is a connection.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The address is none.
    #[error("`{addr}` is not an address\n  help: write host and port: `127.0.0.1:50051`")]
    Address {
        /// As given.
        addr: String,
    },
    /// No connection was made.
    #[error("nothing listens on {addr}\n  help: start a server with `requite serve`, or name its address")]
    Connect {
        /// As given.
        addr: String,
        /// What the network said.
        #[source]
        source: tonic::transport::Error,
    },
    /// No connection or no answer in time.
    #[error("{addr} gave no answer within {} s\n  help: see whether the server is overloaded or unreachable", after.as_secs())]
    Timeout {
        /// As given.
        addr: String,
        /// How long was waited.
        after: Duration,
    },
    /// The server ended the call without an answer.
    #[error("{addr} did not answer: {}", said(status))]
    Status {
        /// As given.
        addr: String,
        /// What it said.
        status: Box<Status>,
    },
}

impl CallError {
    /// Whether the same call may work a moment later.
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
    let mut client = RefundPolicyServiceClient::new(connect(addr).await?);
    let mut request = tonic::Request::new(request);
    request.set_timeout(CALL_TIMEOUT);
    let late = || CallError::Timeout { addr: addr.to_owned(), after: CALL_TIMEOUT };
    // The server keeps the deadline; this one is for a server that is not there any more.
    match timeout(CALL_TIMEOUT, client.evaluate_refund(request)).await {
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

/// Code, text and every bad field, one a line.
fn said(status: &Status) -> String {
    let mut said = format!("{:?}: {}", status.code(), status.message());
    let details = status.get_error_details();
    for violation in details.bad_request().map(|it| it.field_violations.as_slice()).unwrap_or_default() {
        said.push_str(&format!("\n  {}: {}", violation.field, violation.description));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::FieldViolation;
    use crate::server::errors::Failure;

    #[test]
    fn every_bad_field_gets_its_line() {
        let status = Failure::BadRequest(vec![FieldViolation::new("order", "a"), FieldViolation::new("claim", "b")]);
        let error = CallError::Status { addr: "h:1".into(), status: Box::new(status.status()) };
        let expected = "h:1 did not answer: InvalidArgument: order: a (and 1 more bad fields)\n  order: a\n  claim: b";
        assert_eq!(error.to_string(), expected);
    }
}
