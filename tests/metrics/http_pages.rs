//! The pages over HTTP: what they say, when, and what they bear.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use requite::domain::words::{Outcome, ReasonCode};
use requite::reload::handle::ReloadCommand;
use requite::reload::status_view::StatusHandle;
use requite::server::Drained;
use requite::server::pages::{self, PagesConfig, Readiness, Sources};
use requite::telemetry::event::{Decided, Panicked};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::METRICS;
use crate::support::admin_service::{PATIENCE, Reloading, broken, bundle, candidate, shows};

/// Pages that are served.
struct Running {
    address: SocketAddr,
    reloading: Reloading,
    readiness: watch::Sender<Readiness>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Drained>,
}

async fn start(config: PagesConfig) -> Running {
    let reloading = Reloading::begin();
    let shown = reloading.reload.shown.clone();
    start_showing(config, reloading, shown).await
}

/// Starts pages that show this status.
async fn start_showing(config: PagesConfig, reloading: Reloading, shown: StatusHandle) -> Running {
    let (readiness, ready) = watch::channel(Readiness::Starting);
    let listener = pages::open("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let (stop, stopped) = oneshot::channel::<()>();
    let sources = Sources { readiness: ready, shown };
    let task = tokio::spawn(async move {
        pages::serve(listener, sources, config, async { stopped.await.unwrap_or_default() }).await
    });
    Running { address, reloading, readiness, stop, task }
}

/// An answer: status, headers in small letters, text.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    text: String,
}

impl Running {
    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")).await
    }

    /// Sends a request that is the last on its connection.
    async fn ask(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, text) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request:?} is answered, got {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers: BTreeMap<_, _> = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        // The library that writes dates panics where the clock is past the year 9999.
        assert!(!headers.contains_key("date"), "{request:?} is answered with a date: {headers:?}");
        Answer { status, headers, text: text.to_owned() }
    }

    async fn reload(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.reloading
            .reload
            .commands
            .send(ReloadCommand::Reload { expected: None, requester: "lea".into(), reply })
            .await
            .unwrap();
        answer.await.unwrap().is_ok()
    }

    async fn metrics(&self) -> Metrics {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        Metrics::read(&answer.text)
    }

    async fn stop(self) -> Drained {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap()
    }
}

/// A page of metrics that keeps to the format.
struct Metrics {
    /// Samples by name with labels, as written.
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    /// Reads a page as strictly as the format's own linter: each metric has one HELP and one TYPE
    /// before its samples, which stand together; names and labels are good; no sample stands
    /// twice; counters end in `_total`, and nothing else does.
    fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let (mut samples, mut seen, mut current) = (BTreeMap::new(), BTreeSet::new(), None::<(String, String)>);
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(good_name(name) && help.ends_with('.'), "{line}");
                assert!(seen.insert(name.to_owned()), "`{name}` stands twice");
                let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
                current = Some((name.to_owned(), kind.to_owned()));
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = match series.split_once('{') {
                None => (series, ""),
                Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            };
            let (metric, kind) = current.clone().unwrap();
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(
                suffixes.iter().any(|suffix| name == format!("{metric}{suffix}")),
                "`{name}` stands under `{metric}`"
            );
            good_labels(labels);
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(samples.insert(series.to_owned(), value).is_none(), "`{series}` stands twice");
        }
        Self { samples }
    }

    fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("{series} in {:#?}", self.samples))
    }
}

fn good_name(name: &str) -> bool {
    let first = name.chars().next().unwrap();
    (first.is_ascii_lowercase() || first == '_')
        && name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_')
}

