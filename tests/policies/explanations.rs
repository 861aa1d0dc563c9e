//! The explanations of the diagnostic codes hold: every wrong snippet has its mistake and no other, every fixed one is
//! put in force without a word, and bounds are those of the program.
//!
//! `REQUITE_UPDATE_DOCS=1 cargo test --test docs` writes the page of them, `docs/diagnostics.md`, anew.

use std::collections::BTreeSet;

use requite::cases::CASES_MAX;
use requite::domain::limits;
use requite::engine::admit::admit;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, Diagnostic, render};
use requite::policy::explanations::{Explanation, Snippet, explanation, explanations};

/// The keys that every policy needs, in their order.
const NEEDED: [(&str, &str); 6] = [
    ("policy", "shop"),
    ("version", "\"1\""),
    ("timezone", "Europe/Berlin"),
    ("currencies", "[EUR]"),
    ("rules", "[{ id: any, refund: full }]"),
    ("otherwise", "{ manual_review: NO_MATCHING_RULE }"),
];

/// A policy file with the keys that a line `…` stands for.
fn completed(text: &str) -> String {
    let documents: Vec<String> =
        text.split("---\n").map(|document| document.replace("…\n", &needed(document))).collect();
    documents.join("---\n")
}

/// Keys that every policy needs and that a text does not have.
fn needed(text: &str) -> String {
    let has = |key: &str| text.lines().any(|line| line.starts_with(&format!("{key}:")));
    NEEDED.iter().filter(|(key, _)| !has(key)).map(|(key, value)| format!("{key}: {value}\n")).collect()
}

/// The lines that a text stands for: `# and so on, to N` at the end of one says that it is the first of N.
fn unfolded(text: &str) -> String {
    let mut unfolded = String::new();
    for line in text.lines() {
        let Some((first, last)) = line.split_once("  # and so on, to ") else {
            unfolded.push_str(&format!("{line}\n"));
            continue;
        };
        for number in 1..=last.parse::<u32>().unwrap() {
            unfolded.push_str(&format!("{}\n", numbered(first, number)));
        }
    }
    unfolded
}

/// A line with this number in place of each 1 that stands alone.
fn numbered(line: &str, number: u32) -> String {
    let mut numbered = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(|character: char| character.is_ascii_digit()) {
        let (before, digits) = rest.split_at(at);
        let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
        let (digits, after) = digits.split_at(end);
        let digits = if digits == "1" { number.to_string() } else { digits.to_owned() };
        numbered.push_str(&format!("{before}{digits}"));
        rest = after;
    }
    numbered + rest
}

/// The bundle that snippets are part of.
fn bundle(snippets: &[Snippet]) -> Bundle {
    let files = snippets.iter().map(|Snippet { file, text }| {
        let text = unfolded(text).replace('␍', "\r");
        let (path, text) = match file {
            // `otherwise` is the last key of a policy, and none of its keys stands behind the part.
            None => ("shop.policy.yaml", completed(&format!("{text}…\n"))),
            Some(path) if path.ends_with(".policy.yaml") => (*path, completed(&text)),
            Some(path) => (*path, text),
        };
        BundleFile { path: path.to_owned(), bytes: text.into_bytes() }
    });
    Bundle::new(files.collect()).unwrap()
}

/// Diagnostics of a bundle, warnings of one that is put in force included.
fn diagnostics(bundle: &Bundle) -> Vec<Diagnostic> {
    match admit(bundle) {
        Ok(admission) => admission.warnings,
        Err(rejection) => rejection.diagnostics,
    }
}

#[test]
fn every_wrong_snippet_has_its_mistake_and_no_other() {
    let mut wrong = String::new();
    for Explanation { code, severities, wrong: snippets, .. } in explanations() {
        let bundle = bundle(&snippets);
        let mut found = diagnostics(&bundle);
        if code == "too-many-mistakes" {
            // Two hundred others stand above it.
            found.drain(..200);
        }
        let codes: BTreeSet<&str> = found.iter().map(|diagnostic| diagnostic.code).collect();
        if !codes.iter().eq([&code]) || found.iter().any(|diagnostic| Some(&diagnostic.severity) != severities.first())
        {
            wrong.push_str(&format!("=== {code}, {severities:?}\n{}\n", render(&found, &bundle, Colour::Off)));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_fixed_snippet_is_put_in_force_without_a_word() {
    let mut wrong = String::new();
    for Explanation { code, fixed, .. } in explanations() {
        let bundle = bundle(&fixed);
        let found = diagnostics(&bundle);
        if !found.is_empty() {
            wrong.push_str(&format!("=== {code}\n{}\n", render(&found, &bundle, Colour::Off)));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn bounds_are_those_of_the_program() {
    for (code, bound) in [
        ("bad-count", limits::EVIDENCE_MAX),
        ("bad-window", usize::from(limits::WINDOW_DAYS_MAX)),
        ("formula-syntax", limits::FORMULA_BYTES_MAX),
        ("formula-syntax", limits::FORMULA_DEPTH_MAX),
        ("too-deep", limits::YAML_DEPTH_MAX),
        ("too-large", limits::YAML_NODES_MAX),
        ("too-large", limits::BUNDLE_NODES_MAX),
        ("too-large", limits::SCALAR_BYTES_MAX),
        ("too-large", limits::PHRASE_BYTES_MAX),
        ("too-many-alternatives", limits::EVIDENCE_ALTERNATIVES_MAX),
        ("too-many-cases", CASES_MAX),
        ("too-many-facts", limits::DERIVED_FACTS_MAX),
        ("too-many-mistakes", limits::DIAGNOSTICS_MAX),
        ("too-many-rules", limits::RULES_MAX),
        ("too-many-words", limits::SET_WORDS_MAX),
        ("too-many-words", limits::VOCABULARY_WORDS_MAX),
        ("too-many-words", limits::PHRASES_MAX),
        ("too-many-words", limits::CURRENCIES_MAX),
        ("too-many-words", limits::LANGUAGES_MAX),
    ] {
        // `4 000 000` is written with blanks.
        let meaning: String = explanation(code).unwrap().meaning.split_whitespace().collect();
        assert!(meaning.contains(&bound.to_string()), "{code} does not say {bound}");
    }
}

#[test]
fn lines_are_completed_and_numbered() {
    assert_eq!(
        unfolded("a:\n  r1: 1.50, 10  # and so on, to 3\n"),
        "a:\n  r1: 1.50, 10\n  r2: 2.50, 10\n  r3: 3.50, 10\n"
    );
    let policy = completed("policy: other\n…\n");
    assert!(policy.starts_with("policy: other\nversion: \"1\"\n"), "{policy}");
    assert!(policy.ends_with("\notherwise: { manual_review: NO_MATCHING_RULE }\n"), "{policy}");
}
