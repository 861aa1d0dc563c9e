//! What a diff of two bundles says: every edit as exactly that edit, and nothing of what is only layout.

mod examples;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use examples::{Cut, editable, examples, item_of, name_of, with};
use proptest::prelude::*;
use proptest::sample::Index;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diff::{Change, ChangeKind, diff};
use requite::policy::document::Policy;
use requite::policy::format::format;
use requite::policy::read::Read;

const SHOP: &str = r#"# A shop.
policy: shop
version: "1"
timezone: UTC
currencies: [EUR]
reasons:
  late: { liable: merchant }
  mistake: { liable: customer }
evidence:
  kinds:
    photo: { media: ["image/*"] }
    letter: {}
  requirements:
    proof: { any_of: [photo, letter] }
text:
  vague: [bad, awful]
facts:
  due: promised_at
  lateness: "max(0s, requested_at - due)"
rules:
  - id: unpaid
    when: { stage: unpaid }
    deny: ORDER_NOT_PAID
  - id: cancelled
    when: { stage: cancelled }
    deny: ORDER_CANCELLED
  - id: late
    note: the shop pays for being late
    when: { reason: late, lateness: ">= 1d" }
    refund: full
  - id: rest
    refund: { deduct: [{ kind: restocking_fee, amount: "paid * 10%" }] }
otherwise: { deny: NO_MATCHING_RULE }
"#;

fn bundle(files: &[(&str, &str)]) -> Bundle {
    let file = |(path, text): &(&str, &str)| BundleFile { path: (*path).into(), bytes: text.as_bytes().to_vec() };
    Bundle::new(files.iter().map(file).collect()).unwrap()
}

fn shop(text: &str) -> Bundle {
    bundle(&[("shop.policy.yaml", text)])
}

/// What became of what, in short: `changed rules/late`.
fn short(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| told(change.kind, &change.section, &change.name)).collect()
}

fn told(kind: ChangeKind, section: &str, name: &str) -> String {
    let name = if name.is_empty() { String::new() } else { format!("/{name}") };
    format!("{} {section}{name}", format!("{kind:?}").to_lowercase())
}

/// The differences that an edit of the shop's text makes.
fn edited(from: &str, to: &str) -> Vec<Change> {
    assert!(SHOP.contains(from), "{from}");
    diff(&shop(SHOP), &shop(&SHOP.replace(from, to)))
}

#[test]
fn every_part_that_changed_is_told_in_the_words_of_its_author() {
    let changes = edited(">= 1d", ">= 2d");
    let expected = Change {
        kind: ChangeKind::Changed,
        document: "shop".into(),
        section: "rules".into(),
        name: "late".into(),
        before:
            "id: late\nnote: the shop pays for being late\nwhen: { reason: late, lateness: \">= 1d\" }\nrefund: full"
                .into(),
        after:
            "id: late\nnote: the shop pays for being late\nwhen: { reason: late, lateness: \">= 2d\" }\nrefund: full"
                .into(),
    };
    assert_eq!(changes, [expected]);
}

#[test]
fn every_kind_of_part_has_its_section_and_name() {
    for (from, to, expected) in [
        ("version: \"1\"", "version: \"2\"", "changed version"),
        ("timezone: UTC", "timezone: Asia/Tokyo", "changed timezone"),
        ("timezone: UTC\n", "timezone: UTC\ncalendar: jp\n", "added calendar"),
        ("[EUR]", "[EUR, USD]", "changed currencies"),
        ("liable: merchant", "liable: platform", "changed reasons/late"),
        ("  mistake: { liable: customer }\n", "", "removed reasons/mistake"),
        ("    letter: {}", "    letter: { max_bytes: 5 }", "changed evidence.kinds/letter"),
        ("    letter: {}\n", "    letter: {}\n    film: {}\n", "added evidence.kinds/film"),
        ("any_of", "all_of", "changed evidence.requirements/proof"),
        ("[bad, awful]", "[bad]", "changed text/vague"),
        ("due: promised_at", "due: delivered_at", "changed facts/due"),
        ("deny: ORDER_NOT_PAID", "manual_review: ORDER_NOT_PAID", "changed rules/unpaid"),
        ("otherwise: { deny:", "otherwise: { manual_review:", "changed otherwise"),
        ("evidence:\n  kinds:", "evidence:\n  colour: red\n  kinds:", "added evidence/colour"),
        ("rules:\n", "colour: red\nrules:\n", "added colour"),
    ] {
        assert_eq!(short(&edited(from, to)), [expected], "{from} -> {to}");
    }
}

