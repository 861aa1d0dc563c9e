//! Policies change under load, and the program stops under load: nobody gets an error, and no
//! answer is made of two bundles.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use requite::api::pb;
use requite::api::pb::batch_item::Answer;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::client;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::samples::late;
use crate::support::serve::{PATIENCE, Service, copy_standard, policy, serve, serve_policies, standard_policies};

const CONNECTIONS: usize = 8;

/// As many calls as a connection has streams.
const CALLS_PER_CONNECTION: usize = 128;

const REPLACEMENTS: u32 = 50;

/// Between two replacements: some fall into the settling of the one before, and most do not.
const REPLACEMENT_GAP: Duration = Duration::from_millis(200);

/// Longest wait from a change of the file until it is in force: long, as other tests run beside this one.
const IN_FORCE_MAX: Duration = Duration::from_secs(20);

type Client = RefundPolicyServiceClient<Channel>;

async fn connect(service: &Service) -> Client {
    Client::new(client::connect(&service.address).await.unwrap())
}

/// The standard policy as variant `n`: its version says `n`, and its deductions are `n` hundredths of
/// the usual ones, so that every decision tells which variant made it.
fn variant(n: u32) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/standard/standard.policy.yaml"));
    let text = text.unwrap();
    let (version, formula) = ("version: \"2026-11-01\"", "\"paid * completed_share\"");
    assert!(text.contains(version) && text.contains(formula));
    let deduction = format!("\"paid * completed_share * {n} / 100\"");
    text.replace(version, &format!("version: \"variant-{n}\"")).replace(formula, &deduction)
}

/// What variant `n` gives back for an order of 200.00 with three eighths done.
fn refund_of(n: u32) -> pb::Money {
    let cents = i64::from(20_000 - 75 * n);
    let nanos = i32::try_from(cents % 100).unwrap() * 10_000_000;
    pb::Money { currency_code: "CNY".into(), units: cents / 100, nanos }
}

/// A directory as an orchestrator mounts it: every name is a link through `..data`, which is
/// replaced as a whole.
struct Mounted(TempDir);

impl Mounted {
    fn new(n: u32) -> Self {
        let mounted = Self(tempfile::tempdir().unwrap());
        mounted.fill("..first", n);
        symlink("..first", mounted.path("..data")).unwrap();
        for name in ["standard.policy.yaml", "calendars"] {
            symlink(Path::new("..data").join(name), mounted.path(name)).unwrap();
        }
        mounted
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a bundle: without cases, which expect the usual amounts.
    fn fill(&self, directory: &str, n: u32) {
        copy_standard(&self.path(directory));
        fs::remove_file(self.path(directory).join("standard.cases.yaml")).unwrap();
        fs::write(self.path(directory).join("standard.policy.yaml"), variant(n)).unwrap();
    }

    /// Saves as editors do: a new file takes the place of the old one.
    fn rename_over(&self, n: u32) {
        let real = fs::canonicalize(self.path("..data")).unwrap();
        let next = real.join(".next");
        fs::write(&next, variant(n)).unwrap();
        fs::rename(&next, real.join("standard.policy.yaml")).unwrap();
    }

    /// Saves as `cp` does: the old file is emptied and written in pieces.
    fn write_in_place(&self, n: u32) {
        let mut file = fs::File::create(self.path("standard.policy.yaml")).unwrap();
        for piece in variant(n).as_bytes().chunks(4_096) {
            file.write_all(piece).unwrap();
        }
    }

    /// Saves as an orchestrator does: another directory under the same name.
    fn swap_link(&self, n: u32) {
        let before = fs::canonicalize(self.path("..data")).unwrap();
        let name = format!("..bundle-{n}");
        self.fill(&name, n);
        symlink(&name, self.path("..data_next")).unwrap();
        fs::rename(self.path("..data_next"), self.path("..data")).unwrap();
        fs::remove_dir_all(before).unwrap();
    }

    fn replace(&self, n: u32) {
        match n % 3 {
            0 => self.rename_over(n),
            1 => self.write_in_place(n),
            _ => self.swap_link(n),
        }
    }
}

/// What the callers saw.
#[derive(Default)]
struct Seen {
    answers: AtomicUsize,
    slowest_micros: AtomicUsize,
    /// The digest of each version that made a decision.
    digests: Mutex<BTreeMap<String, String>>,
    wrong: Mutex<Vec<String>>,
    /// Callers from this one on have called enough.
    enough_from: AtomicUsize,
}

impl Seen {
    fn note(&self, answer: Result<pb::EvaluateRefundResponse, tonic::Status>, began: Instant) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let micros = usize::try_from(began.elapsed().as_micros()).unwrap();
        self.slowest_micros.fetch_max(micros, Ordering::Relaxed);
        if let Some(wrong) = answer.map_or_else(|status| Some(format!("{status:?}")), |answer| self.mixed(&answer)) {
            self.wrong.lock().unwrap().push(wrong);
        }
    }

