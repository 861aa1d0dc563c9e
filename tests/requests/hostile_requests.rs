//! Requests as hostile peers write them: both ways of reading them come to the same, over real sockets too,
//! and those that would take memory are refused with the field named while others are served.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BufMut as _};
use http::uri::PathAndQuery;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use prost::Message as _;
use requite::api::pb;
use requite::domain::limits::{BUNDLE_FILES_MAX, EVIDENCE_MAX, LINES_MAX};
use requite::engine::admit::admit;
use requite::engine::snapshot::Snapshot;
use requite::server::ServerConfig;
use requite::server::data::comparison;
use requite::source::embedded;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::bodies;
use crate::support::admin_service;
use crate::support::grpc::{PATIENCE, Running, start_with};
use crate::support::hostile::{LENGTH, Spoil, WAYS, field, nested, sample_requests, spoilt};

const SERVICE: &str = "requite.v1.RefundPolicyService";
const ADMIN: &str = "requite.v1.PolicyAdminService";

/// Spoilt requests that are looked at; more with `REQUITE_HOSTILE_CASES`.
const CASES: u32 = 4_000;

fn cases() -> u32 {
    std::env::var("REQUITE_HOSTILE_CASES").map_or(CASES, |cases| cases.parse().unwrap())
}

/// A sample, and how it is spoilt.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let samples: Vec<_> = sample_requests().into_iter().map(|(_, request)| bodies::plain(request)).collect();
    let spoil = (0..WAYS, any::<usize>(), any::<usize>(), any::<u64>()).prop_map(|(way, message, field, salt)| Spoil {
        way,
        message,
        field,
        salt,
    });
    (0..samples.len(), prop::collection::vec(spoil, 0..4))
        .prop_map(move |(sample, spoils)| spoilt(&samples[sample], &spoils))
}

/// Looks at so many hostile requests.
fn each_hostile(cases: u32, check: impl Fn(&[u8])) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let outcome = TestRunner::new(config).run(&hostile(), |message| {
        check(&message);
        Ok(())
    });
    outcome.unwrap();
}

fn standard() -> Snapshot {
    Snapshot::new(admit(&embedded::read().unwrap()).unwrap(), 1)
}

#[test]
fn hostile_bytes_are_answered_alike_by_both_paths_or_refused() {
    let snapshot = standard();
    let [fast, slow, refused] = [(); 3].map(|()| Cell::new(0));
    each_hostile(cases(), |message| {
        bodies::fast_path(message);
        bodies::request(message);
        let [answered] = comparison::fast(&snapshot, &[message]).try_into().unwrap();
        let counter = match (answered, comparison::slow(&snapshot, message)) {
            (Some(_), _) => &fast,
            (None, Ok(_)) => &slow,
            (None, Err(_)) => &refused,
        };
        counter.set(counter.get() + 1);
    });
    // All three happen, or the cases are no cases.
    for (what, counter) in [("fast", &fast), ("slow", &slow), ("refused", &refused)] {
        assert!(cases() / 40 < counter.get(), "{what}: {} of {}", counter.get(), cases());
    }
}

/// Bytes as they are.
#[derive(Clone, Copy, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

async fn call(channel: &Channel, method: &str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
    call_of(channel, SERVICE, method, Request::new(message)).await
}

async fn call_of(channel: &Channel, service: &str, method: &str, request: Request<Vec<u8>>) -> Result<Vec<u8>, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_maybe_shared(format!("/{service}/{method}")).unwrap();
    let answer = timeout(PATIENCE, grpc.unary(request, path, Bytes)).await.unwrap();
    let headers = match &answer {
        Ok(response) => response.metadata(),
        Err(status) => status.metadata(),
    };
    // The library that writes dates panics where the clock is past the year 9999.
    assert!(!headers.contains_key("date"), "{headers:?}");
    answer.map(tonic::Response::into_inner)
}

async fn start() -> Running {
    start_with(ServerConfig::default(), admit(&embedded::read().unwrap()).unwrap()).await
}

#[test]
fn the_server_answers_hostile_bytes_as_the_slow_path_does() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(start());
    let channel = runtime.block_on(server.channel());
    let snapshot = server.activator.current();
    each_hostile(cases().min(400), |message| {
        let expected = comparison::slow(&snapshot, message);
        let answer = runtime.block_on(call(&channel, "EvaluateRefund", message.to_vec()));
        match (&answer, &expected) {
            (Ok(answer), Ok(expected)) => assert_eq!(answer, expected),
            (Err(answer), Err(expected)) => assert_eq!(
                (answer.code(), answer.message(), answer.details()),
                (expected.code(), expected.message(), expected.details())
            ),
            _ => panic!("{answer:?} instead of {expected:?}"),
        }
    });
    runtime.block_on(server.stop());
}