#[test]
fn what_moved_is_told_with_its_neighbours() {
    let (first, rest) = SHOP.split_once("  - id: cancelled\n").unwrap();
    let (cancelled, late) = rest.split_once("  - id: late\n").unwrap();
    let (late, end) = late.split_once("  - id: rest\n").unwrap();
    let moved = format!("{first}  - id: late\n{late}  - id: cancelled\n{cancelled}  - id: rest\n{end}");
    let changes = diff(&shop(SHOP), &shop(&moved));
    assert_eq!(changes.len(), 1, "{changes:?}");
    let swapped = ("late", "behind `cancelled`", "behind `unpaid`");
    let or = ("cancelled", "behind `unpaid`", "behind `late`");
    let found = (changes[0].name.as_str(), changes[0].before.as_str(), changes[0].after.as_str());
    assert!(changes[0].kind == ChangeKind::Moved && (found == swapped || found == or), "{changes:?}");
}

#[test]
fn a_rule_that_moved_and_says_something_else_is_told_twice() {
    let rule = "  - id: late\n    note: the shop pays for being late\n    when: { reason: late, lateness: \">= 1d\" }\n    refund: full\n";
    let other = rule.replace("1d", "3d");
    let text = SHOP.replace(rule, "").replace("rules:\n", &format!("rules:\n{other}"));
    let changes = diff(&shop(SHOP), &shop(&text));
    assert_eq!(short(&changes), ["changed rules/late", "moved rules/late"]);
    assert_eq!((changes[1].before.as_str(), changes[1].after.as_str()), ("behind `cancelled`", "first"));
}

#[test]
fn layout_is_no_difference() {
    let indented: String = SHOP.lines().map(|line| format!("  {line}\n")).collect();
    let spread = SHOP
        .replace("    when: { stage: unpaid }\n", "    when:\n      stage: 'unpaid'\n")
        .replace("deny: ORDER_CANCELLED", "deny: [ORDER_CANCELLED] # one or many");
    let reordered = SHOP.replace(
        "    when: { stage: unpaid }\n    deny: ORDER_NOT_PAID\n",
        "    deny: ORDER_NOT_PAID\n\n    when: {  stage:   unpaid  }\n",
    );
    let windows = SHOP.replace('\n', "\r\n");
    for text in [indented, spread, reordered, windows] {
        assert_ne!(text, SHOP);
        assert_eq!(diff(&shop(SHOP), &shop(&text)), []);
    }
}

#[test]
fn the_order_of_names_counts_and_nothing_is_the_same_as_a_word() {
    assert_eq!(edited("stage: unpaid }", "stage: \"~\" }").len(), 1);
    let plain = SHOP.replace("stage: unpaid }", "stage: ~ }");
    assert_eq!(diff(&shop(&plain), &shop(&plain.replace("~ }", "\"~\" }"))).len(), 1);
    let tests = edited("{ reason: late, lateness: \">= 1d\" }", "{ lateness: \">= 1d\", reason: late }");
    assert_eq!(short(&tests), ["changed rules/late"]);
    let facts = SHOP.replace("  due: promised_at\n", "").replace(" due)\"\n", " due)\"\n  due: promised_at\n");
    let moved = diff(&shop(SHOP), &shop(&facts));
    assert!(moved.len() == 1 && moved[0].kind == ChangeKind::Moved && moved[0].section == "facts", "{moved:?}");
}

#[test]
fn what_is_gone_stands_where_it_was() {
    let text = SHOP.replace("  - id: cancelled\n    when: { stage: cancelled }\n    deny: ORDER_CANCELLED\n", "");
    let text = text.replace("ORDER_NOT_PAID", "ORDER_CANCELLED").replace(">= 1d", ">= 2d");
    let changes = diff(&shop(SHOP), &shop(&text));
    assert_eq!(short(&changes), ["changed rules/unpaid", "removed rules/cancelled", "changed rules/late"]);
    assert_eq!(changes[1].after, "");
}

