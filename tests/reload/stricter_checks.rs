//! Stricter checks never stop a server: what a newer version refuses for the first time it refuses in new policies, and
//! serves with its old meaning where the state directory has had it in force.
//!
//! `tests/stricter_checks/before` is a bundle that earlier versions took. Its state directories are written here as they
//! left them, byte by byte.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use requite::engine::admit::{admit, admit_of};
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Diagnostic, Precedent, Severity};
use requite::source::directory;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::admin::{Caller, run_with};
use crate::support::serve::{PATIENCE, Service, serve};

const OPS: &str = "ops-may-do-everything-0123456789abcdef";

fn before() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stricter_checks/before")
}

fn codes(diagnostics: &[Diagnostic]) -> Vec<(Severity, &'static str)> {
    diagnostics.iter().map(|diagnostic| (diagnostic.severity, diagnostic.code)).collect()
}

fn one_file(text: String) -> Bundle {
    Bundle::new(vec![BundleFile { path: "shop.policy.yaml".to_owned(), bytes: text.into_bytes() }]).unwrap()
}

#[test]
fn what_earlier_versions_took_is_refused_where_it_is_new_and_keeps_its_meaning_where_it_is_not() {
    let bundle = directory::read(&before()).unwrap();
    let expected = [(Severity::StricterError, "duplicate-word"), (Severity::StricterError, "unknown-name")];
    assert_eq!(codes(&admit(&bundle).unwrap_err().diagnostics), expected);
    let admission = admit_of(&bundle, Precedent::InForce).unwrap();
    // The meaning is that of its cases: one photo is two, and the voucher is half of the fee before the last one.
    assert_eq!((codes(&admission.stricter_errors).as_slice(), admission.cases_passed), (expected.as_slice(), 3));
    assert_eq!((admission.plans.len(), admission.warnings.len()), (1, 0));
}

/// A policy with something in its head, in its inputs and in its text.
fn shop(head: &str, formula: &str) -> String {
    format!(
        "policy: shop\nversion: \"1\"\ntimezone: UTC\n{head}rules:\n  - id: all\n    refund: {{ deduct: [{{ kind: \
         processing_fee, amount: \"{formula}\" }}] }}\notherwise: {{ deny: NO_MATCHING_RULE }}\n"
    )
}

