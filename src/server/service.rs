//! `RefundPolicyService`: takes a call, looks up what is in force, answers.
//!
//! Deadlines, panics and statuses are the business of [`crate::server::guard`], which stands
//! around this.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body as HttpBody, Bytes};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tower::{BoxError, Service};

use crate::domain::words::{Outcome, ReasonCode};
use crate::engine::Engine;
use crate::engine::snapshot::Snapshot;
use crate::server::errors::Failure;
use crate::server::evaluation::{self, Counted, Desk, Evaluated, Work, Written};
use crate::server::guard::{Deadline, GuardedCall};
use crate::server::limits::{
    BATCH_TURN_TIME_MAX, BATCHES_AT_ONCE_MAX, EVALUATION_MESSAGE_BYTES_MAX, HEAVY_CALLS_AT_ONCE_MAX,
    HELD_BYTES_DIVISOR, HELD_BYTES_MAX, MATERIAL_MESSAGE_BYTES_MAX,
};
use crate::server::observation::{self, count_bad_fields};
use crate::server::overload::Waits;
use crate::server::pb;
use crate::server::pb::refund_policy_service_server::SERVICE_NAME;
use crate::server::shadow::{Answered, Shadow};
use crate::server::transport::budget::{Account, ByteBudget};
use crate::server::transport::message::{self, Message};
use crate::server::transport::state::ConnectionState;
use crate::server::unary::{self, Answer, Encoding};
use crate::server::wire::bounds;
use crate::server::wire::decode::decode;
use crate::server::wire::writer::Writer;
use crate::telemetry::requests::RequestMethod;

/// Answers the calls of callers.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    engine: Engine,
    shadow: Shadow,
    heavy: Arc<Semaphore>,
    /// Where it is told how long calls waited for a place.
    waits: Waits,
}

/// The service behind the limits of its methods.
///
/// A message is read to its end before it is decoded, and from then on nothing waits: a decoded
/// message may be hundreds of times the size of its bytes, so a peer must not be able to keep many
/// of them waiting for the end of its streams.
///
/// Plain requests are answered from their bytes; all else is counted, decoded, and answered as messages.
#[derive(Clone, Debug)]
pub(crate) struct LimitedService(Arc<Limited>);

#[derive(Debug)]
struct Limited {
    answers: Answers,
    batches: Semaphore,
    /// What calls hold that come on no connection.
    unconnected: Arc<Account>,
}

impl LimitedService {
    /// Its full name, as paths have it.
    pub(crate) const NAME: &'static str = SERVICE_NAME;

    /// The service on this engine; what it has answered is left with the shadow, and how long calls waited for a
    /// place is told to the limiter.
    pub(crate) fn new(engine: Engine, shadow: Shadow, waits: Waits) -> Self {
        bounds::prepare();
        let heavy = Arc::new(Semaphore::new(HEAVY_CALLS_AT_ONCE_MAX));
        let answers = Answers { engine, shadow, heavy, waits };
        Self(Arc::new(Limited {
            answers,
            batches: Semaphore::new(BATCHES_AT_ONCE_MAX),
            unconnected: ByteBudget::new(HELD_BYTES_MAX, HELD_BYTES_DIVISOR).account(),
        }))
    }
}

impl<B> Service<GuardedCall<B>> for LimitedService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<Body>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, GuardedCall { request, method, deadline }: GuardedCall<B>) -> Self::Future {
        let limited = Arc::clone(&self.0);
        let (parts, body) = request.into_parts();
        let encoding = Encoding::of(&parts.headers);
        let connection = parts.extensions.get::<Arc<ConnectionState>>();
        let account = Arc::clone(connection.map_or(&limited.unconnected, |connection| &connection.requests));
        Box::pin(async move {
            let answer = match message::read(pin!(body), method.message_bytes_max(), &account).await {
                Ok(message) => limited.answer(method, &message, encoding, deadline).await,
                Err(failure) => Err(failure),
            };
            answer.inspect_err(count_bad_fields)
        })
    }
}

