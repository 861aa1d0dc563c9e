//! Hostile bundles: through `ValidatePolicy`, as an admin who may only look, and through `requite check`.
//!
//! Figures: at most 256 MiB; a report of at most 1 MiB within 10 s; `check` within 1 GiB of address space;
//! honest callers are not delayed.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use requite::api::pb::{PolicyFile, PolicyFiles, ValidatePolicyRequest};
use tokio::time::Instant;

use crate::arena::wire::{Connection, VALIDATE, encoded};
use crate::arena::{ATTACKER, Arena};

const REPORTED_WITHIN: Duration = Duration::from_secs(10);
const REPORT_BYTES_MAX: usize = 1024 * 1024;
const WAITS: Duration = Duration::from_secs(90);

/// Statuses that a hostile bundle may get: a report, a bad argument, too much, not now.
const STATUSES: [i32; 4] = [0, 3, 8, 9];

const BEGINNING: &str = "policy: p\nversion: \"1\"\ntimezone: UTC\ncurrencies: [CNY]\n";
const END: &str = "rules:\n  - { id: a, refund: full }\notherwise: { deny: NO_MATCHING_RULE }\n";

struct Hostile {
    name: &'static str,
    files: Vec<PolicyFile>,
}

fn file(path: String, content: impl Into<Vec<u8>>) -> PolicyFile {
    PolicyFile { path, content: content.into() }
}

fn one(name: &'static str, content: String) -> Hostile {
    Hostile { name, files: vec![file("p.policy.yaml".into(), content)] }
}

fn hostile() -> Vec<Hostile> {
    let around = |middle: &str| format!("{BEGINNING}{middle}{END}");
    let keys: String = (0..400_000).map(|place| format!("unknown_key_{place}: 1\n")).collect();
    let rule_keys: String = (0..100_000).map(|place| format!(", whem{place}: 1")).collect();
    let rules: String =
        (0..100_000).map(|place| format!("  - {{ id: r{place}, when: {{ pxid: 1 }}, refund: full }}\n")).collect();
    let words: String = (0..200_000).map(|place| format!("word{place}, ")).collect();
    vec![
        one("400 000 unknown keys", around(&keys)),
        one("100 000 unknown keys in a rule", format!("{BEGINNING}rules:\n  - {{ id: a, refund: full{rule_keys} }}\n")),
        one(
            "100 000 rules with an unknown fact",
            format!("{BEGINNING}rules:\n{rules}otherwise: {{ deny: NO_MATCHING_RULE }}\n"),
        ),
        one("8 MiB of a,a,", around(&format!("channels: [{}]\n", "a,".repeat(4 * 1024 * 1024)))),
        one("8 MiB of [],", around(&format!("channels: [{}]\n", "[],".repeat(8 * 1024 * 1024 / 3)))),
        one("200 000 channels", around(&format!("channels: [{words}]\n"))),
        one("a scalar of 30 MB", around(&format!("channels: {}\n", "x".repeat(30_000_000)))),
        one("a key of 30 MB", around(&format!("{}: 1\n", "x".repeat(30_000_000)))),
        one("a formula of 1 MB", around(&format!("let: {{ a: \"{}1\" }}\n", "1 + ".repeat(250_000)))),
        one("deep lists", around(&format!("channels: {}{}\n", "[".repeat(500_000), "]".repeat(500_000)))),
        one("deep mappings", around(&format!("channels: {}\n", "{a: ".repeat(300_000)))),
        one(
            "an anchor in an anchor",
            around("a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\n"),
        ),
        one("30 MB of one line of comment", around(&format!("# {}\n", "x".repeat(30_000_000)))),
        one("10 million empty lines", around(&"\n".repeat(10_000_000))),
        one("bytes that are no text", String::from_utf8_lossy(&[0xff; 100]).into_owned() + &"\0".repeat(1_000_000)),
        Hostile {
            name: "1 024 files with the same policy",
            files: (0..1_024).map(|place| file(format!("d{place}/p.policy.yaml"), around(""))).collect(),
        },
        Hostile {
            name: "20 000 empty files",
            files: (0..20_000).map(|place| file(format!("f{place}.policy.yaml"), "")).collect(),
        },
        Hostile { name: "500 000 files without a name", files: vec![PolicyFile::default(); 500_000] },
        Hostile {
            name: "paths that lead out",
            files: ["../a.policy.yaml", "/etc/passwd", "a//b", "a/./b", "\u{202e}a", "a\nb"]
                .map(|path| file(path.into(), around("")))
                .into(),
        },
    ]
}

