//! Faults on a real server: each leaves the metric and the line that the table of `docs/operations.md`
//! names, storms leave a few lines, and nothing hostile gets into the log or makes series.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderValue, Request};
use prost::Message as _;
use requite::api::pb::EvaluateRefundRequest;
use requite::domain::printable::is_hidden;
use requite::telemetry::caller::{NAMED_CALLERS_MAX, SERIES_MAX};
use requite::telemetry::log_limit::LINES_PER_WINDOW_MAX;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::samples::late;
use crate::support::serve::{PATIENCE, Process, Service, policy, serve, standard_policies};

const EVALUATE: &str = "requite.v1.RefundPolicyService/EvaluateRefund";
const INFO: &str = "requite.v1.RefundPolicyService/GetServerInfo";
const ADMIN: &str = "requite.v1.PolicyAdminService/GetPolicyStatus";

/// Faults of the table that no caller and no file brings about here: what tests them stands elsewhere.
const TESTED_ELSEWHERE: [&str; 5] = [
    "requite_threads_held_total",
    "requite_panics_total",
    "requite_source_flaps_total",
    "requite_log_lines_dropped_total",
    "requite_answers_not_read_total",
];

/// A connection by hand.
async fn connect(address: &str) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        // How it ends, the calls on it see.
        let _ = connection.await;
    });
    sender
}

