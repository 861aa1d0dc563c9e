//! `RefundPolicyService`: takes a call, looks up what is in force, answers.
//!
//! Deadlines, panics and statuses are the business of [`crate::server::data::guard`], which stands
//! around this.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::Extensions;
use hyper::body::{Body as HttpBody, Bytes};
use tonic::body::Body;
use tower::{BoxError, Service};

use crate::api::bounds;
use crate::api::decode::decode;
use crate::api::errors::Failure;
use crate::api::limits::EVALUATION_MESSAGE_BYTES_MAX;
use crate::api::pb;
use crate::api::pb::refund_policy_service_server::SERVICE_NAME;
use crate::engine::Engine;
use crate::engine::snapshot::Snapshot;
use crate::server::data::evaluation::{self, Evaluated, Scratch, Work};
use crate::server::data::guard::{Deadline, GuardedCall};
use crate::server::data::heavy::Paying;
use crate::server::data::method::Method;
use crate::server::data::observation::{self, DecisionSummary, Observer, count_bad_fields};
use crate::server::data::server_info::InfoWritten;
use crate::server::data::shadow::Shadow;
use crate::server::fast_path::numbers::{batch, batch_item};
use crate::server::fast_path::writer::Writer;
use crate::server::limits::{BATCH_TURN_TIME_MAX, HELD_BYTES_DIVISOR, HELD_BYTES_MAX};
use crate::server::overload::{Limiter, Places};
use crate::server::transport::budget::ByteBudget;
use crate::server::transport::message::{self, Message};
use crate::server::transport::state::ConnectionState;
use crate::server::transport::unary::{self, Answer, Encoding};

/// Answers the calls of callers.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    engine: Engine,
    observer: Observer,
    places: Places,
    info: InfoWritten,
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
    /// Whoever makes calls that come on no connection.
    unconnected: Paying,
}

impl LimitedService {
    /// Its full name, as paths have it.
    pub(crate) const NAME: &'static str = SERVICE_NAME;

