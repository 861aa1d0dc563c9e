//! The default bundle is admitted with its cases, which cover the guide and the policy in full;
//! the example requests beside it are answered as they say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use requite::api::json;
use requite::api::pb::{self, Outcome, ReasonCode};
use requite::cases::rehearse;
use requite::engine::admit::{Admission, admit};
use requite::engine::open;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, render};
use requite::policy::load::load;
use requite::policy::source::Source;
use requite::policy::tree::{Node, NodeKind, parse};
use requite::server::evaluate;

const FOLDER: &str = "policies/standard";
const CASES: &str = "standard.cases.yaml";

/// Fewer cases than this, and some edge of the guide has lost its own.
const CASES_MIN: usize = 300;

/// The rules of the guide.
fn rules_of_the_guide() -> BTreeSet<String> {
    (1..=25).map(|number| format!("R{number}")).collect()
}

fn bundle() -> Bundle {
    let file = |path: &str| BundleFile {
        path: path.into(),
        bytes: fs::read(Path::new(FOLDER).join(path)).unwrap_or_else(|error| panic!("{path}: {error}")),
    };
    Bundle::new(vec![file("standard.policy.yaml"), file(CASES), file("calendars/cn.yaml")]).unwrap()
}

fn admitted() -> Admission {
    let bundle = bundle();
    match admit(&bundle) {
        Ok(admission) => admission,
        Err(rejection) => panic!("\n{}", render(&rejection.diagnostics, &bundle, Colour::Off)),
    }
}

#[test]
fn the_default_bundle_is_admitted() {
    let admission = admitted();
    assert!(admission.warnings.is_empty(), "{:?}", admission.warnings);
    assert!(CASES_MIN <= admission.cases_passed, "only {} cases", admission.cases_passed);
}

#[test]
fn every_case_names_rules_of_the_guide_and_every_rule_has_a_case() {
    let text = fs::read_to_string(Path::new(FOLDER).join(CASES)).unwrap();
    let root = parse(&Source::new(CASES, &text, 0), &mut Vec::new()).unwrap();
    let mut covered = BTreeSet::new();
    for case in items(key(&root, "cases").unwrap()) {
        let rules = key(case, "covers").map(items).unwrap_or_default();
        assert!(!rules.is_empty(), "the case {} covers no rule", key(case, "case").unwrap().describe());
        covered.extend(rules.iter().map(scalar));
    }
    assert_eq!(covered, rules_of_the_guide());
}

fn key<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let NodeKind::Mapping(entries) = &node.kind else { panic!("{} is not a mapping", node.describe()) };
    entries.iter().find(|(key, _)| key.value == name).map(|(_, value)| value)
}

fn items(node: &Node) -> &[Node] {
    let NodeKind::List(items) = &node.kind else { panic!("{} is not a list", node.describe()) };
    items
}

fn scalar(node: &Node) -> String {
    let NodeKind::Scalar(text, _) = &node.kind else { panic!("{} is not a text", node.describe()) };
    text.clone()
}

#[test]
fn every_rule_of_the_policy_decides_some_case() {
    let bundle = bundle();
    let (loaded, diagnostics) = load(&bundle);
    let loaded = loaded.unwrap_or_else(|| panic!("{diagnostics:?}"));
    let exercised = rehearse(&bundle, &loaded).exercised;
    let unused: Vec<&str> = loaded
        .plans
        .iter()
        .flat_map(|plan| plan.rules.iter().map(|rule| (plan.id.clone(), rule.id.clone(), rule.id.as_str())))
        .filter(|(plan, rule, _)| !exercised.contains(&(plan.clone(), rule.clone())))
        .map(|(_, _, id)| id)
        .collect();
    assert!(unused.is_empty(), "no case reaches {unused:?}");
}

/// An example request, and the answer to it.
struct Example {
    file: &'static str,
    outcome: Outcome,
    /// The primary one.
    reason: ReasonCode,
    refund: &'static str,
    /// What goes back to each tender.
    tenders: &'static [(&'static str, &'static str)],
    next: &'static [&'static str],
}

