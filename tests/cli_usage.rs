//! The command line teaches, and its exit codes hold.

#![allow(clippy::unwrap_used, reason = "a test may panic to fail")]

use std::fs;
use std::process::{Command, Output, Stdio};

/// Every verb of the program.
const VERBS: [&str; 15] = [
    "serve",
    "check",
    "test",
    "fmt",
    "eval",
    "call",
    "bench",
    "diff",
    "status",
    "reload",
    "rollback",
    "revisions",
    "candidate",
    "schema",
    "version",
];

fn requite(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_requite"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> Output {
    requite(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_verb_explains_itself_with_an_example_and_exit_codes() {
    for verb in VERBS {
        let help = output(&[verb, "--help"]);
        assert_eq!(help.status.code(), Some(0), "{verb}");
        let text = out(&help);
        assert!(text.contains("Example") && text.contains(&format!("requite {verb}")), "{verb}: {text}");
        assert!(text.contains("Exit codes:\n  0  "), "{verb}: {text}");
    }
}

#[test]
fn help_names_every_verb_and_exit_code() {
    let text = out(&output(&["--help"]));
    for verb in VERBS {
        assert!(text.contains(&format!("\n  {verb} ")), "{verb}: {text}");
    }
    for code in 0..=4 {
        assert!(text.contains(&format!("\n  {code}  ")), "{code}: {text}");
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for arguments in [
        &[][..],
        &["sevre"],
        &["check"],
        &["serve", "--listen", "nonsense"],
        &["serve", "--listen", "localhost:70000"],
        &["serve", "--log-format", "xml"],
        &["serve", "--admin-listen", "127.0.0.1:0"],
        &["serve", "--admin-tokens", "tokens", "--admin-listen", "unix:relative"],
        &["serve", "--admin-tokens", "tokens", "--admin-tls-cert", "cert.pem"],
        &["serve", "--admin-tokens", "tokens", "--admin-tls-key", "key.pem"],
        &["serve", "--admin-tokens", "tokens", "--admin-client-ca", "ca.pem"],
        &["serve", "--http-listen", "9090"],
        &["eval"],
        &["eval", "--output", "yaml", "-"],
    ] {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(out(&output), "", "{arguments:?}");
    }
}

#[test]
fn a_misspelt_verb_is_corrected() {
    assert!(err(&output(&["chekc", "x"])).contains("'check'"));
}

#[test]
fn an_address_without_a_port_is_explained() {
    let text = err(&output(&["serve", "--listen", "localhost"]));
    assert!(text.contains("expected HOST:PORT, such as `127.0.0.1:50051`"), "{text}");
}

#[test]
fn where_admins_are_served_is_nothing_without_their_tokens() {
    let text = err(&output(&["serve", "--admin-listen", "127.0.0.1:0"]));
    assert!(text.contains("required") && text.contains("--admin-tokens <FILE>"), "{text}");
}

#[test]
fn policies_that_cannot_be_read_are_exit_code_3_for_every_verb() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("nowhere");
    let missing = missing.to_str().unwrap();
    let request = dir.path().join("request.json");
    fs::write(&request, "{}").unwrap();
    for arguments in [
        &["check", missing][..],
        &["test", missing],
        &["eval", "--policies", missing, request.to_str().unwrap()],
        &["serve", "--listen", "127.0.0.1:0", "--policies", missing],
    ] {
        let output = output(arguments);
        let text = err(&output);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {text}");
        assert!(text.contains(&format!("cannot read `{missing}`: No such file")), "{arguments:?}: {text}");
        assert!(text.contains("help: check that it exists"), "{arguments:?}: {text}");
    }
}

#[test]
fn every_file_that_does_not_belong_is_named_with_help() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.yml", "b.yml"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    let text = err(&output(&["check", dir.path().to_str().unwrap()]));
    assert_eq!(text.matches("help: rename it to `.yaml`").count(), 2, "{text}");
}

#[test]
fn a_request_that_cannot_be_read_is_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let (large, binary) = (dir.path().join("large.json"), dir.path().join("binary.json"));
    fs::File::create(&large).unwrap().set_len(1024 * 1024 + 1).unwrap();
    fs::write(&binary, b"\xff\xfe").unwrap();
    for (file, expected) in [
        ("/nowhere/request.json", "cannot read the request from `/nowhere/request.json`: No such file"),
        (large.to_str().unwrap(), "has more than 1048576 bytes"),
        (binary.to_str().unwrap(), "is not UTF-8 text"),
        ("-", "standard input holds no request"),
    ] {
        for verb in ["eval", "call"] {
            let output = output(&[verb, file]);
            assert_eq!(output.status.code(), Some(2), "{verb} {file}");
            assert!(err(&output).contains(expected), "{verb} {file}: {}", err(&output));
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for arguments in [&["schema"][..], &["version"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = requite(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn telemetry_that_is_not_supported_is_exit_code_2_and_named() {
    let output = requite(&["serve", "--listen", "127.0.0.1:0"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        err(&output).contains("OTEL_EXPORTER_OTLP_PROTOCOL is `http/protobuf`, but only `grpc`"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_log_filter_that_cannot_be_read_is_exit_code_2() {
    let output = output(&["serve", "--listen", "127.0.0.1:0", "--log-level", "requite=loud"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("cannot read the log filter `requite=loud`"), "{}", err(&output));
}
