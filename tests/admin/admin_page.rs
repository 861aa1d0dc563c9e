//! Keeps `docs/admin.md` true: it shows what the program prints, and names what there is.

use std::fs;

use crate::support::admin::page::commands;
use crate::support::admin::{ALL, BEFORE, Caller, Replica, copy, digest, run_with};

fn printed(commands: &[(String, String)], command: &str) -> String {
    let found = commands.iter().find(|(known, _)| known == command);
    found.unwrap_or_else(|| panic!("the page has no `{command}`")).1.clone()
}

#[test]
fn the_admin_page_shows_what_the_program_prints() {
    let page = fs::read_to_string("docs/admin.md").unwrap();
    let commands = commands(&page);
    let source = copy(BEFORE);
    let replica = Replica::start(source.path());
    let caller = Caller::new(&replica.addr, ALL);
    let next = copy(source.path().to_str().unwrap());
    for name in ["workshop.policy.yaml", "workshop.cases.yaml"] {
        let path = next.path().join(name);
        let text = fs::read_to_string(&path).unwrap().replace("50%", "40%");
        let text = text.replace("refund: 44.95", "refund: 53.94").replace("fee: 44.95", "fee: 35.96");
        fs::write(path, text).unwrap();
    }
    let next = next.path().to_str().unwrap();
    let check = caller.done(&["check", next]).replace(next, "next-policies");
    assert_eq!(printed(&commands, "requite check next-policies"), check);
    let differences = caller.run(&["diff", "in-force", next]).out;
    assert_eq!(printed(&commands, "requite diff in-force next-policies"), differences);

    // What a server says of itself, with the moments and places of the page.
    let status = printed(&commands, "requite status");
    let captions = |page: &str| -> Vec<String> { page.lines().map(|line| line.chars().take(14).collect()).collect() };
    let shown = caller.done(&["status"]);
    assert_eq!(captions(&status), captions(&shown));
    assert!(status.contains(&digest(BEFORE)), "{status}");

    caller.done(&["candidate", "stage", next]);
    let money = |units, nanos| Some(requite::api::pb::Money { currency_code: "EUR".into(), units, nanos });
    {
        let mut state = replica.desk.state();
        let report = &mut state.candidate.as_mut().unwrap().0;
        (report.compared, report.different, report.not_comparable, report.shed) = (10, 10, 0, 0);
        report.actor = "alice".into();
        report.staged_at.as_mut().unwrap().seconds = 1_795_341_900;
        report.observed.as_mut().unwrap().seconds = 20;
        report.money = vec![requite::api::pb::MoneyDifference {
            live: money(449, 500_000_000),
            candidate: money(539, 400_000_000),
            difference: money(89, 900_000_000),
            above: money(89, 900_000_000),
            below: money(0, 0),
        }];
        let rule = &mut report.by_rule[0];
        (rule.lines, rule.candidate_rule_id) = (10, "before-start".into());
        rule.difference = vec![money(89, 900_000_000).unwrap()];
        report.further_rules = 0;
        let reason = &mut report.by_reason[0];
        reason.requests = 10;
        (reason.candidate_outcome, reason.candidate_reason) = (reason.live_outcome, reason.live_reason);
    }
    assert_eq!(printed(&commands, "requite candidate status"), caller.done(&["candidate", "status"]));
}

#[test]
fn the_admin_page_names_every_call_and_no_flag_that_is_not_there() {
    let page = fs::read_to_string("docs/admin.md").unwrap();
    let proto = fs::read_to_string("proto/requite/v1/policy_admin_service.proto").unwrap();
    let calls: Vec<&str> =
        proto.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next()).collect();
    assert_eq!(calls.len(), 10, "{calls:?}");
    for call in calls {
        assert!(page.contains(&format!("`{call}`")), "{call}");
    }
    let verbs = ["status", "reload", "rollback", "revisions", "candidate", "diff", "check"];
    let mut tried = 0;
    for (command, _) in commands(&page) {
        let words: Vec<String> = command.split('"').enumerate().flat_map(words_of).collect();
        let [program, arguments @ ..] = words.as_slice() else { continue };
        if program != "requite" || !verbs.contains(&arguments[0].as_str()) {
            continue;
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--help"]).collect();
        assert_eq!(run_with(&arguments, &[]).code, Some(0), "{command}");
        tried += 1;
    }
    assert!(10 <= tried, "{tried}");
}

/// The words of a part of a command: one where it stood in quotes.
fn words_of((place, part): (usize, &str)) -> Vec<String> {
    if place % 2 == 1 { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() }
}
