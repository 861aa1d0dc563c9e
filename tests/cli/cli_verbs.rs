//! What each verb says and how it ends, as someone meets it who has never run it before.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::samples::late_json;
use crate::support::serve::{policy, serve, standard_policies};

/// What came of a run.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// The answer; where there is none, the test has failed.
    fn answer(&self) -> &str {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        &self.out
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.answer()).unwrap()
    }

    /// What it said where it gave no answer and ended with this code.
    fn complaint(&self, code: i32) -> &str {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{}", self.err);
        &self.err
    }
}

fn requite(arguments: &[&str]) -> Ran {
    requite_reading(arguments, "")
}

fn requite_reading(arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_requite"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever does not read its input closes it, which is no failure here.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn path(dir: &TempDir) -> &str {
    dir.path().to_str().unwrap()
}

/// The standard bundle with a part of its policy written differently, and without its cases.
fn changed(from: &str, to: &str) -> TempDir {
    let dir = standard_policies();
    let text = fs::read_to_string(policy(&dir)).unwrap();
    assert!(text.contains(from), "the standard policy says `{from}`");
    fs::write(policy(&dir), text.replace(from, to)).unwrap();
    fs::remove_file(dir.path().join("standard.cases.yaml")).unwrap();
    dir
}

/// The standard policy with these cases and no others.
fn with_cases(cases: &str) -> TempDir {
    let dir = standard_policies();
    let given = "policy: standard
given:
  placed_at: 2026-03-02T10:00:00+08:00
  promised_at: 2026-03-05T18:00:00+08:00
  requested_at: 2026-03-06T10:00:00+08:00
  product_type: boosting
  stage: in_progress
  paid: 200.00
  completed: 3/8
  request_type: refund
  channel: app
cases:
";
    fs::write(dir.path().join("standard.cases.yaml"), format!("{given}{cases}")).unwrap();
    dir
}

const GOOD_CASE: &str = "  - case: late with proof
    given: { reason: late_delivery, evidence: [order_record, promised_time_record] }
    expect: { outcome: approved_partial, refund: 125.00 }
";

const BAD_CASE: &str = "  - case: late without proof
    given: { reason: late_delivery, evidence: [order_record] }
    expect: { outcome: approved_full, refund: 200.00 }
";

fn written(dir: &TempDir, request: &Value) -> PathBuf {
    let file = dir.path().join("request.json");
    fs::write(&file, request.to_string()).unwrap();
    file
}

#[test]
fn check_says_what_would_be_put_in_force_and_what_comes_next() {
    let dir = with_cases(GOOD_CASE);
    let ran = requite(&["check", path(&dir)]);
    let text = ran.answer();
    assert!(text.starts_with("policy `standard` 2026-11-01: "), "{text}");
    assert!(text.contains(" rules, ") && text.contains("\n1 case passed\ndigest blake3:"), "{text}");
    assert!(text.ends_with(&format!("next: `requite serve --policies {}`\n", path(&dir))), "{text}");
}

