//! The program as it is run: started on a free port, watched by its log, stopped with its test.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here may take; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A process that ends with its test, also where the test fails.
pub struct Process(pub Child);

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Sends a signal, such as `-HUP`.
    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap().success());
    }

    /// What it came to, once it has ended by itself.
    pub fn output(mut self) -> Output {
        let read = |from: Option<Box<dyn Read + Send>>| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                from.map(|mut from| from.read_to_end(&mut bytes)).transpose().unwrap();
                bytes
            })
        };
        let stdout = read(self.0.stdout.take().map(|pipe| Box::new(pipe) as _));
        let stderr = read(self.0.stderr.take().map(|pipe| Box::new(pipe) as _));
        let status = self.0.wait().unwrap();
        Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whatever has ended already needs no end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that serves.
pub struct Service {
    child: Process,
    pub address: String,
    /// What it said on standard output when it began to serve.
    pub serving: Value,
    log: Receiver<Value>,
    /// The lines that were waited for, and those before them.
    read: RefCell<Vec<Value>>,
}

/// The standard bundle in a directory of its own.
pub fn standard_policies() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_standard(dir.path());
    dir
}

/// Copies the standard bundle: policy, cases and calendar.
pub fn copy_standard(to: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/standard");
    for name in ["standard.policy.yaml", "standard.cases.yaml", "calendars/cn.yaml"] {
        let to = to.join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.join(name), to).unwrap();
    }
}

/// The policy file of a directory.
pub fn policy(dir: &TempDir) -> PathBuf {
    dir.path().join("standard.policy.yaml")
}

/// Serves with these arguments and no variables.
pub fn serve(arguments: &[&str]) -> Service {
    serve_with(arguments, &[])
}

/// Serves a directory of policies.
pub fn serve_policies(dir: &TempDir) -> Service {
    serve(&["--policies", dir.path().to_str().unwrap()])
}

/// Serves with these arguments and these variables, and no others.
pub fn serve_with(arguments: &[&str], variables: &[(&str, &str)]) -> Service {
    serve_by(Command::new(env!("CARGO_BIN_EXE_requite")), arguments, variables)
}

/// Serves by this program, run as the command says, with these arguments and these variables, and
/// no others but one: calls are not refused by how long they wait, since a server without optimization is
/// soon overloaded on a busy machine, and rightly says so.
pub fn serve_by(mut program: Command, arguments: &[&str], variables: &[(&str, &str)]) -> Service {
    program
        .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
        .args(arguments)
        .env_clear()
        .env("REQUITE_CONCURRENCY_LIMIT", "1000000")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Process::start(&mut program);
    let (sender, log) = channel();
    let stderr = BufReader::new(child.0.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let Ok(serving) = serde_json::from_str::<Value>(&line) else {
        panic!("says where it serves, got {line:?} and {:?}", log.iter().collect::<Vec<_>>());
    };
    let address = serving["address"].as_str().unwrap().to_owned();
    Service { child, address, serving, log, read: RefCell::default() }
}

impl Service {
    /// The next line of the log that says this.
    pub fn says(&self, message: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let first = self.read.borrow().len();
        while let Ok(line) = self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.read.borrow_mut().push(line.clone());
            if line["message"].as_str().is_some_and(|text| text.starts_with(message)) {
                return line;
            }
        }
        panic!("the log says `{message}`, got {:#?}", &self.read.borrow()[first..]);
    }

    /// Sends a signal: `-HUP`, `-TERM`.
    pub fn signal(&self, name: &str) {
        self.child.signal(name);
    }

    /// Which process it is.
    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_none()
    }

    /// Waits for its end, and gives its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the service ends");
    }

    /// Everything it has logged; to be asked after its end.
    pub fn whole_log(&self) -> Vec<Value> {
        let mut lines = self.read.borrow().clone();
        lines.extend(self.log.iter());
        lines
    }
}
