//! Orders that are claimed again, in parts, in another order, with free lines and components beside: every figure is
//! worked out by hand in the cases of `tests/money`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use requite::api::{json, pb};
use requite::cli::show::decision::response_to_text;
use requite::engine::admit::admit;
use requite::engine::open;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, render};
use requite::server::evaluate;

/// Fewer cases than this, and a figure has lost its case.
const CASES_MIN: usize = 110;

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/money");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// The files of a folder, and of those in it, by their paths in it.
fn files(root: &Path, folder: &Path) -> Vec<BundleFile> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(root, &path));
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push(BundleFile { path: name, bytes: fs::read(path).unwrap() });
        }
    }
    files
}

fn bundle(folder: &Path) -> Bundle {
    Bundle::new(files(folder, folder)).unwrap()
}

/// Warnings of `check` on folders that show what comes of what is warned of.
fn expected_warnings(folder: &str) -> &'static [&'static str] {
    match folder {
        "components" => &["component-modes-differ"],
        "debts" => &["component-modes-differ", "component-shifts"],
        _ => &[],
    }
}

#[test]
fn every_figure_worked_out_by_hand_comes_out() {
    let mut cases = 0;
    for folder in folders() {
        let bundle = bundle(&folder);
        let admission = admit(&bundle)
            .unwrap_or_else(|rejection| panic!("\n{}", render(&rejection.diagnostics, &bundle, Colour::Off)));
        let warned: BTreeSet<&str> = admission.warnings.iter().map(|warning| warning.code).collect();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let expected = BTreeSet::from_iter(expected_warnings(name).iter().copied());
        assert_eq!(warned, expected, "{}: {:?}", folder.display(), admission.warnings);
        cases += admission.cases_passed;
    }
    assert!(CASES_MIN <= cases, "only {cases} cases");
}

/// What `--output text` prints of an order with every kind of amount, with the explanation.
fn printed(request: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/money/printed");
    let (engine, _activator) = open(admit(&bundle(&folder)).unwrap());
    let request = json::request_from_json(request).unwrap();
    let response = evaluate(&engine.current(), &request).unwrap();
    response_to_text(&request, &response)
}

#[test]
fn every_amount_of_an_answer_has_a_line_for_people() {
    let text = printed(
        r#"{ "order": { "orderId": "o-1",
              "times": { "departs_at": "2026-03-03T11:00:00Z" },
              "lines": [
                { "lineId": "a", "paid": { "currencyCode": "EUR", "units": "50" } },
                { "lineId": "b", "paid": { "currencyCode": "EUR", "units": "100" }, "tags": ["final"] } ],
              "components": [
                { "name": "gift_wrap", "paid": { "currencyCode": "EUR", "units": "4" } },
                { "name": "shipping", "paid": { "currencyCode": "EUR", "units": "8" } } ] },
             "claim": { "requestedAt": "2026-03-02T09:00:00Z" }, "explain": "EXPLAIN_LEVEL_FULL" }"#,
    );
    for line in [
        "refund        48.00 EUR by original payment",
        "line          a: approved partial, 40.00 EUR of 50.00 EUR (rule `cancel`)",
        "line          b: denied, cost 100.00 EUR (rule `final`)",
        "component     gift_wrap: 0.00 EUR of 4.00 EUR",
        "component     shipping: 8.00 EUR of 8.00 EUR",
        "held back     10.00 EUR cancellation fee: paid by until(departs_at), tier `[24h..48h)`: 20% (of 50.00 EUR, line a)",
        "held back     4.00 EUR non refundable component: kept of a component by the policy (of 4.00 EUR, component gift_wrap)",
        "compensation  12.50 EUR delay (rule `cancel`, line a)",
        "amount due    3.00 EUR rebooking (rule `cancel`, line a)",
        "worked out    paid by until(departs_at), tier `[24h..48h)`: 20% = 10.00, taken 10.00 EUR",
    ] {
        assert!(text.lines().any(|printed| printed == line), "`{line}` is not in\n{text}");
    }
}

