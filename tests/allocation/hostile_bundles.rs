//! Bundles made to take memory or time: what is read of them is bounded, and so is what is said of them.
//!
//! A program of its own, because the counter stands in for its allocator. Peaks are counted, not measured, so
//! they are the same on every machine; time shows itself as a test that does not end.

use allocation_counter::measure;
use requite::domain::limits::{DIAGNOSTICS_MAX, MESSAGE_CHARS_MAX, PHRASE_BYTES_MAX};
use requite::engine::admit::admit;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, Diagnostic, render};

const HEAD: &str = "policy: p\nversion: \"1\"\ntimezone: UTC\ncurrencies: [EUR]\n";
const END: &str = "rules: []\notherwise: { deny: NO_MATCHING_RULE }\n";
const MIB: u64 = 1024 * 1024;

fn bundle(files: &[(&str, String)]) -> Bundle {
    let file = |(path, text): &(&str, String)| BundleFile { path: (*path).to_owned(), bytes: text.clone().into() };
    Bundle::new(files.iter().map(file).collect()).unwrap()
}

fn policy(text: String) -> Bundle {
    bundle(&[("p.policy.yaml", text)])
}

/// What is wrong with a bundle and the report of it, made with at most so much memory beside the bundle.
fn rejected_within(bundle: &Bundle, mib_max: u64) -> (Vec<Diagnostic>, String) {
    let mut outcome = None;
    let used = measure(|| {
        let diagnostics = admit(bundle).expect_err("it is rejected").diagnostics;
        let report = render(&diagnostics, bundle, Colour::Off);
        outcome = Some((diagnostics, report));
    });
    assert!(used.bytes_max <= mib_max * MIB, "{} MiB at the peak, at most {mib_max}", used.bytes_max / MIB);
    let (diagnostics, report) = outcome.unwrap();
    assert!(diagnostics.len() <= DIAGNOSTICS_MAX + 1);
    for Diagnostic { message, help, .. } in &diagnostics {
        for text in [Some(message), help.as_ref()].into_iter().flatten() {
            assert!(text.chars().count() <= MESSAGE_CHARS_MAX, "{} bytes", text.len());
        }
    }
    assert!(report.len() <= 512 * 1024, "a report of {} bytes", report.len());
    (diagnostics, report)
}

fn first(bundle: &Bundle, mib_max: u64) -> (String, String) {
    let (diagnostics, _) = rejected_within(bundle, mib_max);
    (diagnostics[0].code.to_owned(), diagnostics[0].message.clone())
}

#[test]
fn a_hundred_thousand_unknown_keys_are_counted_and_a_screen_of_them_shown() {
    let keys: String = (0..100_000).map(|place| format!("policx{place}: 1\n")).collect();
    let (diagnostics, report) = rejected_within(&policy(format!("{HEAD}{keys}{END}")), 40);
    assert_eq!(diagnostics.last().unwrap().code, "too-many-mistakes");
    assert!(report.contains("a policy has no key `policx0`"), "{report}");
}

#[test]
fn a_value_of_two_bytes_takes_a_hundred() {
    let (code, _) = first(&policy(format!("{HEAD}channels: 1\nrules: [{}]\n", "a,".repeat(250_000))), 32);
    assert_eq!(code, "wrong-type");
}

#[test]
fn a_text_of_three_million_bytes_is_refused_and_not_repeated() {
    let text = "a".repeat(3_000_000);
    let (diagnostics, report) = rejected_within(&policy(format!("policy: {text}\n")), 16);
    assert_eq!(diagnostics[0].message, "this text has 3000000 bytes, at most 65536 are allowed");
    assert!(report.len() < 1_000, "{report}");
    // A key, a file of cases, and the longest text that is read at all.
    assert_eq!(first(&policy(format!("{text}: 1\n")), 16).0, "too-large");
    let cases = format!("cases:\n  - case: {text}\n");
    let files = [("p.policy.yaml", format!("{HEAD}{END}")), ("p.cases.yaml", cases)];
    assert_eq!(first(&bundle(&files), 16).0, "too-large");
    let word = "a".repeat(60_000);
    let (_, message) = first(&policy(format!("{HEAD}channels: [{word}]\n{END}")), 8);
    assert!(message.len() < 200 && message.ends_with("a` is not a slug"), "{message}");
}

#[test]
fn the_automaton_of_phrases_is_bounded_by_their_length() {
    let phrase = |place: usize| format!("{place:0>4}{}", "ab".repeat(PHRASE_BYTES_MAX));
    let phrases: Vec<String> = (0..90).map(phrase).collect();
    let text = format!("{HEAD}text: {{ vague: [{}] }}\n{END}", phrases.join(", "));
    let (code, message) = first(&policy(text), 8);
    assert_eq!((code.as_str(), message.as_str()), ("too-large", "this phrase has 516 bytes, at most 256 are allowed"));
}

