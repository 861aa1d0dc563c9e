//! `RefundPolicyService`: takes a call, looks up what is in force, answers.
//!
//! Deadlines, panics and statuses are the business of [`crate::server::guard`], which stands
//! around this.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Bytes};
use prost::Message as _;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Response, Status, async_trait};
use tower::{BoxError, Service};

use crate::engine::Engine;
use crate::engine::snapshot::Snapshot;
use crate::server::errors::Failure;
use crate::server::evaluation::{self, Desk, Evaluated, Written};
use crate::server::guard::Deadline;
use crate::server::limits::{
    BATCH_ITEMS_MAX, BATCH_ITEMS_PER_TURN, BATCHES_AT_ONCE_MAX, EVALUATION_MESSAGE_BYTES_MAX, HELD_BYTES_DIVISOR,
    HELD_BYTES_MAX, MATERIAL_MESSAGE_BYTES_MAX,
};
use crate::server::pb;
use crate::server::pb::refund_policy_service_server::{RefundPolicyService, RefundPolicyServiceServer};
use crate::server::shadow::{Answered, Shadow};
use crate::server::transport::budget::{Account, ByteBudget};
use crate::server::transport::message::{self, Message};
use crate::server::unary::{self, Answer, plain_message};
use crate::server::wire::writer::Writer;
use crate::telemetry;
use crate::telemetry::requests::RequestMethod;

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
///
/// Plain messages of the methods that decide are read and answered here; all else goes through the
/// generated server, which costs several times as much and says what is wrong with a message.
#[derive(Clone, Debug)]
pub(crate) struct LimitedService(Arc<Limited>);

#[derive(Debug)]
struct Limited {
    answers: Answers,
    server: RefundPolicyServiceServer<Answers>,
    batches: Semaphore,
    /// What calls hold that come on no connection.
    unconnected: Arc<Account>,
}

impl LimitedService {
    /// The service on this engine; what it has answered is left with the shadow.
    pub(crate) fn new(engine: Engine, shadow: Shadow) -> Self {
        let answers = Answers { engine, shadow };
        let server = RefundPolicyServiceServer::new(answers.clone());
        Self(Arc::new(Limited {
            answers,
            server: server.max_decoding_message_size(MATERIAL_MESSAGE_BYTES_MAX),
            batches: Semaphore::new(BATCHES_AT_ONCE_MAX),
            unconnected: ByteBudget::new(HELD_BYTES_MAX, HELD_BYTES_DIVISOR).account(),
        }))
    }
}

impl NamedService for LimitedService {
    const NAME: &'static str = <RefundPolicyServiceServer<Answers> as NamedService>::NAME;
}

impl<B> Service<http::Request<B>> for LimitedService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The generated server is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let limited = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let method = Method::of(parts.uri.path());
            let account = parts.extensions.get().unwrap_or(&limited.unconnected);
            match message::read(pin!(body), method.message_bytes_max(), account).await {
                Ok(message) => limited.answer(method, parts, message).await,
                Err(failure) => Ok(failure.status().into_http()),
            }
        })
    }
}

impl Limited {
    async fn answer(&self, method: Method, parts: Parts, message: Message) -> Result<http::Response<Body>, Infallible> {
        // A batch does wait between its items; the semaphore is never closed.
        let _turn = match method {
            Method::BatchEvaluateRefund => self.batches.acquire().await.ok(),
            Method::EvaluateRefund | Method::ValidateEvidence | Method::GetServerInfo | Method::Unknown => None,
        };
        let body = &message.bytes;
        let plain = plain_message(&parts.headers, body);
        let deadline = Deadline::of(&parts.extensions);
        let answer = match (method, plain) {
            (Method::EvaluateRefund, Some(message)) => self.answers.plain_request(message, deadline),
            (Method::BatchEvaluateRefund, Some(message)) => self.answers.plain_batch(message, deadline).await,
            (Method::EvaluateRefund | Method::BatchEvaluateRefund, None)
            | (Method::ValidateEvidence | Method::GetServerInfo | Method::Unknown, _) => Plain::No,
        };
        match answer {
            Plain::Answered(response) => Ok(response),
            Plain::Failed(failure) => Ok(failure.status().into_http()),
            Plain::No => {
                self.server.clone().call(http::Request::from_parts(parts, Body::new(Full::new(body.clone())))).await
            }
        }
    }
}

/// What came of answering a message without the generated server.
#[derive(Debug)]
enum Plain {
    Answered(http::Response<Body>),
    Failed(Failure),
    /// It is not plain, or no message at all.
    No,
}