impl Limited {
    /// The answer to a message. What few calls need has a place of its own, so that the others hold no room for it.
    async fn answer(
        &self,
        method: Method,
        Message { bytes, .. }: &Message,
        encoding: Encoding,
        deadline: Deadline,
    ) -> Result<http::Response<Body>, Failure> {
        let message = unary::message(encoding, bytes)?;
        deadline.check()?;
        match method {
            Method::EvaluateRefund => match self.answers.evaluate_plain(message) {
                Some(answer) => answer,
                None => Box::pin(self.answers.evaluate_decoded(message)).await,
            },
            Method::BatchEvaluateRefund => Box::pin(self.evaluate_batch(message, deadline)).await,
            Method::ValidateEvidence => Box::pin(self.answers.validate_evidence(bytes.slice_ref(message))).await,
            Method::GetServerInfo => self.answers.server_info(message),
            Method::Unknown => Err(Failure::UnknownMethod),
        }
    }

    async fn evaluate_batch(&self, message: &[u8], deadline: Deadline) -> Result<http::Response<Body>, Failure> {
        // It waits between its items; the semaphore is never closed.
        let asked = Instant::now();
        let _turn = self.batches.acquire().await.ok();
        self.answers.waits.add(asked.elapsed());
        self.answers.evaluate_batch(message, deadline).await
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
    /// Answers a plain request from its bytes; `None` where it is not plain.
    fn evaluate_plain(&self, message: &[u8]) -> Option<Result<http::Response<Body>, Failure>> {
        let snapshot = self.engine.current();
        let mut answer = Answer::with_room_for(1);
        let written = Desk::new(&snapshot).answer(message, &mut answer.writer())?;
        observation::record_written(&snapshot, &written);
        self.answered(&snapshot, written.counted, message);
        Some(answer.into_response())
    }

    /// Answers a request that is not plain.
    async fn evaluate_decoded(&self, message: &[u8]) -> Result<http::Response<Body>, Failure> {
        let snapshot = Arc::clone(&self.engine.current());
        let Decoded { evaluated, said } = self.decoded(&snapshot, decode(message)?).await?;
        let Evaluated { response: decision, outcome, reason, elapsed } = evaluated?;
        let mut answer = Answer::with_room_for(1);
        answer.writer().fields(&decision);
        let response = answer.into_response()?;
        observation::record_decision(&snapshot, &decision, outcome);
        self.answered(&snapshot, said.counted(outcome, reason, elapsed), message);
        Ok(response)
    }

    /// Item by item, from its bytes to the bytes of its answer: a batch never stands in memory as a
    /// whole, neither decoded nor decided.
    async fn evaluate_batch(&self, message: &[u8], deadline: Deadline) -> Result<http::Response<Body>, Failure> {
        let items = bounds::batch_items(message)?;
        // One snapshot for all of them, whatever is activated meanwhile.
        let snapshot = Arc::clone(&self.engine.current());
        let mut answer = Answer::with_room_for(items.len());
        let items_count = items.len();
        // Counted once all are answered: a batch that comes to no answer has decided nothing.
        let mut decided = Vec::with_capacity(items.len());
        let mut desk = Desk::new(&snapshot);
        // Other calls get their turns, also those that came on the same connection.
        tokio::task::yield_now().await;
        let mut turn = Instant::now();
        for item in items {
            if BATCH_TURN_TIME_MAX <= turn.elapsed() {
                tokio::task::yield_now().await;
                deadline.check()?;
                turn = Instant::now();
            }
            match answer_plain_item(&mut desk, item, &mut answer.writer()) {
                Some(written) => decided.push(Item::Plain(written, item)),
                None => decided.extend(self.answer_decoded_item(&snapshot, item, &mut answer.writer()).await?),
            }
            answer.check_size()?;
        }
        let mut rest = answer.writer();
        rest.count(2, snapshot.generation);
        rest.text(3, snapshot.digest_text());
        let response = answer.into_response()?;
        observation::record_batch(&snapshot, items_count, decided.iter().map(Item::outcome));
        for item in decided {
            match item {
                Item::Plain(written, message) => self.answered(&snapshot, written.counted, message),
                Item::Decoded { said, outcome, reason, elapsed, message } => {
                    self.answered(&snapshot, said.counted(outcome, reason, elapsed), message);
                }
            }
        }
        Ok(response)
    }

    /// Decides an item that is not plain; `None` where its answer is an error of its own.
    async fn answer_decoded_item<'m>(
        &self,
        snapshot: &Arc<Snapshot>,
        message: &'m [u8],
        response: &mut Writer<'_>,
    ) -> Result<Option<Item<'m>>, Failure> {
        let mut failed = |failure: &Failure| {
            count_bad_fields(failure);
            response.message(1, |answer| answer.built(2, &failure.batch_error()));
        };
        if EVALUATION_MESSAGE_BYTES_MAX < message.len() {
            failed(&Failure::MessageTooLarge);
            return Ok(None);
        }
        let request = match decode(message) {
            Ok(request) => request,
            // A list above its bound is a mistake of this item, bytes that are no message one of the batch.
            Err(failure @ Failure::BadRequest(_)) => {
                failed(&failure);
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        let Decoded { evaluated, said } = self.decoded(snapshot, request).await?;
        match evaluated {
            Ok(Evaluated { response: decision, outcome, reason, elapsed }) => {
                response.message(1, |answer| answer.built(1, &decision));
                Ok(Some(Item::Decoded { said, outcome, reason, elapsed, message }))
            }
            // No batch has room for it.
            Err(Failure::AnswerTooLarge) => Err(Failure::AnswerTooLarge),
            Err(failure) => {
                failed(&failure);
                Ok(None)
            }
        }
    }

    /// Decides a request that was decoded: here, or where it may take its time.
    async fn decoded(&self, snapshot: &Arc<Snapshot>, request: pb::EvaluateRefundRequest) -> Result<Decoded, Failure> {
        match Work::of(snapshot, &request) {
            Work::Light => Ok(Decoded::evaluate(snapshot, request)),
            Work::Heavy => {
                let snapshot = Arc::clone(snapshot);
                self.apart(move || Decoded::evaluate(&snapshot, request)).await
            }
        }
    }

    /// Material of a claim. A large one is read where it may take its time.
    async fn validate_evidence(&self, message: Bytes) -> Result<http::Response<Body>, Failure> {
        let snapshot = Arc::clone(&self.engine.current());
        let large = EVALUATION_MESSAGE_BYTES_MAX < message.len();
        let validate = move || {
            let response = evaluation::validate_evidence(&snapshot, &decode(&message)?)?;
            let mut answer = Answer::with_room_for(1);
            answer.writer().fields(&response);
            Ok((answer.into_response()?, response.policy))
        };
        let (response, policy) = if large { self.apart(validate).await?? } else { validate()? };
        observation::record_policy(policy.as_ref());
        Ok(response)
    }

    fn server_info(&self, message: &[u8]) -> Result<http::Response<Body>, Failure> {
        let pb::GetServerInfoRequest {} = decode(message)?;
        let mut answer = Answer::with_room_for(1);
        answer.writer().fields(&evaluation::server_info(&self.engine.current()));
        // As large as the policies are: no request makes it larger.
        answer.into_response_of_any_size()
    }

    /// Does heavy work on a thread of its own, as far as such threads are free. It goes on when the
    /// caller is gone, and keeps its place until it ends.
    async fn apart<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        // The semaphore is never closed.
        let asked = Instant::now();
        let place = Arc::clone(&self.heavy).acquire_owned().await.ok();
        self.waits.add(asked.elapsed());
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        done.await.map_err(|error| match error.try_into_panic() {
            // The guard tells of it.
            Ok(panic) => resume_unwind(panic),
            // The process ends.
            Err(_cancelled) => Failure::Bug,
        })
    }