/// Empty items of a list, so many bytes of them.
fn empties(path: &[u64], bytes: usize) -> Vec<u8> {
    let (list, around) = path.split_last().unwrap();
    nested(around, &field(*list, LENGTH, &[]).repeat(bytes / 2))
}

/// The only field that a status names, and what it says of it.
fn named(status: &Status) -> (String, String) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_error_details();
    let [violation] = details.bad_request().unwrap().field_violations.as_slice() else { panic!("{details:?}") };
    (violation.field.clone(), violation.description.clone())
}

fn above(most: usize, bytes: usize) -> String {
    format!("at most {most} are allowed, got {}", bytes / 2)
}

/// Somebody who asks for a right answer again and again, on a connection of their own.
struct Honest {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Honest {
    async fn begin(server: &Running) -> Self {
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let channel = server.channel().await;
        let snapshot = server.activator.current();
        let request = bodies::plain(sample_requests().remove(0).1);
        let expected = comparison::slow(&snapshot, &request).unwrap();
        let task = tokio::spawn({
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            async move {
                while !over.load(Ordering::Relaxed) {
                    let answer = call(&channel, "EvaluateRefund", request.clone()).await;
                    assert_eq!(answer.unwrap(), expected);
                    answered.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        });
        Self { over, answered, task }
    }

    /// Waits until they were answered once more.
    async fn again(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        let begun = Instant::now();
        while self.answered.load(Ordering::Relaxed) <= before {
            assert!(begun.elapsed() < PATIENCE && !self.task.is_finished(), "others are answered");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_items_by_the_kilobyte_are_refused_with_their_list_named_while_others_are_answered() {
    let server = start().await;
    let channel = server.channel().await;
    let honest = Honest::begin(&server).await;
    let (small, large) = (260_000, 1_000_000);
    for _ in 0..5 {
        for (path, most, name) in [(&[6, 6], LINES_MAX, "order.lines"), (&[7, 6], EVIDENCE_MAX, "claim.evidence")] {
            let refused = call(&channel, "EvaluateRefund", empties(path, small)).await.unwrap_err();
            assert_eq!(named(&refused), (name.to_owned(), above(most, small)));
            // Above what the method takes at all.
            let refused = call(&channel, "EvaluateRefund", empties(path, large)).await.unwrap_err();
            assert_eq!(refused.code(), Code::ResourceExhausted);
            assert_eq!(refused.get_error_details().error_info().unwrap().reason, "MESSAGE_TOO_LARGE");
            honest.again().await;
        }
        // The same places in a request for the material.
        for bytes in [small, large] {
            for (path, most, name) in [(&[4, 6], LINES_MAX, "order.lines"), (&[5, 6], EVIDENCE_MAX, "claim.evidence")] {
                let refused = call(&channel, "ValidateEvidence", empties(path, bytes)).await.unwrap_err();
                assert_eq!(named(&refused), (name.to_owned(), above(most, bytes)));
            }
            honest.again().await;
        }
    }
    honest.end().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_refuses_its_hostile_items_and_answers_the_others() {
    let server = start().await;
    let channel = server.channel().await;
    let honest = Honest::begin(&server).await;
    let good = bodies::plain(sample_requests().remove(0).1);
    let expected = comparison::slow(&server.activator.current(), &good).unwrap();
    let expected = pb::EvaluateRefundResponse::decode(expected.as_slice()).unwrap();
    for (bytes, code, fields) in [
        (260_000, Code::InvalidArgument, vec![("order.lines".to_owned(), above(LINES_MAX, 260_000))]),
        (1_000_000, Code::ResourceExhausted, Vec::new()),
    ] {
        let items = [&good, &empties(&[6, 6], bytes), &good];
        let batch = items.map(|item| field(1, LENGTH, item)).concat();
        let answer = call(&channel, "BatchEvaluateRefund", batch).await.unwrap();
        let answer = pb::BatchEvaluateRefundResponse::decode(answer.as_slice()).unwrap();
        let [first, hostile, last] = answer.items.as_slice() else { panic!("{answer:?}") };
        for good in [first, last] {
            assert_eq!(good.answer, Some(pb::batch_item::Answer::Response(expected.clone())));
        }
        let Some(pb::batch_item::Answer::Error(error)) = &hostile.answer else { panic!("{hostile:?}") };
        let named: Vec<_> =
            error.field_violations.iter().map(|it| (it.field.clone(), it.description.clone())).collect();
        assert_eq!((Code::from(error.code), named), (code, fields), "{}", error.message);
        honest.again().await;
    }
    honest.end().await;
    server.stop().await;
}

async fn admin_channel(server: &admin_service::Running) -> Channel {
    Endpoint::from_shared(format!("http://{}", server.address)).unwrap().connect().await.unwrap()
}

/// A message of an admin who may do everything.
fn by_lead(message: Vec<u8>) -> Request<Vec<u8>> {
    let mut request = Request::new(message);
    let token = format!("Bearer {}", admin_service::LEAD).parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_method_refuses_empty_files_by_the_kilobyte_and_goes_on() {
    let server = admin_service::start().await;
    let channel = admin_channel(&server).await;
    for bytes in [60_000, 1_000_000] {
        for (method, path) in [("ValidatePolicy", [1, 1]), ("StageCandidate", [1, 1])] {
            let refused = call_of(&channel, ADMIN, method, by_lead(empties(&path, bytes)));
            assert_eq!(named(&refused.await.unwrap_err()), ("files.files".to_owned(), above(BUNDLE_FILES_MAX, bytes)));
        }
        let status = call_of(&channel, ADMIN, "GetPolicyStatus", by_lead(Vec::new())).await;
        assert!(status.is_ok(), "{status:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_longest_timeout_that_can_be_written_is_as_good_as_none() {
    let (server, admins) = (start().await, admin_service::start().await);
    let (channel, admin) = (server.channel().await, admin_channel(&admins).await);
    let good = bodies::plain(sample_requests().remove(0).1);
    for longest in ["99999999H", "99999999M", "99999999S", "99999999m"] {
        let patient = |mut request: Request<Vec<u8>>| {
            request.metadata_mut().insert("grpc-timeout", longest.parse().unwrap());
            request
        };
        for (method, message) in [("EvaluateRefund", good.clone()), ("GetServerInfo", Vec::new())] {
            let answer = call_of(&channel, SERVICE, method, patient(Request::new(message))).await;
            assert!(answer.is_ok(), "{longest} {method}: {answer:?}");
        }
        for method in ["GetPolicyStatus", "ListPolicyRevisions", "ReloadPolicy"] {
            let answer = call_of(&admin, ADMIN, method, patient(by_lead(Vec::new()))).await;
            assert!(answer.is_ok(), "{longest} {method}: {answer:?}");
        }
        // A watch waits for that moment.
        let mut grpc = Grpc::new(admin.clone());
        grpc.ready().await.unwrap();
        let path = PathAndQuery::from_maybe_shared(format!("/{ADMIN}/WatchPolicyStatus")).unwrap();
        let mut news = grpc.server_streaming(patient(by_lead(Vec::new())), path, Bytes).await.unwrap().into_inner();
        assert!(timeout(PATIENCE, news.message()).await.unwrap().unwrap().is_some(), "{longest}");
        assert!(timeout(Duration::from_millis(50), news.message()).await.is_err(), "{longest}: the watch goes on");
    }
    server.stop().await;
    admins.stop().await;
}

/// Whoever calls is told what went well and what did not; every answer is looked at in [`call_of`].
#[tokio::test]
async fn no_answer_to_a_caller_or_an_admin_has_a_date() {
    let (server, admins) = (start().await, admin_service::start().await);
    let (channel, admin) = (server.channel().await, admin_channel(&admins).await);
    let methods = ["EvaluateRefund", "BatchEvaluateRefund", "ValidateEvidence", "GetServerInfo", "Nothing"];
    for method in methods {
        for message in [Vec::new(), vec![0xff; 9], vec![0; 70_000]] {
            let _answer = call(&channel, method, message).await;
        }
    }
    assert_eq!(
        call_of(&channel, "none", "None", Request::new(Vec::new())).await.unwrap_err().code(),
        Code::Unimplemented
    );
    for method in ["GetPolicyStatus", "ValidatePolicy", "Nothing"] {
        for request in [by_lead(Vec::new()), by_lead(vec![0xff; 9]), Request::new(Vec::new())] {
            let _answer = call_of(&admin, ADMIN, method, request).await;
        }
    }
    server.stop().await;
    admins.stop().await;
}