/// `a="b",c="d"` without a name that stands twice.
fn good_labels(mut labels: &str) {
    let mut seen = BTreeSet::new();
    while !labels.is_empty() {
        let (name, rest) = labels.split_once("=\"").unwrap();
        assert!(good_name(name) && seen.insert(name), "{labels}");
        let mut escaped = false;
        let end = rest.find(|c| match (escaped, c) {
            (true, _) => {
                escaped = false;
                false
            }
            (false, '\\') => {
                escaped = true;
                false
            }
            (false, c) => c == '"',
        });
        let after = &rest[end.unwrap() + 1..];
        labels = match after.strip_prefix(',') {
            Some(more) => more,
            None => {
                assert_eq!(after, "");
                after
            }
        };
    }
}

#[tokio::test]
async fn readiness_follows_the_server_and_not_the_policies() {
    let server = start(PagesConfig::default()).await;
    assert_eq!(server.get("/-/healthy").await.status, 200);
    let starting = server.get("/-/ready").await;
    assert_eq!((starting.status, starting.text.as_str()), (503, "starting\n"));
    server.readiness.send_replace(Readiness::Serving);
    let ready = server.get("/-/ready").await;
    assert_eq!((ready.status, ready.text.as_str()), (200, "ready\n"));
    assert_eq!(ready.headers["cache-control"], "no-store");

    // A rejected reload changes the metrics and nothing else.
    *server.reloading.source.lock().unwrap() = broken();
    assert!(!server.reload().await);
    assert_eq!((server.get("/-/ready").await.status, server.get("/-/healthy").await.status), (200, 200));
    assert_eq!(server.metrics().await.value("requite_config_last_reload_successful"), 0.0);

    server.readiness.send_replace(Readiness::Draining);
    let stopping = server.get("/-/ready").await;
    assert_eq!((stopping.status, stopping.text.as_str()), (503, "stopping\n"));
    assert_eq!(server.get("/-/healthy").await.status, 200, "it lives until it is gone");
    assert_eq!(server.metrics().await.value("requite_ready"), 0.0);
    server.stop().await;
}