#[test]
fn a_refund_that_is_not_decided_is_not_said_to_be_nothing() {
    let text = printed(
        r#"{ "order": { "orderId": "o-1",
              "lines": [ { "lineId": "a", "paid": { "currencyCode": "EUR", "units": "50" } } ] },
             "claim": { "requestedAt": "2026-03-02T09:00:00Z" } }"#,
    );
    assert!(text.contains("\nrefund        not decided yet\n"), "{text}");
    assert!(text.contains("\nline          a: cost 50.00 EUR (rule `cancel`)\n"), "{text}");
    assert!(!text.contains("0.00 EUR the order") && !text.contains(" 0.00 EUR"), "{text}");
}

/// What the explanation of a request says of the deductions of each line: what a step came to, and what is held back for it.
fn explained(deductions: &str, lines: &str) -> Vec<(String, Vec<(String, String)>)> {
    let policy = format!(
        "policy: t\nversion: '1'\ntimezone: UTC\ncurrencies: [EUR]\nrules:\n  - {{ id: any, refund: {{ deduct: [{deductions}] }} }}\n\
         otherwise: {{ deny: NO_MATCHING_RULE }}\n"
    );
    let file = BundleFile { path: "t.policy.yaml".into(), bytes: policy.into() };
    let (engine, _activator) = open(admit(&Bundle::new(vec![file]).unwrap()).unwrap());
    let request = format!(
        r#"{{ "order": {{ "orderId": "o-1", "lines": [{lines}] }},
              "claim": {{ "requestedAt": "2026-03-02T09:00:00Z" }}, "explain": "EXPLAIN_LEVEL_FULL" }}"#
    );
    let response = evaluate(&engine.current(), &json::request_from_json(&request).unwrap()).unwrap();
    let taken = |money: &Option<pb::Money>| {
        let money = money.as_ref().unwrap();
        format!("{}.{:02}", money.units, money.nanos / 10_000_000)
    };
    let explanation = response.explanation.unwrap();
    let of_line = |line: &pb::LineExplanation| {
        line.deductions.iter().map(|worked| (worked.exact.clone(), taken(&worked.taken))).collect()
    };
    explanation.lines.iter().map(|line| (line.line_id.clone(), of_line(line))).collect()
}

fn worked(deductions: &[(&str, &str)]) -> Vec<(String, String)> {
    deductions.iter().map(|(exact, taken)| ((*exact).to_owned(), (*taken).to_owned())).collect()
}

#[test]
fn an_explanation_says_what_is_held_back_where_more_went_back_before() {
    // 95.00 of 100.00 went back, so of 10.00 and 3.00 there is room for 5.00.
    let explained = explained(
        "{ kind: cancellation_fee, amount: paid * 10% }, { kind: processing_fee, amount: 3.00 }",
        r#"{ "lineId": "l0", "paid": { "currencyCode": "EUR", "units": "100" },
             "refunded": { "currencyCode": "EUR", "units": "95" } }"#,
    );
    assert_eq!(explained, [("l0".to_owned(), worked(&[("10.00", "5.00"), ("3.00", "0.00")]))]);
}

#[test]
fn an_explanation_has_every_line_once_with_its_part_of_a_step_of_the_order() {
    let explained = explained(
        "{ kind: cancellation_fee, scope: order, amount: 7.00 }, { kind: processing_fee, amount: 1.00 }",
        r#"{ "lineId": "l0", "paid": { "currencyCode": "EUR", "units": "30" } },
           { "lineId": "l1", "paid": { "currencyCode": "EUR", "units": "40" } }"#,
    );
    let first = ("l0".to_owned(), worked(&[("7.00", "3.00"), ("1.00", "1.00")]));
    let second = ("l1".to_owned(), worked(&[("7.00", "4.00"), ("1.00", "1.00")]));
    assert_eq!(explained, [first, second]);
}
