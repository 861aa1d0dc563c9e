//! The verbs of the admin service: the real program calls a service on a real socket.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::support::admin::{AFTER, ALL, BEFORE, Caller, READ, Replica, bundle, copy, digest, run_with, walkthrough};

/// A replica of the policies before, and someone who may do everything.
fn replica() -> (TempDir, Replica, Caller) {
    let source = copy(BEFORE);
    let replica = Replica::start(source.path());
    let caller = Caller::new(&replica.addr, ALL);
    (source, replica, caller)
}

#[test]
fn an_admin_walks_through_all_of_it() {
    let (source, _replica, caller) = replica();
    walkthrough::walk(&caller, source.path());
}

#[test]
fn the_differences_are_told_as_expected() {
    let said = run_with(&["diff", BEFORE, AFTER], &[]);
    let expected = Path::new("tests/policy_diff/expected.txt");
    if std::env::var_os("REQUITE_UPDATE_EXPECTED").is_some() {
        fs::write(expected, &said.out).unwrap();
    }
    assert_eq!(said.out, fs::read_to_string(expected).unwrap(), "REQUITE_UPDATE_EXPECTED=1 writes it anew");
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""));
}

#[test]
fn a_diff_says_whether_there_is_one() {
    let same = run_with(&["diff", BEFORE, BEFORE], &[]);
    assert_eq!((same.code, same.out.as_str()), (Some(0), "the same, byte by byte\n"));
    let other = copy(BEFORE);
    let policy = other.path().join("workshop.policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, format!("# only a comment\n{text}")).unwrap();
    let layout = run_with(&["diff", BEFORE, other.path().to_str().unwrap()], &[]);
    assert_eq!(layout.code, Some(0));
    assert!(layout.out.contains("nothing differs but the layout"), "{}", layout.out);

    let (a, b) = (format!("{BEFORE}/workshop.policy.yaml"), format!("{AFTER}/terms.policy.yaml"));
    let files = run_with(&["diff", &a, &b, "--output", "json"], &[]);
    assert_eq!(files.code, Some(1));
    let told: serde_json::Value = serde_json::from_str(&files.out).unwrap();
    let changes = told["changes"].as_array().unwrap();
    assert!(changes.iter().any(|change| change["kind"] == "CHANGE_KIND_MOVED" && change["name"] == "begun"), "{told}");
    assert!(changes.iter().all(|change| change["document"] == "workshop"), "{told}");

    let missing = run_with(&["diff", BEFORE, "nowhere"], &[]);
    assert_eq!(missing.code, Some(3));
    assert!(missing.err.contains("`nowhere`") && missing.err.contains("`in-force`"), "{}", missing.err);
}

#[test]
fn revisions_of_a_server_are_told_apart_as_directories_are() {
    let (_source, replica, caller) = replica();
    let told = caller.run(&["diff", "in-force", AFTER]);
    assert_eq!(told.code, Some(1));
    assert_eq!(told.out, fs::read_to_string("tests/policy_diff/expected.txt").unwrap());
    let none = caller.run(&["diff", "in-force", "candidate"]);
    assert_eq!(none.code, Some(3));
    assert!(none.err.contains("there is no candidate"), "{}", none.err);
    caller.done(&["candidate", "stage", AFTER]);
    assert_eq!(caller.run(&["diff", "in-force", "candidate"]).out, told.out);
    let short = &digest(BEFORE)["blake3:".len()..][..10];
    assert_eq!(caller.run(&["diff", short, "in-force"]).code, Some(0));
    assert_eq!(caller.run(&["diff", "00000000", "in-force"]).code, Some(3));
    drop(replica);
    let silent = caller.run(&["diff", "in-force", AFTER]);
    assert_eq!(silent.code, Some(3), "not the exit code of a difference");
    assert!(silent.err.contains("cannot connect to") && silent.err.contains("--admin-listen"), "{}", silent.err);
}

#[test]
fn one_server_tells_all_about_itself() {
    let (source, replica, caller) = replica();
    let page = caller.done(&["status"]);
    for expected in [
        &format!("replica       {}, requite 0.1.0, started 2026-", replica.addr),
        &format!("in force      {}\n", digest(BEFORE)),
        "generation 1, since 2026-09-21T14:14:20Z, start\n",
        "policies      workshop 1\n",
        "decisions     1234 since then\n",
        ": in force\n",
        "restart       the same policies\n",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    fs::write(source.path().join("workshop.policy.yaml"), "rules: [").unwrap();
    assert_eq!(caller.run(&["reload"]).code, Some(3));
    let page = caller.done(&["status"]);
    assert!(page.contains("which is not in force\n") && page.contains("rejected"), "{page}");
    assert!(page.contains("--> workshop.policy.yaml:"), "{page}");
}

#[test]
fn several_servers_agree_or_not() {
    let (one, two) = (copy(BEFORE), copy(BEFORE));
    let replicas = [Replica::start(one.path()), Replica::start(two.path())];
    let both = format!("{},{}", replicas[0].addr, replicas[1].addr);
    let caller = Caller::new(&both, READ);
    let agree = caller.run(&["status"]);
    assert_eq!(agree.code, Some(0), "{}", agree.err);
    let lines: Vec<&str> = agree.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", agree.out);
    assert!(lines[0].starts_with("address"), "{}", agree.out);
    assert!(agree.err.contains(&format!("all of them have {}", digest(BEFORE))), "{}", agree.err);

    fs::remove_file(one.path().join("workshop.policy.yaml")).unwrap();
    for name in ["terms.policy.yaml", "workshop.cases.yaml"] {
        fs::copy(Path::new(AFTER).join(name), one.path().join(name)).unwrap();
    }
    Caller::new(&replicas[0].addr, ALL).done(&["reload"]);
    let split = caller.run(&["status", "--output", "json"]);
    assert_eq!(split.code, Some(1));
    let told: serde_json::Value = serde_json::from_str(&split.out).unwrap();
    assert_eq!(told["agree"], false);
    assert_eq!(told["replicas"][1]["status"]["inForce"]["digest"], digest(BEFORE).as_str());
    assert!(split.err.contains("they do not agree"), "{}", split.err);
    let late = caller.run(&["status", "--wait", "--timeout", "1s"]);
    assert_eq!(late.code, Some(1), "{}", late.out);

    // The other one follows while somebody waits for it.
    let follower = std::thread::spawn({
        let (addr, two) = (replicas[1].addr.clone(), two.path().to_owned());
        move || {
            std::thread::sleep(Duration::from_millis(700));
            fs::remove_file(two.join("workshop.policy.yaml")).unwrap();
            for name in ["terms.policy.yaml", "workshop.cases.yaml"] {
                fs::copy(Path::new(AFTER).join(name), two.join(name)).unwrap();
            }
            Caller::new(&addr, ALL).done(&["reload"]);
        }
    });
    let wanted = digest(AFTER);
    let waited = caller.run(&["status", "--wait", "--timeout", "60s", "--digest", &wanted]);
    follower.join().unwrap();
    assert_eq!(waited.code, Some(0), "{}{}", waited.out, waited.err);
    let other = caller.run(&["status", "--digest", &digest(BEFORE)]);
    assert_eq!(other.code, Some(1));
    assert!(other.err.contains("not the digest asked for is in force"), "{}", other.err);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let (_source, replica, caller) = replica();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let both = caller.run(&["status", "--addr", &replica.addr, "--addr", &free]);
    assert_eq!(both.code, Some(1));
    assert!(both.out.contains(&format!("{free}: cannot connect to {free}")), "{}", both.out);
    assert!(both.err.contains("1 of 2 did not say where they stand"), "{}", both.err);
    let one = caller.run(&["reload", "--addr", &free]);
    assert_eq!(one.code, Some(1));
    assert!(one.err.contains("--admin-listen"), "{}", one.err);
}

#[test]
fn a_watch_tells_until_the_server_ends_it() {
    let (_source, _replica, caller) = replica();
    let said = caller.run(&["status", "--watch"]);
    assert_eq!((said.code, said.out.lines().count()), (Some(1), 2), "{}", said.out);
    assert!(said.out.contains("generation 1") && said.err.contains("the server ended it"), "{}{}", said.out, said.err);
    let two = caller.run(&["status", "--watch", "--addr", "127.0.0.1:1", "--addr", "127.0.0.1:2"]);
    assert_eq!(two.code, Some(2));
}

#[test]
fn who_may_not_is_told_what_it_takes() {
    let (_source, replica, _) = replica();
    let nobody = run_with(&["status", "--addr", &replica.addr], &[]);
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.err.contains("UNAUTHENTICATED") && nobody.err.contains("--token-file FILE"), "{}", nobody.err);
    let wrong = Caller::new(&replica.addr, "a-token-of-no-one").run(&["status", "--wait", "--timeout", "60s"]);
    assert_eq!(wrong.code, Some(1), "and it does not wait for what will not change");
    assert!(!wrong.err.contains("a-token-of-no-one"), "{}", wrong.err);
    let reader = Caller::new(&replica.addr, READ);
    reader.done(&["status"]);
    for (arguments, right) in [
        (&["reload"][..], "`reload`"),
        (&["candidate", "stage", AFTER], "`reload`"),
        (&["rollback", "--to", &digest(BEFORE)], "`rollback`"),
    ] {
        let said = reader.run(arguments);
        assert_eq!(said.code, Some(1), "{arguments:?}");
        assert!(said.err.contains(&format!("help: this needs the right {right}")), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn a_token_is_read_from_a_file_of_its_own() {
    let (_source, replica, caller) = replica();
    let file = caller.dir.path().join("tokens");
    fs::write(&file, "lead read,reload,rollback s3cret\n").unwrap();
    let file = file.to_str().unwrap();
    let said = caller.run(&["status", "--token-file", file]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("several words") && !said.err.contains("s3cret"), "{}", said.err);
    let missing = caller.run(&["status", "--token-file", "/nowhere/token"]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.err.contains("cannot read `/nowhere/token`"), "{}", missing.err);
    let _ = replica;
}

#[test]
fn a_reload_says_what_changed_and_what_did_not() {
    let (source, replica, caller) = replica();
    let same = caller.done(&["reload"]);
    assert!(same.starts_with(&format!("nothing changed: {} is in force", &digest(BEFORE)[7..19])), "{same}");
    let policy = source.path().join("workshop.policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace("version: \"1\"", "version: \"2\"")).unwrap();

    let other = caller.run(&["reload", "--expect", "00000000"]);
    assert_eq!(other.code, Some(1));
    let said =
        format!("you expected `00000000` to be in force, but it is {}, generation 1, since 2026-", digest(BEFORE));
    assert!(other.err.contains(&said), "{}", other.err);
    let to_type = format!(
        "`requite diff 00000000 in-force`. If you still want the change, type it again with `--expect {}`",
        &digest(BEFORE)[7..19]
    );
    assert!(other.err.contains(&to_type), "{}", other.err);

    let done = caller.done(&["reload", "--expect", &digest(BEFORE), "--reason", "CR-1"]);
    assert!(done.contains("workshop\n  changed  version\n    - version: \"1\"\n    + version: \"2\"\n"), "{done}");
    assert!(done.contains("generation 2") && done.contains("4 cases passed"), "{done}");
    assert_eq!(replica.desk.state().reasons, ["", "CR-1"]);
    let json: serde_json::Value = serde_json::from_str(&caller.done(&["reload", "--output", "json"])).unwrap();
    assert_eq!(json["activation"]["beforeDigest"], json["activation"]["afterDigest"]);
}

#[test]
fn rejected_policies_are_told_with_their_places() {
    let (source, _replica, caller) = replica();
    let policy = source.path().join("workshop.policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace("kind: cancellation_fee", "kind: cancelation_fee")).unwrap();
    let said = caller.run(&["reload"]);
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""));
    let expected = "error[unknown-word]: `cancelation_fee` is not a known kind of deduction\n  \
                    --> workshop.policy.yaml:27:17\n  = help: did you mean `cancellation_fee`?\n";
    assert!(said.err.contains(expected), "{}", said.err);
    let two = text.replace("kind: cancellation_fee", "kind: cancelation_fee").replace("refund: full", "refund: ful");
    fs::write(&policy, two).unwrap();
    let said = caller.run(&["reload"]);
    assert!(said.err.contains("cancelation_fee") && said.err.contains("`ful`"), "every mistake: {}", said.err);
    fs::write(&policy, text.replace("50%", "40%")).unwrap();
    let cases = caller.run(&["reload"]);
    assert_eq!(cases.code, Some(4), "{}", cases.err);
    fs::remove_file(&policy).unwrap();
    fs::remove_file(source.path().join("workshop.cases.yaml")).unwrap();
    let unreadable = caller.run(&["reload"]);
    assert_eq!(unreadable.code, Some(3), "{}", unreadable.err);
    assert!(unreadable.err.contains("the source cannot be read"), "{}", unreadable.err);
}

#[test]
fn a_promotion_over_what_came_into_force_meanwhile_says_over_what() {
    let (source, _replica, caller) = replica();
    caller.done(&["candidate", "stage", AFTER]);
    let policy = source.path().join("workshop.policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace("version: \"1\"", "version: \"2\"")).unwrap();
    caller.done(&["reload", "--reason", "CR-7"]);
    let now = directory_digest(source.path());
    let page = caller.done(&["candidate", "status"]);
    let beside = format!("beside        {now}, in force; when it was staged, {} was\n", &digest(BEFORE)[7..19]);
    assert!(page.contains(&beside), "{page}");

    let new = digest(AFTER);
    let refused = caller.run(&["candidate", "promote", "--digest", &new]);
    assert_eq!(refused.code, Some(1));
    let said = format!("{} came into force: reload by lead: CR-7 at 2026-", &now[7..19]);
    assert!(refused.err.contains(&said), "{}", refused.err);
    assert!(refused.err.contains(&format!("say over what: `--expect {}`", &now[7..19])), "{}", refused.err);
    let wrong = caller.run(&["candidate", "promote", "--digest", &new, "--expect", &digest(BEFORE)]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.err);
    caller.done(&["candidate", "promote", "--digest", &new, "--expect", &now[7..19]]);
}

#[test]
fn a_candidate_that_was_rolled_back_from_is_said_to_be() {
    let (_source, replica, caller) = replica();
    caller.done(&["candidate", "stage", AFTER]);
    let new = digest(AFTER);
    let mark = requite::api::pb::PolicyWithdrawal {
        withdrawn_at: Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 0 }),
        actor: "bob".into(),
        reason: "too dear".into(),
        digest: digest("policies/standard"),
    };
    replica.desk.state().candidate.as_mut().unwrap().0.withdrawal = Some(mark);
    let page = caller.done(&["candidate", "status"]);
    let said = format!("rolled back   from, as {}, by bob at 2026-", &digest("policies/standard")[7..19]);
    assert!(page.contains(&said) && page.contains(": too dear\n"), "{page}");
    let refused = caller.run(&["candidate", "promote", "--digest", &new]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("`--rolled-back` puts it in force all the same"), "{}", refused.err);
    caller.done(&["candidate", "promote", "--digest", &new, "--rolled-back"]);
}

