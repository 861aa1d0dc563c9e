//! Keeps the pages true. In `docs/policy-reference.md`, the tables are those that the program makes,
//! every key is there with an example, and every example is admitted with its cases. In `README.md`,
//! the policy, its cases and the decisions are what the program makes of them. `docs/diagnostics.md` holds the explanations
//! of the program.
//!
//! `REQUITE_UPDATE_DOCS=1 cargo test --test docs` rewrites what is generated.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use requite::api::json::request_from_json;
use requite::cases::{CaseNode, CasesNode};
use requite::cli::show::decision::response_to_text;
use requite::domain::words::{DeductionKind, LiableParty, OrderStage, Outcome, ReasonCode, RefundMethod, RequestType};
use requite::engine::admit::{Admission, admit};
use requite::engine::open;
use requite::plan::fact::BuiltIn;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, render};
use requite::policy::explanations;
use requite::policy::formula::functions::FUNCTIONS;
use requite::policy::merge::SHARED_KEYS;
use requite::policy::reference::{generated_sections, keys_of};
use requite::server::data::evaluation::evaluate;
use requite::source::embedded;
use serde_json::Value;

const END: &str = "<!-- end -->";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn page() -> String {
    fs::read_to_string(path("docs/policy-reference.md")).unwrap()
}

fn readme() -> String {
    fs::read_to_string(path("README.md")).unwrap()
}

/// What the program makes for the page, by the names of the markers.
fn generated() -> Vec<(&'static str, String)> {
    let mut sections = generated_sections();
    sections.extend([("cases", keys_of::<CasesNode>()), ("case", keys_of::<CaseNode>())]);
    sections
}

fn begin(name: &str) -> String {
    format!("<!-- generated: {name} -->\n")
}

/// A fenced block: what it holds, by its info line, and where it begins.
struct Block<'p> {
    kind: &'p str,
    text: &'p str,
    at: usize,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while let Some(start) = page[at..].find("\n```").map(|found| at + found + 4) {
        let (info, rest) = page[start..].split_once('\n').unwrap();
        let end = rest.find("\n```").expect("a block ends") + 1;
        let text = &rest[..end];
        blocks.push(Block { kind: info, text, at: start });
        at = start + info.len() + 1 + end + 3;
    }
    blocks
}

/// The part of the page below the heading that stands last before a place.
fn section(page: &str, at: usize) -> (usize, usize) {
    let start = page[..at].rfind("\n#").expect("a heading stands before it") + 1;
    let end = page[at..].find("\n#").map_or(page.len(), |found| at + found);
    (start, end)
}

/// The keys of a generated table.
fn keys(table: &str) -> Vec<&str> {
    table.lines().skip(2).map(|row| row.split('`').nth(1).unwrap()).collect()
}

fn file(path: &str, text: &str) -> BundleFile {
    BundleFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
}

fn calendar() -> BundleFile {
    file("calendars/cn.yaml", &fs::read_to_string("policies/standard/calendars/cn.yaml").unwrap())
}

/// The fragment of the page, which its policies may use.
fn fragment(page: &str) -> BundleFile {
    let blocks = blocks(page);
    file("words.fragment.yaml", blocks.iter().find(|block| block.kind == "yaml fragment").unwrap().text)
}

fn admitted(files: Vec<BundleFile>) -> Admission {
    let bundle = Bundle::new(files).unwrap();
    admit(&bundle).unwrap_or_else(|rejection| panic!("{}", render(&rejection.diagnostics, &bundle, Colour::Off)))
}

