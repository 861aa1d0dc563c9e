//! The server under attack: a process of its own on free ports of loopback, or one that runs already.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use requite::server::admin::Right;
use tempfile::TempDir;

/// How long the server may take to say where it serves.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// How records of the honest admin name their peer.
const HONEST_PEER: &str = "peer=\"127.0.0.2:";

/// The last lines of the log that are kept to be shown.
const LOG_LINES_KEPT: usize = 12;

/// The token of an admin who may do everything.
pub(crate) const TOKEN: &str = "3f9d1c5e7a2b4860915d3c7e8fa6b0d42e1c5a7938fb6d04c2e7195ab83f60d1";

/// How a server is run.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Setup {
    /// Further flags of `serve`.
    pub(crate) flags: &'static [&'static str],
    /// Address space that the process may have, in KiB.
    pub(crate) address_space_kib: Option<u64>,
    /// Whether nobody reads its log.
    pub(crate) log_unread: bool,
}

/// Addresses of a server that runs already.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) data: SocketAddr,
    pub(crate) pages: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) token: String,
    pub(crate) process: Option<u32>,
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) data: SocketAddr,
    pub(crate) pages: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) token: String,
    /// The program, to run its other verbs.
    pub(crate) program: PathBuf,
    process: Option<u32>,
    child: Mutex<Option<Child>>,
    log: Arc<Log>,
    /// Held open and never read.
    _unread: Option<ChildStderr>,
    dir: TempDir,
}

#[derive(Default, Debug)]
struct Log {
    lines: AtomicU64,
    last: Mutex<VecDeque<String>>,
}