/// Puts two more versions in force, one after the other.
fn two_more_versions(source: &Path, caller: &Caller) {
    let policy = source.join("workshop.policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    for version in ["2", "3"] {
        fs::write(&policy, text.replace("version: \"1\"", &format!("version: \"{version}\""))).unwrap();
        caller.done(&["reload"]);
    }
}

#[test]
fn a_plain_rollback_undoes_no_change_of_a_colleague_unseen() {
    let (source, replica, caller) = replica();
    two_more_versions(source.path(), &caller);
    caller.done(&["rollback", "--reason", "too high"]);
    let change = {
        let state = &mut replica.desk.state();
        let change = state.of_colleague("bob");
        state.unnoticed = Some(change.clone());
        change
    };
    let in_force = &change.digest[7..19];
    let refused = caller.run(&["rollback"]);
    assert_eq!(refused.code, Some(1));
    let said = format!("error: `bob` has gone back already, to {in_force} at 2026-");
    assert!(refused.err.starts_with(&said) && refused.err.contains("rollback by bob: too high"), "{}", refused.err);
    let to_type = format!(
        "to go back from {in_force} to {} all the same, type `requite rollback --expect {in_force}`;",
        &digest(BEFORE)[7..19]
    );
    assert!(refused.err.contains(&to_type), "{}", refused.err);
    assert!(!refused.err.contains("in force now"), "it is what is in force: {}", refused.err);
    let done = caller.run(&["rollback", "--expect", in_force]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.err.contains(&format!("{in_force} is a colleague's change, made at 2026-")), "{}", done.err);
    assert!(done.err.contains(": rollback by bob: too high\n"), "{}", done.err);
    assert!(done.out.contains(&format!("in force: {}", digest(BEFORE))), "{}", done.out);
}

