//! `README.md`, `docs/admin.md` and `docs/load-tests.md` as somebody meets them who types what stands there, in this
//! order and in one directory: each begins where the one before ends, and what a page shows is what comes.
//!
//! Left out is what needs a tool of other people: Python (the acceptance runs that program), `ghz`, `h2load`,
//! `protoc`. For `grpcurl` stands a script that hands the same body to the same method by `requite call`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::serve::{PATIENCE, Service, serve_by};

/// A thing that a page says, in the order of the page.
enum Step {
    /// What stands between the blocks.
    Prose(String),
    /// A block to be saved, by the word behind its fence.
    File { kind: String, text: String },
    /// A command, and what the page says that it prints.
    Command { command: String, printed: String },
}

fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut prose, mut lines) = (Vec::new(), String::new(), page.lines());
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            prose.push_str(line);
            prose.push('\n');
            continue;
        };
        steps.push(Step::Prose(std::mem::take(&mut prose)));
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if kind != "console" {
            steps.push(Step::File { kind: kind.to_owned(), text: block.join("\n") + "\n" });
            continue;
        }
        for line in block {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step::Command { command: command.to_owned(), printed: String::new() });
                }
                (None, Some(Step::Command { printed, .. })) => {
                    printed.push_str(line);
                    printed.push('\n');
                }
                (None, _) => panic!("a console block begins with a command: {line}"),
            }
        }
    }
    steps.push(Step::Prose(prose));
    steps
}

/// The tools of other people, whose commands are not run here.
fn is_foreign(command: &str) -> bool {
    command.starts_with("python3 ") || command.starts_with(".venv/")
}

/// In place of `grpcurl -plaintext [-d BODY|-d @] ADDRESS SERVICE/METHOD`: the same by `requite call`.
const GRPCURL: &str = r#"#!/bin/bash
set -euo pipefail
[ "$1" = -plaintext ]; shift
body=; if [ "$1" = -d ]; then body=$2; shift 2; fi
[ "$1" = 127.0.0.1:50051 ]
case "$2" in
    requite.v1.RefundPolicyService/EvaluateRefund) method=evaluate-refund ;;
    requite.v1.RefundPolicyService/BatchEvaluateRefund) method=batch-evaluate-refund ;;
    requite.v1.RefundPolicyService/ValidateEvidence) method=validate-evidence ;;
    requite.v1.RefundPolicyService/GetServerInfo) method=get-server-info ;;
    *) echo "unknown method $2"; exit 64 ;;
esac
case "$body" in
    "") requite call --method "$method" ;;
    @) requite call --method "$method" - ;;
    *) requite call --method "$method" - <<< "$body" ;;
esac
echo "$method" >> grpcurl.calls
"#;

/// A person with one directory, two terminals and at most one server.
struct Reader {
    dir: TempDir,
    variables: Vec<(String, String)>,
    server: Option<Service>,
    /// What the page had typed about the rights of new files.
    umask: String,
    /// Everything read since the server was started.
    read: String,
    /// Commands whose output was checked against the page.
    compared: Vec<String>,
}