impl From<Result<http::Response<Body>, Failure>> for Plain {
    fn from(answer: Result<http::Response<Body>, Failure>) -> Self {
        answer.map_or_else(Self::Failed, Self::Answered)
    }
}

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
    /// Those of the service itself.
    pub(crate) const ALL: [Self; 4] =
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

    /// The method as calls are counted.
    pub(crate) const fn counted(self) -> RequestMethod {
        match self {
            Self::EvaluateRefund => RequestMethod::EvaluateRefund,
            Self::BatchEvaluateRefund => RequestMethod::BatchEvaluateRefund,
            Self::ValidateEvidence => RequestMethod::ValidateEvidence,
            Self::GetServerInfo => RequestMethod::GetServerInfo,
            Self::Unknown => RequestMethod::UnknownDataMethod,
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

impl Answers {
    fn plain_request(&self, message: &[u8], deadline: Deadline) -> Plain {
        if let Err(failure) = deadline.check() {
            return Plain::Failed(failure);
        }
        let snapshot = self.engine.current();
        let mut answer = Answer::with_room_for(1);
        if let Some(written) = Desk::new(&snapshot).answer(message, &mut answer.writer()) {
            self.answered_plain(&snapshot, written, message);
            return answer.into_response().into();
        }
        let Ok(request) = pb::EvaluateRefundRequest::decode(message) else { return Plain::No };
        match evaluation::answer(&snapshot, &request) {
            Ok(evaluated) => {
                self.answered(&snapshot, &request, &evaluated);
                answer.writer().fields(&evaluated.response);
                answer.into_response().into()
            }
            Err(failure) => {
                count_bad_fields(&failure);
                Plain::Failed(failure)
            }
        }
    }

    /// Item by item, from its bytes to the bytes of its answer: a batch never stands in memory as a
    /// whole, neither decoded nor decided.
    async fn plain_batch(&self, message: &[u8], deadline: Deadline) -> Plain {
        let Some(items) = unary::items(message, BATCH_ITEMS_MAX) else { return Plain::No };
        // One snapshot for all of them, whatever is activated meanwhile.
        let snapshot = Arc::clone(&self.engine.current());
        let mut answer = Answer::with_room_for(items.len());
        // Counted once all are answered: a batch that comes to no answer has decided nothing.
        let mut decided = Vec::with_capacity(items.len());
        let mut desk = Desk::new(&snapshot);
        for turn in items.chunks(BATCH_ITEMS_PER_TURN) {
            // Other calls get their turns, also those that came on the same connection.
            tokio::task::yield_now().await;
            if let Err(failure) = deadline.check() {
                return Plain::Failed(failure);
            }
            for &item in turn {
                match answer_item(&snapshot, &mut desk, item, &mut answer.writer()) {
                    Some(item) => decided.push(item),
                    None => return Plain::No,
                }
            }
        }
        let mut rest = answer.writer();
        rest.count(2, snapshot.generation);
        rest.text(3, snapshot.digest_text());
        for item in decided {
            match item {
                Item::Plain(written, message) => self.answered_plain(&snapshot, written, message),
                Item::Built(built) => self.answered(&snapshot, &built.0, &built.1),
                Item::Failed => {}
            }
        }
        answer.into_response().into()
    }

    /// Counts a plain request that was answered, and leaves it for the candidate.
    fn answered_plain(&self, snapshot: &Arc<Snapshot>, written: Written<'_>, message: &[u8]) {
        let Written { order_id, request_id, .. } = written;
        count(snapshot, written);
        self.shadow.offer(snapshot, Answered { order_id, request_id, message });
    }

    /// The same for one that was decoded.
    fn answered(&self, snapshot: &Arc<Snapshot>, request: &pb::EvaluateRefundRequest, evaluated: &Evaluated) {
        let Evaluated { response, outcome, reason, elapsed } = evaluated;
        let rule = response.lines.first().map_or("", |line| line.rule_id.as_str());
        let written =
            Written { outcome: *outcome, reason: *reason, rule, order_id: "", request_id: "", elapsed: *elapsed };
        count(snapshot, written);
        self.shadow.offer_decoded(snapshot, request);
    }
}

/// What came of one item of a batch.
#[derive(Debug)]
enum Item<'m> {
    /// It was plain, and answered.
    Plain(Written<'m>, &'m [u8]),
    /// It was decoded, and answered.
    Built(Box<(pb::EvaluateRefundRequest, Evaluated)>),
    /// Its answer is an error of its own.
    Failed,
}

/// Decides one item of a batch and writes its answer; `None` where its bytes are no message.
fn answer_item<'m>(
    snapshot: &Snapshot,
    desk: &mut Desk<'m>,
    item: &'m [u8],
    response: &mut Writer<'_>,
) -> Option<Item<'m>> {
    let mut written = None;
    response.long_message_or_none(1, |answer| {
        answer.long_message_or_none(1, |decision| {
            written = desk.answer(item, decision);
            written.map(|_| ())
        })
    });
    if let Some(written) = written {
        return Some(Item::Plain(written, item));
    }
    let request = pb::EvaluateRefundRequest::decode(item).ok()?;
    Some(match evaluation::answer(snapshot, &request) {
        Ok(evaluated) => {
            response.message(1, |answer| answer.built(1, &evaluated.response));
            Item::Built(Box::new((request, evaluated)))
        }
        Err(failure) => {
            count_bad_fields(&failure);
            response.message(1, |answer| answer.built(2, &failure.batch_error()));
            Item::Failed
        }
    })
}