#[test]
fn a_plain_rollback_names_the_change_of_a_colleague_that_something_else_hides() {
    let (source, replica, caller) = replica();
    two_more_versions(source.path(), &caller);
    let (newest, before) = {
        let state = &mut replica.desk.state();
        let newest = state.of_colleague("");
        let before = requite::api::pb::PolicyActivation {
            digest: newest.before_digest.clone(),
            trigger: requite::api::pb::ReloadTrigger::Promotion.into(),
            actor: "bob\u{1b}[2J".into(),
            ..newest.clone()
        };
        state.unnoticed = Some(before.clone());
        (newest.digest, before.digest)
    };
    let refused = caller.run(&["rollback"]);
    assert_eq!(refused.code, Some(1));
    let said = format!("has changed what is in force, to {} at 2026-", &before[7..19]);
    assert!(refused.err.contains(&said) && !refused.err.contains('\u{1b}'), "{}", refused.err);
    assert!(refused.err.contains(&format!("\n  in force now: {}, since 2026-", &newest[7..19])), "{}", refused.err);
    // To name where to go is enough.
    caller.done(&["rollback", "--to", &before]);
}

/// The digest of a directory that is not one of the tests'.
fn directory_digest(path: &Path) -> String {
    requite::source::directory::read(path).unwrap().digest().to_string()
}