#[test]
fn check_reports_every_mistake_with_its_place_and_what_to_do() {
    let dir = changed("when: { stage: unpaid }", "when: { stagee: unpaid }");
    let text = fs::read_to_string(policy(&dir)).unwrap();
    fs::write(policy(&dir), text.replace("deny: ORDER_CANCELLED", "deny: ORDER_CANCELED")).unwrap();
    let ran = requite(&["check", path(&dir)]);
    let report = ran.complaint(3);
    for part in ["there is no fact `stagee`", "did you mean `stage`?", "`ORDER_CANCELED`", "--> standard.policy.yaml:"]
    {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(report.ends_with("2 errors\nhelp: `requite explain CODE` says more\n"), "{report}");
    let dir = changed("deny: ORDER_CANCELLED", "deny: ORDER_CANCELED");
    let ran = requite(&["check", path(&dir)]);
    let report = ran.complaint(3);
    assert!(report.ends_with("1 error\nhelp: `requite explain unknown-word` says more\n"), "{report}");
}

#[test]
fn explain_says_what_a_code_means_and_how_it_is_fixed() {
    let ran = requite(&["explain", "tiers-gap"]);
    let text = ran.answer().to_owned();
    assert!(text.starts_with("error[tiers-gap]: the tiers of a deduction leave values out\n\nEvery value "), "{text}");
    let (wrong, fixed) = text.split_once("\nFixed:\n\n    ").unwrap();
    assert!(wrong.contains("\nWrong:\n\n    times: [departs_at]\n    rules:\n      - id: any\n"), "{text}");
    assert!(wrong.contains("\"> 24h\": 10%") && fixed.contains("\">= 24h\": 10%"), "{text}");
    for pasted in ["error[tiers-gap]", "error[tiers-gap]:", "[tiers-gap]", "TIERS-GAP"] {
        assert_eq!(requite(&["explain", pasted]).answer(), text, "{pasted}");
    }
    let ran = requite(&["explain", "case-failed"]);
    assert!(ran.answer().contains("\nWrong, `shop.cases.yaml`:\n\n    given:"), "{}", ran.out);
    let ran = requite(&["explain", "unreachable-rule"]);
    assert!(ran.answer().starts_with("warning[unreachable-rule]: "), "{}", ran.out);
    assert!(ran.answer().ends_with("note: a warning keeps no policy from being put in force\n"), "{}", ran.out);
    let ran = requite(&["explain", "empty-expectation"]);
    assert!(ran.answer().contains("\nnote: earlier versions took this"), "{}", ran.out);
}

#[test]
fn explain_lists_all_codes_and_names_those_that_were_meant() {
    let ran = requite(&["explain"]);
    let listed: Vec<&str> = ran.answer().lines().map(|line| line.split_once("  ").unwrap().0).collect();
    assert!(80 < listed.len() && listed.is_sorted(), "{listed:?}");
    assert!(
        ran.answer().contains("\nunknown-word            a word is not one of those that can stand here\n"),
        "{}",
        ran.out
    );
    for (wrong, near) in [
        ("tier-gap", "did you mean `tiers-gap`? "),
        ("tiers", "did you mean `tiers-gap`, `tiers-overlap`? "),
        ("nonsense", ""),
    ] {
        let ran = requite(&["explain", wrong]);
        let expected = format!("error: there is no code `{wrong}`\n  help: {near}`requite explain` lists all codes\n");
        assert_eq!(ran.complaint(2), expected);
    }
}

#[test]
fn check_and_test_tell_a_failed_case_from_a_bad_policy() {
    let dir = with_cases(&format!("{GOOD_CASE}{BAD_CASE}"));
    for verb in ["check", "test"] {
        let ran = requite(&[verb, path(&dir)]);
        let report = ran.complaint(4);
        for part in ["`late without proof`", "outcome is", "refund is", "expected 200.00", "--> standard.cases.yaml:"] {
            assert!(report.contains(part), "{verb}, {part}: {report}");
        }
        assert!(!report.contains("`late with proof`"), "{verb}: {report}");
        assert!(report.ends_with("1 case failed, 1 passed\n"), "{verb}: {report}");
    }
    // More than are shown are failed cases all the same.
    let many: String = (0..250).map(|n| BAD_CASE.replace("without proof", &format!("without proof, {n}"))).collect();
    let ran = requite(&["test", path(&with_cases(&many))]);
    let report = ran.complaint(4);
    assert!(report.ends_with("250 cases failed, 0 passed\n"), "{report}");
    let text = fs::read_to_string(policy(&dir)).unwrap();
    fs::write(policy(&dir), text.replace("deny: ORDER_CANCELLED", "deny: NOTHING_KNOWN")).unwrap();
    requite(&["test", path(&dir)]).complaint(3);
}

#[test]
fn test_says_how_many_cases_passed() {
    let ran = requite(&["test", path(&with_cases(GOOD_CASE))]);
    assert!(ran.answer().starts_with("1 case passed\nnext: `requite serve --policies "), "{}", ran.out);
    let bare = changed("version: \"2026-11-01\"", "version: \"2026-11-02\"");
    let ran = requite(&["test", path(&bare)]);
    let complaint = ran.complaint(4);
    assert!(complaint.starts_with("error: no cases in `"), "{complaint}");
    assert!(complaint.contains("NAME.cases.yaml") && complaint.contains("--allow-no-cases"), "{complaint}");
    let ran = requite(&["test", "--allow-no-cases", path(&bare)]);
    assert!(ran.answer().starts_with("no cases in `"), "{}", ran.out);
}

#[test]
fn eval_answers_in_json_unless_text_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(&dir, &late_json());
    let file = file.to_str().unwrap();
    let answer = requite(&["eval", file]).json();
    assert_eq!(answer["outcome"], "OUTCOME_APPROVED_PARTIAL");
    assert_eq!(answer["refund"], json!({ "currencyCode": "CNY", "units": "125" }));
    assert_eq!(answer["policy"]["policyId"], "standard");
    assert_eq!(answer.get("explanation"), None);
    assert_eq!(requite(&["eval", "--output", "json", file]).json(), answer);
    let ran = requite(&["eval", "--output", "text", file]);
    let text = ran.answer();
    for line in ["order         o-1\n", "refund        125.00 CNY by original payment\n", "held back     75.00 CNY"] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn eval_reads_standard_input_and_explains() {
    let request = late_json().to_string();
    let answer = requite_reading(&["eval", "--explain", "-"], &request).json();
    let line = &answer["explanation"]["lines"][0];
    assert_eq!(line["ruleId"], "in-progress-platform-liable");
    assert!(line["facts"].as_array().unwrap().iter().any(|fact| fact["name"] == "lateness" && fact["value"] == "16h"));
    let ran = requite_reading(&["eval", "--explain", "--output", "text", "-"], &request);
    let text = ran.answer();
    for part in ["why rule `in-progress-platform-liable` decided", "lateness = 16h", "no match      `"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn eval_decides_by_the_policies_it_is_given() {
    let dir = changed("paid * completed_share\" }", "paid * completed_share / 2\" }");
    let ran = requite_reading(&["eval", "--policies", path(&dir), "-"], &late_json().to_string());
    assert_eq!(ran.json()["refund"], json!({ "currencyCode": "CNY", "units": "162", "nanos": 500_000_000 }));
    let broken = changed("deny: ORDER_CANCELLED", "deny: NOTHING_KNOWN");
    let ran = requite_reading(&["eval", "--policies", path(&broken), "-"], &late_json().to_string());
    assert!(ran.complaint(3).contains("`NOTHING_KNOWN` is not a reason code"), "{}", ran.err);
    let failing = with_cases(BAD_CASE);
    requite_reading(&["eval", "--policies", path(&failing), "-"], &late_json().to_string()).complaint(4);
}

/// A request with a mistake in every part of it, and the fields that have to be named.
fn bad_request() -> (Value, [&'static str; 8]) {
    let mut request = late_json();
    request["order"]["lines"][0]["paid"]["units"] = json!("-200");
    request["order"]["lines"][0]["completed"] = json!({ "numerator": "9", "denominator": "8" });
    request["order"]["lines"][0]["productType"] = json!("groceries");
    request["order"]["tenders"][0]["paid"]["currencyCode"] = json!("USD");
    request["order"]["times"] = json!({ "delivered": "2026-03-05T18:00:00+08:00" });
    request["claim"]["reason"] = json!("boredom");
    request["claim"]["channel"] = json!("fax");
    request["claim"].as_object_mut().unwrap().remove("requestedAt");
    let fields = [
        "order.lines[0].paid: ",
        "order.lines[0].completed: ",
        "order.lines[0].product_type: `groceries`",
        "order.tenders[0].paid.currency_code: `USD`",
        "order.times[\"delivered\"]: ",
        "claim.reason: `boredom`",
        "claim.channel: `fax`",
        "claim.requested_at: is mandatory",
    ];
    (request, fields)
}

#[test]
fn eval_names_every_bad_field_on_a_line_of_its_own() {
    let (request, fields) = bad_request();
    let ran = requite_reading(&["eval", "-"], &request.to_string());
    let text = ran.complaint(2);
    assert!(text.starts_with("error: the request in standard input cannot be decided:\n"), "{text}");
    for field in fields {
        assert_eq!(text.matches(&format!("\n  {field}")).count(), 1, "{field}: {text}");
    }
}

#[test]
fn a_text_that_is_no_request_is_shown_with_the_place() {
    for (text, problem, shown) in [
        ("{\n  \"orderr\": {}\n}", "there is no field `orderr`", "2 |   \"orderr\": {}\n  |"),
        (
            "{\"order\": {\"lines\": [{\"stage\": \"STARTED\"}]}}",
            "`\"STARTED\"` is no word of OrderStage",
            "1 | {\"order\": {\"lines\": [{\"stage\": \"STARTED\"}]}}\n  |",
        ),
        ("{\"claim\": {\"requestedAt\": \"yesterday\"}}", "expected a moment", "1 | {\"claim\""),
        ("{\"order\": {}", "ends in the middle", "1 | {\"order\": {}\n"),
        ("not JSON", "expected", "1 | not JSON\n"),
        ("", "it is empty", ""),
    ] {
        for verb in ["eval", "call"] {
            let ran = requite_reading(&[verb, "-"], text);
            let said = ran.complaint(2);
            assert!(said.starts_with("error: standard input holds no request:"), "{verb} {text}: {said}");
            assert!(said.contains(problem) && said.contains(shown), "{verb} {text}: {said}");
        }
    }
}

#[test]
fn a_long_line_is_shown_around_its_mistake() {
    let text = format!("{{\"requestId\": \"{}\", \"x\": 5, \"language\": \"{}\"}}", "界".repeat(200), "a".repeat(200));
    let ran = requite_reading(&["eval", "-"], &text);
    let said = ran.complaint(2);
    let (shown, mark) = said.split_once("\n1 | ").unwrap().1.split_once('\n').unwrap();
    assert!(shown.contains("\", \"x\": 5") && shown.chars().count() <= 80, "{said}");
    let (mark, help) = mark.split_once('\n').unwrap();
    assert!(help.starts_with("  help: known are `requestId`"), "{said}");
    let column = mark.chars().count() - "  | ".len();
    assert_eq!(shown.chars().nth(column - 1), Some('"'), "{said}");
}

#[test]
fn a_request_that_is_not_there_is_named() {
    for verb in ["eval", "call"] {
        let ran = requite(&[verb, "nowhere.json"]);
        assert!(ran.complaint(2).starts_with("error: cannot read the request from `nowhere.json`: No such file"));
    }
}

#[test]
fn the_schema_is_json_that_explains_every_key() {
    let schema: Value = serde_json::from_str(requite(&["schema"]).answer()).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    for key in ["policy", "version", "rules", "otherwise", "evidence", "reasons"] {
        assert!(properties.contains_key(key), "{key}");
    }
    for (key, property) in properties {
        assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{key}");
    }
}

#[test]
fn the_version_is_a_name_and_a_number() {
    assert_eq!(requite(&["version"]).answer(), concat!("requite ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(requite(&["--version"]).answer(), concat!("requite ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn call_answers_as_eval_does_and_lists_bad_fields() {
    let mut service = serve(&[]);
    let request = late_json().to_string();
    let call = |arguments: &[&str], input: &str| {
        requite_reading(&[&["call", "--addr", &service.address], arguments, &["-"]].concat(), input)
    };
    assert_eq!(call(&[], &request).json(), requite_reading(&["eval", "-"], &request).json());
    let text = call(&["--output", "text"], &request);
    assert!(text.answer().contains("refund        125.00 CNY by original payment\n"), "{}", text.out);
    let (request, fields) = bad_request();
    let ran = call(&[], &request.to_string());
    let said = ran.complaint(2);
    assert!(said.starts_with(&format!("error: {} cannot decide the request:\n", service.address)), "{said}");
    for field in fields {
        assert_eq!(said.matches(&format!("\n  {field}")).count(), 1, "{field}: {said}");
    }
    let mut pinned = late_json();
    pinned["minGeneration"] = json!("7");
    let ran = call(&[], &pinned.to_string());
    let said = ran.complaint(1);
    assert!(said.contains("did not answer: FAILED_PRECONDITION: ") && said.contains("generation 1"), "{said}");
    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(0));
}

#[test]
fn call_helps_where_nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ran = requite_reading(&["call", "--addr", &free, "-"], &late_json().to_string());
    let said = ran.complaint(1);
    assert!(said.starts_with(&format!("error: cannot connect to {free}: ")), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
    assert!(said.ends_with("\n  help: see whether a server runs there; `requite serve` starts one\n"), "{said}");
    let ran = requite_reading(&["call", "--addr", "localhost", "-"], "{}");
    assert!(ran.complaint(2).contains("expected HOST:PORT, such as `127.0.0.1:50051`"), "{}", ran.err);
}

/// `call` by each method of the data service, with the flags that go with it.
#[test]
fn every_method_can_be_called() {
    let service = serve(&[]);
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &Value| {
        let file = dir.path().join(name);
        fs::write(&file, value.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let call = |more: &[&str]| requite(&[&["call", "--addr", &service.address], more].concat());
    let mut lost = late_json();
    lost["policyId"] = "nowhere".into();
    let both = write("both.json", &serde_json::json!({ "requests": [late_json(), lost] }));
    let good = write("good.json", &serde_json::json!({ "requests": [late_json(), late_json()] }));
    let batch = ["--method", "batch-evaluate-refund"];
    let answer: Value = serde_json::from_str(call(&[&batch[..], &[&good]].concat()).answer()).unwrap();
    assert_eq!(answer["items"].as_array().unwrap().len(), 2);
    assert!(answer["items"][0]["response"]["decisionId"].is_string(), "{answer}");
    let explained = call(&[&batch[..], &["--explain", "--output", "text", &good]].concat());
    assert_eq!(explained.answer().matches(": why rule `").count(), 2, "{}", explained.out);
    let mixed = call(&[&batch[..], &["--output", "text", &both]].concat());
    assert_eq!(mixed.code, Some(1), "one is not decided");
    assert!(mixed.out.contains("request       2 of 2\nerror         NOT_FOUND: "), "{}", mixed.out);

    let mut claim = late_json()["claim"].clone();
    claim["evidence"] = serde_json::json!([]);
    let evidence = write("evidence.json", &serde_json::json!({ "claim": claim }));
    let method = ["--method", "validate-evidence"];
    let answer: Value = serde_json::from_str(call(&[&method[..], &[&evidence]].concat()).answer()).unwrap();
    assert_eq!(answer["evidence"]["verdict"], "EVIDENCE_VERDICT_INSUFFICIENT", "{answer}");
    let english = call(&[&method[..], &["--language", "en", "--output", "text", &evidence]].concat());
    assert!(english.answer().contains("missing       "), "{}", english.out);
    let wrong = call(&[&method[..], &["--language", "xx", &evidence]].concat());
    assert!(wrong.complaint(2).contains("language: "), "{}", wrong.err);

    let info = call(&["--method", "get-server-info", "--output", "text"]);
    assert!(info.answer().contains("generation    1\ndefault       standard\n"), "{}", info.out);
    let info: Value = serde_json::from_str(call(&["--method", "get-server-info"]).answer()).unwrap();
    assert_eq!(info["defaultPolicyId"], "standard");

    let single = write("single.json", &late_json());
    let explained: Value = serde_json::from_str(call(&["--explain", &single]).answer()).unwrap();
    assert!(explained["explanation"].is_object(), "{explained}");
    for (arguments, part) in [
        (&["--method", "get-server-info", &single][..], "`get-server-info` takes no request"),
        (&["--method", "get-server-info", "--explain"], "`get-server-info` explains nothing"),
        (&["--method", "validate-evidence", "--explain"], "`validate-evidence` needs a request"),
        (&["--method", "validate-evidence", "--explain"], "`validate-evidence` explains nothing"),
        (&[], "`evaluate-refund` needs a request"),
        (&["--timeout", "0s", &single], "expected 1ms to 60s"),
        (&["--timeout", "2m", &single], "expected 1ms to 60s"),
        (&["--method", "batch-evaluate-refund", &single], "holds no request"),
    ] {
        let text = call(arguments);
        assert!(text.complaint(2).contains(part), "{arguments:?}: {}", text.err);
    }
}

#[test]
fn a_call_waits_as_long_as_it_is_told() {
    // Takes connections, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let said = requite_reading(&["call", "--addr", &address, "--timeout", "50ms", "-"], &late_json().to_string());
    let text = said.complaint(1);
    assert!(text.contains("gave no answer within 0.05 s") && text.contains("`--timeout`"), "{text}");
}