    /// Counts a request that was answered, and leaves it for the candidate.
    fn answered(&self, snapshot: &Arc<Snapshot>, counted: Counted<'_>, message: &[u8]) {
        let Counted { outcome, reason, order_id, request_id, elapsed } = counted;
        observation::count(snapshot, outcome, reason, elapsed);
        self.shadow.offer(snapshot, Answered { order_id, request_id, message });
    }
}

/// What came of a request that was decoded.
#[derive(Debug)]
struct Decoded {
    evaluated: Result<Evaluated, Failure>,
    said: Said,
}

impl Decoded {
    fn evaluate(snapshot: &Snapshot, request: pb::EvaluateRefundRequest) -> Self {
        let evaluated = evaluation::answer(snapshot, &request);
        let pb::EvaluateRefundRequest { request_id, order, .. } = request;
        let order_id = order.map(|order| order.order_id).unwrap_or_default();
        Self { evaluated, said: Said { order_id, request_id } }
    }
}

/// What a decoded request was about, as far as it is counted.
#[derive(Debug)]
struct Said {
    order_id: String,
    request_id: String,
}

impl Said {
    fn counted(&self, outcome: Outcome, reason: Option<ReasonCode>, elapsed: Duration) -> Counted<'_> {
        let Self { order_id, request_id } = self;
        Counted { outcome, reason, order_id, request_id, elapsed }
    }
}

