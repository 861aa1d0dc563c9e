//! What reaches a terminal: no verb and no log line prints a character that commands it, forges a
//! line, or turns the direction of writing, whatever ids, labels and file names hold.

use std::fs;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::support::samples::late_json;
use crate::support::serve::{policy, serve, standard_policies};

/// Clears the screen, rings, forges an error, turns the direction of writing, hides.
const HOSTILE: &str = "x\u{1b}[2J\u{7}\r\nerror: forged\u{9b}1m\u{202e}\u{2066}\u{200b}\u{2028}y";

/// The same within a double-quoted text of YAML.
const HOSTILE_YAML: &str = r#"x\e[2J\a\r\nerror: forged\x9b1m\u202e\u2066\u200b\u2028y"#;

/// Runs a verb and holds what it prints to be printable; gives both streams.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_requite")).args(arguments).env_clear().output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert_printable(&text, &arguments.join(" "));
    assert!(output.status.code().is_some(), "{arguments:?}");
    text
}

fn assert_printable(text: &str, what: &str) {
    let bad = |character: char| {
        let turns = matches!(character, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        (character.is_control() && character != '\n') || turns
    };
    assert!(!text.contains(bad), "`{what}` printed {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("error: forged")), "`{what}` printed a forged line: {text}");
}

/// The standard policies with hostile texts in them, and a file of a hostile name.
fn hostile_policies() -> TempDir {
    let dir = standard_policies();
    let text = fs::read_to_string(policy(&dir)).unwrap();
    let text = text
        .replacen("version: \"2026-11-01\"", &format!("version: \"{HOSTILE_YAML}\""), 1)
        .replace("en: Late delivery", &format!("en: \"{HOSTILE_YAML}\""))
        .replace("en: Order record", &format!("en: \"{HOSTILE_YAML}\""));
    fs::write(policy(&dir), text).unwrap();
    dir
}

/// A request with hostile ids, in a file.
fn hostile_request(dir: &TempDir, explain: bool) -> String {
    let mut request = late_json();
    request["order"]["orderId"] = json!(HOSTILE);
    request["order"]["lines"][0]["lineId"] = json!(HOSTILE);
    request["claim"]["evidence"] = json!([{ "evidenceId": HOSTILE, "kind": "order_record" }]);
    request["language"] = json!("en");
    if explain {
        request["explain"] = json!("EXPLAIN_LEVEL_FULL");
    }
    let path = dir.path().join(format!("request-{explain}.json"));
    fs::write(&path, request.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn verbs_about_files_print_nothing_that_a_terminal_obeys() {
    let (policies, requests) = (hostile_policies(), tempfile::tempdir().unwrap());
    let dir = policies.path().to_str().unwrap();
    for explain in [false, true] {
        let request = hostile_request(&requests, explain);
        let decided = printed(&["eval", "--policies", dir, "--output", "text", &request]);
        assert!(
            decided.contains(r"x\u{1b}[2J\u{7}\r\nerror: forged\u{9b}1m\u{202e}\u{2066}\u{200b}\u{2028}y"),
            "{decided}"
        );
    }
    for verb in [&["check", dir][..], &["test", dir], &["fmt", "--check", dir], &["fmt", dir]] {
        printed(verb);
    }
    let plain = standard_policies();
    let plain_dir = plain.path().to_str().unwrap();
    let diff = printed(&["diff", plain_dir, dir]);
    assert!(diff.contains("version"), "{diff}");
    printed(&["schema"]);
    printed(&["version"]);

    // A request that cannot be decided, and one that is none.
    let bad = requests.path().join("bad.json");
    let request = late_json().to_string().replacen("\"late_delivery\"", &json!(HOSTILE).to_string(), 1);
    fs::write(&bad, request).unwrap();
    let refused = printed(&["eval", "--policies", dir, bad.to_str().unwrap()]);
    assert!(refused.contains("claim.reason"), "{refused}");
    fs::write(&bad, format!("{{{}: 1}}", json!(HOSTILE))).unwrap();
    printed(&["eval", "--policies", dir, bad.to_str().unwrap()]);

    // Broken policies: in a value, in a key, in the name of a file.
    let text = fs::read_to_string(policy(&policies)).unwrap();
    for broken in [
        text.replacen("timezone: Asia/Shanghai", &format!("timezone: \"{HOSTILE_YAML}\""), 1),
        text.replacen("timezone:", &format!("\"{HOSTILE_YAML}\":"), 1),
        text.replacen("calendar: cn", &format!("calendar: \"{HOSTILE_YAML}\""), 1),
        text.replacen("timezone:", "\u{202e}timezone:", 1),
    ] {
        fs::write(policy(&policies), &broken).unwrap();
        for verb in [&["check", dir][..], &["test", dir], &["fmt", "--check", dir]] {
            printed(verb);
        }
    }
    for name in ["a\u{1b}[2J\nerror: forged\u{202e}.policy.yaml", "b\u{7}\nerror: forged.txt"] {
        fs::write(policies.path().join(name), "policy: [").unwrap();
    }
    for verb in [&["check", dir][..], &["test", dir], &["fmt", dir], &["diff", plain_dir, dir]] {
        printed(verb);
    }
}

#[test]
fn verbs_about_servers_print_nothing_that_a_terminal_obeys() {
    let (policies, aside) = (hostile_policies(), tempfile::tempdir().unwrap());
    let dir = policies.path().to_str().unwrap().to_owned();
    let token = "9f2c7ab1e04d63588c1f0b7e5a92d4c6";
    let (credentials, token_file) = (aside.path().join("credentials"), aside.path().join("token"));
    for (path, text) in [
        (
            &credentials,
            format!(
                "ops read,reload,rollback {token}
"
            ),
        ),
        (&token_file, token.to_owned()),
    ] {
        fs::write(path, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(path, mode).unwrap();
    }
    let service =
        serve(&["--policies", &dir, "--admin-listen", "127.0.0.1:0", "--admin-tokens", credentials.to_str().unwrap()]);
    let admin = service.serving["admin_address"].as_str().unwrap().to_owned();
    let of = ["--addr", &admin, "--token-file", token_file.to_str().unwrap()];
    let request = hostile_request(&aside, true);
    let called = printed(&["call", "--addr", &service.address, "--output", "text", &request]);
    assert!(called.contains(r"\u{1b}[2J"), "{called}");
    let text = fs::read_to_string(policy(&policies)).unwrap();
    fs::write(policy(&policies), text.replacen("timezone: Asia/Shanghai", &format!("timezone: \"{HOSTILE_YAML}\""), 1))
        .unwrap();
    let with = |verb: &[&str]| printed(&[verb, &of[..]].concat());
    let refused = with(&["reload"]);
    assert!(refused.contains("timezone"), "{refused}");
    fs::write(policy(&policies), text.replacen("description:", "# changed\ndescription:", 1)).unwrap();
    for verb in [
        &["status"][..],
        &["reload"],
        &["revisions"],
        &["candidate", "stage", &dir],
        &["candidate", "status"],
        &["candidate", "discard"],
        &["rollback"],
        &["status"],
        &["diff", "in-force", &dir],
    ] {
        with(verb);
    }
}
