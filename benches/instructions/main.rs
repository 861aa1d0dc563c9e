//! Does one thing so many times and ends: for counting instructions, not for clocks.
//!
//! `instructions WHAT TIMES`; `scripts/instructions` runs it under callgrind, which counts inside of
//! `counted` only, so that starting up counts for nothing. Nothing is asked of the network.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark may panic to fail"
)]

use std::convert::Infallible;
use std::hint::black_box;
use std::num::NonZeroUsize;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use requite::api::json;
use requite::api::pb::{BatchEvaluateRefundRequest, EvaluateRefundRequest, ExplainLevel};
use requite::decision::explain::Silent;
use requite::decision::{Purpose, decide, intake};
use requite::domain::request::{Claim, Evidence, Fraction, Line, Money, Order, Request, Tender};
use requite::domain::time::Timestamp;
use requite::domain::words::{LiableParty, OrderStage, RequestType};
use requite::engine::admit::admit;
use requite::engine::{Engine, open};
use requite::server::{OverloadConfig, data_service, evaluate};
use requite::source::embedded;
use tonic::body::Body;
use tower::Service;

/// Items of the batch.
const BATCH_ITEMS: usize = 100;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let what = arguments.next().unwrap_or_else(|| "all".to_owned());
    let times = arguments.next().map_or(1, |times| times.parse().unwrap());
    let (engine, _activator) = open(admit(&embedded::read().unwrap()).unwrap());
    match what.as_str() {
        "decide" => only_decide(&engine, times),
        "intake-decide" => intake_and_decide(&engine, times),
        "evaluate" => evaluate_message(&engine, times),
        "service" => through_service(engine, "EvaluateRefund", &message(), times),
        "refusal" => refused_by_service(engine, times),
        "batch-of-100" => {
            let requests = vec![message(); BATCH_ITEMS];
            through_service(engine, "BatchEvaluateRefund", &BatchEvaluateRefundRequest { requests }, times);
        }
        // What `cargo test --benches` runs: that all of it works.
        "all" => {
            only_decide(&engine, times);
            intake_and_decide(&engine, times);
            evaluate_message(&engine, times);
            through_service(engine.clone(), "EvaluateRefund", &message(), times);
            refused_by_service(engine, times);
        }
        other => panic!("`{other}` is not one of decide, intake-decide, evaluate, service, refusal, batch-of-100"),
    }
}

/// Does something so often. Only what happens in here is counted.
#[inline(never)]
fn counted(times: usize, mut operation: impl FnMut()) {
    for _ in 0..times {
        operation();
    }
}

fn only_decide(engine: &Engine, times: usize) {
    let (snapshot, request) = (engine.current(), request());
    let plan = snapshot.plan("").unwrap();
    let facts = intake(plan, &request, Purpose::Decision).unwrap();
    counted(times, || {
        black_box(decide(plan, black_box(&facts), &mut Silent));
    });
}

fn intake_and_decide(engine: &Engine, times: usize) {
    let (snapshot, request) = (engine.current(), request());
    let plan = snapshot.plan("").unwrap();
    counted(times, || {
        let facts = intake(plan, black_box(&request), Purpose::Decision).unwrap();
        black_box(decide(plan, &facts, &mut Silent));
    });
}

fn evaluate_message(engine: &Engine, times: usize) {
    let message = message();
    counted(times, || {
        black_box(evaluate(&engine.current(), black_box(&message)).unwrap());
    });
}

/// From the framed message to the framed answer: all but HTTP/2 and the socket.
fn through_service(engine: Engine, method: &str, message: &impl prost::Message, times: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut service = data_service(engine, OverloadConfig::default());
    let path = format!("/requite.v1.RefundPolicyService/{method}");
    let framed = framed(message);
    counted(times, || {
        runtime.block_on(async {
            let answer: Result<_, Infallible> = service.call(call(&path, &framed)).await;
            let answer = answer.unwrap().into_body().collect().await.unwrap();
            assert_eq!(answer.trailers().unwrap().get("grpc-status").unwrap(), "0");
            black_box(answer.to_bytes());
        });
    });
}

/// The same for a call that is not taken, since another one has the only place.
fn refused_by_service(engine: Engine, times: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = OverloadConfig { concurrency_limit: NonZeroUsize::new(1), ..OverloadConfig::default() };
    let mut service = data_service(engine, limit);
    let (path, framed) = ("/requite.v1.RefundPolicyService/EvaluateRefund", framed(&message()));
    let _taken = service.call(call(path, &framed));
    counted(times, || {
        runtime.block_on(async {
            let answer: Result<_, Infallible> = service.call(call(path, &framed)).await;
            assert_eq!(answer.unwrap().headers().get("grpc-status").unwrap(), "8");
        });
    });
}

fn framed(message: &impl prost::Message) -> Bytes {
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
    message.encode(&mut framed).unwrap();
    Bytes::from(framed)
}

fn call(path: &str, framed: &Bytes) -> http::Request<Body> {
    http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "5S")
        .body(Body::new(Full::new(framed.clone())))
        .unwrap()
}

/// One line, two tenders, two pieces of evidence.
fn request() -> Request<'static> {
    let cny = |units| Some(Money { currency: "CNY", units, nanos: 0 });
    let at = |text| Timestamp::parse(text);
    let piece = |kind| Evidence { id: kind, kind, ..Evidence::default() };
    let tender = |id, method, units| Tender { id, method, paid: cny(units), ..Tender::default() };
    Request {
        order: Order {
            id: "order-1",
            placed_at: at("2026-03-02T10:00:00+08:00"),
            times: vec![("promised_at", at("2026-03-05T18:00:00+08:00").unwrap())],
            lines: vec![Line {
                id: "line-1",
                product_type: "boosting",
                stage: Some(OrderStage::InProgress),
                paid: cny(200),
                completed: Some(Fraction { numerator: 3, denominator: 8 }),
                ..Line::default()
            }],
            tenders: vec![tender("t1", "alipay", 150), tender("t2", "balance", 50)],
            ..Order::default()
        },
        claim: Claim {
            request_type: Some(RequestType::Refund),
            reason: "late_delivery",
            liable_party: Some(LiableParty::Platform),
            channel: "app",
            requested_at: at("2026-03-06T10:00:00+08:00"),
            evidence: vec![piece("order_record"), piece("promised_time_record")],
            ..Claim::default()
        },
    }
}

/// The example of the standard policy, without an explanation.
fn message() -> EvaluateRefundRequest {
    let text = include_str!("../../policies/standard/requests/platform-late-partial.json");
    let mut request = json::request_from_json(text).unwrap();
    request.explain = ExplainLevel::None.into();
    request
}