#[tokio::test]
async fn metrics_tell_what_is_in_force_and_what_was_counted() {
    let _turn = METRICS.lock().await;
    let server = start(PagesConfig::default()).await;
    server.readiness.send_replace(Readiness::Serving);
    let before = server.metrics().await;
    let digest = bundle("1").digest();
    assert_eq!(before.value(&format!("requite_config_info{{digest=\"{digest}\",generation=\"1\"}}")), 1.0);
    assert_eq!(before.value("requite_config_last_reload_successful"), 1.0);
    assert!(1.6e9 < before.value("requite_config_last_reload_success_timestamp_seconds"));
    assert_eq!(before.value(&format!("requite_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1.0);
    assert_eq!(before.value("requite_ready"), 1.0);
    assert_eq!(before.value("requite_notices"), 1.0);
    assert_eq!(before.value("requite_config_restart_forecast{forecast=\"same\"}"), 1.0);
    assert_eq!(before.value("requite_source_hold{reason=\"none\"}"), 1.0);
    // At least the one that asks.
    assert!(1.0 <= before.value("requite_connections_open{listener=\"pages\"}"));
    assert!(1.0 <= before.value("requite_connections_total{listener=\"pages\"}"));
    #[cfg(target_os = "linux")]
    for name in ["process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds", "process_max_fds"] {
        assert!(0.0 < before.value(name), "{name}");
    }

    // The kinds of this test: others of this program count as well.
    let (outcome, reason, elapsed) = (Outcome::Denied, Some(ReasonCode::QuotaExceeded), Duration::from_micros(3));
    Decided { outcome, reason, elapsed }.record();
    Decided { outcome: Outcome::ApprovedFull, reason: None, elapsed }.record();
    Panicked { method: "a test" }.record();
    *server.reloading.source.lock().unwrap() = bundle("2");
    assert!(server.reload().await);
    let after = server.metrics().await;
    assert_eq!(after.value("requite_decisions_total{outcome=\"denied\",reason_code=\"quota_exceeded\"}"), 1.0);
    assert_eq!(after.value("requite_decisions_total{outcome=\"approved_full\",reason_code=\"none\"}"), 1.0);
    assert_eq!(after.value("requite_panics_total{method=\"a test\"}"), 1.0);
    let buckets = |metrics: &Metrics, bound: &str| {
        metrics.value(&format!("requite_evaluation_duration_seconds_bucket{{le=\"{bound}\"}}"))
    };
    assert_eq!(buckets(&after, "0.000005") - buckets(&before, "0.000005"), 2.0);
    assert_eq!(buckets(&after, "0.000002") - buckets(&before, "0.000002"), 0.0);
    assert_eq!(buckets(&after, "+Inf"), after.value("requite_evaluation_duration_seconds_count"));
    let sum = "requite_evaluation_duration_seconds_sum";
    assert!((after.value(sum) - before.value(sum) - 6e-6).abs() < 1e-9);
    let reloads = "requite_reloads_total{trigger=\"admin\",result=\"applied\"}";
    assert!(before.value(reloads) + 1.0 <= after.value(reloads));
    server.stop().await;
}

#[tokio::test]
async fn every_metric_is_documented_and_every_counter_has_a_sample_from_the_start() {
    let server = start(PagesConfig::default()).await;
    let page = server.get("/metrics").await.text;
    let docs = include_str!("../../docs/admin-reference.md");
    let mut empty = Vec::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(name.starts_with("process_") || docs.contains(&format!("`{name}`")), "{name} is documented");
        let sampled =
            page.lines().any(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")));
        if kind == "counter" && !sampled && !name.starts_with("requite_candidate_") {
            empty.push(name);
        }
    }
    assert_eq!(empty, Vec::<&str>::new());
    let metrics = server.metrics().await;
    for series in [
        "requite_panics_total{method=\"reload\"}",
        "requite_admin_calls_total{method=\"ReloadPolicy\",code=\"FAILED_PRECONDITION\"}",
        "requite_bad_fields_total{field=\"claim.reason\"}",
        "requite_requests_total{method=\"grpc.health.v1.Health/Check\",code=\"OK\",caller=\"unnamed\"}",
    ] {
        metrics.value(series);
    }
    assert!(metrics.samples.len() < requite::telemetry::caller::SERIES_MAX, "{}", metrics.samples.len());
    server.stop().await;
}

#[tokio::test]
async fn metrics_tell_of_the_candidate_by_currency() {
    let reloading = Reloading::begin();
    let report = candidate(bundle("2").digest(), bundle("1").digest());
    let shown = shows(&reloading.reload.shown, |status| status.candidate = Some(report));
    let server = start_showing(PagesConfig::default(), reloading, shown).await;
    let metrics = server.metrics().await;
    let digest = bundle("2").digest();
    let requests = |result: &str| {
        metrics.value(&format!("requite_candidate_requests_total{{digest=\"{digest}\",result=\"{result}\"}}"))
    };
    let counted: Vec<_> = ["same", "different", "not_comparable", "shed", "failed"].map(requests).into();
    assert_eq!(counted, [6.0, 4.0, 3.0, 2.0, 1.0]);
    assert_eq!(metrics.value(&format!("requite_candidate_sample_ratio{{digest=\"{digest}\"}}")), 0.25);
    let labels = format!("digest=\"{digest}\",currency=\"EUR\"");
    assert_eq!(metrics.value(&format!("requite_candidate_money_difference_minor_units{{{labels}}}")), -750.0);
    let parts = "requite_candidate_money_minor_units_total";
    assert_eq!(metrics.value(&format!("{parts}{{{labels},direction=\"above\"}}")), 250.0);
    assert_eq!(metrics.value(&format!("{parts}{{{labels},direction=\"below\"}}")), 1_000.0);
    server.stop().await;
}

#[tokio::test]
async fn only_reading_of_known_pages_is_answered() {
    let server = start(PagesConfig::default()).await;
    let ask = async |head: &str| server.ask(&format!("{head} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")).await;
    for path in ["/", "/metrics/", "/-/reload", "/../etc/passwd", "/debug/pprof"] {
        let answer = ask(&format!("GET {path}")).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text.contains("/-/ready"), "{}", answer.text);
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let answer = ask(&format!("{method} /metrics")).await;
        assert_eq!((answer.status, answer.headers["allow"].as_str()), (405, "GET, HEAD"), "{method}");
    }
    let head = ask("HEAD /-/healthy").await;
    assert_eq!((head.status, head.text.as_str(), head.headers["content-length"].as_str()), (200, "", "8"));
    // What follows a question mark changes nothing.
    assert_eq!(ask("GET /-/healthy?x=1").await.status, 200);
    let body = server.ask("GET /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\nx").await;
    assert_eq!((body.status, body.headers["connection"].as_str()), (413, "close"));
    server.stop().await;
}

#[tokio::test]
async fn large_heads_and_nonsense_are_turned_away() {
    let server = start(PagesConfig::default()).await;
    let large = format!("GET /metrics HTTP/1.1\r\nHost: h\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // It may be closed before all of it was sent.
    let _ = stream.write_all(large.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
    assert_eq!(server.ask(&many).await.status, 431);
    assert_eq!(server.ask("nonsense\r\n\r\n").await.status, 400);
    assert_eq!(server.get("/-/healthy").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn silent_and_idle_connections_are_closed() {
    let head_timeout = Duration::from_millis(150);
    let server = start(PagesConfig { head_timeout, ..PagesConfig::default() }).await;
    let begun = Instant::now();
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut halfway = TcpStream::connect(server.address).await.unwrap();
    halfway.write_all(b"GET /metrics HT").await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    for stream in [&mut silent, &mut halfway, &mut idle] {
        let mut bytes = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
    }
    assert!(head_timeout <= begun.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn who_does_not_read_does_not_stay() {
    let connection_time_max = Duration::from_millis(200);
    let server = start(PagesConfig { connection_time_max, ..PagesConfig::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // Far more answers than any buffer holds, and none is read.
    let request = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n".repeat(4_000);
    let cut = timeout(PATIENCE, async { while stream.write_all(&request).await.is_ok() {} });
    cut.await.expect("the connection is cut");
    server.stop().await;
}

#[tokio::test]
async fn there_are_only_so_many_connections_and_the_stop_is_short() {
    let server = start(PagesConfig { connections_max: 2, ..PagesConfig::default() }).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        assert!(0 < timeout(PATIENCE, stream.read(&mut [0; 512])).await.unwrap().unwrap());
        kept.push(stream);
    }
    let mut third = TcpStream::connect(server.address).await.unwrap();
    assert!(!matches!(timeout(PATIENCE, third.read(&mut [0])).await.unwrap(), Ok(1)));
    let begun = Instant::now();
    let drained = server.stop().await;
    assert_eq!((drained.connections_closed, drained.connections_cut), (2, 0));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_probe_is_answered_whoever_holds_the_places() {
    let server = start(PagesConfig::default()).await;
    let mut held = Vec::new();
    for place in 0..pages::PAGES_CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // Some say nothing, some begin a request, some are idle, some read no answer.
        let said = match place % 4 {
            0 => String::new(),
            1 => "GET /metrics HT".to_owned(),
            2 => "GET /-/healthy HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            _ => "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n".repeat(400),
        };
        let _ = timeout(Duration::from_millis(20), stream.write_all(said.as_bytes())).await;
        held.push(stream);
    }
    let begun = Instant::now();
    let probe = async || {
        let mut stream = TcpStream::connect(server.address).await.ok()?;
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.ok()?;
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.ok()?.ok()?;
        answer.starts_with(b"HTTP/1.1 200").then_some(())
    };
    // Orchestrators ask three times before they give up.
    let mut answered = 0;
    while answered < 10 {
        match probe().await {
            Some(()) => answered += 1,
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        assert!(begun.elapsed() < Duration::from_secs(4), "{answered} probes were answered");
    }
    drop(held);
    server.stop().await;
}