impl Server {
    /// Starts the program on free ports.
    pub(crate) fn start(program: &Path, setup: Setup) -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let tokens = dir.path().join("tokens");
        fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&tokens)
            .and_then(|mut file| writeln!(file, "attacker {} {TOKEN}", rights()))
            .map_err(|error| format!("cannot write the tokens: {error}"))?;
        let mut child = command(program, setup, &tokens)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run `{}`: {error}", program.display()))?;
        let log = Arc::new(Log::default());
        let mut unread = child.stderr.take();
        if !setup.log_unread {
            read_log(unread.take(), Arc::clone(&log));
        }
        let lines = read_serving(child.stdout.take());
        let Some([data, admin, pages]) = lines else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("the server does not start: {}", last_lines(&log).join(" / ")));
        };
        Ok(Self {
            data,
            pages,
            admin,
            token: TOKEN.to_owned(),
            program: program.to_owned(),
            process: Some(child.id()),
            child: Mutex::new(Some(child)),
            log,
            _unread: unread,
            dir,
        })
    }

    /// One that runs already, and stays.
    pub(crate) fn at(addresses: Addresses, program: &Path) -> Result<Self, String> {
        let Addresses { data, pages, admin, token, process } = addresses;
        let dir = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let (child, log) = (Mutex::new(None), Arc::default());
        Ok(Self { data, pages, admin, token, program: program.to_owned(), process, child, log, _unread: None, dir })
    }

    /// A directory for files of the attack.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Whether it was started for this attack.
    pub(crate) fn is_ours(&self) -> bool {
        self.child.lock().unwrap().is_some()
    }

    /// The number of log lines so far, and the last of them.
    pub(crate) fn log(&self) -> (u64, Vec<String>) {
        (self.log.lines.load(Ordering::Relaxed), last_lines(&self.log))
    }

    /// A row of `/proc/PID/status`, in its own unit.
    pub(crate) fn status(&self, row: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process?)).ok()?;
        let value = status.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(':'))?;
        value.split_whitespace().next()?.parse().ok()
    }

    /// Memory that it holds, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status("VmRSS").unwrap_or(0)
    }

    /// Forgets the peak of memory so far.
    pub(crate) fn reset_peak(&self) {
        if let Some(process) = self.process {
            // Where the system does not have it, the peak is that of the whole run: too strict, never too mild.
            let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
        }
    }

    /// The peak of memory since it was forgotten, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status("VmHWM").unwrap_or(0)
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> u64 {
        self.process
            .and_then(|process| fs::read_dir(format!("/proc/{process}/fd")).ok())
            .map_or(0, |dir| dir.count() as u64)
    }

    /// Processor time of its threads.
    pub(crate) fn cpu(&self) -> Duration {
        let Some(process) = self.process else { return Duration::ZERO };
        let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return Duration::ZERO };
        let nanos = tasks.filter_map(|task| {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// The samples of `/metrics`.
    pub(crate) fn metrics(&self) -> BTreeMap<String, f64> {
        let text = get(self.pages, "/metrics").unwrap_or_default();
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        samples.collect()
    }

    /// Sends a signal.
    pub(crate) fn terminate(&self) {
        if let Some(child) = &*self.child.lock().unwrap() {
            let id = rustix::process::Pid::from_child(child);
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
    }

    /// The exit code, as soon as it has ended; `None` where it has not after so long. A negative
    /// number is the signal that killed it.
    pub(crate) fn ended_within(&self, bound: Duration) -> Option<i32> {
        let end = Instant::now() + bound;
        loop {
            if let Some(child) = &mut *self.child.lock().unwrap()
                && let Ok(Some(status)) = child.try_wait()
            {
                let signal = std::os::unix::process::ExitStatusExt::signal(&status).map_or(-1, |signal| -signal);
                return Some(status.code().unwrap_or(signal));
            }
            if end <= Instant::now() {
                return None;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_ours() && self.ended_within(Duration::ZERO).is_some()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut *self.child.lock().unwrap() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Peaks of what a process holds, looked at again and again until it is dropped.
pub(crate) struct Watch {
    enough: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<(u64, u64)>>,
}

impl Watch {
    pub(crate) fn begin(server: &Arc<crate::Arena>) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let (ended, arena) = (Arc::clone(&enough), Arc::clone(server));
        let thread = thread::spawn(move || {
            let (mut threads, mut descriptors) = (0, 0);
            while !ended.load(Ordering::Relaxed) {
                threads = threads.max(arena.server.status("Threads").unwrap_or(0));
                descriptors = descriptors.max(arena.server.descriptors());
                thread::sleep(Duration::from_millis(100));
            }
            (threads, descriptors)
        });
        Self { enough, thread: Some(thread) }
    }

    /// The most threads and descriptors.
    pub(crate) fn end(mut self) -> (u64, u64) {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

/// The body of a page over HTTP/1; at most 5 s.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    let fault = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).map_err(fault)?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(fault)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).map_err(fault)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(fault)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the page has no head")?;
    if head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200") {
        Ok(body.to_owned())
    } else {
        Err(head.lines().next().unwrap_or_default().to_owned())
    }
}

fn command(program: &Path, setup: Setup, tokens: &Path) -> Command {
    let mut command = match setup.address_space_kib {
        None => Command::new(program),
        Some(kib) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -v {kib} && exec \"$0\" \"$@\"")]).arg(program);
            shell
        }
    };
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
        .arg("--admin-tokens")
        .arg(tokens)
        .args(setup.flags)
        .env_clear();
    command
}

/// Every right that there is.
fn rights() -> String {
    Right::ALL.map(Right::as_str).join(",")
}

/// Data, admin and pages, as the program prints them.
fn read_serving(stdout: Option<std::process::ChildStdout>) -> Option<[SocketAddr; 3]> {
    let (sender, lines) = std::sync::mpsc::channel();
    let stdout = BufReader::new(stdout?);
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + STARTS_WITHIN;
    let (mut data, mut admin, mut pages) = (None, None, None);
    while data.is_none() || admin.is_none() || pages.is_none() {
        let line = lines.recv_timeout(end.saturating_duration_since(Instant::now())).ok()?;
        if let Some(address) = line.strip_prefix("serving admins on ") {
            admin = Some(address.trim().parse().ok()?);
        } else if let Some(address) = line.strip_prefix("serving pages on ") {
            pages = Some(address.trim().parse().ok()?);
        } else if let Some(rest) = line.strip_prefix("serving on ") {
            data = Some(rest.split(": ").next()?.trim().parse().ok()?);
        }
    }
    Some([data?, admin?, pages?])
}

fn read_log(stderr: Option<ChildStderr>, log: Arc<Log>) {
    let Some(stderr) = stderr else { return };
    thread::spawn(move || {
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        while stderr.read_until(b'\n', &mut line).is_ok_and(|count| 0 < count) {
            let text = String::from_utf8_lossy(&line);
            // Looks of the honest admin are recorded whether there is an attack or not.
            if !text.contains(HONEST_PEER) {
                log.lines.fetch_add(1, Ordering::Relaxed);
            }
            let mut last = log.last.lock().unwrap();
            if last.len() == LOG_LINES_KEPT {
                last.pop_front();
            }
            last.push_back(text.trim_end().chars().take(200).collect());
            drop(last);
            line.clear();
        }
    });
}

fn last_lines(log: &Log) -> Vec<String> {
    log.last.lock().unwrap().iter().cloned().collect()
}
