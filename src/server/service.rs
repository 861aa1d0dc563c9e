//! `RefundPolicyService`: takes a call, looks up what is in force, answers.
//!
//! Deadlines, panics and statuses are the business of [`crate::server::guard`], which stands
//! around this.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Response, Status, async_trait};
use tower::Service;
use tracing::Span;

use crate::engine::Engine;
use crate::engine::snapshot::Snapshot;
use crate::server::errors::Failure;
use crate::server::evaluation::{self, Evaluated};
use crate::server::guard::Deadline;
use crate::server::limits::{
    BATCH_ITEMS_MAX, BATCH_ITEMS_PER_TURN, BATCHES_AT_ONCE_MAX, EVALUATION_MESSAGE_BYTES_MAX,
    MATERIAL_MESSAGE_BYTES_MAX,
};
use crate::server::pb;
use crate::server::pb::refund_policy_service_server::{RefundPolicyService, RefundPolicyServiceServer};
use crate::server::shadow::Shadow;
use crate::telemetry;

/// Answers the calls of callers.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    engine: Engine,
    shadow: Shadow,
}

/// The service behind the limits of its methods.
///
/// A message is read to its end before it is decoded, and from then on nothing waits: a decoded
/// message may be hundreds of times the size of its bytes, so a peer must not be able to keep many
/// of them waiting for the end of its streams.
#[derive(Clone, Debug)]
pub(crate) struct LimitedService {
    server: RefundPolicyServiceServer<Answers>,
    batches: Arc<Semaphore>,
}

impl LimitedService {
    /// The service on this engine.
    pub(crate) fn new(engine: Engine, shadow: Shadow) -> Self {
        let server = RefundPolicyServiceServer::new(Answers { engine, shadow });
        Self {
            server: server.max_decoding_message_size(MATERIAL_MESSAGE_BYTES_MAX),
            batches: Arc::new(Semaphore::new(BATCHES_AT_ONCE_MAX)),
        }
    }
}

impl NamedService for LimitedService {
    const NAME: &'static str = <RefundPolicyServiceServer<Answers> as NamedService>::NAME;
}

impl Service<http::Request<Body>> for LimitedService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The generated server is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Self { mut server, batches } = self.clone();
        Box::pin(async move {
            let method = Method::of(request.uri().path());
            let (parts, body) = request.into_parts();
            let body = match read(body, method.message_bytes_max()).await {
                Ok(body) => body,
                Err(failure) => return Ok(failure.status().into_http()),
            };
            // A batch does wait between its items; the semaphore is never closed.
            let _turn = match method {
                Method::BatchEvaluateRefund => batches.acquire().await.ok(),
                Method::EvaluateRefund | Method::ValidateEvidence | Method::GetServerInfo | Method::Unknown => None,
            };
            server.call(http::Request::from_parts(parts, Body::new(Full::new(body)))).await
        })
    }
}

/// Reads a body to its end: one message with its prefix.
async fn read(body: Body, message_bytes_max: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, MESSAGE_PREFIX_BYTES + message_bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::MessageTooLarge),
        Err(_) => Err(Failure::BadMessage),
    }
}

/// What stands before every gRPC message: a flag and the length.
pub(crate) const MESSAGE_PREFIX_BYTES: usize = 5;

/// The methods of the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    EvaluateRefund,
    BatchEvaluateRefund,
    ValidateEvidence,
    GetServerInfo,
    /// None of them: the answer will be UNIMPLEMENTED.
    Unknown,
}

impl Method {
    const ALL: [Self; 4] =
        [Self::EvaluateRefund, Self::BatchEvaluateRefund, Self::ValidateEvidence, Self::GetServerInfo];

    /// The method that a request's path names.
    pub(crate) fn of(path: &str) -> Self {
        let name = path.strip_prefix('/').unwrap_or_default();
        Self::ALL.into_iter().find(|method| method.full_name() == name).unwrap_or(Self::Unknown)
    }

    /// The largest message that it takes.
    const fn message_bytes_max(self) -> usize {
        match self {
            Self::BatchEvaluateRefund | Self::ValidateEvidence => MATERIAL_MESSAGE_BYTES_MAX,
            Self::EvaluateRefund | Self::GetServerInfo | Self::Unknown => EVALUATION_MESSAGE_BYTES_MAX,
        }
    }

