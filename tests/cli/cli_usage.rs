//! The command line teaches, and its exit codes hold.

use std::fs;
use std::process::{Command, Output, Stdio};

/// Every verb of the program.
const VERBS: [&str; 16] = [
    "serve",
    "check",
    "test",
    "explain",
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

/// The examples of a help text, word by word, up to what is for the shell or for the reader.
fn examples(help: &str) -> Vec<Vec<String>> {
    let lines = help.lines().map(str::trim).filter_map(|line| line.strip_prefix("requite "));
    let words_of = |(place, part): (usize, &str)| match place % 2 {
        1 => vec![part.to_owned()],
        _ => part.split_whitespace().map(str::to_owned).collect(),
    };
    let ends = |word: &String| !["#", "|", ">", "<", ";"].contains(&word.as_str()) && !word.starts_with('(');
    lines.map(|line| line.split('\'').enumerate().flat_map(words_of).take_while(ends).collect()).collect()
}

#[test]
fn every_example_of_every_help_is_understood() {
    let candidates = ["stage", "status", "promote", "discard"].map(|verb| vec!["candidate", verb]);
    let mut tried = 0;
    for verb in VERBS.map(|verb| vec![verb]).into_iter().chain(candidates) {
        let help = out(&output(&[&verb[..], &["--help"]].concat()));
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{verb:?} has an example: {help}");
        for example in examples {
            let width = example.iter().map(|word| word.len() + 1).sum::<usize>() + "  requite".len();
            assert!(width <= 88, "{example:?} would break on a small terminal");
            // Whatever stands before `--help` is read, and a flag or value that is not there is a mistake.
            let words: Vec<&str> = example.iter().map(String::as_str).chain(["--help"]).collect();
            let read = output(&words);
            assert_eq!(read.status.code(), Some(0), "{example:?}: {}", err(&read));
            tried += 1;
        }
    }
    assert!(30 <= tried, "{tried}");
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
        &["explain", "no-such-code"],
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
fn a_url_is_not_an_address_and_the_address_in_it_is_named() {
    for (arguments, expected) in [
        (
            &["call", "--addr", "http://127.0.0.1:50051/x", "-"][..],
            "`http://` is not part of an address here: write `127.0.0.1:50051`",
        ),
        (&["bench", "--addr", "grpc://localhost:1"], "`grpc://` is not part of an address here: write `localhost:1`"),
        (&["serve", "--listen", "http://localhost"], "`http://` is not part of an address here: write HOST:PORT"),
        (
            &["status", "--addr", "https://requite-0:50052"],
            "`https://` is not part of an address here: write `requite-0:50052`",
        ),
        (
            &["reload", "--addr", "http://requite-0:50052"],
            "`http://` is not part of an address here: write `requite-0:50052`",
        ),
    ] {
        let output = output(arguments);
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(2), ""), "{arguments:?}");
        assert!(err(&output).contains(expected), "{arguments:?}: {}", err(&output));
    }
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let help = |verb: &str, empty: &[&str]| {
        let output = requite(&[verb, "--help"]).envs(empty.iter().map(|name| (name, ""))).output().unwrap();
        (output.status.code(), out(&output))
    };
    for (verb, variables) in [
        ("serve", &["REQUITE_LISTEN", "REQUITE_POLICIES", "REQUITE_ADMIN_LISTEN", "REQUITE_MAX_CONNECTIONS"][..]),
        ("call", &["REQUITE_ADDR"]),
        ("status", &["REQUITE_ADMIN_ADDR", "REQUITE_ADMIN_TOKEN_FILE", "REQUITE_ADMIN_TLS_CA"]),
    ] {
        let (code, text) = help(verb, variables);
        assert_eq!(code, Some(0), "{verb}");
        for variable in variables {
            assert!(!text.contains(&format!("{variable}=]")), "{variable}: {text}");
        }
    }
    // Every variable of the server, empty: a server as without any. It gets as far as the taken address.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let names: Vec<String> = out(&output(&["serve", "--help"]))
        .match_indices("[env: REQUITE_")
        .map(|(at, _)| at)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|at| out(&output(&["serve", "--help"]))[at + 6..].split('=').next().unwrap().to_owned())
        .collect();
    assert!(15 <= names.len(), "{names:?}");
    let listen = taken.local_addr().unwrap().to_string();
    let served = requite(&["serve", "--listen", &listen]).envs(names.iter().map(|name| (name, ""))).output().unwrap();
    assert_eq!(served.status.code(), Some(1), "{}", err(&served));
    assert!(err(&served).contains(&format!("cannot listen on `{listen}`")), "{}", err(&served));
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    let said = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = requite(arguments).envs(variables.iter().copied()).output().unwrap();
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(2), ""), "{arguments:?} {variables:?}");
        err(&output)
    };
    for (arguments, name, value) in [
        (&["serve"][..], "REQUITE_LISTEN", "nonsense"),
        (&["serve"], "REQUITE_MAX_CONNECTIONS", "many"),
        (&["serve"], "REQUITE_LOG_FORMAT", "xml"),
        (&["call", "-"], "REQUITE_ADDR", "http://localhost:1"),
        (&["bench"], "REQUITE_ADDR", "nowhere"),
        (&["candidate", "status"], "REQUITE_ADMIN_ADDR", "nowhere"),
    ] {
        let text = said(arguments, &[(name, value)]);
        assert!(text.contains(&format!("the value comes from the variable `{name}`")), "{name}: {text}");
    }
    let text = said(&["serve", "--listen", "worse"], &[("REQUITE_LISTEN", "nonsense")]);
    assert!(text.contains("worse") && !text.contains("REQUITE_LISTEN`"), "the flag counts: {text}");
    let text = said(&["serve"], &[("REQUITE_ADMIN_LISTEN", "127.0.0.1:0")]);
    assert!(text.contains("variables that count as flags here: `REQUITE_ADMIN_LISTEN` (--admin-listen)"), "{text}");
    let text = said(&["serve", "--listen", "127.0.0.1:0"], &[("RUST_LOG", "requite=loud")]);
    assert!(text.contains("it comes from the variable `RUST_LOG`"), "{text}");
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
    fs::File::create(&large).unwrap().set_len(4 * 1024 * 1024 + 1).unwrap();
    fs::write(&binary, b"\xff\xfe").unwrap();
    for (file, expected) in [
        ("/nowhere/request.json", "cannot read the request from `/nowhere/request.json`: No such file"),
        (large.to_str().unwrap(), "has more than 4194304 bytes"),
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
    for arguments in [&["schema"][..], &["version"], &["explain"], &["--help"]] {
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