#[test]
fn a_rollback_says_first_what_it_is_about_to_do() {
    let (_source, replica, caller) = replica();
    let nothing = caller.run(&["rollback"]);
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.err.contains("there is nothing to go back to"), "{}", nothing.err);
    caller.done(&["candidate", "stage", AFTER]);
    let (old, new) = (digest(BEFORE), digest(AFTER));
    caller.done(&["candidate", "promote", "--digest", &new]);
    let wrong = caller.run(&["rollback", "--to", "00000000"]);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains(&format!("here are {}, {}", &new[7..19], &old[7..19])), "{}", wrong.err);

    replica.desk.state().rival = Some(bundle("policies/standard"));
    let overtaken = caller.run(&["rollback"]);
    assert_eq!(overtaken.code, Some(1));
    let now = format!("in force now: {}, generation 3", digest("policies/standard"));
    assert!(overtaken.err.contains("ABORTED") && overtaken.err.contains(&now), "{}", overtaken.err);
    let whose = format!("now, then decide again\n  {now}, since 2026-");
    assert!(overtaken.err.ends_with(": reload by rival\n"), "{}", overtaken.err);
    assert!(overtaken.err.contains(&whose), "{}", overtaken.err);

    let done = caller.run(&["rollback", "--to", &old[7..17], "--reason", "too high"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let standard = digest("policies/standard");
    let first = format!("going back from {} (generation 3) to {}\n", &standard[7..19], &old[7..19]);
    assert!(done.err.starts_with(&first), "{}", done.err);
    assert!(
        done.out.contains(&format!("in force: {old}, generation 4")) && done.out.contains("note: the source"),
        "{}",
        done.out
    );
    assert_eq!(replica.desk.state().reasons.last().map(String::as_str), Some("too high"));
    let status = caller.done(&["status"]);
    assert!(status.contains("rollback by lead: too high\n") && status.contains("held back: an admin put"), "{status}");
    let list = caller.done(&["revisions"]);
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[1].starts_with(&old) && lines[1].ends_with("rollback by lead: too high  not yet     no"), "{list}");
    assert!(lines[2].starts_with(&standard) && lines[2].contains("by lead at "), "{list}");
    assert!(lines[2].ends_with(": too high"), "{list}");
    let history = &lines[lines.iter().position(|line| *line == "history of activations").unwrap()..];
    assert_eq!(history.len(), 6, "{list}");
    assert!(history[2].contains(&old[7..19]) && history[2].contains("workshop 1, and 2 more"), "{list}");
    assert!(history[5].ends_with("  start"), "{list}");

    // Going back again does not go forth to what was rolled back from.
    let further = caller.done(&["rollback"]);
    assert!(further.contains(&format!("in force: {new}, generation 5")), "{further}");
    let nowhere = caller.run(&["rollback"]);
    assert_eq!(nowhere.code, Some(1));
    for said in ["all that there is to go back to was rolled back from", &old, &standard, "rollback --to DIGEST"] {
        assert!(nowhere.err.contains(said), "{said}: {}", nowhere.err);
    }
}