    /// What is made of two bundles in an answer.
    fn mixed(&self, answer: &pb::EvaluateRefundResponse) -> Option<String> {
        let pb::PolicyRef { version, digest, .. } = answer.policy.as_ref().unwrap();
        let n = version.strip_prefix("variant-").and_then(|n| n.parse().ok());
        if n.map(refund_of) != answer.refund {
            return Some(format!("{version} gave back {:?}", answer.refund));
        }
        let known = self.digests.lock().unwrap().entry(version.clone()).or_insert_with(|| digest.clone()).clone();
        (known != *digest).then(|| format!("{version} is {known} and {digest}"))
    }
}

/// Calls one after the other until it is enough.
async fn keep_calling(mut client: Client, caller: usize, seen: Arc<Seen>) {
    let mut request = late();
    for call in 0.. {
        if seen.enough_from.load(Ordering::Relaxed) <= caller {
            break;
        }
        request.request_id = format!("{caller}-{call}");
        let began = Instant::now();
        let answer = client.evaluate_refund(request.clone()).await;
        seen.note(answer.map(tonic::Response::into_inner), began);
    }
}

/// Waits until this version is in force; gives how long that took.
async fn in_force(client: &mut Client, version: &str, within: Duration) -> Duration {
    let since = Instant::now();
    while since.elapsed() < within {
        let info = client.get_server_info(pb::GetServerInfoRequest {}).await.unwrap().into_inner();
        if info.policies[0].policy.as_ref().unwrap().version == version {
            return since.elapsed();
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("`{version}` is in force within {within:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_at_once_see_fifty_replacements_and_no_error() {
    let mounted = Mounted::new(0);
    let mut service = serve_policies(&mounted.0);
    let seen = Arc::new(Seen { enough_from: AtomicUsize::new(usize::MAX), ..Seen::default() });
    let mut callers = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let client = connect(&service).await;
        for call in 0..CALLS_PER_CONNECTION {
            callers.spawn(keep_calling(client.clone(), connection * CALLS_PER_CONNECTION + call, Arc::clone(&seen)));
        }
    }
    while seen.answers.load(Ordering::Relaxed) < CONNECTIONS * CALLS_PER_CONNECTION {
        sleep(Duration::from_millis(5)).await;
    }
    let mut observer = connect(&service).await;
    for n in 1..REPLACEMENTS {
        mounted.replace(n);
        // Every tenth is given the time to be in force, whichever way it was saved. The question
        // waits behind a thousand calls, so this says little of how long it takes.
        if n % 10 == 0 {
            in_force(&mut observer, &format!("variant-{n}"), PATIENCE).await;
        } else {
            sleep(REPLACEMENT_GAP).await;
        }
    }
    seen.enough_from.store(CALLS_PER_CONNECTION, Ordering::Relaxed);
    while CALLS_PER_CONNECTION < callers.len() {
        callers.join_next().await.unwrap().unwrap();
    }
    mounted.replace(REPLACEMENTS);
    let took = in_force(&mut observer, &format!("variant-{REPLACEMENTS}"), IN_FORCE_MAX).await;
    println!("the last bundle was in force after {took:?}");
    seen.enough_from.store(0, Ordering::Relaxed);
    while callers.join_next().await.transpose().unwrap().is_some() {}

    assert_eq!(*seen.wrong.lock().unwrap(), Vec::<String>::new());
    let info = observer.get_server_info(pb::GetServerInfoRequest {}).await.unwrap().into_inner();
    let versions = seen.digests.lock().unwrap().clone();
    println!(
        "{} answers by {} versions over {} generations, the slowest after {} ms",
        seen.answers.load(Ordering::Relaxed),
        versions.len(),
        info.generation,
        seen.slowest_micros.load(Ordering::Relaxed) / 1_000
    );
    // Those that were waited for, and the first.
    for n in (0..REPLACEMENTS).step_by(10) {
        assert!(versions.contains_key(&format!("variant-{n}")), "{n}: {versions:?}");
    }
    let digests: std::collections::BTreeSet<_> = versions.values().collect();
    assert_eq!(digests.len(), versions.len(), "each version has a digest of its own");
    assert!(4_000 < seen.answers.load(Ordering::Relaxed));
    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_bundle_is_reported_and_the_one_before_decides() {
    let dir = standard_policies();
    let mut service = serve_policies(&dir);
    let mut client = connect(&service).await;
    let before = client.evaluate_refund(late()).await.unwrap().into_inner();
    let text = fs::read_to_string(policy(&dir)).unwrap();

    let mut health = HealthClient::new(client::connect(&service.address).await.unwrap());
    let mut healthy = async || {
        let answer = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
        answer.status() == ServingStatus::Serving
    };
    assert!(healthy().await);
    fs::write(policy(&dir), text.replace("deny: ORDER_CANCELLED", "deny: NOTHING_KNOWN")).unwrap();
    let rejected = service.says("policies rejected");
    assert!(healthy().await, "what serves is as good as before");
    assert_eq!(rejected["in_force"].as_str(), Some(before.policy.as_ref().unwrap().digest.as_str()));
    assert_eq!((rejected["errors"].as_u64(), rejected["level"].as_str()), (Some(1), Some("ERROR")));
    let mistake = service.says("`NOTHING_KNOWN` is not a reason code");
    assert!(mistake["place"].as_str().is_some_and(|place| place.starts_with("standard.policy.yaml:")), "{mistake}");
    assert!(mistake["code"].is_string() && mistake["help"].is_string(), "{mistake}");
    assert_eq!(client.evaluate_refund(late()).await.unwrap().into_inner(), before);

    // A policy that reads well and decides otherwise than its cases expect is as bad.
    fs::write(policy(&dir), text.replace("\"paid * completed_share\"", "\"paid\"")).unwrap();
    service.says("policies rejected");
    assert_eq!(service.says("the case ")["code"], "case-failed");
    assert_eq!(client.evaluate_refund(late()).await.unwrap().into_inner(), before);

    fs::write(policy(&dir), &text).unwrap();
    service.says("source matches the active policies again");
    assert_eq!(client.evaluate_refund(late()).await.unwrap().into_inner(), before);
    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_policies_again() {
    let dir = standard_policies();
    let service = serve_policies(&dir);
    let mut client = connect(&service).await;
    let text = fs::read_to_string(policy(&dir)).unwrap();
    fs::write(policy(&dir), text.replace("version: \"2026-11-01\"", "version: \"by-signal\"")).unwrap();
    // The file watch may come first; a signal is answered in any case.
    service.signal("-HUP");
    let took = in_force(&mut client, "by-signal", IN_FORCE_MAX).await;
    println!("in force after {took:?}");
    service.signal("-HUP");
    let line = service.says("policies unchanged");
    assert_eq!(line["trigger"], "signal");
}

/// A batch that takes a while.
fn batch() -> pb::BatchEvaluateRefundRequest {
    let late = late();
    let request = |n| pb::EvaluateRefundRequest { request_id: format!("r-{n}"), ..late.clone() };
    pb::BatchEvaluateRefundRequest { requests: (0..1_000).map(request).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_when_asked_to_stop_is_answered() {
    const BATCHES: usize = 4;
    let mut service = serve(&[]);
    let (mut calls, batch) = (JoinSet::new(), batch());
    for _ in 0..BATCHES {
        let (mut client, batch) = (connect(&service).await, batch.clone());
        calls.spawn(async move { client.batch_evaluate_refund(batch).await });
    }
    // Sent, and far from answered: a thousand decisions take longer than this.
    sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    service.signal("-TERM");
    let mut answered_after = Vec::new();
    while let Some(call) = calls.join_next().await {
        let items = call.unwrap().unwrap().into_inner().items;
        assert_eq!(items.len(), 1_000);
        assert!(items.iter().all(|item| matches!(item.answer, Some(Answer::Response(_)))));
        answered_after.push(began.elapsed());
    }
    assert_eq!(service.exit_code(), Some(0));
    println!("answered {answered_after:?} after the signal, ended after {:?}", began.elapsed());
    assert!(client::connect(&service.address).await.is_err());
    let log = service.whole_log();
    let said =
        |message: &str| log.iter().any(|line| line["message"].as_str().is_some_and(|it| it.starts_with(message)));
    assert!(said("asked to stop") && said("stopped"), "{log:#?}");
}

/// A call that never ends: its headers, and nothing of its message.
fn begin_a_call(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut headers = vec![0x83, 0x86];
    for (name, value) in [
        (":path", "/requite.v1.RefundPolicyService/EvaluateRefund"),
        (":authority", "requite"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        // A field with a new name, not indexed, its texts as they are.
        headers.push(0);
        for text in [name, value] {
            headers.push(u8::try_from(text.len()).unwrap());
            headers.extend(text.as_bytes());
        }
    }
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let (settings, call) = (frame(4, 0, 0, &[]), frame(1, 4, 1, &headers));
    stream.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings.as_slice(), &call].concat()).unwrap();
    // Its settings come before anything else: the connection is being served.
    stream.read_exact(&mut [0; 9]).unwrap();
    stream
}

#[test]
fn asked_a_second_time_it_stops_at_once() {
    let mut service = serve(&[]);
    let _held = begin_a_call(&service.address);
    service.signal("-TERM");
    service.says("asked to stop: finishing what has begun");
    std::thread::sleep(Duration::from_millis(400));
    assert!(service.is_running(), "the call in flight is waited for");
    let began = Instant::now();
    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(1));
    // The call in flight alone would be waited for ten seconds.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let log: Vec<Value> = service.whole_log();
    let again = |line: &Value| line["message"].as_str().is_some_and(|it| it.starts_with("asked to stop again"));
    assert!(log.iter().any(again), "{log:#?}");
}
