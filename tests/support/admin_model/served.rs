//! The same verbs by the command line, on the program as it is served, with a source of several versions of one policy.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use requite::policy::bundle::Digest;
use requite::source::directory;
use serde_json::Value;
use tempfile::TempDir;

use super::{BROKEN, Cause, Entry, Outcome, Verb, Version, reason_of, says};
use crate::support::admin::{BEFORE, Caller, Said, copy, run_with};
use crate::support::serve::{PATIENCE, Service, serve};

/// The admins, each with a token.
pub const TOKENS: [(&str, &str); 2] =
    [("alice", "alice-4f1c09be72d85a6317ce90fb2a48d65e"), ("bob", "bobby-91b0e4637a2fc85d10694ebc3f7a8d25")];

const REQUEST: &str = r#"{
  "order": {
    "orderId": "w-17",
    "times": { "starts_at": "2026-06-20T07:00:00Z" },
    "lines": [{ "paid": { "currencyCode": "EUR", "units": "89", "nanos": 900000000 } }]
  },
  "claim": { "reason": "cannot_come", "channel": "web", "requestedAt": "2026-06-17T12:00:00Z" }
}"#;

/// The policy in this version.
fn of_version(text: &str, version: Version) -> String {
    text.replace("version: \"1\"", &format!("version: \"{}\"", says(version)))
}

/// A program that is served, and what its admins hold.
pub struct Served {
    pub service: Option<Service>,
    dir: TempDir,
    source: TempDir,
    versions: HashMap<Version, (TempDir, String)>,
    revisions_max: usize,
}

impl Served {
    /// Serves this version.
    pub fn start(version: Version, all: &[Version], revisions_max: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens: String =
            TOKENS.iter().map(|(name, token)| format!("{name} read,reload,rollback {token}\n")).collect();
        let file = dir.path().join("tokens");
        fs::write(&file, tokens).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(dir.path().join("request.json"), REQUEST).unwrap();
        let of = |version: Version| {
            let files = copy(BEFORE);
            let policy = files.path().join("workshop.policy.yaml");
            let text = fs::read_to_string(&policy).unwrap();
            let text = match version {
                BROKEN => text.replace("kind: cancellation_fee", "kind: cancelation_fee"),
                version if version.is_uppercase() => format!("# once more\n{}", of_version(&text, version)),
                version => of_version(&text, version),
            };
            fs::write(&policy, text).unwrap();
            let digest = directory::read(files.path()).unwrap().digest().to_string();
            (version, (files, digest))
        };
        let versions: HashMap<_, _> = all.iter().copied().chain([BROKEN]).map(of).collect();
        assert_eq!(
            versions.values().map(|(_, digest)| digest).collect::<std::collections::BTreeSet<_>>().len(),
            versions.len()
        );
        let mut served = Self { service: None, dir, source: copy(BEFORE), versions, revisions_max };
        served.write(version);
        served.serve();
        served
    }

    fn serve(&mut self) {
        let at = |name: &str| self.dir.path().join(name).to_str().unwrap().to_owned();
        let (tokens, state, kept) = (at("tokens"), at("state"), self.revisions_max.to_string());
        let source = self.source.path().to_str().unwrap();
        let arguments = [
            ["--policies", source],
            ["--admin-tokens", &tokens],
            ["--admin-listen", "127.0.0.1:0"],
            ["--state-dir", &state],
            ["--revisions-max", &kept],
        ];
        self.service = Some(serve(arguments.as_flattened()));
    }

    fn write(&self, version: Version) {
        let from = self.versions[&version].0.path().join("workshop.policy.yaml");
        let fresh = self.dir.path().join("fresh");
        fs::copy(from, &fresh).unwrap();
        fs::rename(&fresh, self.source.path().join("workshop.policy.yaml")).unwrap();
    }

    fn service(&self) -> &Service {
        self.service.as_ref().unwrap()
    }

    fn caller(&self, who: &str) -> Caller {
        let token = TOKENS.iter().find(|(name, _)| *name == who).unwrap().1;
        Caller::new(self.service().serving["admin_address"].as_str().unwrap(), token)
    }

    fn digest(&self, version: Version) -> &str {
        &self.versions[&version].1
    }

