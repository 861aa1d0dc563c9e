//! Logs that nobody reads: calls are answered, and the process ends when it is asked to.

use std::fs;
use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::client;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::samples::late;
use crate::support::serve::{PATIENCE, Process, copy_standard};

/// The promise about the end of the process, and some time for a machine that does other work, too.
const STOP_MAX: Duration = Duration::from_secs(15);

/// More than any call takes, and less than waiting for ever.
const CALL_MAX: Duration = Duration::from_secs(5);

/// A pipe that is full and that nobody reads.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while (&writer).write(&[b'x'; 4096]).is_ok() {}
    while (&writer).write(b"x").is_ok() {}
    // For whoever gets it, writing blocks.
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer.into())
}

/// A server whose log goes to a pipe that nobody reads.
struct Unread {
    child: Process,
    dir: TempDir,
    address: String,
    pages: SocketAddr,
    log: PipeReader,
}

impl Unread {
    fn start(format: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_standard(dir.path());
        let (log, stderr) = full_pipe();
        let policies = dir.path().to_str().unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_requite"));
        program
            .args(["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--policies", policies])
            .args(["--log-format", format])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr);
        let mut child = Process::start(&mut program);
        let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
        let (mut address, mut pages) = (None, None);
        while address.is_none() {
            let mut line = String::new();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the server says where it serves");
            if let Ok(serving) = serde_json::from_str::<serde_json::Value>(&line) {
                address = serving["address"].as_str().map(str::to_owned);
                pages = serving["pages_address"].as_str().map(str::to_owned);
            } else if let Some(at) = line.strip_prefix("serving pages on ") {
                pages = Some(at.trim().to_owned());
            } else if let Some((at, _)) = line.strip_prefix("serving on ").and_then(|rest| rest.split_once(": ")) {
                address = Some(at.to_owned());
            }
        }
        let (address, pages) = (address.unwrap(), pages.unwrap().parse().unwrap());
        Self { child, dir, address, pages, log }
    }

    fn signal(&self, name: &str) {
        self.child.signal(name);
    }

    /// Breaks the policies in hundreds of places: each is a line of the log.
    fn break_policies(&self) {
        let keys: String = (0..300).map(|number| format!("unheard_of_{number}: x\n")).collect();
        fs::write(self.dir.path().join("standard.policy.yaml"), keys).unwrap();
    }

    fn metric(&self, series: &str) -> f64 {
        let mut stream = std::net::TcpStream::connect(self.pages).unwrap();
        stream.set_read_timeout(Some(CALL_MAX)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} in {page}")).parse().unwrap()
    }

    async fn channel(&self) -> Channel {
        tokio::time::timeout(CALL_MAX, client::connect(&self.address)).await.unwrap().unwrap()
    }

    /// The exit code, and how long the end took.
    fn ended(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        while begun.elapsed() < STOP_MAX + PATIENCE {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                return (status.code(), begun.elapsed());
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the process ends");
    }
}

const EVENTS: &str = "requite_log_lines_dropped_total{kind=\"event\"}";

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_answered_and_the_process_ends_though_nobody_reads_the_log() {
    for format in ["text", "json"] {
        let server = Unread::start(format);
        for kind in ["event", "audit", "unwritable"] {
            assert_eq!(server.metric(&format!("requite_log_lines_dropped_total{{kind=\"{kind}\"}}")), 0.0);
        }
        let channel = server.channel().await;
        let (mut calls, mut health) =
            (RefundPolicyServiceClient::new(channel.clone()), HealthClient::new(channel.clone()));
        server.break_policies();
        let begun = Instant::now();
        while server.metric(EVENTS) == 0.0 {
            assert!(begun.elapsed() < PATIENCE, "lines are dropped");
            server.signal("-HUP");
            tokio::time::timeout(CALL_MAX, calls.evaluate_refund(late())).await.unwrap().unwrap();
            let health = health.check(HealthCheckRequest::default());
            tokio::time::timeout(CALL_MAX, health).await.unwrap().unwrap();
        }
        drop((calls, health, channel));
        server.signal("-TERM");
        let (code, took) = server.ended();
        assert_eq!(code, Some(0), "{format}");
        assert!(took < STOP_MAX, "{format}: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_at_once_though_nobody_reads_the_log() {
    let server = Unread::start("text");
    // Says that it speaks HTTP/2 and then nothing more: the stop waits for it.
    let mut deaf = std::net::TcpStream::connect(&server.address).unwrap();
    deaf.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut settings = [0; 9];
    deaf.read_exact(&mut settings).unwrap();
    server.signal("-TERM");
    thread::sleep(Duration::from_millis(500));
    server.signal("-TERM");
    let (code, took) = server.ended();
    assert_eq!(code, Some(1));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn where_nobody_reads_what_is_announced_the_server_serves_and_ends() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ((_out, stdout), (_log, stderr)) = (full_pipe(), full_pipe());
    let mut program = Command::new(env!("CARGO_BIN_EXE_requite"));
    program
        .args(["serve", "--listen", &free.to_string()])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr);
    let mut child = Process::start(&mut program);
    let begun = Instant::now();
    let mut greeted = false;
    while !greeted && begun.elapsed() < PATIENCE {
        if let Ok(mut stream) = std::net::TcpStream::connect(free) {
            stream.set_read_timeout(Some(CALL_MAX)).unwrap();
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
            greeted = stream.read_exact(&mut [0; 9]).is_ok();
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.signal("-TERM");
    let begun = Instant::now();
    let mut status = None;
    while status.is_none() && begun.elapsed() < STOP_MAX {
        status = child.0.try_wait().unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    assert!(greeted, "it serves");
    assert_eq!(status.and_then(|status| status.code()), Some(0), "it ends");
}

#[test]
fn a_start_that_fails_ends_though_nobody_reads_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_log, stderr) = full_pipe();
    let mut program = Command::new(env!("CARGO_BIN_EXE_requite"));
    program
        .args(["serve", "--listen", &taken.local_addr().unwrap().to_string()])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    let mut child = Process::start(&mut program);
    let begun = Instant::now();
    let mut status = None;
    while status.is_none() && begun.elapsed() < PATIENCE {
        status = child.0.try_wait().unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(status.and_then(|status| status.code()), Some(1));
}

#[test]
fn once_the_log_is_read_again_it_says_how_much_is_missing() {
    let server = Unread::start("json");
    server.break_policies();
    let begun = Instant::now();
    while server.metric(EVENTS) == 0.0 {
        assert!(begun.elapsed() < PATIENCE, "lines are dropped");
        server.signal("-HUP");
        thread::sleep(Duration::from_millis(5));
    }
    let log = BufReader::new(server.log.try_clone().unwrap());
    // Before the log come the bytes that filled the pipe.
    let missing = log.split(b'\n').map_while(Result::ok).find_map(|line| {
        let line = String::from_utf8_lossy(&line).trim_matches('x').to_owned();
        let line: serde_json::Value = serde_json::from_str(&line).ok()?;
        (line["target"] == "requite::log").then_some(line)
    });
    let missing = missing.unwrap();
    assert_eq!(missing["level"], "ERROR");
    let dropped = missing["dropped"].as_f64().unwrap();
    assert!(1.0 <= dropped && dropped <= server.metric(EVENTS), "{missing}");
}