#[test]
fn a_rollback_that_a_colleague_was_faster_with_is_not_to_be_made_twice() {
    let (_source, replica, caller) = replica();
    caller.done(&["candidate", "stage", AFTER]);
    caller.done(&["candidate", "promote", "--digest", &digest(AFTER)]);
    replica.desk.state().rival = Some(bundle(BEFORE));
    let same = caller.run(&["rollback"]);
    assert_eq!(same.code, Some(1));
    let now = format!("there is nothing more to do\n  in force now: {}", digest(BEFORE));
    assert!(same.err.contains("ABORTED") && same.err.contains(&now), "{}", same.err);
    assert!(!same.err.contains("--expect"), "{}", same.err);
}

#[test]
fn the_report_of_a_candidate_has_every_sum() {
    let (_source, _replica, caller) = replica();
    let none = caller.run(&["candidate", "status"]);
    assert_eq!(none.code, Some(1));
    assert!(none.err.contains("requite candidate stage DIR"), "{}", none.err);
    let staged = caller.done(&["candidate", "stage", AFTER, "--sample", "10%"]);
    let differences = fs::read_to_string("tests/policy_diff/expected.txt").unwrap();
    let expected = format!(
        "{differences}candidate: {}, beside 100 of 1000 live requests\nnext: `requite candidate status`\n",
        digest(AFTER)
    );
    assert_eq!(staged, expected);
    let expected = format!(
        "\
candidate     {}
staged        2026-09-21T14:28:20Z by lead
beside        {}, in force
sample        100 of 1000 requests, for 12m 4s
requests      1200 compared: 31 different; 5 not comparable, 2 shed

refunds of the compared requests
  currency      live  candidate  difference  above   below
  EUR       10000.05    9900.04     -100.01  20.00  120.01

lines decided otherwise, by rule
  policy    rule in force  rule of the candidate  lines   difference
  workshop  before-start   otherwise                 31  -100.01 EUR
  and 4 lines under further rules

requests decided otherwise, by outcome and reason
  in force                              candidate                        requests
  approved partial: deductions applied  manual review: no matching rule        31
",
        digest(AFTER),
        digest(BEFORE)
    );
    assert_eq!(caller.done(&["candidate", "status"]), expected);
    let json: serde_json::Value =
        serde_json::from_str(&caller.done(&["candidate", "status", "--output", "json"])).unwrap();
    assert_eq!(json["money"][0]["difference"]["units"], "-100");
    let other = caller.run(&["candidate", "discard", "--digest", "00000000"]);
    assert_eq!(other.code, Some(1));
    assert!(other.err.contains("another candidate is staged"), "{}", other.err);
    let gone = caller.done(&["candidate", "discard", "--reason", "too dear"]);
    assert!(gone.starts_with("discarded; its last report:\ncandidate "), "{gone}");
    assert_eq!(caller.run(&["candidate", "discard"]).code, Some(1));
}