fn listed(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn each_bound_that_came_later_is_lifted_for_what_was_in_force() {
    let eur = "currencies: [EUR]\n";
    let own = |n: usize| format!("{{ code: POINTS{n}, decimals: 2 }}");
    let cases: [(&str, &str, String); 14] = [
        (
            "line-fact-in-order",
            "the moment of a line",
            shop(
                &format!(
                    "{eur}inputs: {{ used_at: {{ type: timestamp, scope: line }} }}\nevidence: {{ kinds: {{ photo: {{ captured: \
                     {{ after: used_at, before: used_at }} }} }} }}\n"
                ),
                "1.00",
            ),
        ),
        (
            "input-in-effective",
            "an input",
            shop(
                &format!(
                    "{eur}inputs: {{ used_at: {{ type: timestamp }} }}\neffective: {{ from: 2026-01-01T00:00:00Z, by: used_at \
                     }}\n"
                ),
                "1.00",
            ),
        ),
        ("formula-syntax", "one mistake", shop(eur, "2026-11-01 - 2000")),
        ("too-many-words", "currencies", shop(&format!("currencies: [{}]\n", listed(300, own)), "1.00")),
        (
            "too-many-words",
            "languages",
            shop(
                &format!("{eur}languages: [{}]\n", listed(65, |n| format!("a{}{}", letter(n / 26), letter(n % 26)))),
                "1.00",
            ),
        ),
        ("too-many-words", "moments", shop(&format!("{eur}times: [{}]\n", listed(4_100, |n| format!("t{n}"))), "1.00")),
        (
            "too-many-words",
            "components",
            shop(
                &format!("{eur}components: {{ {} }}\n", listed(4_100, |n| format!("c{n}: {{ refund: never }}"))),
                "1.00",
            ),
        ),
        (
            "too-many-words",
            "inputs",
            shop(&format!("{eur}inputs: {{ {} }}\n", listed(4_100, |n| format!("i{n}: {{ type: flag }}"))), "1.00"),
        ),
        (
            "too-many-words",
            "next steps",
            shop(&format!("{eur}next_steps: {{ {} }}\n", listed(4_100, |n| format!("n{n}: {{}}"))), "1.00"),
        ),
        (
            "too-many-words",
            "requirements",
            shop(
                &format!(
                    "{eur}evidence: {{ kinds: {{ photo: {{}} }}, requirements: {{ {} }} }}\n",
                    listed(4_100, |n| format!("r{n}: photo"))
                ),
                "1.00",
            ),
        ),
        (
            "too-large",
            "phrase",
            shop(&format!("{eur}text: {{ vague: [{}] }}\n", "word ".repeat(60).trim_end()), "1.00"),
        ),
        (
            "too-large",
            "text",
            shop(
                &format!(
                    "{eur}reasons: {{ late: {{ label: {{ en: \"{}\" }} }} }}\nlanguages: [en]\n",
                    "x".repeat(70_000)
                ),
                "1.00",
            ),
        ),
        ("too-large", "two texts", {
            let long = "x".repeat(70_000);
            let labels = format!("a: {{ label: {{ en: \"{long}\" }} }}, b: {{ label: {{ en: \"{long}\" }} }}");
            shop(&format!("{eur}reasons: {{ {labels} }}\nlanguages: [en]\n"), "1.00")
        }),
        (
            "unknown-name",
            "previous",
            shop(eur, "1.00").replace("otherwise", "    compensate: { v: { amount: previous } }\notherwise"),
        ),
    ];
    for (code, what, text) in cases {
        let bundle = one_file(text);
        let rejection = admit(&bundle).unwrap_err();
        let refused = codes(&rejection.diagnostics);
        assert!(refused.iter().all(|found| *found == (Severity::StricterError, code)), "{what}: {refused:?}");
        let admission = admit_of(&bundle, Precedent::InForce)
            .unwrap_or_else(|rejection| panic!("{what}: {:?}", rejection.diagnostics));
        let named = codes(&admission.stricter_errors);
        assert!(!named.is_empty() && named.iter().all(|(_, found)| *found == code), "{what}: {named:?}");
        assert_eq!(admission.plans.len(), 1, "{what}");
    }
}

fn letter(n: usize) -> char {
    char::from(b'a' + u8::try_from(n).unwrap())
}

/// A program over a state directory that an earlier version left.
struct Shop {
    service: Option<Service>,
    source: TempDir,
    dir: TempDir,
}

impl Shop {
    /// The source holds the bundle of before, and nothing has run yet.
    fn new() -> Self {
        let (source, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["shop.policy.yaml", "shop.cases.yaml"] {
            fs::copy(before().join(name), source.path().join(name)).unwrap();
        }
        let tokens = dir.path().join("tokens");
        fs::write(&tokens, format!("ops read,validate,reload,rollback {OPS}\n")).unwrap();
        fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        fs::set_permissions(dir.path().join("state"), fs::Permissions::from_mode(0o700)).unwrap();
        Self { service: None, source, dir }
    }

    fn digest(&self) -> String {
        directory::read(self.source.path()).unwrap().digest().to_string()
    }

    /// What the source holds, left in the state directory by an earlier version that had it in force.
    fn was_in_force(self, place: u64, known_good: bool) -> Self {
        let bundle = directory::read(self.source.path()).unwrap();
        let mut archive = b"requite bundle 1\n".to_vec();
        for file in bundle.files() {
            for part in [file.path.as_bytes(), &file.bytes] {
                archive.extend_from_slice(&(part.len() as u64).to_le_bytes());
                archive.extend_from_slice(part);
            }
        }
        let digest = bundle.digest().to_string();
        let json = format!(
            "{{\n  \"digest\": \"{digest}\",\n  \"place\": {place},\n  \"text_bytes\": {},\n  \"activated_at\": \
             \"2026-11-20T08:00:00Z\",\n  \"trigger\": \"start\",\n  \"actor\": \"\",\n  \"known_good\": {known_good}\n}}\n",
            bundle.bytes()
        );
        let record = format!("requite record 1 blake3:{}\n{json}", blake3::hash(json.as_bytes()).to_hex());
        let name = digest.strip_prefix("blake3:").unwrap();
        let state = self.dir.path().join("state");
        fs::write(state.join(format!("{name}.bundle")), archive).unwrap();
        fs::write(state.join(format!("{name}.record")), record).unwrap();
        self
    }

    fn file(&self, name: &str) -> PathBuf {
        self.source.path().join(name)
    }

    fn write(&self, name: &str, change: impl FnOnce(String) -> String) {
        let text = change(fs::read_to_string(self.file(name)).unwrap());
        let next = self.file(".next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.file(name)).unwrap();
    }

    /// Starts, after whatever ran before was killed.
    fn start(&mut self) -> &Service {
        self.service = None;
        let at = |name: &str| self.dir.path().join(name).to_str().unwrap().to_owned();
        let (tokens, state) = (at("tokens"), at("state"));
        let arguments = [
            ["--policies", self.source.path().to_str().unwrap()],
            ["--admin-tokens", &tokens],
            ["--admin-listen", "127.0.0.1:0"],
            ["--http-listen", "127.0.0.1:0"],
            ["--state-dir", &state],
        ];
        self.service.insert(serve(arguments.as_flattened()))
    }

    fn service(&self) -> &Service {
        self.service.as_ref().unwrap()
    }

    fn caller(&self) -> Caller {
        Caller::new(self.service().serving["admin_address"].as_str().unwrap(), OPS)
    }

    fn metrics(&self) -> String {
        let address = self.service().serving["pages_address"].as_str().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// One photo, seventeen days late: what goes back, and which policies said so.
    fn decision(&self) -> Value {
        let request = self.dir.path().join("request.json");
        fs::write(&request, REQUEST).unwrap();
        let said = run_with(&["call", "--addr", &self.service().address, request.to_str().unwrap()], &[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        serde_json::from_str(&said.out).unwrap()
    }

    /// Log, status and metrics say that these policies were let in, and why; they decide as they did.
    fn is_let_in(&self, digest: &str) {
        let said = self.service().says("policies let in that would be refused if they were new");
        assert_eq!((&said["digest"], &said["errors"], &said["level"]), (&digest.into(), &2.into(), &"ERROR".into()));
        let first = self.service().says("`photo` stands in two parts of one list");
        assert_eq!((&first["code"], &first["place"]), (&"duplicate-word".into(), &"shop.policy.yaml:11:39".into()));
        assert_eq!(self.service().says("`previous` means something in a deduction only")["code"], "unknown-name");
        let status = self.caller().done(&["status"]);
        for text in [
            "let in        with 2 errors that would refuse these policies if they were new",
            "error[duplicate-word]: `photo` stands in two parts of one list",
            "--> shop.policy.yaml:11:39",
            "error[unknown-name]",
            "note: earlier versions took this",
        ] {
            assert!(status.contains(text), "{text}: {status}");
        }
        let json: Value = serde_json::from_str(&self.caller().done(&["status", "--output", "json"])).unwrap();
        let errors = json["replicas"][0]["status"]["stricterErrors"].as_array().unwrap();
        assert_eq!(errors.len(), 2);
        assert_eq!(errors[0]["severity"], "DIAGNOSTIC_SEVERITY_STRICTER_ERROR");
        let metrics = self.metrics();
        assert!(metrics.contains("requite_config_stricter_errors 2\n"), "{metrics}");
        assert_eq!(self.service().serving["digest"], digest);
        let decision = self.decision();
        assert_eq!(
            (&decision["outcome"], &decision["refund"]["units"]),
            (&"OUTCOME_APPROVED_PARTIAL".into(), &"15".into())
        );
        assert_eq!(decision["policy"]["digest"], digest);
    }
}

const REQUEST: &str = r#"{
  "order": {
    "orderId": "o-1",
    "times": { "delivered_at": "2026-03-02T10:00:00Z" },
    "lines": [{ "paid": { "currencyCode": "EUR", "units": "20" } }]
  },
  "claim": {
    "requestedAt": "2026-04-01T10:00:00Z",
    "evidence": [{ "evidenceId": "e-1", "kind": "photo" }]
  }
}"#;

#[test]
fn a_start_serves_what_was_in_force_and_says_so_wherever_one_looks() {
    let mut shop = Shop::new().was_in_force(7, false);
    let digest = shop.digest();
    shop.start();
    assert_eq!(shop.service().serving["started_from"], "source");
    shop.is_let_in(&digest);
    let status = shop.caller().done(&["status"]);
    assert!(status.contains("restart       the same policies") || status.contains("restart"), "{status}");
    // What asks for it again gets the same answer, and validation says what a reload would do.
    assert!(shop.caller().done(&["reload"]).contains("duplicate-word"));

    // The same mistakes in other words are new ones.
    shop.write("shop.policy.yaml", |text| format!("{text}# fixed in part\n"));
    let other = shop.digest();
    let rejected = shop.service().says("policies rejected: the ones in force keep serving");
    assert_eq!((&rejected["digest"], &rejected["errors"]), (&other.as_str().into(), &2.into()));
    assert_eq!(shop.decision()["policy"]["digest"], digest.as_str());
    let refused = shop.caller().run(&["reload"]);
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    assert!(refused.err.contains("note: earlier versions took this"), "{}", refused.err);
    let staged = shop.caller().run(&["candidate", "stage", shop.source.path().to_str().unwrap()]);
    assert_eq!(staged.code, Some(3), "{}", staged.err);
    let checked = run_with(&["check", shop.source.path().to_str().unwrap()], &[]);
    assert_eq!(checked.code, Some(3));
    assert!(checked.err.contains("error[duplicate-word]") && checked.err.contains("2 errors"), "{}", checked.err);

    // What was in force comes back by whoever puts it there.
    shop.write("shop.policy.yaml", |text| text.replace("# fixed in part\n", ""));
    shop.service().says("source matches the active policies again");

    // Fixed, it is not mentioned any more.
    shop.write("shop.policy.yaml", |text| {
        text.replace("{ at_least: 2, of: [photo, photo] }", "photo").replace("previous / 2", "2.00")
    });
    shop.service().says("policies applied");
    let deadline = Instant::now() + PATIENCE;
    while !shop.metrics().contains("requite_config_stricter_errors 0\n") {
        assert!(Instant::now() < deadline, "{}", shop.metrics());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!shop.caller().done(&["status"]).contains("let in"));

    // Going back to what was in force is not refused either, and says what it is.
    let staged = shop.caller().done(&["candidate", "stage", before().to_str().unwrap()]);
    assert!(staged.contains("error[duplicate-word]"), "{staged}");
    let back = shop.caller().done(&["rollback", "--to", &digest]);
    assert!(back.contains("error[duplicate-word]"), "{back}");
    shop.is_let_in(&digest);
}

#[test]
fn killed_at_once_it_starts_again() {
    let mut shop = Shop::new().was_in_force(1, false);
    let digest = shop.digest();
    for _ in 0..3 {
        shop.start();
        shop.is_let_in(&digest);
        shop.service().signal("-KILL");
    }
}

#[test]
fn what_is_new_is_refused_at_the_start_and_the_last_known_good_is_let_in() {
    let mut shop = Shop::new().was_in_force(3, true);
    let digest = shop.digest();
    shop.write("shop.policy.yaml", |text| format!("{text}# not in force yet\n"));
    shop.start();
    assert_eq!(shop.service().serving["started_from"], "last_known_good");
    shop.is_let_in(&digest);
    // Broken altogether: the same.
    shop.write("shop.policy.yaml", |text| text.replace("rules:", "ruels:"));
    shop.start();
    assert_eq!(shop.service().serving["started_from"], "last_known_good");
    shop.is_let_in(&digest);
}

#[test]
fn nothing_is_let_in_without_having_been_in_force() {
    let shop = Shop::new();
    let output = run_with(
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--policies",
            shop.source.path().to_str().unwrap(),
            "--state-dir",
            shop.dir.path().join("state").to_str().unwrap(),
        ],
        &[],
    );
    assert_eq!(output.code, Some(3));
    assert!(output.err.contains("error[duplicate-word]") && output.out.is_empty(), "{}", output.err);
}

#[test]
fn cases_that_come_out_otherwise_by_now_decide_nothing() {
    let shop = Shop::new();
    shop.write("shop.policy.yaml", |text| {
        text.replace("{ at_least: 2, of: [photo, photo] }", "photo").replace("previous / 2", "2.00")
    });
    shop.write("shop.cases.yaml", |text| {
        format!("{text}  - case: says nothing\n    given: {{ evidence: [photo] }}\n    expect: {{}}\n")
            .replace("15.00", "14.00")
    });
    let mut shop = shop.was_in_force(2, true);
    let digest = shop.digest();
    shop.start();
    assert_eq!(shop.service().serving["digest"], digest.as_str());
    let said = shop.service().says("policies let in that would be refused if they were new");
    assert_eq!(said["errors"], 2);
    let status = shop.caller().done(&["status"]);
    assert!(status.contains("error[case-failed]") && status.contains("error[empty-expectation]"), "{status}");
    assert!(shop.metrics().contains("requite_config_stricter_errors 2\n"));
    assert_eq!(run_with(&["check", shop.source.path().to_str().unwrap()], &[]).code, Some(3));
}

#[test]
fn what_cannot_be_compiled_is_let_in_by_nobody() {
    let shop = Shop::new();
    shop.write("shop.policy.yaml", |text| text.replace("refund: full", "refund: all"));
    let shop = shop.was_in_force(2, true);
    let rejection = admit_of(&directory::read(shop.source.path()).unwrap(), Precedent::InForce).unwrap_err();
    assert!(rejection.diagnostics.iter().any(|it| it.severity == Severity::Error), "{:?}", rejection.diagnostics);
}