#[test]
fn a_policy_keeps_its_name_when_its_file_gets_another() {
    let renamed = bundle(&[("store.policy.yaml", SHOP)]);
    assert_eq!(diff(&shop(SHOP), &renamed), []);
    let changed = bundle(&[("store.policy.yaml", &SHOP.replace(">= 1d", ">= 2d"))]);
    assert_eq!(short(&diff(&shop(SHOP), &changed)), ["changed rules/late"]);
    let other = edited("policy: shop", "policy: store");
    assert_eq!((short(&other), other[0].document.as_str()), (vec!["changed policy".to_owned()], "store"));
}

#[test]
fn versions_are_held_against_their_own() {
    let of = |version: &str, from: &str| {
        let effective = format!("effective: {{ from: {from}-01-01T00:00:00Z, by: placed_at }}\ntimezone: UTC");
        SHOP.replace("\"1\"", &format!("\"{version}\"")).replace("timezone: UTC", &effective)
    };
    let (old, new) = (of("2025", "2025"), of("2026", "2026"));
    let before = bundle(&[("a.policy.yaml", &old), ("b.policy.yaml", &new)]);
    let swapped = bundle(&[("a.policy.yaml", &new), ("b.policy.yaml", &old)]);
    assert_eq!(diff(&before, &swapped), []);

    let label = bundle(&[("b.policy.yaml", &of("2026a", "2026")), ("z.policy.yaml", &old)]);
    let changes = diff(&before, &label);
    assert_eq!((short(&changes), changes[0].document.as_str()), (vec!["changed version".to_owned()], "shop 2026a"));

    let third = of("2027", "2027");
    let added = bundle(&[("a.policy.yaml", &old), ("b.policy.yaml", &new), ("c.policy.yaml", &third)]);
    let changes = diff(&before, &added);
    assert_eq!((short(&changes), changes[0].document.as_str()), (vec!["added ".to_owned()], "shop 2027"));
    assert_eq!(changes[0].after, third);
    assert_eq!(short(&diff(&added, &before)), ["removed "]);
}

#[test]
fn every_other_file_has_its_parts_too() {
    let layer = "layer: law\nversion: \"1\"\noverrides: [shop]\nmay: improve\nrules:\n  - id: fair\n    refund: full\n";
    let fragment = "reasons:\n  gone: { liable: merchant }\n";
    let calendar =
        "covers: [2026-01-01, 2026-12-31]\nweekend: [saturday, sunday]\nholidays:\n  - 2026-01-01\n  - 2026-05-01\n";
    let cases = "policy: shop\ngiven: { paid: 5 }\ncases:\n  - case: one\n    expect: { refund: 5 }\n  - case: two\n    expect: { refund: 4 }\n";
    let of = |layer: &str, fragment: &str, calendar: &str, cases: &str, manifest: &str| {
        bundle(&[
            ("bundle.yaml", manifest),
            ("calendars/x.yaml", calendar),
            ("cases/a.cases.yaml", cases),
            ("law.layer.yaml", layer),
            ("shop.policy.yaml", SHOP),
            ("words.fragment.yaml", fragment),
        ])
    };
    let before = of(layer, fragment, calendar, cases, "default: shop\n");
    let after = of(
        &layer.replace("full", "none"),
        &fragment.replace("merchant", "platform"),
        &calendar.replace("  - 2026-05-01\n", ""),
        &cases.replace("refund: 4", "refund: 3").replace("paid: 5", "paid: 6"),
        "default: other\n",
    );
    let changes = diff(&before, &after);
    let found: Vec<(String, &str)> =
        short(&changes).into_iter().zip(changes.iter().map(|c| c.document.as_str())).collect();
    let expected = [
        ("changed rules/fair", "law.layer.yaml"),
        ("changed reasons/gone", "words.fragment.yaml"),
        ("changed holidays", "calendars/x.yaml"),
        ("changed default", "bundle.yaml"),
        ("changed given/paid", "cases/a.cases.yaml"),
        ("changed cases/two", "cases/a.cases.yaml"),
    ];
    assert_eq!(found, expected.map(|(what, document)| (what.to_owned(), document)));
    // The order of cases means nothing, and where their file lies neither.
    let turned = "policy: shop\ngiven: { paid: 5 }\ncases:\n  - case: two\n    expect: { refund: 4 }\n  - case: one\n    expect: { refund: 5 }\n";
    assert_eq!(diff(&before, &of(layer, fragment, calendar, turned, "default: shop\n")), []);
    let (here, there) =
        ([("a.cases.yaml", cases), ("s.policy.yaml", SHOP)], [("cases/b.cases.yaml", cases), ("s.policy.yaml", SHOP)]);
    assert_eq!(diff(&bundle(&here), &bundle(&there)), []);
}