#[test]
fn a_candidate_with_mistakes_is_reported_as_check_reports_it() {
    let (_source, _replica, caller) = replica();
    let dir = copy(BEFORE);
    let path = dir.path().to_str().unwrap();
    let policy = dir.path().join("workshop.policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    for (from, to, code) in [("kind: cancellation_fee", "kind: cancelation_fee", 3), ("50%", "40%", 4)] {
        fs::write(&policy, text.replace(from, to)).unwrap();
        let check = run_with(&["check", path], &[]);
        let said = caller.run(&["candidate", "stage", path]);
        assert_eq!((said.code, check.code), (Some(code), Some(code)), "{}", said.err);
        let report = check.err.split("\n1 error").next().unwrap();
        assert!(said.err.starts_with(report), "{}\n{}", said.err, check.err);
        assert!(said.err.contains("nothing was staged"), "{}", said.err);
    }
    assert_eq!(caller.run(&["candidate", "stage", "/nowhere"]).code, Some(3));
    // Without a directory it is the source of the server.
    let source = caller.done(&["candidate", "stage"]);
    assert!(source.starts_with("decides as what is in force does"), "{source}");
}

#[test]
fn a_colleagues_candidate_and_an_untried_one_take_a_word_more() {
    let (_source, replica, caller) = replica();
    caller.done(&["candidate", "stage", AFTER]);
    replica.desk.state().candidate.as_mut().unwrap().0.actor = "bob".into();
    let no = caller.run(&["candidate", "stage", AFTER]);
    assert_eq!(no.code, Some(1));
    assert!(no.err.contains("`bob` staged the candidate") && no.err.contains("stage --replace"), "{}", no.err);
    caller.done(&["candidate", "stage", AFTER, "--replace"]);

    let unnamed = caller.run(&["candidate", "promote"]);
    assert_eq!(unnamed.code, Some(2));
    assert!(unnamed.err.contains("--digest <DIGEST>"), "{}", unnamed.err);
    replica.desk.state().candidate.as_mut().unwrap().0.compared = 0;
    let name = &digest(AFTER)[7..19];
    let no = caller.run(&["candidate", "promote", "--digest", name]);
    assert_eq!(no.code, Some(1));
    assert!(no.err.contains("--untried"), "{}", no.err);
    caller.done(&["candidate", "promote", "--digest", name, "--untried"]);
}