#[test]
fn what_a_policy_declares_is_bounded() {
    let many = |of: fn(usize) -> String| (0..7_000).map(of).collect::<String>();
    for (what, text) in [
        ("inputs", format!("inputs:\n{}", many(|place| format!("  a{place}: {{ type: flag, scope: order }}\n")))),
        ("moments", format!("times: [{}]\n", many(|place| format!("t{place},")))),
        ("languages", format!("languages: [{}]\n", many(|place| format!("l{place},")))),
        ("components", format!("components:\n{}", many(|place| format!("  c{place}: {{ refund: never }}\n")))),
    ] {
        let (diagnostics, _) = rejected_within(&policy(format!("{HEAD}{text}{END}")), 16);
        let found = diagnostics.iter().any(|it| it.code == "too-many-words" && it.message.ends_with(what));
        assert!(found, "{what}: {}", diagnostics[0]);
    }
}

#[test]
fn a_case_gives_so_many_names_lines_and_items() {
    let names: String = (0..1_000).map(|place| format!("n{place}: 1, ")).collect();
    let lines = "{ paid: 1.00 }, ".repeat(5_000);
    let items = "a, ".repeat(5_000);
    for (what, case) in [
        ("names", format!("given: {{ {names} }}")),
        ("lines", format!("lines: [{lines}]")),
        ("items of a list", format!("given: {{ evidence: [{items}] }}")),
    ] {
        let cases = format!("cases:\n  - case: large\n    {case}\n    expect: {{ outcome: denied }}\n");
        let files = [("p.policy.yaml", format!("{HEAD}{END}")), ("p.cases.yaml", cases)];
        let (code, message) = first(&bundle(&files), 16);
        assert!(code == "too-large" && message.contains(what), "{what}: {message}");
    }
}

/// A bundle of a fragment, a layer, and so many small policies that use them.
fn sharing(policies: usize, fragment: String, layer: String) -> Bundle {
    let mut files: Vec<(String, String)> = (0..policies)
        .map(|place| {
            let head = HEAD.replace("policy: p", &format!("policy: p{place}"));
            (format!("p{place}.policy.yaml"), format!("{head}use: [shared]\n{END}"))
        })
        .collect();
    files.push(("shared.fragment.yaml".to_owned(), fragment));
    files.push(("law.layer.yaml".to_owned(), layer));
    files.push(("bundle.yaml".to_owned(), "default: p0\n".to_owned()));
    let files: Vec<(&str, String)> = files.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
    bundle(&files)
}

#[test]
fn what_a_thousand_policies_share_is_counted_before_it_is_merged() {
    let law = |overrides: &str, rules: &str| {
        format!("layer: law\nversion: \"1\"\noverrides: [{overrides}]\nmay: improve\nrules: [{rules}]\n")
    };
    let reasons: String = (0..4_000).map(|place| format!("  r{place}: {{ liable: seller }}\n")).collect();
    let text = "a".repeat(60_000);
    let phrases: String = (0..200).map(|place| format!("{place}{},", "ab".repeat(100))).collect();
    let bases: String = (0..1_000).map(|place| format!("p{place},")).collect();
    let rules: String = (0..200).map(|place| format!("{{ id: u{place}, deny: ORDER_NOT_PAID }},")).collect();
    for (file, what, fragment, layer) in [
        ("shared.fragment.yaml", "16003000 values", format!("reasons:\n{reasons}"), law("", "")),
        ("shared.fragment.yaml", "bytes of text", format!("tags: [{text}]\n"), law("", "")),
        ("shared.fragment.yaml", "bytes of text", format!("text: {{ vague: [{phrases}] }}\n"), law("", "")),
        ("law.layer.yaml", "values", "tags: []\n".to_owned(), law(&bases, &rules)),
    ] {
        let (diagnostics, _) = rejected_within(&sharing(1_000, fragment, layer), 16);
        let [only] = diagnostics.as_slice() else { panic!("{} mistakes", diagnostics.len()) };
        assert_eq!((only.code, only.place.as_ref().unwrap().file.as_str()), ("too-large", file));
        assert!(only.message.contains(what) && only.message.contains("is used 1000 times"), "{}", only.message);
    }
}

#[test]
fn layers_and_uses_of_a_hundred_thousand_unknown_names_end() {
    let names: String = (0..100_000).map(|place| format!("q{place},")).collect();
    let layer = format!("layer: law\nversion: \"1\"\noverrides: [{names}]\nmay: improve\nrules: []\n");
    assert_eq!(first(&sharing(100, "tags: []\n".to_owned(), layer), 64).0, "unknown-word");
    let files =
        [("p.policy.yaml", format!("{HEAD}use: [{names}]\n{END}")), ("f.fragment.yaml", "tags: []\n".to_owned())];
    assert_eq!(first(&bundle(&files), 64).0, "unknown-word");
}
