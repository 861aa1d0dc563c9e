//! `bench` against servers that run, stall, reload and go away: what it counts, what it says, and what it
//! leaves behind. No test here says how fast anything is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::support::samples::late_json;
use crate::support::serve::{PATIENCE, Process, Service, policy, serve, serve_policies, standard_policies};

/// A run of two seconds at most, without warm-up.
const SHORT: [&str; 6] = ["--duration", "1s", "--warm-up", "0s", "--connections", "4"];

fn bench(arguments: &[&str]) -> Process {
    bench_by(&mut Command::new(env!("CARGO_BIN_EXE_requite")), arguments)
}

fn bench_by(program: &mut Command, arguments: &[&str]) -> Process {
    let command = program.arg("bench").args(arguments).env_clear();
    Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

fn ended(process: Process) -> Output {
    process.output()
}

/// Runs against an address, with JSON for an answer.
fn begin(address: &str, arguments: &[&str]) -> Process {
    bench(&[&["--addr", address, "--output", "json"], arguments].concat())
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} is a number: {report:#}"))
}

/// Every request is answered or failed.
fn assert_adds_up(report: &Value) {
    let requests = &report["requests"];
    let count = |name: &str| requests[name].as_u64().unwrap();
    assert_eq!(count("intended"), count("answered") + count("failed"), "{requests:#}");
    let errors: u64 = requests["errors"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(count("failed"), errors, "{requests:#}");
    let slices = report["slices"].as_array().unwrap();
    let sum = |name: &str| slices.iter().map(|slice| slice[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((count("answered"), count("failed")), (sum("answered"), sum("failed")), "{report:#}");
}

#[test]
fn a_run_reports_every_figure_and_says_nothing_else() {
    let service = serve(&[]);
    let arguments =
        ["--rate", "200/s", "--threads", "2", "--warm-up", "200ms", "--duration", "1s", "--connections", "4"];
    let output = ended(begin(&service.address, &arguments));
    assert_eq!((code(&output), err(&output).as_str()), (Some(0), ""));
    let report = report(&output);
    assert_adds_up(&report);
    assert_eq!(report["requests"]["intended"], 200, "the rate is kept whatever happens");
    assert_eq!(report["requests"]["failed"], 0);
    assert_eq!(report["requests"]["decisions"], 200);
    for (name, expected) in [("connections", 4), ("threads", 2), ("duration_ms", 1_000), ("warm_up_ms", 200)] {
        assert_eq!(report["run"][name], expected, "{name}");
    }
    assert_eq!(report["run"]["method"], "EvaluateRefund");
    assert_eq!(report["run"]["ended_early"], false);
    for name in ["p99_us", "p99_9_us", "p99_99_us"] {
        assert!(report["latency"][name].is_null(), "200 answers are too few for {name}");
    }
    let names = ["min_us", "p50_us", "p90_us", "max_us"];
    let latencies = names.map(|name| number(&report, &format!("/latency/{name}")));
    assert!(0.0 < latencies[0] && latencies.is_sorted(), "{latencies:?}");
    for name in ["late_p50_us", "late_p99_us", "late_max_us", "cpu_us_per_request", "busiest_thread_share"] {
        assert!(0.0 <= number(&report, &format!("/generator/{name}")), "{name}");
    }
    let outcomes: BTreeMap<String, u64> = serde_json::from_value(report["outcomes"].clone()).unwrap();
    assert!(4 <= outcomes.len() && outcomes.values().sum::<u64>() == 200, "{outcomes:?}");
    assert_eq!(report["policies"]["generations_seen"], 1);
    assert_eq!(report["policies"]["digests_seen"], 1);
    assert_eq!(report["policies"]["digest_before"], report["policies"]["digest_after"]);
    assert!(report["reloads"].is_null());
    assert_eq!(report["percentile_curve"].as_array().unwrap().last().unwrap()["share"], 1.0);
}

#[test]
fn without_a_warm_up_the_first_request_waits_for_the_beginning() {
    let service = serve(&[]);
    let output = ended(begin(&service.address, &["--rate", "100/s", "--duration", "200ms", "--warm-up", "0s"]));
    assert!(0.0 < number(&report(&output), "/latency/min_us"), "nothing is answered at the moment it is asked");
}

#[test]
fn the_text_is_for_people_and_the_plot_is_a_picture() {
    let service = serve(&[]);
    let dir = tempfile::tempdir().unwrap();
    let plot = dir.path().join("latency.svg");
    let mut arguments = vec!["--addr", &service.address, "--rate", "100/s", "--arrivals", "poisson"];
    arguments.extend(SHORT);
    arguments.extend(["--plot", plot.to_str().unwrap()]);
    let output = ended(bench(&arguments));
    assert_eq!(code(&output), Some(0), "{}", err(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "poisson arrivals",
        "errors        none",
        "p50 ",
        "p99.99      needs 100 000 answers",
        "max ",
        "denied",
        "1 generation ",
        "late by p50",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let svg = fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    for part in ["Latency of EvaluateRefund at 100 requests/s", "Latency over time", "99 %", " ms<"] {
        assert!(svg.contains(part), "{part}: {svg}");
    }
}

#[test]
fn a_stall_of_the_server_is_charged_to_every_request_that_was_meant_to_be_sent_in_it() {
    let service = serve(&[]);
    let child =
        begin(&service.address, &["--rate", "200/s", "--duration", "2s", "--warm-up", "0s", "--in-flight-max", "1000"]);
    std::thread::sleep(Duration::from_millis(600));
    service.signal("-STOP");
    std::thread::sleep(Duration::from_millis(700));
    service.signal("-CONT");
    let output = ended(child);
    let report = report(&output);
    assert_eq!(code(&output), Some(0), "{report:#}");
    assert_adds_up(&report);
    assert_eq!(report["requests"]["intended"], 400);
    assert_eq!(report["requests"]["failed"], 0);
    // A third of all requests fell into it; a closed loop would have had as many bad ones as
    // connections, eight of hundreds.
    assert!(100_000.0 < number(&report, "/latency/p90_us"), "{report:#}");
    assert!(600_000.0 < number(&report, "/latency/max_us"), "{report:#}");
}

#[test]
fn what_is_above_the_bound_in_flight_is_counted_and_never_dropped() {
    let service = serve(&[]);
    let arguments = ["--rate", "400/s", "--in-flight-max", "16", "--threads", "1"];
    let child = begin(&service.address, &[&arguments[..], &SHORT[..]].concat());
    std::thread::sleep(Duration::from_millis(400));
    service.signal("-STOP");
    std::thread::sleep(Duration::from_millis(400));
    service.signal("-CONT");
    let output = ended(child);
    let report = report(&output);
    assert_adds_up(&report);
    assert_eq!(report["requests"]["intended"], 400);
    assert!(0.0 < number(&report, "/requests/errors/unsent"), "{report:#}");
    assert_eq!(code(&output), Some(1), "errors above none are a failure");
    assert!(err(&output).contains("`unsent` means"), "{}", err(&output));
}

#[test]
fn batches_count_their_decisions() {
    let service = serve(&[]);
    let output = ended(begin(&service.address, &[&["--rate", "20/s", "--batch", "25"][..], &SHORT[..]].concat()));
    let report = report(&output);
    assert_eq!(code(&output), Some(0), "{report:#}");
    assert_eq!(report["requests"]["answered"], 20);
    assert_eq!(report["requests"]["decisions"], 500);
    assert_eq!(report["run"]["method"], "BatchEvaluateRefund");
    assert_eq!(report["run"]["batch_items"], 25);
}

#[test]
fn example_requests_come_from_files_and_directories() {
    let service = serve(&[]);
    let requests = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/standard/requests");
    let one = requests.join("completed.json");
    let arguments = ["--rate", "50/s", requests.to_str().unwrap(), one.to_str().unwrap()];
    let output = ended(begin(&service.address, &[&arguments[..], &SHORT[..]].concat()));
    let report = report(&output);
    assert_eq!(code(&output), Some(0), "{report:#}");
    assert_eq!((&report["run"]["examples"], &report["requests"]["answered"]), (&13.into(), &50.into()));
}

#[test]
fn errors_are_counted_by_their_code_and_decide_the_exit() {
    let service = serve(&[]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("request.json");
    let mut request = late_json();
    request["policyId"] = "nowhere".into();
    fs::write(&file, request.to_string()).unwrap();
    let good = dir.path().join("good.json");
    fs::write(&good, late_json().to_string()).unwrap();
    let mixed = [&["--rate", "50/s", good.to_str().unwrap(), file.to_str().unwrap()][..], &SHORT[..]].concat();
    let output = ended(begin(&service.address, &mixed));
    assert_eq!(code(&output), Some(1));
    assert_eq!(report(&output)["requests"]["errors"]["NOT_FOUND"], 25);
    assert!(err(&output).contains("50.000 % failed"), "{}", err(&output));
    let arguments = [&["--rate", "50/s", file.to_str().unwrap()][..], &SHORT[..]].concat();
    let output = ended(begin(&service.address, &[&arguments[..], &["--errors-max", "100%"]].concat()));
    assert_eq!((code(&output), err(&output).as_str()), (Some(0), ""));
    let output = ended(begin(&service.address, &[&arguments[..], &["--batch", "4", "--errors-max", "1"]].concat()));
    assert_eq!(report(&output)["requests"]["item_errors"]["NOT_FOUND"], 200);
    assert_eq!(report(&output)["requests"]["error_share"], 1.0);
}

#[test]
fn requests_that_get_no_decision_are_told_before_the_run() {
    let (standard, dir) = (serve(&[]), tempfile::tempdir().unwrap());
    let write = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut request = late_json();
        change(&mut request);
        let file = dir.path().join(name);
        fs::write(&file, request.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let elsewhere = write("elsewhere.json", &|request| request["policyId"] = "nowhere".into());
    let unheard = write("unheard.json", &|request| {
        request["claim"]["reason"] = "unheard_of".into();
        request["claim"]["channel"] = "smoke".into();
    });
    let by_call = "see what is wrong with it by `requite call`";
    for (file, exit, parts) in [
        (&elsewhere, 1, ["did not answer: NOT_FOUND", "nowhere", by_call]),
        (&unheard, 2, ["claim.reason: ", "claim.channel: ", by_call]),
    ] {
        for batch in [&[][..], &["--batch", "3"]] {
            let output = ended(begin(&standard.address, &[&["--duration", "1h", file], batch].concat()));
            let text = err(&output);
            assert_eq!((code(&output), output.stdout.len()), (Some(exit), 0), "{text}");
            for part in [&["the first request gets no decision"][..], &parts].concat() {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
    let workshop = tempfile::tempdir().unwrap();
    fs::write(workshop.path().join("w.policy.yaml"), WORKSHOP).unwrap();
    let other = serve_policies(&workshop);
    let output = ended(begin(&other.address, &["--duration", "1h"]));
    let text = err(&output);
    assert_eq!((code(&output), output.stdout.len()), (Some(1), 0), "{text}");
    assert!(text.contains("NOT_FOUND") && text.contains("the generated mix is for the standard policy"), "{text}");
}

/// A policy that is not the standard one.
const WORKSHOP: &str = "policy: workshop\nversion: \"1\"\ntimezone: Europe/Berlin\ncurrencies: [EUR]\nchannels: [web]\n\
    reasons: { cannot_come: { liable: customer } }\nrules: [{ id: always, refund: full }]\notherwise: { manual_review: NO_MATCHING_RULE }\n";

#[test]
fn policies_change_under_load_and_are_put_back() {
    let dir = standard_policies();
    let before = fs::read(policy(&dir)).unwrap();
    let names = |dir: &Path| {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let names_before = names(dir.path());
    let service = serve_policies(&dir);
    let arguments =
        ["--rate", "50/s", "--duration", "5m", "--warm-up", "0s", "--reload-every", "1500ms", "--reload-dir"];
    let process = begin(&service.address, &[&arguments[..], &[dir.path().to_str().unwrap()]].concat());
    // However long a busy machine takes to let them in.
    service.says("policies applied");
    service.says("policies applied");
    process.signal("-INT");
    let output = ended(process);
    let report = report(&output);
    assert_eq!(code(&output), Some(0), "{report:#}");
    assert_adds_up(&report);
    assert!(2 <= report["reloads"]["made"].as_u64().unwrap(), "{report:#}");
    assert!(2.0 <= number(&report, "/policies/generations_seen"), "{report:#}");
    assert!(2.0 <= number(&report, "/policies/digests_seen"), "{report:#}");
    assert_eq!(report["policies"]["mixed_answers"], 0);
    assert_eq!(fs::read(policy(&dir)).unwrap(), before);
    assert_eq!(names(dir.path()), names_before);
}

/// A run of a minute that changes the policies of a directory, once the first change is made.
fn changing(program: &mut Command, service: &Service, dir: &TempDir) -> Process {
    let before = fs::read(policy(dir)).unwrap();
    let load = ["--addr", &service.address, "--output", "json", "--rate", "50/s", "--duration", "60s"];
    let reload = ["--warm-up", "0s", "--reload-every", "100ms", "--reload-dir", dir.path().to_str().unwrap()];
    let process = bench_by(program, &[&load[..], &reload].concat());
    let deadline = Instant::now() + PATIENCE;
    while fs::read(policy(dir)).unwrap() == before {
        assert!(Instant::now() < deadline, "the policy is changed");
        std::thread::sleep(Duration::from_millis(5));
    }
    process
}

/// Runs a program that ignores signals from its start, as after `nohup` or behind `&` in a script.
fn ignoring(signals: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' {signals}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_requite")]);
    shell
}

fn assert_ended_early(output: &Output) {
    let report = report(output);
    assert_eq!(code(output), Some(0), "{}", err(output));
    assert_eq!(report["run"]["ended_early"], true);
    assert_adds_up(&report);
    assert!(number(&report, "/run/duration_ms") < 60_000.0);
}

#[test]
fn interrupted_it_reports_so_far_and_puts_policies_back() {
    let dir = standard_policies();
    let before = fs::read(policy(&dir)).unwrap();
    let service = serve_policies(&dir);
    let plain = || Command::new(env!("CARGO_BIN_EXE_requite"));
    for (mut program, signal) in
        [(plain(), "-INT"), (plain(), "-TERM"), (ignoring("INT TERM"), "-INT"), (ignoring("INT TERM"), "-TERM")]
    {
        let process = changing(&mut program, &service, &dir);
        process.signal(signal);
        assert_ended_early(&ended(process));
        assert_eq!(fs::read(policy(&dir)).unwrap(), before, "{signal}");
    }
}

/// A terminal that goes away ends a run like Ctrl-C, but not one that is to outlive it.
#[test]
fn hung_up_it_ends_unless_hang_ups_are_ignored() {
    let dir = standard_policies();
    let before = fs::read(policy(&dir)).unwrap();
    let service = serve_policies(&dir);
    let process = changing(&mut ignoring("HUP"), &service, &dir);
    process.signal("-HUP");
    process.signal("-INT");
    let output = ended(process);
    assert_ended_early(&output);
    let told = err(&output);
    assert_eq!(told.matches("ending: ").count(), 1, "only the interrupt ends it: {told}");
    assert_eq!(fs::read(policy(&dir)).unwrap(), before);

    // A signal that this process handles is one that its children do not ignore.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let handled = runtime.block_on(async { signal(SignalKind::hangup()) }).unwrap();
    let process = changing(&mut Command::new(env!("CARGO_BIN_EXE_requite")), &service, &dir);
    drop(handled);
    process.signal("-HUP");
    assert_ended_early(&ended(process));
    assert_eq!(fs::read(policy(&dir)).unwrap(), before);
}

#[test]
fn a_process_is_told_of_each_change_by_a_signal() {
    let dir = standard_policies();
    let mut service = serve_policies(&dir);
    let pid = service.id().to_string();
    let directory = dir.path().to_str().unwrap();
    let reload = ["--rate", "50/s", "--reload-every", "200ms", "--reload-dir", directory, "--reload-hup", &pid];
    let arguments = [&reload[..], &SHORT[..]].concat();
    let output = ended(begin(&service.address, &arguments));
    assert_eq!(code(&output), Some(0), "{}", err(&output));
    assert_eq!(service.says("policies applied")["trigger"], "signal");
    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(0));
    let other = serve_policies(&dir);
    let output = ended(begin(&other.address, &arguments));
    assert_eq!(code(&output), Some(2));
    assert!(err(&output).contains(&format!("cannot send SIGHUP to process {pid}")), "{}", err(&output));
}

/// How many claims a server has decided.
fn decisions(service: &Service) -> f64 {
    let mut stream = TcpStream::connect(service.serving["pages_address"].as_str().unwrap()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let counts = page.lines().filter(|line| line.starts_with("requite_decisions_total{"));
    counts.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

#[test]
fn a_server_that_goes_away_is_counted() {
    let mut service = serve(&["--http-listen", "127.0.0.1:0"]);
    let child = begin(&service.address, &[&["--rate", "100/s", "--timeout", "1s"][..], &SHORT[..]].concat());
    // One was decided before the run: what follows is of the run.
    let deadline = Instant::now() + PATIENCE;
    while decisions(&service) < 2.0 {
        assert!(Instant::now() < deadline, "the run begins");
        std::thread::sleep(Duration::from_millis(10));
    }
    service.signal("-KILL");
    let output = ended(child);
    assert_eq!(service.exit_code(), None, "it was killed");
    let report = report(&output);
    assert_eq!(code(&output), Some(1), "{report:#}");
    assert_adds_up(&report);
    assert_eq!(report["requests"]["intended"], 100);
    assert!(0.0 < number(&report, "/requests/errors/not_connected"), "{report:#}");
    assert_eq!(report["policies"]["digest_after"], "");
}

#[test]
fn an_unreachable_server_is_told_at_once_with_help() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let output = ended(bench(&["--addr", &address, "--duration", "1h"]));
    assert_eq!((code(&output), output.stdout.len()), (Some(1), 0));
    let text = err(&output);
    assert!(
        text.contains(&format!("cannot connect to {address}")) && text.contains("`requite serve` starts one"),
        "{text}"
    );
}

#[test]
fn what_is_wrong_with_the_command_line_is_said_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().to_str().unwrap();
    let bad = dir.path().join("bad.txt");
    fs::write(&bad, "{\"ordr\": {}}").unwrap();
    let bad = bad.to_str().unwrap();
    for (arguments, part) in [
        (&["--rate", "0"][..], "expected 1/s to 1000000/s"),
        (&["--rate", "2000000/s"], "expected 1/s to 1000000/s"),
        (&["--duration", "30"], "expected 100ms to 3600s"),
        (&["--duration", "2h"], "expected 100ms to 3600s"),
        (&["--warm-up", "11m"], "expected 0s to 600s"),
        (&["--timeout", "2m"], "expected 1ms to 60s"),
        (&["--connections", "0"], "1..=4096"),
        (&["--connections", "4097"], "1..=4096"),
        (&["--batch", "1001"], "1..=1000"),
        (&["--in-flight-max", "0"], "1..=1000000"),
        (&["--threads", "9", "--connections", "8"], "9 threads need as many connections"),
        (&["--threads", "4", "--in-flight-max", "3"], "4 threads need room"),
        (&["--errors-max", "2"], "expected 0% to 100%"),
        (&["--arrivals", "bursty"], "constant, poisson"),
        (&["--reload-every", "1s"], "--reload-dir"),
        (&["--reload-dir", empty], "--reload-every"),
        (&["--reload-every", "1ms", "--reload-dir", empty], "expected 10ms"),
        (&["--mix", "generated", bad], "cannot be used with"),
        (&["--plot", "/nowhere/at/all.svg"], "cannot write the plot"),
        (&[empty], "holds no `*.json`"),
        (&[bad], "ordr"),
        (&["/nowhere/request.json"], "cannot read the request"),
    ] {
        let output = ended(bench(&[&["--addr", "127.0.0.1:1"], arguments].concat()));
        let text = err(&output);
        assert_eq!((code(&output), output.stdout.len()), (Some(2), 0), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}

#[test]
fn a_directory_without_policies_cannot_be_reloaded() {
    let service = serve(&[]);
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["--reload-every", "1s", "--reload-dir", dir.path().to_str().unwrap()];
    let output = ended(begin(&service.address, &arguments));
    assert_eq!(code(&output), Some(2));
    assert!(err(&output).contains("holds no `*.policy.yaml`") && err(&output).contains("help: "), "{}", err(&output));
}

#[test]
fn help_teaches_with_examples() {
    let output = ended(bench(&["--help"]));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(code(&output), Some(0));
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["Examples: requite bench --rate", "open loop", "generated mix of 240 requests", "Exit codes: 0 done"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
