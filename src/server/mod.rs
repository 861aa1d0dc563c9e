//! The gRPC services: a stand-in with the signatures that the floors above use.

use std::future::Future;

use tokio::net::TcpListener;

use crate::engine::Engine;
use crate::engine::snapshot::Snapshot;

/// Limits of the server.
#[derive(Clone, Debug, Default)]
pub struct ServerConfig {}

/// How serving ended.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    /// Connections that ended by themselves.
    pub connections_closed: usize,
    /// Connections that had to be cut.
    pub connections_cut: usize,
}

/// Why serving failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve")]
pub struct ServeError;

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    config: ServerConfig,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<Drained, ServeError> {
    let _ = (engine, config);
    stop.await;
    drop(listener);
    Ok(Drained { connections_closed: 0, connections_cut: 0 })
}

/// Decides one request.
pub fn evaluate(
    snapshot: &Snapshot,
    request: &pb::EvaluateRefundRequest,
) -> Result<pb::EvaluateRefundResponse, tonic::Status> {
    let _ = (snapshot, request);
    Err(tonic::Status::unimplemented("not here yet"))
}

/// The wire types.
pub mod pb {
    /// A request.
    #[derive(Clone, Debug, Default)]
    pub struct EvaluateRefundRequest {
        /// How much to explain.
        pub explain: i32,
    }

    /// A response.
    #[derive(Clone, Debug, Default)]
    pub struct EvaluateRefundResponse {}

    /// How much to explain.
    #[derive(Clone, Copy, Debug)]
    #[repr(i32)]
    pub enum ExplainLevel {
        /// All of it.
        Full = 2,
    }
}

/// Requests and responses as JSON.
pub mod json {
    use super::pb;

    /// Why a text is no request.
    #[derive(Debug, thiserror::Error)]
    #[error("not a request")]
    pub struct JsonError;

    /// Reads a request.
    pub fn request_from_json(text: &str) -> Result<pb::EvaluateRefundRequest, JsonError> {
        if text.trim_start().starts_with('{') { Ok(pb::EvaluateRefundRequest::default()) } else { Err(JsonError) }
    }

    /// Writes a response.
    #[must_use]
    pub fn response_to_json(response: &pb::EvaluateRefundResponse) -> String {
        let _ = response;
        "{}".to_owned()
    }
}

/// Responses for people.
pub mod text {
    use super::pb;

    /// Writes a response.
    #[must_use]
    pub fn response_to_text(request: &pb::EvaluateRefundRequest, response: &pb::EvaluateRefundResponse) -> String {
        let _ = (request, response);
        String::new()
    }
}

/// Calls a server.
pub mod client {
    use super::pb;

    /// Why a call failed.
    #[derive(Debug, thiserror::Error)]
    #[error("cannot call")]
    pub struct CallError;

    /// Sends one request.
    pub async fn call(addr: &str, request: pb::EvaluateRefundRequest) -> Result<pb::EvaluateRefundResponse, CallError> {
        let _ = (addr, request);
        Err(CallError)
    }
}

/// Status codes for people.
pub mod errors {
    /// Every bad field, one per line.
    #[must_use]
    pub fn status_to_text(status: &tonic::Status) -> String {
        status.message().to_owned()
    }
}

/// Stands in for `policy::schema` until that exists.
pub mod schema {
    /// The schema of policy files.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        serde_json::Value::Null
    }
}