/// Begins a call; its message follows by hand.
async fn begin(
    sender: &SendRequest<Bytes>,
    method: &str,
    headers: &[(&'static str, HeaderValue)],
) -> (ResponseFuture, SendStream<Bytes>) {
    let mut request = Request::post(format!("http://localhost/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let mut ready = sender.clone().ready().await.unwrap();
    ready.send_request(request.body(()).unwrap(), false).unwrap()
}

/// Makes a call with these bytes for its body; gives the status code of gRPC.
async fn call(
    sender: &SendRequest<Bytes>,
    method: &str,
    headers: &[(&'static str, HeaderValue)],
    body: Vec<u8>,
) -> String {
    let (response, mut stream) = begin(sender, method, headers).await;
    // What is refused before it is read to its end takes no more of it.
    let _ = stream.send_data(body.into(), true);
    let response = timeout(PATIENCE, response).await.unwrap().unwrap();
    if let Some(status) = response.headers().get("grpc-status") {
        return status.to_str().unwrap().to_owned();
    }
    let mut body = response.into_body();
    while let Some(data) = timeout(PATIENCE, body.data()).await.unwrap() {
        let length = data.unwrap().len();
        body.flow_control().release_capacity(length).unwrap();
    }
    body.trailers().await.unwrap().unwrap()["grpc-status"].to_str().unwrap().to_owned()
}

/// A message with its prefix.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}

/// A frame of HTTP/2 as it goes over the wire.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends these bytes on a connection of their own, behind the greeting, and waits for its end.
fn send_frames(address: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let greeting = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
    stream.write_all(&[&greeting, bytes].concat()).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
}

/// A server that is watched: its metrics and its log.
struct Watched {
    service: Service,
    pages: String,
    /// The metrics that moved, and the lines that were seen.
    seen: RefCell<(BTreeSet<String>, BTreeSet<String>)>,
}

impl Watched {
    fn start(arguments: &[&str]) -> Self {
        let service = serve(&[arguments, &["--http-listen", "127.0.0.1:0"]].concat());
        let pages = service.serving["pages_address"].as_str().unwrap().to_owned();
        Self { service, pages, seen: RefCell::default() }
    }

    fn page(&self) -> String {
        let mut stream = TcpStream::connect(&self.pages).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// The sum of the samples whose series begin so; there is at least one.
    fn sum(&self, series: &str) -> f64 {
        let page = self.page();
        let samples: Vec<f64> = page
            .lines()
            .filter(|line| line.starts_with(series))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect();
        assert!(!samples.is_empty(), "`{series}` has samples before anything happens");
        samples.iter().sum()
    }

    /// Brings about a fault; the series counts so many, and the log has the line.
    async fn fault(&self, series: &str, count: u32, message: &str, what: impl AsyncFnOnce()) -> Value {
        let before = self.sum(series);
        what().await;
        let begun = Instant::now();
        while self.sum(series) < before + f64::from(count) {
            assert!(begun.elapsed() < PATIENCE, "`{series}` counts: {} after {before}", self.sum(series));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let line = self.service.says(message);
        let mut seen = self.seen.borrow_mut();
        seen.0.insert(series.split('{').next().unwrap().to_owned());
        seen.1.insert(message.to_owned());
        line
    }
}

/// A call that failed with this code, as the page writes it.
fn ended(method: &str, code: &str) -> String {
    format!("requite_requests_total{{method=\"{method}\",code=\"{code}\"")
}

fn closed(reason: &str) -> String {
    format!("requite_connections_closed_total{{listener=\"data\",reason=\"{reason}\"}}")
}

/// Calls that fail.
async fn failed_calls(server: &Watched) {
    let sender = connect(&server.service.address).await;
    let (bad, failed) = (framed(&EvaluateRefundRequest::default().encode_to_vec()), "a call failed");
    let fields = "requite_bad_fields_total{";
    let line = server
        .fault(fields, 1, "a request had bad fields", async || {
            assert_eq!(call(&sender, EVALUATE, &[], bad).await, "3");
        })
        .await;
    assert_eq!(line["level"], "INFO");
    assert!(line["fields"].as_str().unwrap().contains("order"), "{line}");
    let line = server.service.says(failed);
    assert_eq!((&line["code"], &line["method"]), (&"INVALID_ARGUMENT".into(), &EVALUATE.into()));
    let late = framed(&late().encode_to_vec());
    let deadline = [("grpc-timeout", HeaderValue::from_static("1n"))];
    for (method, headers, body, code, number) in [
        (EVALUATE, &[][..], framed(b"\xff\xff\xff"), "INVALID_ARGUMENT", "3"),
        (EVALUATE, &[], framed(&[0; 257 * 1024]), "RESOURCE_EXHAUSTED", "8"),
        (EVALUATE, &deadline, late, "DEADLINE_EXCEEDED", "4"),
        ("requite.v1.RefundPolicyService/Nothing", &[], framed(b""), "UNIMPLEMENTED", "12"),
    ] {
        let known = if method == EVALUATE { method } else { "requite.v1.RefundPolicyService/unknown" };
        let what = async || assert_eq!(call(&sender, method, headers, body).await, number, "{code}");
        let line = server.fault(&ended(known, code), 1, failed, what).await;
        assert_eq!((line["code"].as_str(), line["level"].as_str()), (Some(code), Some("INFO")));
    }
    let what = async || {
        let (_response, mut stream) = begin(&sender, EVALUATE, &[]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.send_reset(h2::Reason::CANCEL);
    };
    assert_eq!(server.fault(&ended(EVALUATE, "CANCELLED"), 1, failed, what).await["code"], "CANCELLED");
}

/// Streams beside the data service: how they end is known at their end, long after their headers.
async fn ended_streams(server: &Watched) {
    const REFLECTION: &str = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    const WATCH: &str = "grpc.health.v1.Health/Watch";
    let sender = connect(&server.service.address).await;
    // It asks for nothing.
    let what = async || assert_eq!(call(&sender, REFLECTION, &[], framed(b"")).await, "3");
    let series = ended("grpc.reflection/ServerReflectionInfo", "INVALID_ARGUMENT");
    let line = server.fault(&series, 1, "a call failed", what).await;
    assert_eq!(line["method"], "grpc.reflection/ServerReflectionInfo");
    let ended_well = server.sum(&ended(WATCH, "OK"));
    let in_flight = format!("requite_requests_in_flight{{method=\"{WATCH}\"}}");
    let what = async || {
        let (response, mut stream) = begin(&sender, WATCH, &[]).await;
        stream.send_data(framed(b"").into(), true).unwrap();
        let mut body = timeout(PATIENCE, response).await.unwrap().unwrap().into_body();
        assert!(timeout(PATIENCE, body.data()).await.unwrap().unwrap().is_ok());
        assert_eq!(server.sum(&in_flight) as u32, 1, "a watch goes on");
        stream.send_reset(h2::Reason::CANCEL);
    };
    server.fault(&ended(WATCH, "CANCELLED"), 1, "a call failed", what).await;
    assert_eq!((server.sum(&ended(WATCH, "OK")), server.sum(&in_flight)), (ended_well, 0.0));
}

/// Headers above their limit, in one frame and in several: they are refused before anybody is called.
async fn large_headers(server: &Watched) {
    let large = |value: usize| {
        // A header that stands for itself: `x`, and a value of so many bytes, below 16 511.
        let length = u16::try_from(value - 127).unwrap();
        [&[0, 1, b'x', 0x7f, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8][..], &vec![b'y'; value]].concat()
    };
    let (address, message) = (&server.service.address, "a call was refused whose headers are above their limit");
    let series = "requite_headers_refused_total{listener=\"data\"}";
    let mut call = head(1);
    call.extend(large(9_000));
    call.splice(..3, u32::try_from(call.len() - 9).unwrap().to_be_bytes().into_iter().skip(1));
    let several = [frame(1, 0, 1, &large(5_000)), frame(9, 4, 1, &large(5_000))].concat();
    for frames in [call, several] {
        let mut stream = TcpStream::connect(address).unwrap();
        let what = async || {
            stream
                .write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[]), &frames].concat())
                .unwrap()
        };
        let line = server.fault(series, 1, message, what).await;
        assert_eq!((line["level"].as_str(), line["listener"].as_str()), (Some("INFO"), Some("data")));
    }
    let (before, sender) = (server.sum(series), connect(address).await);
    let most = [("x-long", HeaderValue::from_str(&"y".repeat(7_500)).unwrap())];
    assert_eq!(self::call(&sender, INFO, &most, framed(b"")).await, "0");
    assert_eq!(server.sum(series), before, "what is within the limit is no fault");
}

/// Requests that are not gRPC.
async fn not_grpc(server: &Watched) {
    let sender = connect(&server.service.address).await;
    let (series, message) = ("requite_not_grpc_total{listener=\"data\"}", "a request was refused that is not gRPC");
    let what = async || {
        let request = http::Request::get("http://localhost/").body(()).unwrap();
        let (response, _) = sender.clone().ready().await.unwrap().send_request(request, true).unwrap();
        assert_eq!(response.await.unwrap().status(), 405);
    };
    let line = server.fault(series, 1, message, what).await;
    assert_eq!((line["level"].as_str(), line["listener"].as_str()), (Some("INFO"), Some("data")));
}

/// Connections that do not speak the protocol, break it, or break off.
async fn broken_connections(server: &Watched) {
    let (address, message) = (server.service.address.clone(), "a connection was closed");
    let reason = |line: &Value| line["reason"].as_str().unwrap().to_owned();
    let silent = TcpStream::connect(&address).unwrap();
    let mute = async || {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    };
    assert_eq!(reason(&server.fault(&closed("no_greeting"), 1, message, mute).await), "no_greeting");
    let lost = async || {
        let mut stream = TcpStream::connect(&address).unwrap();
        let greeting = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[]), &[0, 0, 9]].concat();
        stream.write_all(&greeting).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    };
    assert_eq!(reason(&server.fault(&closed("lost"), 1, message, lost).await), "lost");
    // The one that says nothing has its time to say something.
    assert_eq!(reason(&server.fault(&closed("no_greeting"), 0, message, async || {}).await), "no_greeting");
    drop(silent);

    // Storms, each of many connections.
    let malformed = frame(1, 5, 1, &[0xff; 8]);
    let large = [&[0x40, 1, b'x', 0x7f, 0x81, 0x7f][..], &[b'y'; 16_000]].concat();
    let reset: Vec<u8> =
        (0..600).flat_map(|call| [head(2 * call + 1), frame(3, 0, 2 * call + 1, &[0, 0, 0, 8])].concat()).collect();
    let empty: Vec<u8> = [frame(1, 0, 1, &[]), frame(9, 0, 1, &[]).repeat(5_000)].concat();
    let floods = [
        malformed,
        frame(1, 4, 1, &large),
        reset,
        empty,
        frame(0, 0, 0, &[]),
        frame(6, 0, 0, &[1]),
        frame(8, 0, 0, &[0; 4]),
    ];
    for (place, flood) in floods.iter().enumerate() {
        let before = server.sum(&closed("protocol"));
        for _ in 0..10 {
            send_frames(&address, flood);
        }
        let begun = Instant::now();
        while server.sum(&closed("protocol")) < before + 10.0 {
            assert!(begun.elapsed() < PATIENCE, "flood {place} is counted");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(reason(&server.fault(&closed("protocol"), 0, message, async || {}).await), "protocol");
}

/// The headers of a call, and no more of it.
fn head(stream: u32) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let header = |name: &str, value: &str| [vec![0], text(name), text(value)].concat();
    let path = format!("/{EVALUATE}");
    let headers = [
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", &path),
        header(":authority", "localhost"),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    ];
    frame(1, 4, stream, &headers.concat())
}

/// Admins that nobody knows.
async fn unknown_admins(server: &Watched) {
    let sender = connect(server.service.serving["admin_address"].as_str().unwrap()).await;
    let wrong = [("authorization", HeaderValue::from_static("Bearer 0123456789abcdef0123456789abcdef-wrong"))];
    for headers in [&[][..], &wrong] {
        let what = async || assert_eq!(call(&sender, ADMIN, headers, framed(b"")).await, "16");
        let message = "admin call without valid credentials";
        let line = server.fault("requite_admin_unauthenticated_total{", 1, message, what).await;
        assert_eq!(line["target"], "requite::audit");
        assert!(!line.to_string().contains("wrong"), "{line}");
    }
}

/// Policies that are broken or gone, and a state directory that is.
async fn broken_files(server: &Watched, source: &TempDir, state: &Path) {
    let reloads = |result: &str| format!("requite_reloads_total{{trigger=\"file_change\",result=\"{result}\"}}");
    let good = fs::read_to_string(policy(source)).unwrap();
    let reload = async || server.service.signal("-HUP");
    let by_signal = |result: &str| reloads(result).replace("file_change", "signal");
    server.fault(&by_signal("unchanged"), 1, "policies unchanged", reload).await;
    let what = async || {
        fs::write(policy(source), format!("{good}\nnonsense: 1\n")).unwrap();
        reload().await;
    };
    let line = server.fault("requite_reloads_total{trigger=", 1, "policies rejected: ", what).await;
    assert_eq!(line["level"], "ERROR");
    let what = async || {
        fs::remove_file(policy(source)).unwrap();
        fs::create_dir(policy(source)).unwrap();
        reload().await;
    };
    server.fault("requite_reloads_total{trigger=", 1, "policies unreadable: ", what).await;
    let away = state.with_extension("unplugged");
    let what = async || {
        fs::rename(state, &away).unwrap();
        fs::remove_dir(policy(source)).unwrap();
        fs::write(policy(source), format!("# changed\n{good}")).unwrap();
        reload().await;
    };
    let line = server.fault("requite_state_failures_total", 1, "revision ", what).await;
    assert!(line["message"].as_str().unwrap().contains("cannot be kept in the state directory"), "{line}");
    fs::rename(&away, state).unwrap();
}

/// What the table says: the names of the metrics, and the beginnings of the lines.
fn table() -> Vec<(String, Vec<String>)> {
    let page = include_str!("../../docs/operations.md");
    let (_, rows) = page.split_once("| fault | metric | log line |\n|---|---|---|\n").unwrap();
    let rows = rows.lines().take_while(|line| line.starts_with('|'));
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        let metric = quoted(cells[2])[0].split('{').next().unwrap().to_owned();
        (metric, quoted(cells[3]).iter().map(|line| line.split('…').next().unwrap().to_owned()).collect())
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_leaves_its_metric_and_its_line() {
    let (source, dir) = (standard_policies(), tempfile::tempdir().unwrap());
    let (state, tokens) = (dir.path().join("state"), dir.path().join("tokens"));
    fs::write(&tokens, "lea read,reload 9f2c7ab1e04d63588c1f0b7e5a92d4c6\n").unwrap();
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).unwrap();
    let [policies, state_dir, tokens] = [source.path(), &state, &tokens].map(|path| path.to_str().unwrap());
    let mut server = Watched::start(
        &[
            ["--policies", policies],
            ["--state-dir", state_dir],
            ["--admin-tokens", tokens],
            ["--admin-listen", "127.0.0.1:0"],
        ]
        .concat(),
    );
    failed_calls(&server).await;
    unknown_admins(&server).await;
    ended_streams(&server).await;
    broken_connections(&server).await;
    large_headers(&server).await;
    not_grpc(&server).await;
    broken_files(&server, &source, &state).await;
    server.service.signal("-TERM");
    assert_eq!(server.service.exit_code(), Some(0));
    let log = server.service.whole_log();
    let of_the_library =
        log.iter().filter(|line| line["target"].as_str().is_some_and(|target| target.starts_with("h2")));
    assert_eq!(of_the_library.count(), 0, "no connection has lines of its own");
    let storms = log.iter().filter(|line| line["reason"] == "protocol");
    assert!(storms.count() as u64 <= 3 * LINES_PER_WINDOW_MAX, "a storm leaves a few lines");

    let small = Watched::start(&["--max-connections", "2", "--concurrency-limit", "1"]);
    let sender = connect(&small.service.address).await;
    let (_response, _held) = begin(&sender, INFO, &[]).await;
    let shed = async || assert_eq!(call(&sender, INFO, &[], framed(b"")).await, "8");
    small.fault("requite_requests_shed_total{", 1, "a call was turned away for lack of room", shed).await;
    let refused = async || {
        // Whoever has just made a call makes no room.
        let second = connect(&small.service.address).await;
        assert_eq!(call(&second, INFO, &[], framed(b"")).await, "8");
        let mut stream = TcpStream::connect(&small.service.address).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    };
    small.fault("requite_connections_refused_total{", 1, "a connection was refused", refused).await;

    let (mut metrics, mut lines) = server.seen.into_inner();
    let (more_metrics, more_lines) = small.seen.into_inner();
    metrics.extend(more_metrics);
    lines.extend(more_lines);
    for (metric, named) in table().into_iter().filter(|(metric, _)| !TESTED_ELSEWHERE.contains(&metric.as_str())) {
        assert!(metrics.contains(&metric), "{metric} is in the table, and no fault here moves it");
        for line in named {
            let seen = lines.iter().any(|seen| seen.trim_end().starts_with(line.trim_end()));
            assert!(seen, "`{line}` is in the table, and no fault here leaves it");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_with_ten_thousand_hostile_names_make_no_series_without_end() {
    let server = Watched::start(&["--caller-header", "x-caller"]);
    let connections = [connect(&server.service.address).await, connect(&server.service.address).await];
    let before = server.page();
    let calls = (0..10_000_u32).map(|number| {
        let name = match number % 5 {
            0 => format!("shop-{number}").into_bytes(),
            1 => format!("\"}} 1 # {number}\\n\\").into_bytes(),
            2 => format!("{}{number}", "x".repeat(300)).into_bytes(),
            3 => format!("\u{202e}\u{9b}é{number}").into_bytes(),
            _ => format!("other\",code=\"OK\"{number}").into_bytes(),
        };
        [("x-caller", HeaderValue::from_bytes(&name).unwrap())]
    });
    let calls: Vec<_> = calls.collect();
    let mut answered = 0;
    for some in calls.chunks(100) {
        let both = some.chunks(50).zip(&connections).map(|(some, sender)| async move {
            let mut answered = 0;
            for headers in some {
                // Too many callers at once may be refused; that is an answer, too.
                assert!(["0", "8"].contains(&call(sender, INFO, headers, framed(b"")).await.as_str()));
                answered += 1;
            }
            answered
        });
        answered += futures_sum(both).await;
    }
    assert_eq!(answered, calls.len());
    let page = server.page();
    let series = |page: &str| page.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series(&page) < SERIES_MAX, "{} series", series(&page));
    assert!(page.bytes().all(|byte| byte == b'\n' || byte.is_ascii_graphic() || byte == b' '));
    let callers: BTreeSet<&str> =
        page.lines().filter_map(|line| line.split_once("caller=\"")).map(|(_, rest)| rest).map(first_value).collect();
    assert!(callers.len() <= NAMED_CALLERS_MAX + 2 && callers.contains("other"), "{callers:?}");
    let grown = series(&page) - series(&before);
    assert!(grown <= (NAMED_CALLERS_MAX + 1) * 5 * 17, "{grown} more series");
}

/// A label's value as it is written.
fn first_value(rest: &str) -> &str {
    let end = rest.find("\"}").or_else(|| rest.find("\",")).unwrap();
    &rest[..end]
}

async fn futures_sum(work: impl Iterator<Item = impl Future<Output = usize>>) -> usize {
    let mut sum = 0;
    for one in work {
        sum += one.await;
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_the_log_commands_a_terminal_or_forges_another() {
    const HOSTILE: &str =
        "x\u{1b}[2J\u{7}\r\n2026-01-01T00:00:00Z  INFO forged\u{9b}1m\u{202e}\u{2066}\u{200b}\u{2028}y";
    for format in ["text", "json"] {
        let source = standard_policies();
        let mut program = Command::new(env!("CARGO_BIN_EXE_requite"));
        program
            .args(["serve", "--listen", "127.0.0.1:0", "--policies", source.path().to_str().unwrap()])
            .args(["--log-format", format, "--log-level", "trace", "--caller-header", "x-caller"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = Process::start(&mut program);
        let mut stderr = child.0.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = match serde_json::from_str::<Value>(&line) {
            Ok(serving) => serving["address"].as_str().unwrap().to_owned(),
            Err(_) => line.strip_prefix("serving on ").unwrap().split_once(": ").unwrap().0.to_owned(),
        };
        let sender = connect(&address).await;
        let mut request = late();
        request.order.as_mut().unwrap().order_id = HOSTILE.into();
        request.claim.as_mut().unwrap().reason = HOSTILE.into();
        let header = HeaderValue::from_bytes("\u{202e}\u{9b}1m".as_bytes()).unwrap();
        let headers = ["x-caller", "traceparent", "user-agent", "grpc-timeout"].map(|name| (name, header.clone()));
        for headers in [&headers[..3], &headers[..]] {
            assert_eq!(call(&sender, EVALUATE, headers, framed(&request.encode_to_vec())).await, "3");
        }
        fs::write(source.path().join("a\u{1b}[2J\nforged\u{202e}.policy.yaml"), "policy: [").unwrap();
        fs::write(policy(&source), format!("\"{}\": 1\n", r"x\e[2J\a\r\nforged\x9b1m\u202e\u2066\u200b\u2028y"))
            .unwrap();
        for _ in 0..2 {
            child.signal("-HUP");
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        drop(sender);
        child.signal("-TERM");
        assert!(child.0.wait().unwrap().success());
        let log = log.join().unwrap();
        assert!(log.contains("rejected") && log.contains("forged"), "the broken policies are told of: {log}");
        let hidden = log.lines().find(|line| line.contains(is_hidden));
        assert_eq!(hidden, None, "{format}");
        let begins = |line: &str| line.starts_with("20") || line.starts_with('{');
        assert!(log.lines().all(begins), "each line is one event: {log}");
    }
}