/// Some keys of a policy, with those that every policy needs.
fn completed(keys: &str) -> String {
    let has = |key: &str| keys.lines().any(|line| line.starts_with(&format!("{key}:")));
    let mut policy = String::new();
    for (key, value) in
        [("policy", "example"), ("version", "\"1\""), ("timezone", "Asia/Shanghai"), ("currencies", "[CNY]")]
    {
        if !has(key) {
            policy.push_str(&format!("{key}: {value}\n"));
        }
    }
    let (before, otherwise) = match format!("\n{keys}").find("\notherwise:") {
        Some(at) => keys.split_at(at),
        None => (keys, "otherwise: { manual_review: NO_MATCHING_RULE }\n"),
    };
    policy.push_str(before);
    if !has("rules") {
        policy.push_str("rules:\n  - id: all\n    refund: full\n");
    }
    policy + otherwise
}

/// Holds the generated parts of a page against what the program makes, or rewrites them.
fn hold(name: &str, parts: Vec<(&'static str, String)>) {
    let written = fs::read_to_string(path(name)).unwrap();
    let mut page = written.clone();
    for (part, text) in parts {
        let begin = begin(part);
        let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("{name} has no place for `{part}`"));
        let (_, after) = rest.split_once(END).unwrap();
        page = format!("{before}{begin}{text}{END}{after}");
    }
    if std::env::var_os("REQUITE_UPDATE_DOCS").is_some() {
        fs::write(path(name), page).unwrap();
    } else {
        assert!(page == written, "{name} is not true: run `REQUITE_UPDATE_DOCS=1 cargo test --test docs`");
    }
}

/// The decision of an admitted bundle on a request, for people.
fn decided(admission: Admission, request: &str) -> String {
    let (engine, _activator) = open(admission);
    let request = request_from_json(request).unwrap_or_else(|error| panic!("no request: {error:?}"));
    let answered = evaluate(&engine.current(), &request).unwrap_or_else(|failure| panic!("{failure:?}"));
    response_to_text(&request, &answered)
}

#[test]
fn tables_are_those_that_the_program_makes() {
    hold("docs/policy-reference.md", generated());
}

#[test]
fn diagnostics_are_explained_as_the_program_explains_them() {
    hold("docs/diagnostics.md", explanations::generated_sections());
}

#[test]
fn the_decision_that_is_explained_is_the_one_that_is_made() {
    let request = fs::read_to_string(path("policies/standard/requests/platform-late-partial.json")).unwrap();
    let standard = admit(&embedded::read().unwrap()).unwrap_or_else(|rejection| panic!("{:?}", rejection.diagnostics));
    let text = format!("```text\n{}```\n", decided(standard, &request));
    hold("README.md", vec![("decision", text)]);
}

#[test]
fn the_tutorial_comes_out_as_it_says() {
    let page = readme();
    let blocks = blocks(&page);
    let of_kind = |kind: &str| blocks.iter().find(|block| block.kind == kind).unwrap().text;
    let (policy, cases) = (of_kind("yaml policy"), of_kind("yaml cases"));
    let admission = |policy: &str, cases: &str| {
        admitted(vec![file("workshop.policy.yaml", policy), file("workshop.cases.yaml", cases)])
    };

    let first = admission(policy, cases);
    assert!(page.contains(&format!("digest {}\n", first.digest)), "the digest is {}", first.digest);
    let shown = decided(first, of_kind("json"));
    assert!(page.contains(&shown), "the decision is\n{shown}");

    let changed = policy.replace("50%", "40%");
    let expected = cases.replace("refund: 44.95", "refund: 53.94").replace("fee: 44.95", "fee: 35.96");
    let second = admission(&changed, &expected).digest.to_string();
    assert!(page.contains(&format!("digest {}, generation 2", &second[7..19])), "the second digest is {second}");

    let misspelt = policy.replace("kind: cancellation_fee", "kind: cancelation_fee");
    let bundle = Bundle::new(vec![file("workshop.policy.yaml", &misspelt)]).unwrap();
    let report = render(&admit(&bundle).unwrap_err().diagnostics, &bundle, Colour::Off);
    assert!(page.contains(&report), "the report is\n{report}");
}

