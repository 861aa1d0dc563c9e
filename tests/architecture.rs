//! Keeps `ARCHITECTURE.md` true: its list of folders, the floors, and who may know which crate.
//!
//! `REQUITE_UPDATE_DOCS=1 cargo test --test architecture` rewrites the list.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test may panic to fail"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The floors, lowest first. Modules of one floor do not see each other.
const FLOORS: [&[&str]; 11] = [
    &["domain"],
    &["plan"],
    &["decision", "policy"],
    &["cases", "telemetry"],
    &["engine", "api"],
    &["source", "state_dir", "client"],
    &["reload"],
    &["server"],
    &["load"],
    &["app"],
    &["cli"],
];

/// Crates that only some floors may know, and those floors.
const FENCED: [(&str, &[&str]); 10] = [
    ("tonic", &["api", "client", "server", "load", "app", "cli"]),
    ("prost", &["api", "client", "server", "load"]),
    ("hyper", &["client", "server", "load"]),
    ("tokio_rustls", &["client", "server"]),
    ("webpki", &["server"]),
    ("tokio", &["source", "client", "reload", "server", "load", "app", "cli", "telemetry"]),
    ("tracing", &["telemetry", "source", "state_dir", "reload", "server", "app", "cli"]),
    ("opentelemetry", &["telemetry"]),
    ("notify", &["source"]),
    ("saphyr_parser", &["policy"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file below `src/`, with its text.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The first paragraph of a file's head, which every file has.
fn head(name: &str, text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .map(|line| line.trim_start_matches("//!").trim())
        .collect();
    let paragraph: Vec<&str> = lines.iter().copied().take_while(|line| !line.is_empty()).collect();
    assert!(!paragraph.is_empty(), "{name} has no head that says what it is");
    paragraph.join(" ")
}

fn module(path: &str) -> Option<&str> {
    path.strip_prefix("src/")?.split_once('/').map(|(module, _)| module)
}

fn floor(module: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&module)).unwrap_or_else(|| panic!("`{module}` is on no floor"))
}

/// The words after `prefix` wherever it stands in code, not in comments.
fn mentions<'t>(text: &'t str, prefix: &str) -> Vec<&'t str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.match_indices(prefix).map(move |(at, _)| &line[at + prefix.len()..]))
        .map(|rest| &rest[..rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())])
        .collect()
}

#[test]
fn modules_use_lower_floors_only() {
    for (path, text) in sources() {
        let Some(own) = module(&path) else { continue };
        for used in mentions(&text, "crate::") {
            if !FLOORS.iter().any(|floor| floor.contains(&used)) {
                continue;
            }
            assert!(used == own || floor(used) < floor(own), "{path} uses `{used}`, which is not below it");
        }
    }
}

#[test]
fn foreign_crates_stay_behind_their_fences() {
    for (path, text) in sources() {
        let Some(own) = module(&path) else { continue };
        for (name, allowed) in FENCED {
            let used = text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
                line.contains(&format!("use {name}::"))
                    || line.contains(&format!(" {name}::"))
                    || line.contains(&format!("({name}::"))
                    || line.contains(&format!("<{name}::"))
            });
            assert!(!used || allowed.contains(&own), "{path} knows the crate `{name}`, which only {allowed:?} may");
        }
    }
}

#[test]
fn the_list_of_folders_is_true() {
    const BEGIN: &str = "<!-- modules: begin -->\n";
    const END: &str = "<!-- modules: end -->";
    let mut list = String::from("| folder | what is in it |\n|---|---|\n");
    let heads =
        sources().into_iter().map(|(path, text)| (path.strip_suffix("/mod.rs").map(str::to_owned), head(&path, &text)));
    for (folder, head) in heads.filter_map(|(folder, head)| Some((folder?, head))).collect::<BTreeMap<_, _>>() {
        list.push_str(&format!("| `{folder}` | {head} |\n"));
    }
    let file = root().join("ARCHITECTURE.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the list begins with a marker");
    let (written, after) = rest.split_once(END).expect("the list ends with a marker");
    if std::env::var_os("REQUITE_UPDATE_DOCS").is_some() {
        std::fs::write(&file, format!("{before}{BEGIN}{list}{END}{after}")).unwrap();
    } else {
        assert_eq!(written, list, "run `REQUITE_UPDATE_DOCS=1 cargo test --test architecture`");
    }
}