    fn version(&self, digest: &str) -> Version {
        *self.versions.iter().find(|(_, (_, known))| known == digest).unwrap().0
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.caller("alice").done(arguments)).unwrap()
    }

    pub fn status(&self) -> Value {
        self.json(&["status", "--output", "json"])["replicas"][0]["status"].clone()
    }

    /// Waits until the status says so.
    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let status = self.status();
            if holds(&status) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {status:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Has an admin type this.
    pub fn run(&self, who: &str, arguments: &[&str]) -> Said {
        self.caller(who).run(arguments)
    }

    /// What an admin types for it, with this reason.
    pub fn command(&self, who: &str, verb: &Verb, reason: &str) -> Typed {
        let digest = |version: &Version| self.digest(*version).to_owned();
        let mut arguments: Vec<String> = match verb {
            Verb::Stage { version, replace } => {
                let dir = version.map(|version| self.versions[&version].0.path().to_str().unwrap().to_owned());
                let replace = replace.then(|| "--replace".to_owned());
                ["candidate".to_owned(), "stage".to_owned()].into_iter().chain(dir).chain(replace).collect()
            }
            Verb::Discard { version } => {
                let named = version.iter().flat_map(|version| ["--digest".to_owned(), digest(version)]);
                ["candidate".to_owned(), "discard".to_owned()].into_iter().chain(named).collect()
            }
            Verb::Promote { version, expected, untried, rolled_back } => {
                let all = ["candidate", "promote", "--digest", &digest(version), "--expect", &digest(expected)];
                let untried = untried.then(|| "--untried".to_owned());
                let rolled_back = rolled_back.then(|| "--rolled-back".to_owned());
                all.map(str::to_owned).into_iter().chain(untried).chain(rolled_back).collect()
            }
            Verb::Rollback { to, expected } => {
                let to = to.iter().flat_map(|to| ["--to".to_owned(), digest(to)]);
                ["rollback".to_owned(), "--expect".to_owned(), digest(expected)].into_iter().chain(to).collect()
            }
            Verb::PlainRollback => vec!["rollback".to_owned()],
            Verb::Reload { expected } => {
                let over = expected.iter().flat_map(|expected| ["--expect".to_owned(), digest(expected)]);
                std::iter::once("reload".to_owned()).chain(over).collect()
            }
            Verb::Ask | Verb::Change { .. } | Verb::Signal | Verb::Restart => panic!("no admin asks for {verb:?}"),
        };
        arguments.extend(["--reason".to_owned(), reason.to_owned()]);
        Typed { caller: self.caller(who), arguments }
    }

    /// Has what nobody asks for happen; a server that is restarted is killed before.
    pub fn nobody(&mut self, verb: &Verb) {
        match *verb {
            Verb::Change { version } => {
                self.write(version);
                let held = self.digest(version).to_owned();
                self.until("the change is noticed", |status| status["source"]["digest"] == held.as_str());
            }
            Verb::Signal => {
                let before = self.status()["source"]["checkedAt"].clone();
                self.service().signal("-HUP");
                self.until("the source is read", |status| status["source"]["checkedAt"] != before);
            }
            Verb::Ask => {
                let request = self.dir.path().join("request.json");
                let said = run_with(&["call", "--addr", &self.service().address, request.to_str().unwrap()], &[]);
                assert_eq!(said.code, Some(0), "{}", said.err);
                let asked = |status: &Value| {
                    let staged = &status["candidate"];
                    staged.is_null() || staged["compared"].as_str().is_some_and(|compared| compared != "0")
                };
                self.until("the candidate is asked", asked);
            }
            Verb::Restart => {
                let mut service = self.service.take().unwrap();
                service.signal("-KILL");
                assert_eq!(service.exit_code(), None);
                drop(service);
                self.serve();
            }
            Verb::Stage { .. }
            | Verb::Discard { .. }
            | Verb::Promote { .. }
            | Verb::Rollback { .. }
            | Verb::PlainRollback
            | Verb::Reload { .. } => panic!("{verb:?} is asked for by someone"),
        }
    }

    /// What `revisions` says: the revisions, those that were rolled back from, and the history.
    pub fn revisions(&self) -> (Vec<Version>, Vec<Version>, Vec<Entry>) {
        let listed = self.json(&["revisions", "--output", "json"]);
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let all = listed["revisions"].as_array().unwrap();
        let version = |value: &Value| self.version(value["digest"].as_str().unwrap());
        let withdrawn = all.iter().filter(|revision| revision["withdrawal"].is_object()).map(version).collect();
        let entry = |entry: &Value| Entry {
            version: version(entry),
            cause: match entry["trigger"].as_str().unwrap() {
                "RELOAD_TRIGGER_START" => Cause::Start,
                // The poll sees what a notice sees.
                "RELOAD_TRIGGER_FILE_CHANGE" | "RELOAD_TRIGGER_POLL" => Cause::FileChange,
                "RELOAD_TRIGGER_SIGNAL" => Cause::Signal,
                "RELOAD_TRIGGER_ADMIN" => Cause::Admin,
                "RELOAD_TRIGGER_ROLLBACK" => Cause::Rollback,
                "RELOAD_TRIGGER_PROMOTION" => Cause::Promotion,
                other => panic!("{other}"),
            },
            actor: TOKENS.iter().map(|(name, _)| *name).find(|name| *name == text(&entry["actor"])).unwrap_or(""),
            reason: reason_of(&text(&entry["actor"]), &text(&entry["reason"])),
        };
        let history = listed["activations"].as_array().unwrap().iter().map(entry).collect();
        (all.iter().map(version).collect(), withdrawn, history)
    }

    /// The candidate, and who staged it.
    pub fn candidate(&self) -> Option<(Version, String)> {
        let staged = &self.status()["candidate"];
        let digest = staged["digest"].as_str()?;
        Some((self.version(digest), staged["actor"].as_str().unwrap().to_owned()))
    }
}

/// A command line, and who types it.
pub struct Typed {
    caller: Caller,
    arguments: Vec<String>,
}

impl Typed {
    /// Has the program do it.
    pub fn run(&self) -> Outcome {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        outcome(&self.caller.run(&arguments))
    }
}

/// What the program said, in the words of the model.
fn outcome(said: &Said) -> Outcome {
    let says = |text: &str| said.err.contains(text);
    match said.code {
        Some(0) => Outcome::Done('-'),
        Some(3) => Outcome::Rejected,
        Some(1) if says("staged the candidate") => Outcome::StagedByOther,
        Some(1) if says("another candidate is staged") || says("no candidate") => Outcome::OtherCandidate,
        Some(1) if says("was asked about no request yet") => Outcome::Untried,
        Some(1) if says("say `rolled_back`") => Outcome::RolledBack,
        Some(1) if says("all that there is to go back to was rolled back from") => Outcome::AllWithdrawn,
        Some(1) if says("there is no revision") || says("there is nothing to go back to") => Outcome::NoRevision,
        Some(1) if says("the source holds") || says("the source still holds") => Outcome::HeldBack,
        Some(1) if says("to be in force, but") => Outcome::OtherInForce,
        Some(1) if says("has gone back already") || says("has changed what is in force") => Outcome::Unnoticed,
        code => panic!("{code:?}: {}{}", said.out, said.err),
    }
}