#[test]
fn every_key_has_an_example_beside_its_table() {
    let page = page();
    let blocks = blocks(&page);
    for (name, table) in generated() {
        if !table.starts_with("| key |") {
            continue;
        }
        let (start, end) = section(&page, page.find(&begin(name)).unwrap());
        let examples: String = blocks.iter().filter(|block| (start..end).contains(&block.at)).map(|b| b.text).collect();
        for key in keys(&table) {
            let shown = examples.match_indices(&format!("{key}:")).any(|(at, _)| {
                !examples[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_')
            });
            assert!(shown, "`{key}` has no example in the section of `{name}`");
        }
    }
}

#[test]
fn every_example_is_admitted_with_its_cases() {
    let page = page();
    let around = || vec![calendar(), fragment(&page)];
    let with = |files: Vec<BundleFile>| admitted(around().into_iter().chain(files).collect());
    let mut policies: Vec<BundleFile> = Vec::new();
    let mut cases_run = 0;
    for block in blocks(&page) {
        match block.kind {
            "yaml policy" => {
                policies = vec![file("example.policy.yaml", block.text)];
                with(policies.clone());
            }
            "yaml version" => {
                policies.push(file("next.policy.yaml", block.text));
                with(policies.clone());
            }
            "yaml cases" => {
                let files = [policies.clone(), vec![file("example.cases.yaml", block.text)]].concat();
                cases_run += with(files).cases_passed;
            }
            "yaml layer" => {
                policies.push(file("above.layer.yaml", block.text));
                with(policies.clone());
            }
            "yaml keys" => {
                let admission = with(vec![file("example.policy.yaml", &completed(block.text))]);
                let unreachable = |code: &str| code == "unreachable-rule";
                assert!(admission.warnings.iter().all(|warning| unreachable(warning.code)), "{:?}", admission.warnings);
            }
            "yaml fragment" => {
                with(vec![file("example.policy.yaml", &completed("use: [words]\n"))]);
            }
            "yaml calendar" => {
                let policy = completed("calendar: own\n");
                with(vec![file("example.policy.yaml", &policy), file("calendars/own.yaml", block.text)]);
            }
            "yaml bundle" => {
                let name = block.text.trim().strip_prefix("default: ").unwrap();
                let named = completed(&format!("policy: {name}\n"));
                with(vec![
                    file("bundle.yaml", block.text),
                    file("one.policy.yaml", &named),
                    file("other.policy.yaml", &completed("")),
                ]);
            }
            other => panic!("a block of no known kind: `{other}`"),
        }
    }
    assert!(20 <= cases_run, "only {cases_run} cases");
}

#[test]
fn every_entry_that_can_change_a_decision_raises_the_engine_revision() {
    let changelog = fs::read_to_string(path("CHANGELOG.md")).unwrap();
    let entries = changelog.lines().filter(|line| line.starts_with("- (decision) ")).count();
    assert_eq!(entries, requite::decision::ENGINE_REVISION as usize);
}

#[test]
fn everything_that_can_be_shared_is_declared_by_policies() {
    let page = page();
    let (_, table) = generated().into_iter().find(|(name, _)| *name == "policy").unwrap();
    let keys = keys(&table);
    let first = keys.iter().position(|key| *key == "channels").unwrap();
    let last = keys.iter().position(|key| *key == "order_amounts").unwrap();
    let shared: BTreeSet<&str> = keys[first..=last].iter().copied().collect();
    // "any of the keys from `channels` to `order_amounts`", but how a refund is split is of one policy.
    let expected: BTreeSet<&str> = SHARED_KEYS.into_iter().chain(["tenders"]).collect();
    assert_eq!(shared, expected);
    assert!(page.contains("from `channels` to `order_amounts`, except `tenders`"));
}

#[test]
fn every_function_is_used_in_an_example_and_every_fact_is_named() {
    let page = page();
    let examples: String = blocks(&page).iter().map(|block| block.text).collect();
    for function in FUNCTIONS {
        assert!(examples.contains(&format!("{}(", function.name)), "no example uses `{}`", function.name);
    }
    for fact in BuiltIn::ALL {
        assert!(page.contains(&format!("| `{}` |", fact.name())), "`{}` is not on the page", fact.name());
    }
}

#[test]
fn closed_sets_are_complete_and_in_order() {
    let page = page();
    let slugs = |heading: &str| -> Vec<String> {
        let (start, end) = section(&page, page.find(&format!("\n### {heading}\n")).unwrap() + 2 + heading.len());
        let rows = page[start..end].lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
    };
    let all = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(slugs("Stages"), all(OrderStage::ALL.iter().map(|word| word.as_str()).collect()));
    assert_eq!(slugs("Liable parties"), all(LiableParty::ALL.iter().map(|word| word.as_str()).collect()));
    assert_eq!(slugs("Request types"), all(RequestType::ALL.iter().map(|word| word.as_str()).collect()));
    assert_eq!(slugs("Outcomes"), all(Outcome::ALL.iter().map(|word| word.as_str()).collect()));
    assert_eq!(slugs("Deduction kinds"), all(DeductionKind::ALL.iter().map(|word| word.as_str()).collect()));
    assert_eq!(slugs("Refund methods"), all(RefundMethod::ALL.iter().map(|word| word.as_str()).collect()));
    let codes: Vec<String> = ReasonCode::ALL.iter().map(|code| code.as_str().to_ascii_uppercase()).collect();
    assert_eq!(slugs("Reason codes"), codes);
}

#[test]
fn everything_that_a_case_can_expect_is_explained() {
    let cases = "cases:\n  - case: a\n    given: { paid: 1, requested_at: 2026-01-01T00:00:00Z }\n    expect: { qqqqqqqqqqqq: 1 }\n";
    let bundle = Bundle::new(vec![file("a.policy.yaml", &completed("")), file("a.cases.yaml", cases)]).unwrap();
    let help = admit(&bundle).unwrap_err().diagnostics.remove(0).help.unwrap();
    let known = help.strip_prefix("known are ").unwrap_or_else(|| panic!("{help}"));
    let page = page();
    let rows: BTreeSet<&str> = page
        .lines()
        .skip_while(|line| !line.starts_with("**`expect`**"))
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split(" | ").next().unwrap().split('`').skip(1).step_by(2))
        .collect();
    for name in known.split(", ").map(|name| name.trim_matches('`')) {
        assert!(rows.contains(name), "`{name}` is not explained");
    }
}