impl Reader {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let at = |name: &str| dir.path().join(name);
        for name in ["policies", "proto"] {
            symlink(root.join(name), at(name)).unwrap();
        }
        for folder in ["target/release", "bin"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_requite"), at("target/release/requite")).unwrap();
        symlink(env!("CARGO_BIN_EXE_requite"), at("bin/requite")).unwrap();
        fs::write(at("bin/grpcurl"), GRPCURL).unwrap();
        fs::set_permissions(at("bin/grpcurl"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
        let variables = vec![("PATH".to_owned(), path)];
        let (umask, read) = (String::new(), String::new());
        Self { dir, variables, server: None, umask, read, compared: Vec::new() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Reads a page up to a heading, and does what it says.
    fn follow(&mut self, page: &str, end: Option<&str>) {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
        let text = end.map_or(text.as_str(), |end| &text[..text.find(end).unwrap()]);
        for step in steps(text) {
            match step {
                Step::Prose(prose) => self.read.push_str(&prose),
                Step::File { kind, text } => self.save(&kind, &text),
                Step::Command { command, printed } => self.type_in(&command, &printed),
            }
        }
    }

    /// Saves a block under the name that the page gives it.
    fn save(&self, kind: &str, text: &str) {
        let name = match kind {
            "yaml policy" => "my-policies/workshop.policy.yaml".to_owned(),
            "yaml cases" => "my-policies/workshop.cases.yaml".to_owned(),
            "json" | "python" => {
                let told = self.read.rsplit_once("Put this into `").unwrap_or_else(|| panic!("where {kind} is put"));
                told.1.split_once('`').unwrap().0.to_owned()
            }
            _ => return,
        };
        let path = self.at(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn type_in(&mut self, command: &str, printed: &str) {
        let command = command.replace("cargo run --release --", "requite").replace("target/release/requite", "requite");
        if is_foreign(&command) {
            return;
        }
        if command == "requite serve" || command.starts_with("requite serve ") {
            return self.serve(&command, printed);
        }
        if command.starts_with("umask ") {
            self.umask = command;
            return;
        }
        if let Some((name, value)) = command.strip_prefix("export ").and_then(|set| set.split_once('=')) {
            return self.variables.push((name.to_owned(), value.to_owned()));
        }
        let command = shorter(&command);
        let command = if command.contains("grpcurl") { command } else { self.with_addresses(&command) };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (code, out, err) = self.run(&command);
            let expected = i32::from(command.starts_with("requite diff in-force"));
            let well = code == Some(expected) && is_like(&out, printed);
            if well {
                if !printed.is_empty() {
                    self.compared.push(command);
                }
                return;
            }
            // A server notices a change of its policies in a moment; nothing else is waited for.
            let may_change = command.contains("requite call") && Instant::now() < deadline;
            assert!(may_change, "{command}\n{code:?}\n{out}\n{err}\nthe page shows:\n{printed}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts a server in the first terminal, where the page has said how to end the one before.
    fn serve(&mut self, command: &str, printed: &str) {
        self.stop();
        let arguments = command.strip_prefix("requite serve").unwrap().replace("127.0.0.1:9100", "127.0.0.1:0");
        let mut arguments: Vec<&str> = arguments.split_whitespace().collect();
        if command.contains("--admin-tokens") {
            arguments.extend(["--admin-listen", "127.0.0.1:0"]);
        }
        let mut program = Command::new(env!("CARGO_BIN_EXE_requite"));
        program.current_dir(self.dir.path());
        let server = serve_by(program, &arguments, &[]);
        for (name, key) in [("REQUITE_ADDR", "address"), ("REQUITE_ADMIN_ADDR", "admin_address")] {
            self.variables.retain(|(known, _)| known != name);
            if let Some(address) = server.serving[key].as_str() {
                self.variables.push((name.to_owned(), address.to_owned()));
            }
        }
        let digest = server.serving["digest"].as_str().unwrap();
        let shown = printed.split("blake3:").nth(1).map(|rest| rest.trim_end_matches([')', '\n']));
        let shown = shown.filter(|shown| *shown != "…").unwrap_or_else(|| digest.strip_prefix("blake3:").unwrap());
        assert_eq!(digest, format!("blake3:{shown}"), "{command}");
        self.server = Some(server);
    }

    /// Ends the server as the page says.
    fn stop(&mut self) {
        let read = std::mem::take(&mut self.read);
        if let Some(mut server) = self.server.take() {
            assert!(read.contains("Ctrl-C"), "the page does not say that the server before has to end: {read}");
            server.signal("-INT");
            assert_eq!(server.exit_code(), Some(0));
        }
    }

    /// The command with the port that the server has here.
    fn with_addresses(&self, command: &str) -> String {
        let address = self.server.as_ref().map_or("127.0.0.1:50051", |server| server.address.as_str());
        command.replace("127.0.0.1:50051", address)
    }

    fn run(&self, command: &str) -> (Option<i32>, String, String) {
        let output = Command::new("bash")
            .args(["-c", &format!("{}\n{command}", self.umask)])
            .current_dir(self.dir.path())
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

/// The load of a page for a moment: what it shows is not a figure of this build.
fn shorter(command: &str) -> String {
    if !command.starts_with("requite bench") {
        return command.to_owned();
    }
    let words = command.split(' ').collect::<Vec<_>>();
    let mut shorter: Vec<&str> = Vec::new();
    for word in words {
        let word = match shorter.last() {
            Some(&"--rate") => "20/s",
            Some(&"--duration") => "1s",
            Some(&"--reload-every") => "200ms",
            _ => word,
        };
        shorter.push(word);
    }
    if !shorter.contains(&"--duration") {
        shorter.extend(["--duration", "1s"]);
    }
    shorter.extend(["--warm-up", "0s"]);
    shorter.join(" ")
}

/// True where the text is the one that a page shows. `…` stands for anything; moments are different each time, and so
/// are lengths of time and ports.
fn is_like(text: &str, shown: &str) -> bool {
    if shown.is_empty() {
        return true;
    }
    let (text, shown) = (settled(text), settled(shown));
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.trim().is_empty() || shown.ends_with('…')
}

fn settled(text: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([',', ':', ';']);
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let put = if bare.starts_with("20") && bare.ends_with('Z') {
            "MOMENT"
        } else if bare.starts_with("127.0.0.1:") {
            "ADDRESS"
        } else if bare.strip_suffix('s').is_some_and(digits) {
            "LENGTH"
        } else {
            bare
        };
        word.replacen(bare, put, usize::from(!bare.is_empty()))
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_pages_follow_one_another_and_show_what_comes() {
    let mut reader = Reader::new();
    reader.follow("README.md", None);
    reader.stop();
    let called = fs::read_to_string(reader.at("grpcurl.calls")).unwrap();
    assert_eq!(called, "evaluate-refund\nvalidate-evidence\nbatch-evaluate-refund\nget-server-info\n");
    assert_eq!(fs::read_to_string(reader.at("ask.py")).unwrap().matches("nanos").count(), 2, "cents are not lost");
    let policies = || {
        let read = |name: &str| fs::read_to_string(reader.at("my-policies").join(name)).unwrap();
        (read("workshop.policy.yaml"), read("workshop.cases.yaml"))
    };
    let begun = policies();
    assert!(begun.0.contains("50%") && begun.1.contains("44.95"), "README ends where the next page begins");
    let from_readme = reader.compared.len();
    assert!(7 <= from_readme, "{:#?}", reader.compared);

    reader.follow("docs/admin.md", Some("## When policies are rejected"));
    reader.stop();
    let from_admin = reader.compared.len() - from_readme;
    assert!(4 <= from_admin, "{:#?}", reader.compared);
    let read = |name: &str| fs::read_to_string(reader.at("my-policies").join(name)).unwrap();
    assert_eq!((read("workshop.policy.yaml"), read("workshop.cases.yaml")), begun, "so does the page for admins");

    reader.follow("docs/load-tests.md", Some("## Coordinated omission"));
    for plot in ["latency.svg", "reload.svg"] {
        assert!(fs::read_to_string(reader.at(plot)).unwrap().starts_with("<svg "), "{plot}");
    }
    let read = |name: &str| fs::read_to_string(reader.at("my-policies").join(name)).unwrap();
    assert_eq!((read("workshop.policy.yaml"), read("workshop.cases.yaml")), begun, "and that for load tests");
}

/// The report that the page on load tests shows is one of the program, and its figures are those of the run above it.
#[test]
fn the_report_that_is_shown_is_one_of_the_run_above_it() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/load-tests.md")).unwrap();
    let run = page.lines().find(|line| line.starts_with("$ target/release/requite bench ")).unwrap();
    assert!(run.contains("--rate 2000/s --duration 30s"), "{run}");
    let shown = page.split("## Read it").nth(1).unwrap().split("```").nth(1).unwrap();
    assert!(shown.contains("\nanswered      60 000 of 60 000\n"), "{shown}");
    assert!(shown.contains(" answered of 2 000/s asked\n"), "{shown}");
}

/// No example may teach to lose the cents: whoever reads `units` reads `nanos` as well.
#[test]
fn no_example_reads_units_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut read = 0;
    for folder in ["", "docs", "tests/acceptance", "policies/examples"] {
        let mut folders = vec![root.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() && folder != root {
                    folders.push(entry);
                    continue;
                }
                let kind = entry.extension().and_then(|kind| kind.to_str());
                if !matches!(kind, Some("md" | "py" | "sh")) {
                    continue;
                }
                let text = fs::read_to_string(&entry).unwrap();
                // A program reads a field behind a point, or by its name in brackets.
                let reads = |field: &str| {
                    [format!(".{field}"), format!("[\"{field}\"]"), format!("['{field}']")]
                        .iter()
                        .any(|read| text.contains(read.as_str()))
                };
                assert!(!reads("units") || reads("nanos"), "{} reads units alone", entry.display());
                read += 1;
            }
        }
    }
    assert!(10 <= read, "{read}");
}
