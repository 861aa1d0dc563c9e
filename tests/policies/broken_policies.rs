//! Every kind of mistake that a bundle can hold, with the whole report that its author sees.
//!
//! `tests/broken/NAME.policy.yaml` is a bundle of one file, a folder `tests/broken/NAME/` a bundle
//! of several; `tests/broken/NAME.report.txt` is the report expected of it, to the letter.
//!
//! `REQUITE_UPDATE_REPORTS=1 cargo test --test policies broken_policies` writes the reports anew. Read
//! what changed as the author of the policy would.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use requite::engine::admit::{admit, admit_of};
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, Diagnostic, Precedent, Severity, render};
use requite::policy::explanations::{codes as codes_that_are_explained, explanation};

/// Codes of bounds that take a large file to reach: tests below show them, and no file does. Every other one that is
/// explained needs a broken policy that shows it.
const CODES_OF_LARGE_BUNDLES: &[&str] = &["too-large", "too-many-cases", "too-many-mistakes", "too-many-rules"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

/// The files under a folder, by their paths within it.
fn files_under(root: &Path, folder: &Path, files: &mut Vec<BundleFile>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_under(root, &path, files);
        } else {
            let parts = path.strip_prefix(root).unwrap().components();
            let parts: Vec<_> = parts.map(|part| part.as_os_str().to_str().unwrap().to_owned()).collect();
            files.push(BundleFile { path: parts.join("/"), bytes: fs::read(&path).unwrap() });
        }
    }
}

/// The broken bundles, by name.
fn bundles() -> BTreeMap<String, Bundle> {
    let mut bundles = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let mut files = Vec::new();
            files_under(&path, &path, &mut files);
            bundles.insert(name, Bundle::new(files).unwrap());
        } else if let Some(stem) = name.strip_suffix(".policy.yaml") {
            let file = BundleFile { path: name.clone(), bytes: fs::read(&path).unwrap() };
            bundles.insert(stem.to_owned(), Bundle::new(vec![file]).unwrap());
        }
    }
    bundles
}

fn diagnostics(bundle: &Bundle) -> Vec<Diagnostic> {
    match admit(bundle) {
        Ok(admission) => admission.warnings,
        Err(rejection) => rejection.diagnostics,
    }
}

fn codes(bundle: &Bundle) -> Vec<&'static str> {
    diagnostics(bundle).iter().map(|diagnostic| diagnostic.code).collect()
}

fn one_file(text: impl Into<Vec<u8>>) -> Bundle {
    Bundle::new(vec![BundleFile { path: "shop.policy.yaml".to_owned(), bytes: text.into() }]).unwrap()
}

#[test]
fn what_only_stricter_checks_refuse_is_let_in_where_it_has_been_in_force() {
    let mut let_in = 0;
    for (name, bundle) in bundles() {
        let Err(rejection) = admit(&bundle) else { continue };
        let (errors, _): (Vec<_>, Vec<_>) = rejection.diagnostics.into_iter().partition(|it| it.severity.is_error());
        match admit_of(&bundle, Precedent::InForce) {
            Ok(admission) => {
                let of_cases = |it: &Diagnostic| it.place.as_ref().is_some_and(|place| place.file.contains(".cases."));
                let good = |it: &Diagnostic| it.severity == Severity::StricterError || of_cases(it);
                assert!(errors.iter().all(good), "{name}: {errors:?}");
                let named: Vec<_> =
                    admission.stricter_errors.iter().map(|it| (it.code, &it.message, &it.place)).collect();
                for error in &errors {
                    assert!(named.contains(&(error.code, &error.message, &error.place)), "{name}: {error}");
                }
                let_in += 1;
            }
            Err(again) => {
                let plain = |it: &&Diagnostic| it.severity == Severity::Error;
                assert!(again.diagnostics.iter().any(|it| plain(&it)), "{name}: {:?}", again.diagnostics);
                assert!(errors.iter().any(|it| plain(&it)), "{name}: {errors:?}");
            }
        }
    }
    // Some of policies, many of cases.
    assert!(30 < let_in, "{let_in}");
}

