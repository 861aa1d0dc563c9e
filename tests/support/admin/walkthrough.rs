//! An admin's day from the first status to the rollback, by the command line alone. It takes an
//! address, so any server can be walked through that serves `tests/policy_diff/before` from
//! `source`, with a token that has all rights.

use std::fs;
use std::path::Path;

use crate::support::admin::{Caller, digest};

const AFTER: &str = "tests/policy_diff/after";

/// Walks through all of it; fails where anything is not as the admin page says.
pub fn walk(caller: &Caller, source: &Path) {
    let json = |arguments: &[&str]| -> serde_json::Value { serde_json::from_str(&caller.done(arguments)).unwrap() };
    let in_force = || json(&["status", "--output", "json"])["replicas"][0]["status"]["inForce"].clone();
    let first = in_force()["digest"].as_str().unwrap().to_owned();
    assert!(first.starts_with("blake3:"), "{first}");
    assert!(caller.done(&["status"]).contains(&first));
    assert_eq!(caller.run(&["diff", "in-force", source.to_str().unwrap()]).code, Some(0));

    // The new policies: what they would change, what they would cost, then in force.
    let told = caller.run(&["diff", "in-force", AFTER]);
    assert_eq!(told.code, Some(1), "{}", told.err);
    assert!(told.out.contains("changed  rules `before-start`"), "{}", told.out);
    let staged = caller.done(&["candidate", "stage", AFTER, "--sample", "50%", "--reason", "CR-1"]);
    assert!(staged.contains("500 of 1000"), "{staged}");
    assert!(caller.done(&["candidate", "status"]).contains("500 of 1000 requests"));
    assert_eq!(caller.run(&["diff", "candidate", AFTER]).code, Some(0));
    let promote = ["candidate", "promote", "--digest", &digest(AFTER), "--untried", "--reason", "CR-1"];
    let promoted = caller.done(&promote);
    let second = in_force()["digest"].as_str().unwrap().to_owned();
    assert_ne!(second, first);
    assert!(promoted.contains(&second), "{promoted}");
    assert_eq!(caller.run(&["candidate", "status"]).code, Some(1));

    // Back, and the source is what it was, so a reload changes nothing more.
    let revisions = caller.done(&["revisions"]);
    assert!(revisions.contains(&first) && revisions.contains(&second), "{revisions}");
    let generation = |value: &serde_json::Value| value["generation"].as_str().unwrap().parse::<u64>().unwrap();
    let before = generation(&in_force());
    caller.done(&["rollback", "--reason", "refunds too high"]);
    assert_eq!(in_force()["digest"], first.as_str());
    assert_eq!(generation(&in_force()), before + 1, "a rollback is a new generation");
    assert!(caller.done(&["reload"]).contains("nothing changed"));

    // The source changes: first to something wrong, then to something right.
    let policy = source.join("workshop.policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace("cancellation_fee", "cancelation_fee")).unwrap();
    let rejected = caller.run(&["reload"]);
    assert_eq!(rejected.code, Some(3), "{}", rejected.err);
    assert!(rejected.err.contains("workshop.policy.yaml:27:17"), "{}", rejected.err);
    assert_eq!(in_force()["digest"], first.as_str());
    fs::write(&policy, text.replace("version: \"1\"", "version: \"1a\"")).unwrap();
    caller.done(&["reload", "--reason", "CR-2"]);
    assert_ne!(in_force()["digest"], first.as_str());
    caller.done(&["status", "--wait", "--timeout", "20s", "--digest", in_force()["digest"].as_str().unwrap()]);
}