#[test]
fn a_candidate_is_promoted_only_over_what_was_seen() {
    let (_source, replica, caller) = replica();
    caller.done(&["candidate", "stage", AFTER]);
    replica.desk.state().rival = Some(bundle("policies/standard"));
    let overtaken = caller.run(&["candidate", "promote", "--digest", &digest(AFTER)]);
    assert_eq!(overtaken.code, Some(1));
    assert!(overtaken.err.contains("candidate now"), "{}", overtaken.err);
    let to_type = format!("with `--expect {}`\n", &digest("policies/standard")[7..19]);
    assert!(overtaken.err.contains(": reload by rival\n") && overtaken.err.ends_with(&to_type), "{}", overtaken.err);
    let expected = caller.run(&["candidate", "promote", "--digest", &digest(AFTER), "--expect", &digest(BEFORE)]);
    assert_eq!(expected.code, Some(1));
    let promote = ["candidate", "promote", "--digest", &digest(AFTER), "--reason", "CR-2"];
    assert_eq!(caller.run(&promote).code, Some(1), "over what the rival put in force");
    let done = caller.run(&[&promote[..], &["--expect", &digest("policies/standard")]].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("generation 3") && done.out.contains("its last report:\ncandidate"), "{}", done.out);
    assert_eq!(replica.desk.state().reasons.last().map(String::as_str), Some("CR-2"));
}

#[test]
fn a_unix_socket_is_an_address() {
    let (source, dir) = (copy(BEFORE), tempfile::tempdir().unwrap());
    let replica = Replica::start_on(&dir.path().join("admin.sock"), source.path());
    let caller = Caller::new(&replica.addr, ALL);
    assert!(caller.done(&["status"]).contains(&format!("replica       {},", replica.addr)));
    assert_eq!(caller.run(&["status", "--addr", "unix:relative"]).code, Some(2));
    let gone = caller.run(&["status", "--addr", "unix:/nowhere/admin.sock"]);
    assert_eq!(gone.code, Some(1));
    assert!(gone.err.contains("cannot connect to unix:/nowhere/admin.sock"), "{}", gone.err);
}

