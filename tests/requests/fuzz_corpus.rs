//! The corpora of the fuzz targets, replayed: `fuzz/corpus/<target>/`, one input a file.
//!
//! What a fuzzer finds is put there. `REQUITE_UPDATE_CORPUS=1` writes the seeds again, from the
//! sample requests, the shipped policies, and shapes that hostile peers write.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::bodies;
use crate::support::hostile::{LENGTH, Spoil, WAYS, field, nested, sample_requests, spoilt};

type Seeds = BTreeMap<String, Vec<u8>>;

/// A target: its name, what it does with an input, and its seeds.
type Target = (&'static str, fn(&[u8]), fn() -> Seeds);

const TARGETS: [Target; 6] = [
    ("request", bodies::request, requests),
    ("request_json", bodies::request_json, texts),
    ("fast_path", bodies::fast_path, requests),
    ("policy", bodies::policy, policies),
    ("formula", bodies::formula, formulas),
    ("money", bodies::money, amounts),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn replay(name: &str) {
    let (_, body, seeds) = TARGETS.into_iter().find(|(target, ..)| *target == name).unwrap();
    let folder = root().join("fuzz/corpus").join(name);
    if std::env::var_os("REQUITE_UPDATE_CORPUS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (seed, bytes) in seeds() {
            fs::write(folder.join(seed), bytes).unwrap();
        }
    }
    let mut inputs: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(20 <= inputs.len(), "{} inputs in {}", inputs.len(), folder.display());
    for input in inputs {
        let bytes = fs::read(&input).unwrap();
        let outcome = std::panic::catch_unwind(|| body(&bytes));
        assert!(outcome.is_ok(), "{} does not hold; what happened stands above", input.display());
    }
}

#[test]
fn the_corpus_of_the_request_reader_holds() {
    replay("request");
}

#[test]
fn the_corpus_of_the_json_reader_holds() {
    replay("request_json");
}

#[test]
fn the_corpus_of_the_fast_path_holds() {
    replay("fast_path");
}

#[test]
fn the_corpus_of_policies_holds() {
    replay("policy");
}

#[test]
fn the_corpus_of_formulas_holds() {
    replay("formula");
}

#[test]
fn the_corpus_of_money_holds() {
    replay("money");
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for (name, ..) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
        let program = fs::read_to_string(root().join(format!("fuzz/targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("bodies::{name}(data)")), "{name}");
    }
    let names = |folder: &str| fs::read_dir(root().join(folder)).unwrap().count();
    assert_eq!((names("fuzz/targets"), names("fuzz/corpus")), (TARGETS.len() + 1, TARGETS.len()));
}

/// The sample requests, each spoilt in each way somewhere, and lists of empty items.
fn requests() -> Seeds {
    let mut seeds = Seeds::new();
    let samples: Vec<_> = sample_requests().into_iter().map(|(name, request)| (name, bodies::plain(request))).collect();
    for (name, bytes) in &samples {
        seeds.insert(name.clone(), bytes.clone());
    }
    for way in 0..WAYS {
        for turn in 0..2_usize {
            let (_, sample) = &samples[(usize::from(way) + turn * 5) % samples.len()];
            let spoil = Spoil { way, message: turn * 3 + 1, field: usize::from(way), salt: turn as u64 * 7 + 3 };
            seeds.insert(format!("spoilt-{way:02}-{turn}"), spoilt(sample, &[spoil]));
        }
    }
    for (name, path) in [
        ("lines", &[6, 6][..]),
        ("tenders", &[6, 7]),
        ("tags", &[6, 9]),
        ("inputs-of-a-line", &[6, 6, 11]),
        ("evidence", &[7, 6]),
        ("fields-of-evidence", &[7, 6, 9]),
    ] {
        let (list, around) = path.split_last().unwrap();
        seeds.insert(format!("empty-{name}"), nested(around, &field(*list, LENGTH, &[]).repeat(600)));
    }
    seeds.insert("nothing".to_owned(), Vec::new());
    seeds
}

/// A sample request, the texts with a report beside them, and texts of nothing but mistakes.
fn texts() -> Seeds {
    let mut seeds = Seeds::new();
    for path in files_below(&root().join("tests/request_json")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if let Some(name) = name.strip_suffix(".json") {
            seeds.insert(name.to_owned(), fs::read(&path).unwrap());
        }
    }
    let sample = root().join("policies/standard/requests/multi-line.json");
    seeds.insert("multi-line".to_owned(), fs::read(sample).unwrap());
    for (name, text) in [
        ("deep-lists", "[".repeat(2_000)),
        ("deep-objects", "{\"a\":".repeat(2_000)),
        ("unknown-names", format!("{{{}}}", vec!["\"a\":1"; 400].join(","))),
        ("a-name-again", format!("{{\"order\":{{{}}}}}", vec!["\"orderId\":\"o\""; 400].join(","))),
        ("long-name", format!("{{\"{}\":1}}", "n".repeat(9_000))),
        ("long-key", format!("{{\"order\":{{\"inputs\":{{\"{}\":{{\"x\":1,\"y\":1}}}}}}}}", "k".repeat(9_000))),
        ("long-number", format!("{{\"deadline\":{0},\"explain\":{0},\"order\":{0}}}", "9".repeat(9_000))),
        ("blanks", " \n".repeat(3_000)),
    ] {
        seeds.insert(format!("hostile-{name}"), text.into_bytes());
    }
    seeds
}

/// The smallest shipped policies with their calendars and cases, and the policies that must be rejected.
fn policies() -> Seeds {
    let mut seeds = Seeds::new();
    let examples = fs::read_dir(root().join("policies/examples")).unwrap().map(|entry| entry.unwrap().path());
    for folder in examples.chain([root().join("policies/standard")]) {
        let mut others = Vec::new();
        let mut policies = Vec::new();
        for path in files_below(&folder) {
            let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
            let text = fs::read(&path).unwrap();
            if name.ends_with(".policy.yaml") && policies.is_empty() {
                policies = text;
            } else if name.ends_with(".yaml") && !name.ends_with(".cases.yaml") {
                others.extend(format!("{}{name}\n", bodies::FILE_MARK).into_bytes());
                others.extend(text);
            }
        }
        let bundle = [policies, others].concat();
        if bundle.len() <= 16 * 1024 {
            seeds.insert(folder.file_name().unwrap().to_str().unwrap().to_owned(), bundle);
        }
    }
    for path in files_below(&root().join("tests/broken")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read(&path).unwrap();
        if let Some(name) = name.strip_suffix(".policy.yaml")
            && path.parent().unwrap().ends_with("broken")
            && text.len() <= 2 * 1024
            // Every second one: they are alike.
            && name.len() % 2 == 0
        {
            seeds.insert(format!("broken-{name}"), text);
        }
    }
    let head = "policy: shop\nversion: \"1\"\ntimezone: UTC\ncurrencies: [CNY]\n";
    let end = "rules: []\notherwise: { deny: NO_MATCHING_RULE }\n";
    for (name, middle) in [
        ("deep-lists", format!("channels: {}{}\n", "[".repeat(200), "]".repeat(200))),
        ("unknown-keys", (0..200).map(|place| format!("k{place}: 1\n")).collect()),
        ("commas", format!("channels: [{}]\n", "a,".repeat(500))),
        ("escapes", "description: \"\\u001b[31m\\u202e\\n\"\n".to_owned()),
    ] {
        seeds.insert(format!("hostile-{name}"), format!("{head}{middle}{end}").into_bytes());
    }
    seeds
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// The operators, functions and literals of formulas, and texts that are none.
fn formulas() -> Seeds {
    let texts = [
        "paid",
        "paid * 20%",
        "max(paid * 20%, 2.00)",
        "min(paid, list_price, fee) - refunded",
        "clamp(since(placed_at) / (completed_at - placed_at), 0, 1)",
        "paid * completed_share / 3",
        "remaining * 3% + 1.00",
        "previous / 2",
        "if_absent(fee, 0) + count * 1.50",
        "since(placed_at) > 1h30m",
        "since(placed_at) <= 48h and not gift",
        "until(completed_at) >= 2d or wait < 36h",
        "(completed_at - placed_at) / 2",
        "-paid",
        "--count",
        "not not gift",
        "1/3",
        "1/0",
        "paid / (count - count)",
        "9999999999999999999",
        "999999999999999999 * 999999999999999999 * 999999999999999999",
        "0.000000000001 / 999999999999999999 / 999999999999999999",
        "1h30",
        "3 days",
        "3 business_days + 2 business_days",
        "2026-11-01T00:00:00+08:00",
        "paid == \"a\"",
        "paid + 3 days",
        "unknown_name + 1",
        "max()",
        "max(1,",
        "((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))",
        "a b c",
        "'quoted'",
        "1 < 2 < 3",
        "承诺",
        "\u{202e}paid",
        "",
    ];
    let mut seeds: Seeds =
        texts.iter().enumerate().map(|(place, text)| (format!("text-{place:02}"), text.as_bytes().to_vec())).collect();
    seeds.insert("deep".to_owned(), format!("{}1{}", "(".repeat(500), ")".repeat(500)).into_bytes());
    seeds.insert("long-sum".to_owned(), "1+".repeat(500).into_bytes());
    seeds.insert("many-minuses".to_owned(), "-".repeat(1_000).into_bytes());
    seeds.insert("many-nots".to_owned(), format!("{}gift", "not ".repeat(250)).into_bytes());
    seeds.insert("too-long".to_owned(), "1".repeat(2_000).into_bytes());
    seeds
}

/// Numbers of every kind as they are written, and amounts of a currency, units and nanos.
fn amounts() -> Seeds {
    let texts = [
        "0",
        "0.00",
        "-0",
        "125.00",
        "-0.01",
        "007",
        "999999999999999999",
        "9999999999999999999",
        "0.123456789012",
        "0.1234567890123",
        "1e3",
        "1_000",
        "1,000",
        ".5",
        "5.",
        "+1",
        "NaN",
        "inf",
        "15%",
        "1/3",
        "1/0",
        "-1/-3",
        "1/3/4",
        "24h",
        "1d12h",
        "1h1h",
        "99999999999999999w",
        "-1h",
        "3 days",
        "3  days",
        "1.5 days",
        "3 business_days",
        "2026-11-01T00:00:00+08:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "+010000-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2016-12-31T23:59:60Z",
        "１２",
        "",
    ];
    let mut seeds: Seeds =
        texts.iter().enumerate().map(|(place, text)| (format!("text-{place:02}"), text.as_bytes().to_vec())).collect();
    let edges: [(i64, i32); 8] = [
        (0, 0),
        (1, 10_000_000),
        (1, 1),
        (-1, -10_000_000),
        (1, -10_000_000),
        (i64::MAX, 999_999_999),
        (10_000_000_000_000, 0),
        (0, 1_000_000_000),
    ];
    for (place, (units, nanos)) in edges.into_iter().enumerate() {
        for currency in 0..5u8 {
            let bytes = [&[currency][..], &units.to_le_bytes(), &nanos.to_le_bytes()].concat();
            seeds.insert(format!("amount-{place}-{currency}"), bytes);
        }
    }
    seeds
}