/// By an admin's call.
pub(crate) async fn validate(arena: &Arena) -> Result<(), String> {
    let mut slowest = (Duration::ZERO, "");
    for Hostile { name, files } in hostile() {
        let message = encoded(&ValidatePolicyRequest { files: Some(PolicyFiles { files }) });
        let connection = Connection::open(ATTACKER, arena.server.admin).await?;
        let before = arena.server.resident_kib();
        arena.server.reset_peak();
        let began = Instant::now();
        let outcome = connection.admin_call(VALIDATE, &arena.server.token, &message, WAITS).await;
        let (took, grown) = (began.elapsed(), arena.server.peak_kib().saturating_sub(before) / 1024);
        match outcome {
            Ok(reply) if reply.grpc.is_some_and(|code| STATUSES.contains(&code)) => {
                if REPORT_BYTES_MAX < reply.body.len() + reply.text.len() {
                    arena.broken(format!("{name}: a report of {} bytes", reply.body.len() + reply.text.len()));
                }
            }
            Ok(reply) => arena.broken(format!("{name} got status {:?} {}", reply.grpc, reply.text)),
            Err(error) => arena.broken(format!("{name}: {error}")),
        }
        if 256 < grown {
            arena.broken(format!("{name} ({} bytes) takes {grown} MiB", message.len()));
        }
        if REPORTED_WITHIN < took {
            arena.broken(format!("{name} takes {} ms", took.as_millis()));
        }
        if slowest.0 < took {
            slowest = (took, name);
        }
        if arena.server.has_ended() {
            return Err(format!("{name} ends the server"));
        }
    }
    arena.note(format!("the slowest: {}, {} ms", slowest.1, slowest.0.as_millis()));
    Ok(())
}

/// By the program, in 1 GiB of address space.
pub(crate) async fn check(arena: &Arena) -> Result<(), String> {
    for (place, Hostile { name, files }) in hostile().into_iter().enumerate() {
        let dir = arena.server.dir().join(format!("bundle{place}"));
        let mut written = 0;
        for file in files.iter().take(2_000) {
            // Paths that lead out cannot be in a directory.
            if file.path.is_empty()
                || file.path.starts_with('/')
                || file.path.contains("..")
                || file.path.contains("//")
            {
                continue;
            }
            let path = dir.join(&file.path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|error| error.to_string())?;
            }
            fs::write(path, &file.content).map_err(|error| error.to_string())?;
            written += 1;
        }
        if written == 0 {
            continue;
        }
        let began = Instant::now();
        let output = tokio::task::block_in_place(|| {
            Command::new("timeout")
                .args(["60", "sh", "-c", "ulimit -v 1048576 && exec \"$0\" check \"$1\""])
                .arg(&arena.server.program)
                .arg(&dir)
                .stdin(Stdio::null())
                .output()
        });
        let output = output.map_err(|error| error.to_string())?;
        let (took, bytes) = (began.elapsed(), output.stdout.len() + output.stderr.len());
        // 0: odd, and a policy; 1: mistakes were found; 3: it cannot be read. None: killed.
        if !matches!(output.status.code(), Some(0 | 1 | 3)) {
            arena.broken(format!("{name}: check ended with {:?}", output.status.code()));
        }
        if REPORTED_WITHIN < took {
            arena.broken(format!("{name}: check takes {} ms", took.as_millis()));
        }
        if REPORT_BYTES_MAX < bytes {
            arena.broken(format!("{name}: check prints {bytes} bytes"));
        }
        fs::remove_dir_all(&dir).map_err(|error| error.to_string())?;
    }
    Ok(())
}