#[test]
fn a_layer_in_another_file_may_stand_above_another_one() {
    let layer = "layer: law\nversion: \"1\"\noverrides: [shop]\nmay: improve\nrules: []\n";
    let of = |path: &str| bundle(&[("shop.policy.yaml", SHOP), (path, layer)]);
    let changes = diff(&of("law.layer.yaml"), &of("z.layer.yaml"));
    let found: Vec<(ChangeKind, &str, &str)> =
        changes.iter().map(|change| (change.kind, change.before.as_str(), change.after.as_str())).collect();
    assert_eq!(found, [(ChangeKind::Moved, "law.layer.yaml", "z.layer.yaml")]);
}

#[test]
fn a_file_that_cannot_be_read_is_one_difference_with_all_of_its_text() {
    for broken in ["rules: [", "a: 1\na: 2\n", "- just\n- a list\n", "x: &anchor 1\n"] {
        let changes = diff(&shop(SHOP), &shop(broken));
        let found: Vec<(&str, &str, &str, &str)> = changes
            .iter()
            .map(|c| (c.section.as_str(), c.name.as_str(), c.before.as_str(), c.after.as_str()))
            .collect();
        assert_eq!(found, [("", "", SHOP, broken)], "{broken}");
    }
    let bytes = Bundle::new(vec![BundleFile { path: "shop.policy.yaml".into(), bytes: vec![0xff, 0xfe] }]).unwrap();
    assert_eq!(diff(&bytes, &shop(SHOP)).len(), 1);
    assert_eq!(diff(&bytes, &bytes), []);
}

#[test]
fn rules_without_a_name_or_with_the_same_one_are_not_lost() {
    let text = SHOP.replace("id: cancelled", "id: unpaid");
    assert_eq!(diff(&shop(&text), &shop(&text)), []);
    let once = text.replace("    when: { stage: cancelled }\n", "");
    assert_eq!(short(&diff(&shop(&text), &shop(&once))), ["changed rules/unpaid"]);
    let nameless = SHOP.replace("id: cancelled", "note: nothing");
    assert_eq!(short(&diff(&shop(SHOP), &shop(&nameless))), ["removed rules/cancelled", "added rules"]);
}

#[test]
fn ten_thousand_rules_take_no_time_worth_a_word() {
    let rules = |skipped: usize| -> String {
        let rule = |number| {
            format!("  - id: r{number}\n    when: {{ paid: \"[{number}..{})\" }}\n    refund: full\n", number + 1)
        };
        let numbers = (0..10_000).filter(|number| *number != skipped);
        let rules: String = numbers.map(rule).collect();
        let (head, rest) = SHOP.split_once("rules:\n").unwrap();
        let (_, otherwise) = rest.split_once("otherwise").unwrap();
        format!("{head}rules:\n{rules}otherwise{otherwise}")
    };
    let (before, after) = (shop(&rules(20_000)), shop(&rules(5_000)));
    let started = Instant::now();
    let changes = diff(&before, &after);
    // Far above what it takes, far below anything that grows with the square of the rules.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    println!("10 000 rules: {:?}", started.elapsed());
    assert_eq!(short(&changes), ["removed rules/r5000"]);
}