    /// The service on this engine; what it has answered is left with the shadow, and what does not have to be
    /// answered at once has the limiter's places.
    pub(crate) fn new(engine: Engine, shadow: Shadow, limiter: &Limiter) -> Self {
        bounds::prepare();
        let account = ByteBudget::new(HELD_BYTES_MAX, HELD_BYTES_DIVISOR).account();
        Self(Arc::new(Limited {
            answers: Answers {
                engine,
                observer: Observer::new(shadow),
                places: limiter.places(),
                info: InfoWritten::default(),
            },
            unconnected: Paying::unconnected(limiter.unknown(), account),
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
        let extensions = parts.extensions;
        Box::pin(async move {
            if method == Method::Unknown {
                // Nothing is waited for where no message can make a difference.
                return Err(Failure::UnknownMethod);
            }
            let connection = extensions.get::<Arc<ConnectionState>>();
            let account = connection.map_or(limited.unconnected.account(), |connection| &connection.requests);
            let answer = match message::read(pin!(body), method.message_bytes_max(), account).await {
                Ok(message) => limited.answer(method, &message, encoding, (deadline, &extensions)).await,
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
        whole: &Message,
        encoding: Encoding,
        (deadline, extensions): (Deadline, &Extensions),
    ) -> Result<http::Response<Body>, Failure> {
        let Self { answers, unconnected } = self;
        let body = &whole.bytes;
        let message = unary::message(encoding, body)?;
        deadline.check()?;
        let unpaid_bytes = whole.unpaid_bytes();
        let call = || Call { body, unpaid_bytes, deadline, paying: Paying::of(extensions, unconnected) };
        match method {
            Method::EvaluateRefund => match answers.evaluate_plain(message) {
                Some(answer) => answer,
                None => Box::pin(answers.evaluate_decoded(message, call())).await,
            },
            Method::BatchEvaluateRefund => Box::pin(answers.evaluate_batch_in_turn(message, call())).await,
            Method::ValidateEvidence => Box::pin(answers.validate_evidence(message, call())).await,
            Method::GetServerInfo => answers.server_info(message),
            Method::Unknown => Err(Failure::UnknownMethod),
        }
    }
}

/// Data about a call beside its message.
#[derive(Debug)]
struct Call<'b> {
    /// The bytes in which its message lies.
    body: &'b Bytes,
    /// Those of them that must be paid for where the call waits for a place.
    unpaid_bytes: usize,
    deadline: Deadline,
    paying: Paying,
}

impl Answers {
    /// Answers a plain request from its bytes; `None` where it has to be decoded.
    fn evaluate_plain(&self, message: &[u8]) -> Option<Result<http::Response<Body>, Failure>> {
        let mut answer = Answer::with_room_for(1);
        let snapshot = self.engine.current();
        let decision = Scratch::new(&snapshot).answer(message, &mut answer.writer())?;
        Some(answer.into_response().inspect(|_| self.observer.observe_call(&snapshot, &decision, message)))
    }

    /// Decodes a request and answers it: here, or where it may take its time.
    async fn evaluate_decoded(&self, message: &[u8], call: Call<'_>) -> Result<http::Response<Body>, Failure> {
        let snapshot = Arc::clone(&self.engine.current());
        let (response, decision) = match Work::of_decision(&snapshot, message) {
            Work::Light => respond(&snapshot, message)?,
            Work::Heavy => {
                let (message, snapshot) = (call.body.slice_ref(message), Arc::clone(&snapshot));
                let respond = move || respond(&snapshot, &message);
                call.paying.work_apart(&self.places.heavy, call.unpaid_bytes, respond).await??
            }
        };
        self.observer.observe_call(&snapshot, &decision, message);
        Ok(response)
    }

    /// It waits between its items, and before them for a place.
    async fn evaluate_batch_in_turn(&self, message: &[u8], call: Call<'_>) -> Result<http::Response<Body>, Failure> {
        let _turn = call.paying.place(&self.places.batches, call.unpaid_bytes).await?;
        self.evaluate_batch(message, &call).await
    }

    /// Item by item, from its bytes to the bytes of its answer: a batch never stands in memory as a
    /// whole, neither decoded nor decided.
    async fn evaluate_batch(&self, message: &[u8], call: &Call<'_>) -> Result<http::Response<Body>, Failure> {
        let items = bounds::batch_items(message)?;
        // One snapshot for all of them, whatever is activated meanwhile.
        let snapshot = Arc::clone(&self.engine.current());
        let mut answer = Answer::with_room_for(items.len());
        let items_count = items.len();
        // Counted once all are answered: a batch that comes to no answer has decided nothing.
        let mut decided = Vec::with_capacity(items.len());
        let mut scratch = Scratch::new(&snapshot);
        // Other calls get their turns, also those that came on the same connection.
        tokio::task::yield_now().await;
        let mut turn = Instant::now();
        for item in items {
            if BATCH_TURN_TIME_MAX <= turn.elapsed() {
                tokio::task::yield_now().await;
                call.deadline.check()?;
                turn = Instant::now();
            }
            match answer_plain_item(&mut scratch, item, &mut answer.writer()) {
                Some(decision) => decided.push((decision, item)),
                None => {
                    let decision = self.answer_decoded_item(&snapshot, item, &mut answer.writer(), call).await?;
                    decided.extend(decision.map(|decision| (decision, item)));
                }
            }
            answer.check_size()?;
        }
        let mut rest = answer.writer();
        rest.count(batch::GENERATION, snapshot.generation);
        rest.text(batch::DIGEST, snapshot.digest_text());
        let response = answer.into_response()?;
        self.observer.observe_batch(&snapshot, items_count, &decided);
        Ok(response)
    }

    /// Decides an item that is not plain; `None` where its answer is an error of its own.
    async fn answer_decoded_item(
        &self,
        snapshot: &Arc<Snapshot>,
        message: &[u8],
        response: &mut Writer<'_>,
        call: &Call<'_>,
    ) -> Result<Option<DecisionSummary<'static>>, Failure> {
        let answered = if EVALUATION_MESSAGE_BYTES_MAX < message.len() {
            Err(Failure::MessageTooLarge)
        } else {
            match Work::of_decision(snapshot, message) {
                Work::Light => evaluate_decoded(snapshot, message, |decided| {
                    response.message(batch::ITEMS, |item| item.built(batch_item::RESPONSE, decided));
                }),
                Work::Heavy => {
                    let (item, snapshot) = (call.body.slice_ref(message), Arc::clone(snapshot));
                    let write = move || write_fields(&snapshot, &item);
                    // Batches are few at once, so their bytes need not be paid for.
                    let written = call.paying.work_apart(&self.places.heavy, 0, write).await?;
                    written.map(|(fields, decision)| {
                        response.message(batch::ITEMS, |item| {
                            item.message(batch_item::RESPONSE, |answer| answer.again(&fields));
                        });
                        decision
                    })
                }
            }
        };
        match answered {
            Ok(decision) => Ok(Some(decision)),
            // Bytes that are no message are a mistake of the batch, and no batch has room for such an answer.
            Err(failure @ (Failure::BadMessage | Failure::AnswerTooLarge)) => Err(failure),
            Err(failure) => {
                count_bad_fields(&failure);
                response.message(batch::ITEMS, |item| item.built(batch_item::ERROR, &failure.batch_error()));
                Ok(None)
            }
        }
    }

    /// Material of a claim. A large one is read where it may take its time.
    async fn validate_evidence(&self, message: &[u8], call: Call<'_>) -> Result<http::Response<Body>, Failure> {
        let snapshot = Arc::clone(&self.engine.current());
        match Work::of_evidence(message) {
            Work::Light => validate_evidence(&snapshot, message),
            Work::Heavy => {
                let message = call.body.slice_ref(message);
                let validate = move || validate_evidence(&snapshot, &message);
                call.paying.work_apart(&self.places.heavy, call.unpaid_bytes, validate).await?
            }
        }
    }

    fn server_info(&self, message: &[u8]) -> Result<http::Response<Body>, Failure> {
        let pb::GetServerInfoRequest {} = decode(message)?;
        self.info.of(&self.engine.current()).map(unary::response)
    }
}

/// Tells whether the material of a claim is enough.
fn validate_evidence(snapshot: &Snapshot, message: &[u8]) -> Result<http::Response<Body>, Failure> {
    let validated = evaluation::validate_evidence(snapshot, &decode(message)?)?;
    let mut answer = Answer::with_room_for(1);
    answer.writer().fields(&validated);
    let response = answer.into_response()?;
    observation::record_policy(validated.policy.as_ref());
    Ok(response)
}

/// Decides a request from its bytes, and writes the answer.
fn evaluate_decoded(
    snapshot: &Snapshot,
    message: &[u8],
    write: impl FnOnce(&pb::EvaluateRefundResponse),
) -> Result<DecisionSummary<'static>, Failure> {
    let request = decode(message)?;
    let Evaluated { response, summary } = evaluation::answer(snapshot, &request)?;
    write(&response);
    Ok(summary.into_owned())
}

/// The same for the one request of a call.
fn respond(snapshot: &Snapshot, message: &[u8]) -> Result<(http::Response<Body>, DecisionSummary<'static>), Failure> {
    let mut answer = Answer::with_room_for(1);
    let decision = evaluate_decoded(snapshot, message, |response| answer.writer().fields(response))?;
    Ok((answer.into_response()?, decision))
}

/// The same for an item of a batch that is put into the answer later: the fields of the decision.
fn write_fields(snapshot: &Snapshot, message: &[u8]) -> Result<(Vec<u8>, DecisionSummary<'static>), Failure> {
    let mut fields = Vec::new();
    let write = |response: &pb::EvaluateRefundResponse| Writer::at_end_of(&mut fields).fields(response);
    let decision = evaluate_decoded(snapshot, message, write)?;
    Ok((fields, decision))
}

/// Decides an item of a batch that is plain and writes its answer; `None`, and nothing written, where
/// it is not.
fn answer_plain_item<'m>(
    scratch: &mut Scratch<'m>,
    item: &'m [u8],
    response: &mut Writer<'_>,
) -> Option<DecisionSummary<'m>> {
    if EVALUATION_MESSAGE_BYTES_MAX < item.len() {
        return None;
    }
    let mut decided = None;
    response.long_message_or_none(batch::ITEMS, |item_answer| {
        item_answer.long_message_or_none(batch_item::RESPONSE, |decision| {
            decided = scratch.answer(item, decision);
            decided.is_some().then_some(())
        })
    });
    decided
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::api::json;
    use crate::engine::admit::admit;
    use crate::engine::open;
    use crate::server::overload::OverloadConfig;
    use crate::source::embedded;

    #[tokio::test]
    async fn a_batch_that_comes_to_no_answer_has_decided_nothing() {
        let (engine, _activator) = open(admit(&embedded::read().unwrap()).unwrap());
        let limiter = Limiter::new(OverloadConfig::default(), 1);
        let answers = Answers {
            observer: Observer::new(Shadow::of_nobody(engine.clone())),
            engine,
            places: limiter.places(),
            info: InfoWritten::default(),
        };
        let account = ByteBudget::counting().account();
        let paying = Paying::unconnected(limiter.unknown(), account);
        let request =
            json::request_from_json(include_str!("../../../policies/standard/requests/after-sales-appeal.json"))
                .unwrap();
        let good = pb::BatchEvaluateRefundRequest { requests: vec![request; 2] }.encode_to_vec();
        // A third item, of one byte that is no message.
        let bad = [good.as_slice(), &[1 << 3 | 2, 1, 0xff]].concat();
        let deadline = Deadline::from_headers(&http::HeaderMap::new(), tokio::time::Instant::now()).unwrap();
        let call = |body| Call { body, unpaid_bytes: 0, deadline, paying: paying.clone() };
        let (bad, good) = (Bytes::from(bad), Bytes::from(good));
        assert_eq!(answers.evaluate_batch(&bad, &call(&bad)).await.unwrap_err(), Failure::BadMessage);
        assert_eq!(answers.engine.current().decisions(), 0);
        assert!(answers.evaluate_batch(&good, &call(&good)).await.is_ok());
        assert_eq!(answers.engine.current().decisions(), 2);
    }
}
