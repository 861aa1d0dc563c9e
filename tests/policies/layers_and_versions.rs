//! Bundles of several files: fragments that policies share, layers above them, and versions of one
//! policy that follow each other in time.

use requite::engine::admit::admit;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, render};

fn bundle(files: &[(&str, &str)]) -> Bundle {
    let file = |(path, text): &(&str, &str)| BundleFile { path: (*path).into(), bytes: text.as_bytes().to_vec() };
    Bundle::new(files.iter().map(file).collect()).unwrap()
}

fn cases_passed(files: &[(&str, &str)]) -> usize {
    let bundle = bundle(files);
    match admit(&bundle) {
        Ok(admission) => admission.cases_passed,
        Err(rejection) => panic!("\n{}", render(&rejection.diagnostics, &bundle, Colour::Off)),
    }
}

fn codes(files: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    let rejection = admit(&bundle(files)).expect_err("the bundle is wrong");
    let place =
        |place: Option<requite::policy::diagnostic::SourceLocation>| place.map_or(String::new(), |place| place.file);
    rejection.diagnostics.into_iter().map(|it| (it.code, place(it.place))).collect()
}

const TERMS: &str = r#"
policy: terms
version: "1"
timezone: Europe/Berlin
currencies: [EUR]
tags: [final_sale]
reasons: { changed_mind: { liable: customer }, faulty: { liable: merchant } }
rules:
  - id: final-sale
    when: { tags: final_sale }
    deny: NON_REFUNDABLE_ITEM
  - id: with-fee
    refund: { deduct: [{ kind: restocking_fee, amount: "paid * 20%" }] }
otherwise: { manual_review: NO_MATCHING_RULE }
"#;

const GIVEN: &str = r"
given: { stage: delivered, paid: 100.00, placed_at: 2026-01-01T00:00:00Z, requested_at: 2026-01-02T00:00:00Z }
";

#[test]
fn a_layer_that_may_only_improve_leaves_what_is_better() {
    let layer = r#"
layer: law
version: "1"
overrides: [terms]
may: improve
rules:
  - id: faulty-goods
    when: { reason: faulty }
    refund: full
  - id: half-for-regret
    when: { reason: changed_mind }
    refund: { deduct: [{ kind: diminished_value, amount: "paid * 50%" }] }
"#;
    let cases = format!(
        "{GIVEN}{}",
        r"
cases:
  - case: the law gives more than the terms, even for a final sale
    given: { reason: faulty, tags: [final_sale] }
    expect: { outcome: approved_full, refund: 100.00, rule: faulty-goods }
  - case: the terms give more than the law
    given: { reason: changed_mind }
    expect: { refund: 80.00, rule: with-fee }
  - case: the terms deny what the law gives
    given: { reason: changed_mind, tags: [final_sale] }
    expect: { refund: 50.00, rule: half-for-regret }
"
    );
    let files = [("terms.policy.yaml", TERMS), ("law.layer.yaml", layer), ("terms.cases.yaml", cases.as_str())];
    assert_eq!(cases_passed(&files), 3);
}

#[test]
fn a_layer_that_may_replace_decides_where_it_matches() {
    let layer = r#"
layer: law
version: "1"
overrides: [terms]
may: replace
tags: [recalled]
rules:
  - id: half-for-regret
    when: { reason: changed_mind }
    refund: { deduct: [{ kind: diminished_value, amount: "paid * 50%" }] }
  - id: recall
    when: { tags: recalled }
    refund: full
"#;
    let cases = format!(
        "{GIVEN}{}",
        r"
cases:
  - case: the layer decides although the terms would give more
    given: { reason: changed_mind }
    expect: { refund: 50.00, rule: half-for-regret }
  - case: the terms decide where the layer says nothing
    given: { reason: faulty }
    expect: { refund: 80.00, rule: with-fee }
  - case: the layer may declare words of its own
    given: { reason: faulty, tags: [recalled] }
    expect: { refund: 100.00, rule: recall }
"
    );
    let files = [("terms.policy.yaml", TERMS), ("law.layer.yaml", layer), ("terms.cases.yaml", cases.as_str())];
    assert_eq!(cases_passed(&files), 3);
}

#[test]
fn a_layer_says_what_it_stands_above_and_what_it_may_do() {
    let layer = "layer: law\nversion: '1'\noverrides: [termz]\nmay: worsen\nrules: []\n";
    let found = codes(&[("terms.policy.yaml", TERMS), ("law.layer.yaml", layer)]);
    assert_eq!(found, [("unknown-word", "law.layer.yaml".to_owned())]);
    let layer = "layer: law\nversion: '1'\noverrides: [termz]\nmay: improve\nrules: []\n";
    let found = codes(&[("terms.policy.yaml", TERMS), ("law.layer.yaml", layer)]);
    assert_eq!(found, [("unknown-word", "law.layer.yaml".to_owned())]);
}

#[test]
fn a_mistake_in_a_layer_is_reported_in_its_file() {
    let layer = "layer: law\nversion: '1'\noverrides: [terms]\nmay: improve\nrules: [{ id: x, when: { reason: fault }, refund: full }]\n";
    let found = codes(&[("terms.policy.yaml", TERMS), ("law.layer.yaml", layer)]);
    assert_eq!(found, [("unknown-word", "law.layer.yaml".to_owned())]);
}