#[test]
fn a_connection_with_tls_trusts_only_whom_it_was_told_to() {
    let issued = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (server, client, stranger) = (issued("localhost"), issued("client"), issued("localhost"));
    let identity = Identity::from_pem(server.cert.pem(), server.signing_key.serialize_pem());
    let tls = ServerTlsConfig::new().identity(identity).client_ca_root(Certificate::from_pem(client.cert.pem()));
    let source = copy(BEFORE);
    let replica = Replica::start_with(source.path(), Some(tls));
    let caller = Caller::new(&replica.addr.replace("127.0.0.1", "localhost"), ALL);
    let written = |name: &str, text: String| {
        let path = caller.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ca, other) = (written("ca.pem", server.cert.pem()), written("other.pem", stranger.cert.pem()));
    let (cert, key) = (written("cert.pem", client.cert.pem()), written("key.pem", client.signing_key.serialize_pem()));

    caller.done(&["status", "--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key]);
    for arguments in [
        &["status"][..],
        &["status", "--tls-ca", &ca],
        &["status", "--tls-ca", &other, "--tls-cert", &cert, "--tls-key", &key],
    ] {
        let said = caller.run(arguments);
        assert_eq!(said.code, Some(1), "{arguments:?}: {}{}", said.out, said.err);
    }
    for arguments in
        [&["status", "--tls-cert", &cert][..], &["status", "--tls-ca", "/nowhere"], &["status", "--tls-ca", &key]]
    {
        let said = caller.run(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}{}", said.out, said.err);
    }
}

#[test]
fn a_token_in_the_clear_is_warned_of() {
    let caller = Caller::new("requite.invalid:1", ALL);
    let said = caller.run(&["status"]);
    assert!(said.err.contains("warning: your token goes to requite.invalid:1"), "{}", said.err);
    assert_eq!(said.code, Some(1), "and then there is nobody");
}

#[test]
fn a_connection_that_breaks_before_the_answer_is_no_answer() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    // Takes each connection and ends it once something was sent.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _sent = std::io::Read::read(&mut stream, &mut [0; 1024]);
        }
    });
    for (verb, changes) in
        [(&["reload"][..], true), (&["candidate", "discard"], true), (&["status"], false), (&["revisions"], false)]
    {
        let said = run_with(&[verb, &["--addr", &addr]].concat(), &[]);
        assert_eq!(said.code, Some(1), "{verb:?}");
        assert!(
            said.err.contains(" broke before the answer") && !said.err.contains("refused"),
            "{verb:?}: {}",
            said.err
        );
        assert_eq!(said.err.contains("the change may have been made or not"), changes, "{verb:?}: {}", said.err);
    }
}

/// The words of a line of the shell, without a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![];
    for (place, part) in line.split('\'').enumerate() {
        if place % 2 == 1 {
            words.push(part.to_owned());
            continue;
        }
        let (before, comment) = part.split_once('#').map_or((part, false), |(before, _)| (before, true));
        words.extend(before.split_whitespace().map(str::to_owned));
        if comment {
            break;
        }
    }
    words
}

#[test]
fn every_example_of_an_admin_verb_is_a_command_line() {
    let mut examples = 0;
    for verb in [
        "reload",
        "rollback",
        "revisions",
        "candidate",
        "candidate stage",
        "candidate status",
        "candidate promote",
        "candidate discard",
    ] {
        let verb: Vec<&str> = verb.split(' ').collect();
        let help = run_with(&[&verb[..], &["--help"]].concat(), &[]).out;
        for line in help.lines().filter_map(|line| line.strip_prefix("  requite ")) {
            let words = words(line);
            let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "my-policies").collect();
            // A diff needs no connection, and takes none.
            if words[0] == "diff" {
                continue;
            }
            let said = run_with(&[&words[..], &["--addr", "unix:/nowhere/admin.sock"]].concat(), &[]);
            assert!(said.code == Some(1) && said.err.contains("cannot connect to"), "{line}: {}", said.err);
            examples += 1;
        }
    }
    assert!(examples > 10, "{examples}");
}

#[test]
fn every_verb_explains_itself_with_an_example_and_exit_codes() {
    for verb in [
        &["status"][..],
        &["reload"],
        &["rollback"],
        &["revisions"],
        &["diff"],
        &["candidate"],
        &["candidate", "stage"],
        &["candidate", "status"],
        &["candidate", "promote"],
        &["candidate", "discard"],
    ] {
        let help = run_with(&[verb, &["--help"]].concat(), &[]);
        assert_eq!(help.code, Some(0), "{verb:?}");
        assert!(
            help.out.contains("Example") && help.out.contains(&format!("requite {}", verb.join(" "))),
            "{}",
            help.out
        );
        assert!(help.out.contains("Exit codes:\n  0  "), "{verb:?}: {}", help.out);
    }
    for wrong in [
        &["status", "--timeout", "30s"][..],
        &["status", "--wait", "--timeout", "soon"],
        &["reload", "--expect", "abc"],
        &["candidate"],
        &["candidate", "stage", "x", "--sample", "0%"],
        &["diff", "a"],
        &["rollback", "--addr", "nonsense"],
    ] {
        assert_eq!(run_with(wrong, &[]).code, Some(2), "{wrong:?}");
    }
}