#[test]
fn every_broken_bundle_has_its_report() {
    let update = std::env::var_os("REQUITE_UPDATE_REPORTS").is_some();
    let mut different = Vec::new();
    for (name, bundle) in bundles() {
        let report = render(&diagnostics(&bundle), &bundle, Colour::Off);
        let path = folder().join(format!("{name}.report.txt"));
        if update {
            fs::write(&path, &report).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if report != expected {
            different.push(format!("=== {name}: got\n{report}\n=== {name}: expected\n{expected}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn every_report_has_its_bundle() {
    let names: BTreeSet<String> = bundles().into_keys().collect();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(stem) = name.strip_suffix(".report.txt") {
            assert!(names.contains(stem), "{name} is the report of nothing");
        }
    }
}

#[test]
fn every_code_is_shown_by_a_broken_bundle() {
    let shown: BTreeSet<&str> = bundles().values().flat_map(codes).collect();
    let explained: BTreeSet<&str> = codes_that_are_explained().collect();
    let large: BTreeSet<&str> = CODES_OF_LARGE_BUNDLES.iter().copied().collect();
    let missing: Vec<&str> = explained.difference(&shown).copied().filter(|code| !large.contains(code)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "explained, but never shown");
    assert_eq!(shown.difference(&explained).collect::<Vec<_>>(), Vec::<&&str>::new(), "shown, but not explained");
}

#[test]
fn severities_are_those_that_are_explained() {
    let mut seen: BTreeMap<&str, BTreeSet<Severity>> = BTreeMap::new();
    for diagnostic in bundles().values().flat_map(diagnostics) {
        seen.entry(diagnostic.code).or_default().insert(diagnostic.severity);
    }
    let mut wrong = String::new();
    for code in codes_that_are_explained() {
        let explained: BTreeSet<Severity> = explanation(code).unwrap().severities.into_iter().collect();
        let seen = seen.remove(code).unwrap_or_default();
        // Of some, large files alone show all severities.
        let all = CODES_OF_LARGE_BUNDLES.contains(&code) || code == "too-many-words" || seen == explained;
        if !(seen.is_subset(&explained) && all) {
            wrong.push_str(&format!("{code} is {seen:?}, but explained as {explained:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_code_in_the_sources_is_explained() {
    let mut sources = Vec::new();
    for part in ["src/policy", "src/cases"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(part);
        files_under(&folder, &folder, &mut sources);
    }
    let explained: BTreeSet<&str> = codes_that_are_explained().collect();
    // The reference has names of its own, and reports nothing; nor do explanations.
    let reports =
        |source: &BundleFile| !source.path.ends_with("reference.rs") && !source.path.contains("explanations/");
    for source in sources.into_iter().filter(reports) {
        let text = String::from_utf8(source.bytes).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        // A code is a literal of lower-case words with dashes; so is one word of the messages.
        for literal in text.split('"').skip(1).step_by(2) {
            let words: Vec<&str> = literal.split('-').collect();
            let code = 1 < words.len()
                && words.iter().all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()));
            let known = literal == "sub-stage" || explained.contains(literal);
            assert!(!code || known, "`{literal}` of {} is not explained", source.path);
        }
    }
}

#[test]
fn reports_speak_in_one_voice() {
    for (name, bundle) in bundles() {
        for Diagnostic { code, message, help, .. } in diagnostics(&bundle) {
            let texts = std::iter::once(message).chain(help);
            for text in texts {
                let first = text.chars().next().unwrap();
                assert!(!first.is_uppercase(), "{name}: [{code}] begins with a capital letter: {text}");
                assert!(!text.ends_with('.') && !text.ends_with('!'), "{name}: [{code}] ends with a stop: {text}");
                assert_eq!(text.matches('`').count() % 2, 0, "{name}: [{code}] has an odd backtick: {text}");
            }
        }
    }
}

#[test]
fn one_mistake_has_one_report() {
    // These hold several mistakes; a rule that is cut off lacks its answer as well.
    const SEVERAL: [&str; 14] = [
        "case-expects-a-bad-window",
        "case-expects-a-list-for-a-word",
        "case-expects-unknown-evidence",
        "case-expects-unknown-names",
        "case-expects-unknown-words",
        "claim-again-deduction",
        "claim-in-pieces-by-a-fact",
        "claim-in-pieces-denial",
        "cut-off-in-rules",
        "everything-at-once",
        "line-fact-in-order-anywhere",
        "several-keys-missing",
        "unknown-file",
        "unknown-requirement-beside-a-broken-one",
    ];
    let mut wrong = String::new();
    for (name, bundle) in bundles() {
        let found = diagnostics(&bundle);
        if (found.len() == 1) == SEVERAL.contains(&name.as_str()) {
            wrong.push_str(&format!("{name}:\n{}\n", render(&found, &bundle, Colour::Off)));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn lines_may_end_with_a_carriage_return() {
    for (name, bundle) in bundles() {
        if matches!(name.as_str(), "carriage-return" | "not-utf8") {
            continue;
        }
        let ended = |text: &[u8]| {
            let text = String::from_utf8(text.to_vec()).unwrap();
            text.replace('\n', "\r\n").into_bytes()
        };
        let files = bundle.files().iter().map(|file| BundleFile { path: file.path.clone(), bytes: ended(&file.bytes) });
        let other = Bundle::new(files.collect()).unwrap();
        let seen = |bundle: &Bundle| -> Vec<String> { diagnostics(bundle).iter().map(ToString::to_string).collect() };
        assert_eq!(seen(&bundle), seen(&other), "{name}");
    }
}

#[test]
fn a_good_policy_may_have_lines_that_end_with_a_carriage_return() {
    let text = GOOD.replace('\n', "\r\n");
    assert_eq!(codes(&one_file(GOOD)), Vec::<&str>::new());
    assert_eq!(codes(&one_file(text)), Vec::<&str>::new());
}

#[test]
fn a_policy_cut_off_anywhere_is_rejected() {
    for (end, _) in GOOD.char_indices().filter(|&(end, _)| end + 1 < GOOD.len()) {
        let cut = GOOD.get(..end).unwrap();
        assert!(admit(&one_file(cut)).is_err(), "admitted:\n{cut}");
    }
}

#[test]
fn a_policy_with_any_byte_changed_is_read_without_a_panic() {
    for at in 0..GOOD.len() {
        for byte in *b"\0\n\"[:9(" {
            let mut bytes = GOOD.as_bytes().to_vec();
            bytes[at] = byte;
            let bundle = one_file(bytes);
            drop(render(&diagnostics(&bundle), &bundle, Colour::Off));
        }
    }
}

const GOOD: &str = "policy: shop
version: \"1\"
timezone: UTC
currencies: [CNY]
channels: [web, app]
reasons:
  late: { liable: platform, evidence: proof }
evidence:
  kinds:
    photo: { media: [\"image/*\"] }
  requirements:
    proof: { any_of: [photo] }
facts:
  overdue: \"max(0s, since(placed_at) - 24h)\"
rules:
  - id: early
    when: { stage: not_started, overdue: 0s }
    refund: full
  - id: late
    when: { channel: \"not(app)\" }
    refund:
      deduct:
        - kind: cancellation_fee
          of: paid
          tiers: { on: overdue, steps: { \"<= 48h\": 5%, \"> 48h\": 20% } }
          at_least: 2.00
otherwise: { deny: NO_MATCHING_RULE }
";

#[test]
fn bounds_of_a_bundle_are_named() {
    let head = "policy: shop\nversion: \"1\"\ntimezone: UTC\ncurrencies: [CNY]\n";
    let end = "otherwise: { deny: NO_MATCHING_RULE }\n";
    let values = format!("{head}channels: [{}]\nrules: []\n{end}", "a,".repeat(4_000_001));
    assert_eq!(codes(&one_file(values)), ["too-large"]);
    let rules: String = (0..100_001).map(|place| format!("  - {{ id: r{place}, refund: full }}\n")).collect();
    assert_eq!(codes(&one_file(format!("{head}rules:\n{rules}{end}"))), ["too-many-rules"]);
    let words: String = (0..300).map(|place| format!("  W{place}: {{}}\n")).collect();
    let found = codes(&one_file(format!("{head}reasons:\n{words}rules: []\n{end}")));
    assert_eq!(found.len(), 201);
    assert_eq!(found.last(), Some(&"too-many-mistakes"));
}

/// A bundle of two policies and a case: `rules` that can never match, then `channels`, then a case
/// that expects `outcome`.
fn warned(rules: usize, channels: &str, outcome: &str) -> Bundle {
    let head = "version: \"1\"\ntimezone: UTC\ncurrencies: [CNY]\n";
    let end = "otherwise: { deny: NO_MATCHING_RULE }\n";
    let rules: String = (0..=rules).map(|place| format!("  - {{ id: r{place}, refund: full }}\n")).collect();
    let cases = "given: { requested_at: 2026-03-02T10:00:00Z, paid: 1.00 }\ncases:\n";
    let files = [
        ("bundle.yaml", "default: a\n".to_owned()),
        ("a.policy.yaml", format!("policy: a\n{head}rules:\n{rules}{end}")),
        ("b.policy.yaml", format!("policy: b\n{head}channels: [{channels}]\nrules: []\n{end}")),
        ("z.cases.yaml", format!("{cases}  - {{ case: all, expect: {{ outcome: {outcome} }} }}\n")),
    ];
    Bundle::new(files.map(|(path, text)| BundleFile { path: path.to_owned(), bytes: text.into() }).into()).unwrap()
}

#[test]
fn warnings_reject_nothing_however_many_they_are() {
    for (rules, shown) in [(200, 200), (201, 201), (10_050, 201)] {
        let bundle = warned(rules, "web", "approved_full");
        let admission = admit(&bundle).unwrap_or_else(|_| panic!("{rules} warnings reject it"));
        assert_eq!((admission.cases_passed, admission.plans.len(), admission.warnings.len()), (1, 2, shown));
        assert!(admission.warnings.iter().all(|diagnostic| diagnostic.severity == Severity::Warning));
    }
    let bundle = warned(300, "web", "approved_full");
    let report = render(&diagnostics(&bundle), &bundle, Colour::Off);
    let end = "\n |\n = help: fix those above first\n\n0 errors, 201 warnings\n";
    assert!(report.ends_with(&format!("\nwarning[too-many-mistakes]: there are 100 more warnings{end}")), "{report}");
}

#[test]
fn warnings_hide_no_error() {
    // More than are shown, and more than are noted.
    for rules in [300, 10_050] {
        for (channels, outcome, code) in [("Web", "denied", "not-a-slug"), ("web", "denied", "case-failed")] {
            let bundle = warned(rules, channels, outcome);
            let rejection = admit(&bundle).expect_err("an error rejects it");
            let errors = rejection.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
            assert_eq!(errors.map(|error| error.code).collect::<Vec<_>>(), [code], "{rules} warnings");
            assert_eq!(rejection.diagnostics.len(), 201);
        }
    }
}

#[test]
fn a_bundle_holds_so_many_cases() {
    let policy = "policy: shop\nversion: \"1\"\ntimezone: UTC\ncurrencies: [CNY]\nrules: []\notherwise: { deny: NO_MATCHING_RULE }\n";
    let cases: String =
        (0..20_001).map(|place| format!("  - {{ case: c{place}, expect: {{ outcome: denied }} }}\n")).collect();
    let cases = format!("given: {{ requested_at: 2026-03-02T10:00:00Z, paid: 1.00 }}\ncases:\n{cases}");
    let file = |path: &str, text: &str| BundleFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() };
    let bundle = Bundle::new(vec![file("shop.policy.yaml", policy), file("shop.cases.yaml", &cases)]).unwrap();
    assert_eq!(codes(&bundle), ["too-many-cases"]);
}

#[test]
fn neighbours_of_whole_numbers_leave_no_gap() {
    let policy = r#"policy: shop
version: "1"
timezone: UTC
currencies: [EUR]
inputs: { worn: { type: count, scope: order } }
facts: { age: days_since(placed_at) }
rules:
  - id: by-days
    when: { worn: absent }
    refund:
      deduct:
        - kind: cancellation_fee
          of: paid
          tiers:
            on: age
            steps: { "< 15 days": 0%, "[15 days..28 days]": 10%, "[29 days..42 days]": 20%, "> 42 days": 50% }
  - id: by-count
    refund:
      deduct:
        - kind: cancellation_fee
          of: paid
          tiers: { on: worn * 2 - worn, steps: { "< 0": 0%, "[0..2]": 10%, "(2..5]": 20%, "[6..7)": 30%, ">= 7": 50% } }
otherwise: { deny: NO_MATCHING_RULE }
"#;
    let day = |date: &str, held: &str| {
        format!(
            "  - case: on {date}\n    given: {{ requested_at: {date}T10:00:00Z }}\n    expect: {{ deductions: {held} }}\n"
        )
    };
    let count = |worn: u32, held: &str| {
        format!(
            "  - case: worn {worn}\n    given: {{ requested_at: 2026-03-02T10:00:00Z, worn: {worn} }}\n    expect: {{ deductions: {held} }}\n"
        )
    };
    let cases = [
        "given: { placed_at: 2026-03-01T23:00:00Z, paid: 100.00 }\ncases:\n".to_owned(),
        day("2026-03-15", "none"),
        day("2026-03-16", "{ cancellation_fee: 10.00 }"),
        day("2026-03-29", "{ cancellation_fee: 10.00 }"),
        day("2026-03-30", "{ cancellation_fee: 20.00 }"),
        count(0, "{ cancellation_fee: 10.00 }"),
        count(2, "{ cancellation_fee: 10.00 }"),
        count(3, "{ cancellation_fee: 20.00 }"),
        count(6, "{ cancellation_fee: 30.00 }"),
        count(7, "{ cancellation_fee: 50.00 }"),
    ];
    let file = |path: &str, text: &str| BundleFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() };
    let bundle = Bundle::new(vec![file("shop.policy.yaml", policy), file("shop.cases.yaml", &cases.concat())]).unwrap();
    match admit(&bundle) {
        Ok(admission) => assert_eq!(admission.cases_passed, 9),
        Err(rejection) => panic!("{}", render(&rejection.diagnostics, &bundle, Colour::Off)),
    }
    // A share of it is not whole.
    let halved = policy.replace("on: worn * 2 - worn", "on: worn / 2");
    let bundle = Bundle::new(vec![file("shop.policy.yaml", &halved)]).unwrap();
    assert_eq!(codes(&bundle), ["tiers-gap"]);
}