/// What the headings of a page are called in links: in lower case, without punctuation, with dashes
/// for spaces, and with a number where a heading above is called the same.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut fenced = false;
    for line in page.lines() {
        fenced ^= line.starts_with("```");
        let heading = line.trim_start_matches('#').strip_prefix(' ');
        let Some(heading) = heading.filter(|_| line.starts_with('#') && !fenced) else { continue };
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let plain: String = heading.trim().to_lowercase().chars().filter(kept).collect();
        let name = plain.replace(' ', "-");
        let numbered = (1..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !anchors.contains(name));
        anchors.extend(free);
    }
    anchors
}

#[test]
fn headings_are_called_as_renderers_call_them() {
    let page = "# What is missed, and why\n\n## `round_to`: up or down?\n\n## Start-up\n\n#nothing\n\n\
                ```console\n# a comment\n```\n\n## Start-up\n\n### 退款 (refunds)\n";
    let expected = ["round_to-up-or-down", "start-up", "start-up-1", "what-is-missed-and-why", "退款-refunds"];
    assert_eq!(anchors(page), expected.map(str::to_owned).into());
}

#[test]
fn links_lead_somewhere() {
    let docs = fs::read_dir(path("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|page| page.extension().is_some_and(|extension| extension == "md"));
    let mut followed = 0;
    for from in pages.chain([path("README.md"), path("ARCHITECTURE.md")]) {
        let text = fs::read_to_string(&from).unwrap();
        for (at, _) in text.match_indices("](").filter(|(at, _)| !text[at + 2..].starts_with("https://")) {
            let link = text[at + 2..].split(')').next().unwrap();
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to = if file.is_empty() { from.clone() } else { from.parent().unwrap().join(file) };
            assert!(to.exists(), "{} leads to `{link}`", from.display());
            if !anchor.is_empty() {
                let known = anchors(&fs::read_to_string(&to).unwrap());
                assert!(known.contains(anchor), "{} leads to `{link}`, known are {known:?}", from.display());
            }
            followed += 1;
        }
    }
    assert!(10 <= followed, "{followed}");
}

/// The published figures of China Rail, each of them a case on the page.
#[test]
fn the_rail_example_is_short_and_holds_every_figure_worked_out_elsewhere() {
    let page = page();
    let blocks = blocks(&page);
    let rail = blocks.iter().position(|block| block.text.starts_with("policy: rail\n")).unwrap();
    let (policy, cases) = (&blocks[rail], &blocks[rail + 1]);
    assert!(policy.text.lines().count() < 40);
    let text = fs::read_to_string("tests/golden/refunds.json").unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let rows: Vec<&Value> = rows.iter().filter(|row| row["policy"] == "CN-RAIL-12306").collect();
    assert_eq!(rows.len(), 8);
    let mut expected = String::from("policy: rail\ncases:\n");
    for row in rows {
        let input = row["input"].as_str().unwrap();
        let (price, hours) = input.strip_prefix("price=").unwrap().split_once(" hours_before=").unwrap();
        let (deduction, refund) = (row["deduction"].as_str().unwrap(), row["refund"].as_str().unwrap());
        let deductions =
            if deduction == "0.00" { "{}".to_owned() } else { format!("{{ cancellation_fee: {deduction} }}") };
        let seconds = (hours.parse::<f64>().unwrap() * 3_600.0).round();
        expected.push_str(&format!(
            "  - case: {input}\n    given: {{ departs_at: 2026-12-01T09:00:00+08:00, paid: {price}, \
             requested_at: departs_at - {seconds}s }}\n    expect: {{ refund: {refund}, deductions: {deductions} }}\n"
        ));
        let shown = cases.text.contains(&format!("refund: {refund}"))
            && (deduction == "0.00" || cases.text.contains(deduction));
        assert!(shown, "the page has no case for {input}");
    }
    let files = vec![file("rail.policy.yaml", policy.text), file("rail.cases.yaml", &expected)];
    assert_eq!(admitted(files).cases_passed, 8);
}

#[test]
fn the_table_of_a_collector_lists_every_instrument_with_its_kind() {
    let code = fs::read_to_string(path("src/telemetry/metrics.rs")).unwrap();
    let instruments: BTreeSet<(String, &str)> = code
        .lines()
        .filter_map(|built| {
            let (call, rest) = built.split_once("(\"requite.")?;
            let kind = ["counter", "gauge", "histogram"].into_iter().find(|kind| call.ends_with(kind)).unwrap();
            Some((format!("requite.{}", rest.split('"').next()?), kind))
        })
        .collect();
    let literals = code.matches("(\"requite.").count();
    assert!(20 <= literals && instruments.len() == literals, "{literals} in the code, read {instruments:?}");
    let page = fs::read_to_string(path("docs/operations.md")).unwrap();
    let (_, table) = page.split_once("| metric | kind | attributes |\n|---|---|---|\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let listed: BTreeSet<(String, &str)> = rows
        .map(|row| {
            let kind = ["counter", "gauge", "histogram"].into_iter().find(|kind| row.contains(&format!("| {kind}")));
            (row.split('`').nth(1).unwrap().to_owned(), kind.unwrap_or_else(|| panic!("{row} has no kind")))
        })
        .collect();
    assert_eq!(listed, instruments);
}