/// An item of a batch that was answered, as far as it is counted.
#[derive(Debug)]
enum Item<'m> {
    /// It was plain.
    Plain(Written<'m>, &'m [u8]),
    /// It was decoded.
    Decoded { said: Said, outcome: Outcome, reason: Option<ReasonCode>, elapsed: Duration, message: &'m [u8] },
}

impl Item<'_> {
    /// What was decided.
    const fn outcome(&self) -> Outcome {
        match self {
            Self::Plain(written, _) => written.counted.outcome,
            Self::Decoded { outcome, .. } => *outcome,
        }
    }
}

/// Decides an item of a batch that is plain and writes its answer; `None`, and nothing written, where
/// it is not.
fn answer_plain_item<'m>(desk: &mut Desk<'m>, item: &'m [u8], response: &mut Writer<'_>) -> Option<Written<'m>> {
    if EVALUATION_MESSAGE_BYTES_MAX < item.len() {
        return None;
    }
    let mut written = None;
    response.long_message_or_none(1, |answer| {
        answer.long_message_or_none(1, |decision| {
            written = desk.answer(item, decision);
            written.map(|_| ())
        })
    });
    written
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

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
        let heavy = Arc::new(Semaphore::new(1));
        let waits = Waits::default();
        let answers = Answers { shadow: Shadow::of_nobody(engine.clone()), engine, heavy, waits };
        let request =
            json::request_from_json(include_str!("../../policies/standard/requests/after-sales-appeal.json")).unwrap();
        let good = pb::BatchEvaluateRefundRequest { requests: vec![request; 2] }.encode_to_vec();
        // A third item, of one byte that is no message.
        let bad = [good.as_slice(), &[1 << 3 | 2, 1, 0xff]].concat();
        let deadline = Deadline::from_headers(&http::HeaderMap::new(), tokio::time::Instant::now()).unwrap();
        assert_eq!(answers.evaluate_batch(&bad, deadline).await.unwrap_err(), Failure::BadMessage);
        assert_eq!(answers.engine.current().decisions(), 0);
        assert!(answers.evaluate_batch(&good, deadline).await.is_ok());
        assert_eq!(answers.engine.current().decisions(), 2);
    }
}