#[async_trait]
impl RefundPolicyService for Answers {
    async fn evaluate_refund(
        &self,
        request: Request<pb::EvaluateRefundRequest>,
    ) -> Result<Response<pb::EvaluateRefundResponse>, Status> {
        Deadline::of(request.extensions()).check()?;
        let snapshot = Arc::clone(&self.engine.current());
        let evaluated = evaluation::answer(&snapshot, request.get_ref()).inspect_err(count_bad_fields)?;
        self.answered(&snapshot, request.get_ref(), &evaluated);
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
            let failure = Failure::field("requests", problem);
            count_bad_fields(&failure);
            return Err(failure.into());
        }
        // One snapshot for all of them, whatever is activated meanwhile.
        let snapshot = Arc::clone(&self.engine.current());
        let mut answers = Vec::with_capacity(requests.len());
        for turn in requests.chunks(BATCH_ITEMS_PER_TURN) {
            deadline.check()?;
            let answer = |request| evaluation::answer(&snapshot, request).inspect_err(count_bad_fields);
            answers.extend(turn.iter().map(answer));
            tokio::task::yield_now().await;
        }
        for (request, answer) in requests.iter().zip(&answers) {
            if let Ok(evaluated) = answer {
                self.answered(&snapshot, request, evaluated);
            }
        }
        let items = answers.into_iter().map(batch_item).collect();
        let (generation, digest) = (snapshot.generation, snapshot.digest_text().to_owned());
        Ok(Response::new(pb::BatchEvaluateRefundResponse { items, generation, digest }))
    }

    async fn validate_evidence(
        &self,
        request: Request<pb::ValidateEvidenceRequest>,
    ) -> Result<Response<pb::ValidateEvidenceResponse>, Status> {
        Deadline::of(request.extensions()).check()?;
        let response = evaluation::validate_evidence(&self.engine.current(), request.get_ref());
        let response = response.inspect_err(count_bad_fields)?;
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

fn batch_item(answer: Result<Evaluated, Failure>) -> pb::BatchItem {
    use pb::batch_item::Answer;
    let answer = match answer {
        Ok(evaluated) => Answer::Response(evaluated.response),
        Err(failure) => Answer::Error(failure.batch_error()),
    };
    pb::BatchItem { answer: Some(answer) }
}

/// Counts the fields for which a request was not accepted.
fn count_bad_fields(failure: &Failure) {
    if let Failure::BadRequest(violations) = failure {
        telemetry::bad_fields::record(violations.iter().map(|violation| violation.field.as_str()));
    }
}

/// Counts what was decided, and tells telemetry.
fn count(snapshot: &Snapshot, written: Written<'_>) {
    snapshot.count(1);
    let Written { outcome, reason, rule, order_id: _, request_id: _, elapsed } = written;
    if let Some(span) = telemetry::span::current() {
        telemetry::span::decided(&span, snapshot.digest_text(), rule, outcome.slug());
    }
    telemetry::event::Decided { outcome, reason, elapsed }.record();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::admit::admit;
    use crate::engine::open;
    use crate::server::json;
    use crate::source::embedded;

    #[test]
    fn methods_are_known_by_their_paths() {
        for method in Method::ALL {
            assert_eq!(Method::of(&format!("/{}", method.full_name())), method);
            assert!(method.full_name().starts_with(LimitedService::NAME));
        }
        assert_eq!(Method::of("/requite.v1.RefundPolicyService/Nothing"), Method::Unknown);
    }

    #[tokio::test]
    async fn a_batch_that_comes_to_no_answer_has_decided_nothing() {
        let (engine, _activator) = open(admit(&embedded::read().unwrap()).unwrap());
        let answers = Answers { shadow: Shadow::of_nobody(engine.clone()), engine };
        let request =
            json::request_from_json(include_str!("../../policies/standard/requests/after-sales-appeal.json")).unwrap();
        let good = pb::BatchEvaluateRefundRequest { requests: vec![request; 2] }.encode_to_vec();
        // A third item, of one byte that is no message.
        let bad = [good.as_slice(), &[1 << 3 | 2, 1, 0xff]].concat();
        let deadline = Deadline::of(&http::Extensions::new());
        assert!(matches!(answers.plain_batch(&bad, deadline).await, Plain::No));
        assert_eq!(answers.engine.current().decisions(), 0);
        assert!(matches!(answers.plain_batch(&good, deadline).await, Plain::Answered(_)));
        assert_eq!(answers.engine.current().decisions(), 2);
    }
}