const SHARED: &str = r"
reasons: { late: { liable: merchant, evidence: proof } }
evidence: { kinds: { ticket: {} , receipt: {} }, requirements: { proof: { any_of: [ticket, receipt] } } }
";

fn shop(name: &str, more: &str) -> String {
    format!(
        "policy: {name}\nversion: '1'\ntimezone: UTC\ncurrencies: [EUR]\nuse: [common]\n{more}rules:\n  - {{ id: late, when: {{ reason: late }}, require: reason.evidence, refund: full }}\notherwise: {{ deny: REASON_NOT_ALLOWED }}\n"
    )
}

#[test]
fn policies_share_a_fragment_without_copies() {
    let (a, b) = (shop("a", ""), shop("b", "reasons: { early: { liable: customer } }\n"));
    let cases = format!(
        "policy: b\n{GIVEN}{}",
        r"
cases:
  - case: the shared reason asks for the shared proof
    given: { reason: late }
    expect: { outcome: more_info_required, missing_evidence: [[ticket], [receipt]] }
  - case: an own reason stands beside the shared ones
    given: { reason: early }
    expect: { outcome: denied }
"
    );
    let files = [
        ("a.policy.yaml", a.as_str()),
        ("b.policy.yaml", b.as_str()),
        ("common.fragment.yaml", SHARED),
        ("b.cases.yaml", cases.as_str()),
        ("bundle.yaml", "default: a\n"),
    ];
    assert_eq!(cases_passed(&files), 2);
}

#[test]
fn a_fragment_declares_what_a_policy_does_not_declare_again() {
    let twice = shop("a", "reasons: { late: { liable: customer } }\n");
    let found = codes(&[("a.policy.yaml", &twice), ("common.fragment.yaml", SHARED)]);
    assert_eq!(found, [("duplicate-key", "a.policy.yaml".to_owned())]);
    let found = codes(&[("a.policy.yaml", &shop("a", ""))]);
    assert!(found.contains(&("unknown-word", "a.policy.yaml".to_owned())), "{found:?}");
    let with_rules = format!("{SHARED}rules: []\n");
    let found = codes(&[("a.policy.yaml", &shop("a", "")), ("common.fragment.yaml", &with_rules)]);
    assert_eq!(found, [("unknown-key", "common.fragment.yaml".to_owned())]);
}

fn version(label: &str, effective: &str, fee: &str) -> String {
    format!(
        "policy: terms\nversion: '{label}'\n{effective}timezone: UTC\ncurrencies: [EUR]\nrules:\n  - {{ id: fee, refund: {{ deduct: [{{ kind: cancellation_fee, amount: \"paid * {fee}\" }}] }} }}\notherwise: {{ deny: REASON_NOT_ALLOWED }}\n"
    )
}

fn from(at: &str) -> String {
    format!("effective: {{ from: {at}, by: placed_at }}\n")
}

#[test]
fn the_version_in_force_when_the_order_was_placed_decides() {
    let old = version("old", &from("2025-01-01T00:00:00Z"), "10%");
    let new = version("new", &from("2026-01-01T00:00:00Z"), "20%");
    let cases = r"
given: { stage: delivered, paid: 100.00, requested_at: 2026-06-01T00:00:00Z }
cases:
  - case: placed the moment before the new version
    given: { placed_at: 2025-12-31T23:59:59Z }
    expect: { refund: 90.00, version: old }
  - case: placed the moment the new version begins
    given: { placed_at: 2026-01-01T00:00:00Z }
    expect: { refund: 80.00, version: new }
  - case: placed before all versions
    given: { placed_at: 2024-12-31T23:59:59Z }
    expect: { outcome: manual_review, reason: POLICY_NOT_IN_FORCE }
  - case: it is not known when it was placed
    expect: { outcome: more_info_required, missing_facts: [placed_at] }
";
    let files = [("old.policy.yaml", old.as_str()), ("new.policy.yaml", new.as_str()), ("terms.cases.yaml", cases)];
    assert_eq!(cases_passed(&files), 4);
}

#[test]
fn versions_neither_overlap_nor_leave_a_hole() {
    let until = |from: &str, until: &str| format!("effective: {{ from: {from}, until: {until}, by: placed_at }}\n");
    let new = version("new", &from("2026-01-01T00:00:00Z"), "20%");
    for (old, code) in [
        (from("2026-01-01T00:00:00Z"), "version-overlap"),
        (until("2025-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), "version-overlap"),
        (until("2025-01-01T00:00:00Z", "2025-12-31T00:00:00Z"), "version-hole"),
        (String::new(), "version-without-time"),
        ("effective: { from: 2025-01-01T00:00:00Z, by: paid_at }\n".to_owned(), "version-anchor"),
        (until("2025-01-01T00:00:00Z", "2024-01-01T00:00:00Z"), "empty-range"),
    ] {
        let found = codes(&[("new.policy.yaml", &new), ("old.policy.yaml", &version("old", &old, "10%"))]);
        assert!(found.iter().any(|(found, _)| *found == code), "{old}: {found:?}");
    }
    let twice = version("new", &from("2025-01-01T00:00:00Z"), "10%");
    let found = codes(&[("new.policy.yaml", &new), ("old.policy.yaml", &twice)]);
    assert_eq!(found, [("duplicate-policy", "old.policy.yaml".to_owned())]);
}
