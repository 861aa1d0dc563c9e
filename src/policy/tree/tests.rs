//! Texts of YAML and the trees, or the diagnostics, that they come to.

use super::*;
use crate::domain::limits::DIAGNOSTICS_COLLECTED_MAX;

fn read(text: &str) -> (Option<Node>, Vec<String>) {
    let mut diagnostics = Vec::new();
    let node = parse(&Source::new("p.yaml", text, 0), &mut diagnostics);
    (node, diagnostics.iter().map(ToString::to_string).collect())
}

#[test]
fn scalars_keep_their_text() {
    let (node, problems) = read("a: 1.10\nb: NO\nc: '1e3'\nd:\n");
    assert!(problems.is_empty(), "{problems:?}");
    let NodeKind::Mapping(entries) = node.unwrap().kind else { panic!("not a mapping") };
    let texts: Vec<_> = entries.iter().map(|(key, node)| format!("{}={}", key.value, node.describe())).collect();
    assert_eq!(texts, ["a=`1.10`", "b=`NO`", "c=`1e3`", "d=nothing"]);
}

#[test]
fn places_count_characters_and_bytes() {
    let text = "名: [甲, 乙]\n";
    let source = Source::new("p.yaml", text, 0);
    let node = parse(&source, &mut Vec::new()).unwrap();
    let NodeKind::Mapping(entries) = node.kind else { panic!("not a mapping") };
    let NodeKind::List(items) = &entries[0].1.kind else { panic!("not a list") };
    let place = source.place(items[1].span);
    assert_eq!((place.line, place.column), (1, 8));
    assert_eq!(&text[place.start..place.end], "乙");
}

#[test]
fn every_duplicate_key_is_reported() {
    let (_, problems) = read("a: 1\nb: 2\na: 3\nb: 4\n");
    assert_eq!(problems.len(), 2);
    assert!(problems[0].starts_with("p.yaml:3:1: error[duplicate-key]: the key `a` stands twice"), "{}", problems[0]);
}

#[test]
fn duplicate_keys_do_not_fill_the_memory() {
    let (_, problems) = read(&"a: 1\n".repeat(2 * DIAGNOSTICS_COLLECTED_MAX));
    assert_eq!(problems.len(), DIAGNOSTICS_COLLECTED_MAX);
}

#[test]
fn the_files_of_a_bundle_share_a_budget() {
    let (mut budget, mut diagnostics) = (NodeBudget::new(7), Vec::new());
    let source = Source::new("p.yaml", "[a, b, c]\n", 0);
    assert_eq!(parse_within(&source, &mut budget, &mut diagnostics).map(|node| node.count()), Some(4));
    assert!(parse_within(&source, &mut budget, &mut diagnostics).is_none());
    assert_eq!(diagnostics.len(), 1);
    assert!(diagnostics[0].message.starts_with("the files of the bundle hold more than"), "{}", diagnostics[0]);
}

#[test]
fn a_bundle_that_was_in_force_is_read_beyond_its_budget_and_named_once() {
    let mut budget = NodeBudget { precedent: Precedent::InForce, ..NodeBudget::new(2) };
    let (source, mut diagnostics) = (Source::new("p.yaml", "[a, b, c]\n", 0), Vec::new());
    for _ in 0..2 {
        assert_eq!(parse_within(&source, &mut budget, &mut diagnostics).map(|node| node.count()), Some(4));
    }
    let said: Vec<_> = diagnostics.iter().map(|it| (it.severity, it.code, it.place.as_ref().unwrap().start)).collect();
    // At the `c`, the first value that there is no room for.
    assert_eq!(said, [(Severity::StricterError, "too-large", 7)]);
}

#[test]
fn aliases_tags_and_depth_are_errors() {
    for (text, code) in [
        ("a: &x 1\nb: *x\n", "alias"),
        ("a: !!str 1\n", "tag"),
        ("a: 1\n---\nb: 2\n", "many-documents"),
        (&"[".repeat(100), "too-deep"),
        ("[a, b]: 1\n", "key-not-text"),
        ("", "empty-file"),
        ("a: [1, 2\n", "yaml-syntax"),
    ] {
        let (node, problems) = read(text);
        assert!(node.is_none(), "{text}");
        assert!(problems[0].contains(&format!("error[{code}]")), "{text}: {problems:?}");
    }
}