#[derive(Clone, Debug)]
enum Edit {
    Remove,
    Change,
    AddBehind,
    Comment,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![Just(Edit::Remove), Just(Edit::Change), Just(Edit::AddBehind), Just(Edit::Comment)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn edits_of_the_examples_come_out_as_exactly_those_edits(
        at: Index,
        edits in prop::collection::vec((any::<Index>(), edit()), 1..6),
    ) {
        let examples = examples();
        let editable = editable(&examples);
        let (bundle, place, section) = editable[at.index(editable.len())];
        let bundle = &examples[bundle].1;
        let mut cut = Cut::of(std::str::from_utf8(&bundle.files()[place].bytes).unwrap(), section).unwrap();
        let (mut expected, mut touched) = (BTreeSet::new(), BTreeSet::new());
        for (number, (item, edit)) in edits.into_iter().enumerate() {
            let item = item.index(cut.items.len());
            if !touched.insert(item) {
                continue;
            }
            let name = name_of(section, &cut.items[item]);
            match edit {
                Edit::Remove => {
                    cut.items[item].clear();
                    expected.insert(told(ChangeKind::Removed, section, &name));
                }
                Edit::Change => {
                    cut.items[item] = item_of(section, &name);
                    expected.insert(told(ChangeKind::Changed, section, &name));
                }
                Edit::AddBehind => {
                    let new = format!("new-{number}");
                    let added = item_of(section, &new);
                    cut.items[item].push_str(&added);
                    expected.insert(told(ChangeKind::Added, section, &new));
                }
                Edit::Comment => cut.items[item].push_str("\n  # the same\n"),
            }
        }
        // A section of which nothing is left is no table any more.
        prop_assume!(cut.items.iter().any(|item| !item.trim().is_empty()));
        let changes = diff(bundle, &with(bundle, place, cut.text()));
        let found: BTreeSet<String> = short(&changes).into_iter().collect();
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(changes.len(), expected.len(), "one difference for each edit");
    }

    #[test]
    fn a_rule_that_is_moved_is_the_only_one_that_moved(at: Index, from: Index, to: Index) {
        let examples = examples();
        let mut places = editable(&examples);
        places.retain(|(_, _, section)| *section == "rules");
        let (bundle, place, section) = places[at.index(places.len())];
        let bundle = &examples[bundle].1;
        let mut cut = Cut::of(std::str::from_utf8(&bundle.files()[place].bytes).unwrap(), section).unwrap();
        let (from, to) = (from.index(cut.items.len()), to.index(cut.items.len()));
        let item = cut.items.remove(from);
        let name = name_of(section, &item);
        cut.items.insert(to, item);
        let changes = diff(bundle, &with(bundle, place, cut.text()));
        match from.abs_diff(to) {
            0 => prop_assert_eq!(changes, []),
            // Of two neighbours that changed places, either one moved.
            1 => prop_assert!(changes.len() == 1 && changes[0].kind == ChangeKind::Moved, "{:?}", changes),
            _ => prop_assert_eq!(short(&changes), [told(ChangeKind::Moved, section, &name)]),
        }
    }
}

#[test]
fn every_example_is_the_same_as_itself_however_it_is_laid_out() {
    let examples = examples();
    assert!(10 < examples.len() && 50 < editable(&examples).len(), "{}", editable(&examples).len());
    for (folder, bundle) in &examples {
        assert_eq!(diff(bundle, bundle), [], "{}", folder.display());
        for (place, file) in bundle.files().iter().enumerate() {
            let text = std::str::from_utf8(&file.bytes).unwrap();
            let indented: String = text
                .lines()
                .map(|line| if line.is_empty() { "\n".into() } else { format!("   {line}\n# so\n") })
                .collect();
            assert_eq!(diff(bundle, &with(bundle, place, indented)), [], "{}", file.path);
            if file.path.ends_with(".policy.yaml") {
                let formatted = format(&file.path, text, &Policy::shape()).unwrap();
                assert_eq!(diff(bundle, &with(bundle, place, formatted)), [], "{}", file.path);
            }
        }
    }
}

#[test]
fn different_policies_differ_both_ways_alike() {
    let examples = examples();
    for pair in examples.windows(2) {
        let there = diff(&pair[0].1, &pair[1].1);
        let back = diff(&pair[1].1, &pair[0].1);
        assert!(!there.is_empty(), "{} is not {}", pair[0].0.display(), pair[1].0.display());
        assert_eq!(there.len(), back.len());
    }
}