const EXAMPLES: [Example; 12] = [
    Example {
        file: "after-sales-appeal.json",
        outcome: Outcome::ManualReview,
        reason: ReasonCode::ReviewRequired,
        refund: "0.00",
        tenders: &[("pay-1", "0.00")],
        next: &["complaint", "stay_reachable"],
    },
    Example {
        // Half of 388.00.
        file: "agreed-delay.json",
        outcome: Outcome::ApprovedPartial,
        reason: ReasonCode::DeductionsApplied,
        refund: "194.00",
        tenders: &[("pay-1", "194.00")],
        next: &["stay_reachable"],
    },
    Example {
        file: "completed.json",
        outcome: Outcome::Denied,
        reason: ReasonCode::OrderCompleted,
        refund: "0.00",
        tenders: &[("pay-1", "0.00")],
        next: &["after_sales_appeal", "supplement_evidence", "complaint", "consumer_hotline_12315"],
    },
    Example {
        // A quarter of 960.00 is 240.00; the declared 300.00 is more.
        file: "customer-cancels.json",
        outcome: Outcome::ApprovedPartial,
        reason: ReasonCode::DeductionsApplied,
        refund: "660.00",
        tenders: &[("pay-1", "660.00")],
        next: &["stay_reachable"],
    },
    Example {
        file: "missing-evidence.json",
        outcome: Outcome::MoreInfoRequired,
        reason: ReasonCode::EvidenceMissing,
        refund: "0.00",
        tenders: &[("pay-1", "0.00")],
        next: &["supplement_evidence", "keep_records"],
    },
    Example {
        // Five eighths of 200.00, nothing of the redeemed 50.00, all of 300.00.
        file: "multi-line.json",
        outcome: Outcome::ApprovedPartial,
        reason: ReasonCode::OrderRedeemed,
        refund: "425.00",
        tenders: &[("pay-1", "425.00")],
        next: &["after_sales_appeal", "stay_reachable"],
    },
    Example {
        file: "not-started-24h.json",
        outcome: Outcome::ApprovedFull,
        reason: ReasonCode::Unspecified,
        refund: "128.00",
        tenders: &[("pay-1", "128.00")],
        next: &[],
    },
    Example {
        file: "platform-late-partial.json",
        outcome: Outcome::ApprovedPartial,
        reason: ReasonCode::DeductionsApplied,
        refund: "125.00",
        tenders: &[("pay-1", "125.00")],
        next: &["stay_reachable"],
    },
    Example {
        file: "shared-liability.json",
        outcome: Outcome::ManualReview,
        reason: ReasonCode::LiabilityUndetermined,
        refund: "0.00",
        tenders: &[("pay-1", "0.00")],
        next: &["stay_reachable"],
    },
    Example {
        // Three quarters of 300.00 are 225.00; a fifteenth of that was paid by coupon.
        file: "two-tenders-with-coupon.json",
        outcome: Outcome::ApprovedPartial,
        reason: ReasonCode::DeductionsApplied,
        refund: "210.00",
        tenders: &[("pay-1", "210.00"), ("pay-2", "0.00")],
        next: &["stay_reachable"],
    },
    Example {
        file: "unofficial-channel.json",
        outcome: Outcome::Denied,
        reason: ReasonCode::ChannelNotAllowed,
        refund: "0.00",
        tenders: &[("pay-1", "0.00")],
        next: &["supplement_evidence", "complaint", "consumer_hotline_12315"],
    },
    Example {
        file: "vague-text.json",
        outcome: Outcome::MoreInfoRequired,
        reason: ReasonCode::ReasonTooVague,
        refund: "0.00",
        tenders: &[("pay-1", "0.00")],
        next: &["restate_reason", "keep_records"],
    },
];

fn requests() -> std::path::PathBuf {
    Path::new(FOLDER).join("requests")
}

#[test]
fn every_example_request_is_answered_as_expected() {
    let (engine, _activator) = open(admitted());
    let snapshot = engine.current();
    for example in &EXAMPLES {
        let file = example.file;
        let text = fs::read_to_string(requests().join(file)).unwrap();
        let request = json::request_from_json(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let response = evaluate(&snapshot, &request).unwrap_or_else(|status| panic!("{file}: {status}"));
        let tenders: Vec<(&str, String)> =
            response.tenders.iter().map(|tender| (tender.tender_id.as_str(), yuan(tender.amount.as_ref()))).collect();
        let expected: Vec<(&str, String)> =
            example.tenders.iter().map(|&(id, amount)| (id, amount.to_owned())).collect();
        let next: Vec<&str> = response.next_steps.iter().map(|step| step.action.as_str()).collect();
        assert_eq!(response.outcome(), example.outcome, "{file}");
        assert_eq!(response.reason_code(), example.reason, "{file}");
        assert_eq!(yuan(response.refund.as_ref()), example.refund, "{file}");
        assert_eq!(tenders, expected, "{file}");
        assert_eq!(next, example.next, "{file}");
        assert_eq!(response.request_id, request.request_id, "{file}");
    }
}

fn yuan(money: Option<&pb::Money>) -> String {
    let pb::Money { currency_code, units, nanos } = money.unwrap();
    assert_eq!((currency_code.as_str(), nanos % 10_000_000), ("CNY", 0));
    format!("{units}.{:02}", nanos / 10_000_000)
}

#[test]
fn every_example_request_has_an_expected_answer() {
    let files: BTreeSet<String> =
        fs::read_dir(requests()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let expected: BTreeSet<String> = EXAMPLES.iter().map(|example| example.file.to_owned()).collect();
    assert_eq!(files, expected);
}

#[test]
fn example_requests_are_written_as_canonical_json() {
    for example in &EXAMPLES {
        let text = fs::read_to_string(requests().join(example.file)).unwrap();
        let canonical = json::request_to_json(&json::request_from_json(&text).unwrap());
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&text), value(&canonical), "{}", example.file);
    }
}