    /// The full gRPC name, as spans and metrics have it.
    pub(crate) const fn full_name(self) -> &'static str {
        match self {
            Self::EvaluateRefund => "requite.v1.RefundPolicyService/EvaluateRefund",
            Self::BatchEvaluateRefund => "requite.v1.RefundPolicyService/BatchEvaluateRefund",
            Self::ValidateEvidence => "requite.v1.RefundPolicyService/ValidateEvidence",
            Self::GetServerInfo => "requite.v1.RefundPolicyService/GetServerInfo",
            Self::Unknown => "unknown",
        }
    }
}

#[async_trait]
impl RefundPolicyService for Answers {
    async fn evaluate_refund(
        &self,
        request: Request<pb::EvaluateRefundRequest>,
    ) -> Result<Response<pb::EvaluateRefundResponse>, Status> {
        Deadline::of(request.extensions()).check()?;
        let snapshot = self.engine.current();
        let evaluated = evaluation::answer(&snapshot, request.get_ref())?;
        note(&snapshot, &evaluated);
        self.shadow.offer(&snapshot, request.into_inner());
        Ok(Response::new(evaluated.response))
    }

    async fn batch_evaluate_refund(
        &self,
        request: Request<pb::BatchEvaluateRefundRequest>,
    ) -> Result<Response<pb::BatchEvaluateRefundResponse>, Status> {
        let deadline = Deadline::of(request.extensions());
        let pb::BatchEvaluateRefundRequest { requests } = request.into_inner();
        if BATCH_ITEMS_MAX < requests.len() {
            let problem = format!("must have at most {BATCH_ITEMS_MAX} items, got {}", requests.len());
            return Err(Failure::field("requests", problem).into());
        }
        // One snapshot for all of them, whatever is activated meanwhile.
        let snapshot = Arc::clone(&self.engine.current());
        let mut items = Vec::with_capacity(requests.len());
        for turn in requests.chunks(BATCH_ITEMS_PER_TURN) {
            deadline.check()?;
            items.extend(turn.iter().map(|request| batch_item(&snapshot, evaluation::answer(&snapshot, request))));
            tokio::task::yield_now().await;
        }
        let answered = requests.into_iter().zip(&items).map(|(request, item)| is_answered(item).then_some(request));
        self.shadow.offer_all(&snapshot, answered);
        let (generation, digest) = (snapshot.generation, snapshot.digest.to_string());
        Ok(Response::new(pb::BatchEvaluateRefundResponse { items, generation, digest }))
    }

    async fn validate_evidence(
        &self,
        request: Request<pb::ValidateEvidenceRequest>,
    ) -> Result<Response<pb::ValidateEvidenceResponse>, Status> {
        Deadline::of(request.extensions()).check()?;
        let response = evaluation::validate_evidence(&self.engine.current(), request.get_ref())?;
        Ok(Response::new(response))
    }

    async fn get_server_info(
        &self,
        request: Request<pb::GetServerInfoRequest>,
    ) -> Result<Response<pb::GetServerInfoResponse>, Status> {
        Deadline::of(request.extensions()).check()?;
        Ok(Response::new(evaluation::server_info(&self.engine.current())))
    }
}

fn batch_item(snapshot: &Snapshot, answer: Result<Evaluated, Failure>) -> pb::BatchItem {
    use pb::batch_item::Answer;
    let answer = match answer {
        Ok(evaluated) => {
            note(snapshot, &evaluated);
            Answer::Response(evaluated.response)
        }
        Err(failure) => Answer::Error(failure.batch_error()),
    };
    pb::BatchItem { answer: Some(answer) }
}

fn is_answered(item: &pb::BatchItem) -> bool {
    matches!(item.answer, Some(pb::batch_item::Answer::Response(_)))
}

/// Counts what was decided, and tells telemetry.
fn note(snapshot: &Snapshot, evaluated: &Evaluated) {
    snapshot.count(1);
    let Evaluated { response, outcome, reason, elapsed } = evaluated;
    let digest = response.policy.as_ref().map_or("", |policy| policy.digest.as_str());
    let rule = response.lines.first().map_or("", |line| line.rule_id.as_str());
    telemetry::span::decided(&Span::current(), digest, rule, outcome.slug());
    telemetry::event::Decided { outcome: *outcome, reason: *reason, elapsed: *elapsed }.record();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_by_their_paths() {
        for method in Method::ALL {
            assert_eq!(Method::of(&format!("/{}", method.full_name())), method);
            assert!(method.full_name().starts_with(LimitedService::NAME));
        }
        assert_eq!(Method::of("/requite.v1.RefundPolicyService/Nothing"), Method::Unknown);
    }
}
