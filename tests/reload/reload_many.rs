//! Hundreds of reloads under load: no call fails, no answer and no batch is made of two bundles, and
//! memory does not grow.
//!
//! 500 in CI; `REQUITE_RELOADS=10000` for more.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use requite::api::json::request_from_json;
use requite::api::pb;
use requite::api::pb::batch_item::Answer;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::client;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::transport::Channel;

use crate::support::serve::{Service, serve};

const CONNECTIONS: usize = 4;
const CALLERS_PER_CONNECTION: usize = 4;

/// Between two calls of one caller: busy, and not so much that nothing else gets a turn.
const PAUSE: Duration = Duration::from_millis(2);
const BATCH_ITEMS: usize = 50;

/// How much the process may have grown between a tenth of the reloads and all of them. What stays is
/// bounded by the history and the caches of the allocator; a leak of one plan a reload is far more.
const GROWTH_KIB_MAX: u64 = 12 * 1024;

/// Variants before they begin again.
const VARIANTS: u32 = 9_000;

type Client = RefundPolicyServiceClient<Channel>;

/// A policy that holds back `n` hundredths of 100.00, and some rules that make it a plan of a size
/// that would be missed.
fn variant(n: u32) -> String {
    let mut rules = String::new();
    for rule in 0..30 {
        rules.push_str(&format!("  - {{ id: never-{rule}, when: {{ paid: \"> {rule}000000\" }}, refund: full }}\n"));
    }
    format!(
        "policy: shop\nversion: \"variant-{n}\"\ntimezone: UTC\ncurrencies: [CNY]\nrules:\n\
         {}  - id: all\n    refund: {{ deduct: [{{ kind: consumed_value, amount: \"paid * {n} / 10000\" }}] }}\n\
         otherwise: {{ deny: NO_MATCHING_RULE }}\n",
        rules.replace("\"> 0000000\"", "\"> 900000000\"")
    )
}

fn put(directory: &Path, n: u32) {
    let next = directory.join(".next");
    fs::write(&next, variant(n)).unwrap();
    fs::rename(&next, directory.join("shop.policy.yaml")).unwrap();
}

fn request() -> pb::EvaluateRefundRequest {
    let request = json!({
        "order": { "orderId": "o-1", "lines": [{ "paid": { "currencyCode": "CNY", "units": "100" } }] },
        "claim": { "requestedAt": "2026-06-17T12:00:00Z" },
    });
    request_from_json(&request.to_string()).unwrap()
}

/// What the callers saw.
#[derive(Default)]
struct Seen {
    answers: AtomicUsize,
    batches: AtomicUsize,
    enough: AtomicBool,
    wrong: Mutex<Vec<String>>,
}

impl Seen {
    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// The version that decided, where version and refund belong together.
    fn version_of(&self, answer: &pb::EvaluateRefundResponse) -> Option<String> {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let version = answer.policy.as_ref().map(|policy| policy.version.clone())?;
        let n: i64 = version.strip_prefix("variant-")?.parse().ok()?;
        let refund = answer.refund.as_ref()?;
        (refund.units * 100 + i64::from(refund.nanos) / 10_000_000 == 10_000 - n).then_some(version)
    }
}

async fn call(mut client: Client, seen: Arc<Seen>) {
    while !seen.enough.load(Ordering::Relaxed) {
        match client.evaluate_refund(request()).await {
            Ok(answer) if seen.version_of(answer.get_ref()).is_some() => {}
            other => seen.wrong(format!("{other:?}")),
        }
        sleep(PAUSE).await;
    }
}

async fn call_in_batches(mut client: Client, seen: Arc<Seen>) {
    while !seen.enough.load(Ordering::Relaxed) {
        let requests = vec![request(); BATCH_ITEMS];
        let answer = match client.batch_evaluate_refund(pb::BatchEvaluateRefundRequest { requests }).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                seen.wrong(format!("{status:?}"));
                continue;
            }
        };
        seen.batches.fetch_add(1, Ordering::Relaxed);
        let versions: Vec<_> = answer
            .items
            .iter()
            .map(|item| match &item.answer {
                Some(Answer::Response(response)) if response.policy.as_ref().unwrap().digest == answer.digest => {
                    seen.version_of(response)
                }
                Some(Answer::Response(_) | Answer::Error(_)) | None => None,
            })
            .collect();
        if versions.len() != BATCH_ITEMS || versions[0].is_none() || versions.iter().any(|it| *it != versions[0]) {
            seen.wrong(format!("a batch by {versions:?}"));
        }
        sleep(PAUSE * 10).await;
    }
}

fn resident_kib(service: &Service) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_reloads_under_load_fail_nobody_and_leave_nothing_behind() {
    let reloads: u32 = std::env::var("REQUITE_RELOADS").map_or(500, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (source, state) = (dir.path().join("policies"), dir.path().join("state"));
    fs::create_dir(&source).unwrap();
    put(&source, 0);
    let mut service = serve(&[
        "--policies",
        source.to_str().unwrap(),
        "--state-dir",
        state.to_str().unwrap(),
        "--revisions-max",
        "3",
    ]);
    let (seen, mut callers) = (Arc::new(Seen::default()), JoinSet::new());
    for _ in 0..CONNECTIONS {
        let client = Client::new(client::connect(&service.address).await.unwrap());
        for _ in 0..CALLERS_PER_CONNECTION {
            callers.spawn(call(client.clone(), Arc::clone(&seen)));
        }
        callers.spawn(call_in_batches(client, Arc::clone(&seen)));
    }
    let began = Instant::now();
    let (watched, source) = (Arc::clone(&seen), source.clone());
    let (service_back, early, late) = tokio::task::spawn_blocking(move || {
        let mut early = 0;
        for n in 1..=reloads {
            put(&source, n % VARIANTS);
            service.signal("-HUP");
            let applied = service.says("policies applied");
            assert_eq!(applied["generation"], n + 1);
            assert!(watched.wrong.lock().unwrap().is_empty(), "at reload {n}");
            if n == reloads.div_ceil(10) {
                early = resident_kib(&service);
            }
        }
        let late = resident_kib(&service);
        (service, early, late)
    })
    .await
    .unwrap();
    service = service_back;
    let took = began.elapsed();
    seen.enough.store(true, Ordering::Relaxed);
    while callers.join_next().await.transpose().unwrap().is_some() {}

    println!(
        "{reloads} reloads in {took:?}: {} answers, {} batches; {early} KiB after a tenth, {late} KiB at the end",
        seen.answers.load(Ordering::Relaxed),
        seen.batches.load(Ordering::Relaxed)
    );
    assert_eq!(*seen.wrong.lock().unwrap(), Vec::<String>::new());
    assert!(late <= early + GROWTH_KIB_MAX, "{early} KiB grew to {late} KiB");
    assert!(0 < seen.batches.load(Ordering::Relaxed));
    let mut client = Client::new(client::connect(&service.address).await.unwrap());
    let info = client.get_server_info(pb::GetServerInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.generation, u64::from(reloads) + 1);
    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(0));
    let kept = fs::read_dir(&state).unwrap().count();
    assert_eq!(kept, 8, "three revisions in two files each, the history of activations, and the lock");
}
