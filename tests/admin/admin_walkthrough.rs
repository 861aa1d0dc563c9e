//! The program as an admin has it: served, walked through by the command line, watched by its pages
//! and its log, stopped and started again.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::admin::page::commands;
use crate::support::admin::{BEFORE, Caller, copy, digest, run_with, walkthrough};
use crate::support::serve::{PATIENCE, Service, serve, serve_by};

const ALICE: &str = "alice-may-do-everything-0123456789abcdef";
const BOB: &str = "bob-may-look-and-nothing-more-0123456789";

/// A program that serves the workshop, its admins, its pages, and keeps a state directory.
struct Run {
    service: Service,
    source: TempDir,
    dir: TempDir,
}

impl Run {
    fn start(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        tokens(dir.path(), &[("alice", "read,validate,reload,rollback", ALICE), ("bob", "read", BOB)]);
        let (source, service) = (copy(BEFORE), None);
        Self::serve(service, source, dir, more)
    }

    fn serve(old: Option<Service>, source: TempDir, dir: TempDir, more: &[&str]) -> Self {
        drop(old);
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (tokens, state) = (at("tokens"), at("state"));
        let arguments = [
            ["--policies", source.path().to_str().unwrap()],
            ["--admin-tokens", &tokens],
            ["--http-listen", "127.0.0.1:0"],
            ["--state-dir", &state],
        ];
        let arguments: Vec<&str> = arguments.as_flattened().iter().copied().chain(more.iter().copied()).collect();
        Self { service: serve(&arguments), source, dir }
    }

    /// Stopped, and started again on the same directories.
    fn again(mut self, between: impl FnOnce(&Path), more: &[&str]) -> Self {
        self.service.signal("-TERM");
        assert_eq!(self.service.exit_code(), Some(0));
        between(self.source.path());
        let Self { service, source, dir } = self;
        Self::serve(Some(service), source, dir, more)
    }

    fn admins(&self) -> String {
        self.service.serving["admin_address"].as_str().unwrap().to_owned()
    }

    fn caller(&self, token: &str) -> Caller {
        Caller::new(&self.admins(), token)
    }

    /// The status and the text of a page.
    fn page(&self, path: &str) -> (u16, String) {
        get(self.service.serving["pages_address"].as_str().unwrap(), path).unwrap()
    }

    /// A customer cancels three days before: what they get back, and by which policies.
    fn decision(&self) -> Value {
        let request = self.dir.path().join("request.json");
        fs::write(&request, REQUEST).unwrap();
        let said = run_with(&["call", "--addr", &self.service.address, request.to_str().unwrap()], &[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        serde_json::from_str(&said.out).unwrap()
    }

    /// The copy of the source in which 40 % are held back for 50 %.
    fn cheaper(&self) -> String {
        let next = self.dir.path().join("next");
        fs::create_dir_all(&next).unwrap();
        for name in ["workshop.policy.yaml", "workshop.cases.yaml"] {
            let text = fs::read_to_string(self.source.path().join(name)).unwrap().replace("50%", "40%");
            let text = text.replace("refund: 44.95", "refund: 53.94").replace("fee: 44.95", "fee: 35.96");
            fs::write(next.join(name), text).unwrap();
        }
        next.to_str().unwrap().to_owned()
    }
}

const REQUEST: &str = r#"{
  "order": {
    "orderId": "w-17",
    "times": { "starts_at": "2026-06-20T07:00:00Z" },
    "lines": [{ "paid": { "currencyCode": "EUR", "units": "89", "nanos": 900000000 } }]
  },
  "claim": { "reason": "cannot_come", "channel": "web", "requestedAt": "2026-06-17T12:00:00Z" }
}"#;

fn tokens(dir: &Path, admins: &[(&str, &str, &str)]) -> PathBuf {
    let lines: String = admins.iter().map(|(name, rights, token)| format!("{name} {rights} {token}\n")).collect();
    let (file, new) = (dir.join("tokens"), dir.join("tokens.new"));
    fs::write(&new, lines).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, &file).unwrap();
    file
}

fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let status = text.get(9..12).and_then(|code| code.parse().ok()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((status, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}

/// Asks again and again until it is so.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Billionths of a unit.
fn nanos(money: &Value) -> i64 {
    let units = money["units"].as_str().unwrap_or("0").parse::<i64>().unwrap();
    units * 1_000_000_000 + money["nanos"].as_i64().unwrap_or(0)
}

#[test]
fn the_admin_page_holds_for_the_program_as_it_is_run() {
    let run = Run::start(&["--admin-listen", "127.0.0.1:0"]);
    walkthrough::walk(&run.caller(ALICE), run.source.path());
}

/// What is printed without what is different each time: moments, lengths of time, ports.
fn settled(text: &str) -> String {
    let settled = |word: &str| {
        let bare = word.trim_end_matches([',', ':', ';']);
        let seconds = bare.strip_suffix('s').is_some_and(|digits| !digits.is_empty() && digits.parse::<u32>().is_ok());
        if bare.starts_with("20") && bare.ends_with('Z') {
            word.replace(bare, "MOMENT")
        } else if bare.starts_with("127.0.0.1:") {
            word.replace(bare, "ADDRESS")
        } else if seconds {
            word.replace(bare, "LENGTH")
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| line.split(' ').map(settled).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Command by command, in a shell, as someone does who has nothing but the page.
#[test]
fn the_admin_page_is_enough_to_get_from_nothing_to_a_rollback() {
    let page = fs::read_to_string("docs/admin.md").unwrap();
    let (start, end) = ("## From nothing to a rollback", "## When policies are rejected");
    let part = &page[page.find(start).unwrap()..page.find(end).unwrap()];
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::rename(copy(BEFORE).keep(), at("my-policies")).unwrap();
    fs::write(at("my-request.json"), REQUEST).unwrap();
    fs::create_dir(at("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_requite"), at("bin/requite")).unwrap();
    let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
    let mut variables = vec![("PATH".to_owned(), path)];
    let mut service: Option<Service> = None;
    let mut compared = 0;
    for (command, printed) in commands(part) {
        if let Some(arguments) = command.strip_prefix("requite serve ") {
            // The ports of the page may be taken here.
            let arguments = arguments.replace("127.0.0.1:9100", "127.0.0.1:0") + " --admin-listen 127.0.0.1:0";
            let arguments: Vec<&str> = arguments.split_whitespace().collect();
            let mut program = Command::new(env!("CARGO_BIN_EXE_requite"));
            program.current_dir(dir.path());
            let served = serve_by(program, &arguments, &[]);
            let admins = served.serving["admin_address"].as_str().unwrap().to_owned();
            variables.push(("REQUITE_ADMIN_ADDR".to_owned(), admins));
            service = Some(served);
            continue;
        }
        if let Some((name, value)) = command.strip_prefix("export ").and_then(|set| set.split_once('=')) {
            variables.push((name.to_owned(), value.to_owned()));
            continue;
        }
        let address = service.as_ref().map(|service| format!("requite call --addr {}", service.address));
        let script = address.map_or_else(|| command.clone(), |call| command.replace("requite call", &call));
        let output = Command::new("bash")
            .args(["-c", &format!("umask 077; {script}")])
            .current_dir(dir.path())
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let expected = if command.starts_with("requite diff") { 1 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{command}: {out}{err}");
        if !printed.is_empty() {
            assert_eq!(settled(&out), settled(&printed), "{command}");
            compared += 1;
        }
        let must_say = match command.split(" --reason").next().unwrap() {
            "requite candidate stage next-policies --sample 100%" => "beside 1000 of 1000 live requests",
            "requite candidate promote --digest f199cdce3e6f" => "generation 2,",
            "requite rollback" => "generation 3,",
            "requite reload" => "nothing changed",
            _ => "",
        };
        assert!(out.contains(must_say), "{command}: {out}");
    }
    assert!(4 <= compared, "the page shows what {compared} commands print");
    let mut service = service.unwrap();
    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(0));
    let log = service.whole_log();
    assert!(log.iter().any(|line| line["method"] == "RollbackPolicy" && line["actor"] == "alice"), "{log:#?}");
}

#[test]
fn a_candidate_is_tried_on_live_requests_put_in_force_and_taken_back() {
    const CALLS: i64 = 12;
    // 89.90 was paid: half of it is 44.95, 40 % of it are 35.96, so each customer gets 8.99 more.
    const EACH: i64 = 8_990_000_000;
    let mut run = Run::start(&["--admin-listen", "127.0.0.1:0"]);
    let alice = run.caller(ALICE);
    assert_eq!(run.page("/-/healthy").0, 200);
    // It says where it serves before it does.
    until("it is ready", || (run.page("/-/ready") == (200, "ready\n".to_owned())).then_some(()));
    let first = digest(BEFORE);
    assert!(
        run.page("/metrics").1.contains(&format!("requite_config_info{{digest=\"{first}\",generation=\"1\"}} 1\n"))
    );

    let next = run.cheaper();
    let second = digest(&next);
    alice.done(&["candidate", "stage", &next, "--sample", "100%", "--reason", "CR-1"]);
    for _ in 0..CALLS {
        let decision = run.decision();
        assert_eq!(
            (nanos(&decision["refund"]), &decision["policy"]["digest"]),
            (44_950_000_000, &Value::from(&*first))
        );
    }
    // The candidate is asked after the answer, so its numbers come a moment later.
    let number = |report: &Value, name: &str| report[name].as_str().map_or(0, |text| text.parse::<i64>().unwrap());
    let report = until("every request is accounted for", || {
        let report: Value = serde_json::from_str(&alice.done(&["candidate", "status", "--output", "json"])).unwrap();
        (number(&report, "compared") + number(&report, "shed") == CALLS).then_some(report)
    });
    let compared = number(&report, "compared");
    assert!(0 < compared, "{report:#}");
    assert_eq!(number(&report, "different"), compared, "{report:#}");
    let money = &report["money"][0];
    assert_eq!(nanos(&money["live"]), compared * 44_950_000_000, "{report:#}");
    assert_eq!(nanos(&money["candidate"]), compared * 53_940_000_000, "{report:#}");
    assert_eq!(nanos(&money["difference"]), compared * EACH, "{report:#}");
    assert_eq!((nanos(&money["above"]), nanos(&money["below"])), (compared * EACH, 0), "{report:#}");
    let cents = compared * EACH / 10_000_000;
    let shown = alice.done(&["candidate", "status"]);
    assert!(shown.contains(&format!("{}.{:02}", cents / 100, cents % 100)), "{shown}");
    let metrics = run.page("/metrics").1;
    for line in [
        format!("requite_candidate_requests_total{{digest=\"{second}\",result=\"different\"}} {compared}\n"),
        format!("requite_candidate_money_difference_minor_units{{digest=\"{second}\",currency=\"EUR\"}} {cents}\n"),
        "requite_reloads_total{trigger=\"start\",result=\"applied\"} 1\n".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }

    alice.done(&["candidate", "promote", "--digest", &second, "--reason", "CR-1"]);
    let decision = run.decision();
    assert_eq!((nanos(&decision["refund"]), &decision["policy"]["digest"]), (53_940_000_000, &Value::from(&*second)));
    let applied = run.service.says("policies applied");
    assert_eq!((&applied["actor"], &applied["trigger"]), (&Value::from("alice"), &Value::from("promotion")));

    alice.done(&["rollback", "--reason", "too dear"]);
    let decision = run.decision();
    assert_eq!((nanos(&decision["refund"]), &decision["policy"]["digest"]), (44_950_000_000, &Value::from(&*first)));
    assert!(alice.done(&["status"]).contains("generation 3"), "a rollback is a new generation");
    let metrics = run.page("/metrics").1;
    assert!(metrics.contains(&format!("requite_config_info{{digest=\"{first}\",generation=\"3\"}} 1\n")), "{metrics}");
    for trigger in ["promotion", "rollback"] {
        let line = format!("requite_reloads_total{{trigger=\"{trigger}\",result=\"applied\"}} 1\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }

    // Who may look may do nothing more.
    let denied = run.caller(BOB).run(&["rollback", "--to", &second]);
    assert!(denied.code == Some(1) && denied.err.contains("rollback"), "{}", denied.err);

    run.service.signal("-TERM");
    assert_eq!(run.service.exit_code(), Some(0));
    let log = run.service.whole_log();
    let record = |method: &str, actor: &str| {
        let found = log
            .iter()
            .rev()
            .find(|line| line["target"] == "requite::audit" && line["method"] == method && line["actor"] == actor);
        found.unwrap_or_else(|| panic!("no record of {method} by {actor} in {log:#?}"))
    };
    for (method, before, after) in [
        ("StageCandidate", &first, None),
        ("PromoteCandidate", &first, Some(second.as_str())),
        ("RollbackPolicy", &second, Some(first.as_str())),
        ("GetPolicyStatus", &first, None),
    ] {
        let record = record(method, "alice");
        assert_eq!(record["before"], before.as_str(), "{record:#}");
        assert_eq!(record["after"].as_str(), after, "{record:#}");
    }
    assert_eq!(record("PromoteCandidate", "alice")["reason"], "CR-1");
    assert_ne!(record("RollbackPolicy", "bob")["code"], record("RollbackPolicy", "alice")["code"]);
}

#[test]
fn many_cases_that_fail_are_all_told_and_are_no_mistake_of_the_policies() {
    const CASES: usize = 200;
    let run = Run::start(&["--admin-listen", "127.0.0.1:0"]);
    let alice = run.caller(ALICE);
    let cases: String = (0..CASES)
        .map(|number| {
            format!(
                "  - case: number {number} of those that expect too much\n    given: {{ requested_at: starts_at - 6d }}\n    \
                 expect: {{ refund: 89.90 }}\n"
            )
        })
        .collect();
    let file = run.source.path().join("many.cases.yaml");
    let head = "given: { starts_at: 2026-06-20T09:00:00+02:00, paid: 89.90, reason: cannot_come }\ncases:\n";
    fs::write(&file, format!("{head}{cases}")).unwrap();
    let said = alice.run(&["reload"]);
    // An answer has room for some of them, the status for all.
    assert_eq!(said.code, Some(4), "{}", said.err);
    let told = said.err.lines().filter(|line| line.starts_with("error[case-failed]")).count();
    assert_eq!(told, CASES, "{}", said.err);
    assert!(said.err.contains(&format!("{CASES} errors")) && !said.err.contains(" more; "), "{}", said.err);
    let said = alice.run(&["candidate", "stage", run.source.path().to_str().unwrap()]);
    assert_eq!(said.code, Some(4), "{}", said.err);
}

#[test]
fn every_listener_ends_with_the_program_and_says_before_that_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let listen = format!("unix:{}", socket.display());
    let mut run = Run::start(&["--admin-listen", &listen]);
    assert_eq!(run.admins(), listen);
    assert!(run.caller(ALICE).done(&["status"]).contains("generation 1"));
    let pages = run.service.serving["pages_address"].as_str().unwrap().to_owned();

    run.service.signal("-TERM");
    // Probes hear of the stop while callers still connect.
    let told = until("a probe is told", || get(&pages, "/-/ready").ok().filter(|(status, _)| *status != 200));
    assert_eq!(told, (503, "stopping\n".to_owned()));
    assert_eq!(run.service.exit_code(), Some(0));
    assert!(!socket.exists(), "the socket is gone");
    for address in [&run.service.address, &pages] {
        assert!(TcpStream::connect(address).is_err(), "{address}");
    }
}

#[test]
fn a_token_that_was_taken_away_opens_nothing_any_more() {
    let run = Run::start(&["--admin-listen", "127.0.0.1:0"]);
    let (alice, bob) = (run.caller(ALICE), run.caller(BOB));
    assert_eq!(bob.run(&["status"]).code, Some(0));
    tokens(run.dir.path(), &[("alice", "read,validate,reload,rollback", ALICE)]);
    let refused =
        until("the old token is refused", || Some(bob.run(&["revisions"])).filter(|said| said.code != Some(0)));
    assert!(refused.code == Some(1) && refused.err.contains("--token-file"), "{}", refused.err);
    alice.done(&["revisions"]);
    let refused = run.caller("nobody-has-ever-given-this-token-to-anyone").run(&["revisions"]);
    assert_eq!(refused.code, Some(1), "{}", refused.err);
}

#[test]
fn a_start_on_broken_policies_runs_the_last_known_good_and_says_so() {
    let good = ["--admin-listen", "127.0.0.1:0", "--known-good-after", "0s", "--known-good-decisions", "1"];
    let run = Run::start(&good);
    run.decision();
    let kept = run.dir.path().join("state");
    run.service.says("policies are known as good");
    until("it is on the disk", || fs::read_dir(&kept).ok()?.next().map(|_| ()));
    let first = digest(BEFORE);
    let broken = |source: &Path| {
        let policy = source.join("workshop.policy.yaml");
        let text = fs::read_to_string(&policy).unwrap();
        fs::write(&policy, text.replace("cancellation_fee", "cancelation_fee")).unwrap();
    };
    let run = run.again(broken, &good);
    assert_eq!(run.service.serving["started_from"], "last_known_good");
    assert_eq!(run.service.serving["digest"], first.as_str());
    let decision = run.decision();
    assert_eq!((nanos(&decision["refund"]), &decision["policy"]["digest"]), (44_950_000_000, &Value::from(&*first)));
    let status = run.caller(ALICE).done(&["status"]);
    for said in [
        "started       from the last known good",
        "restart       the source is broken: a restart would put the last revision known to be good in force",
        "workshop.policy.yaml:27:17",
    ] {
        assert!(status.contains(said), "{said}: {status}");
    }
    assert_eq!(run.page("/-/ready").0, 200);
    let metrics = run.page("/metrics").1;
    assert!(metrics.contains("requite_config_last_reload_successful 0\n"), "{metrics}");
    assert!(metrics.contains("requite_config_restart_forecast{forecast=\"last_known_good\"} 1\n"), "{metrics}");
}

#[test]
fn what_is_wrong_for_admins_ends_the_start_before_anything_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let good = tokens(dir.path(), &[("alice", "read", ALICE)]);
    let open = dir.path().join("open");
    fs::write(&open, format!("alice read {ALICE}\n")).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|address| (taken, address.to_string())).unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let (good, open, socket) = (good.to_str().unwrap(), open.to_str().unwrap(), format!("unix:{}", file.display()));
    let missing = dir.path().join("missing");
    for (arguments, code, said) in [
        (vec!["--admin-tokens", open], 2, "chmod 600"),
        (vec!["--admin-tokens", missing.to_str().unwrap()], 2, "missing`: No such file or directory (os error 2)\n"),
        (
            vec!["--admin-tokens", good, "--admin-listen", "0.0.0.0:0"],
            2,
            "give `--admin-tls-cert` and `--admin-tls-key`",
        ),
        (vec!["--admin-tokens", good, "--admin-listen", &socket], 1, "is no socket"),
        (vec!["--admin-tokens", good, "--admin-listen", &taken.1], 1, "choose another address with `--admin-listen`"),
        (vec!["--http-listen", &taken.1], 1, "choose another address with `--http-listen`"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_requite"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(&arguments).env_clear().stdin(Stdio::null());
        let output = command.output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
        assert!(output.stdout.is_empty(), "{arguments:?}: nothing was announced");
    }
}

#[test]
fn without_tokens_admins_are_not_served_and_the_log_says_how() {
    let service = serve(&[]);
    assert_eq!((&service.serving["admin_address"], &service.serving["pages_address"]), (&Value::Null, &Value::Null));
    let said = service.says("the admin service is off");
    assert!(said["message"].as_str().unwrap().contains("--admin-tokens FILE"), "{said}");
}
