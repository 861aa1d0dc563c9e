//! Keeps `ARCHITECTURE.md` true: its list of folders, the floors, who may know which crate, and that the files of a
//! folder use each other in one direction.
//!
//! `REQUITE_UPDATE_DOCS=1 cargo test --test docs` rewrites the list.

use std::collections::{BTreeMap, BTreeSet};
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

/// Circles that stay, each with its folder, its files and subfolders, and the reason. One that is not there any more,
/// or has become another one, has to go from here.
const CIRCLES: [(&str, &[&str], &str); 1] = [(
    "src/policy/formula",
    &["check", "dimension", "functions", "operators"],
    "a formula holds formulas: whoever checks one calls the others for its parts",
)];

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

/// A module by the names that lead to it from the crate; a path to something in it likewise.
type ModulePath = Vec<String>;

/// The modules of the crate with their code, by their paths: without comments, and without what is for tests only.
fn modules() -> BTreeMap<ModulePath, String> {
    let all: BTreeMap<ModulePath, String> = sources()
        .into_iter()
        .map(|(file, text)| {
            let path = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
            (path.split('/').map(str::to_owned).collect(), text)
        })
        .collect();
    let mut for_tests: BTreeSet<ModulePath> = BTreeSet::new();
    let mut modules = BTreeMap::new();
    for (path, text) in &all {
        let (code, tests) = without_tests(text);
        for name in tests {
            // The files of the root are `lib.rs` and `main.rs`.
            let above =
                if all.contains_key(&[path.clone(), vec![name.clone()]].concat()) { path.clone() } else { vec![] };
            for_tests.insert([above, vec![name]].concat());
        }
        modules.insert(path.clone(), code);
    }
    modules.retain(|path, _| !(1..=path.len()).any(|length| for_tests.contains(&path[..length])));
    modules
}

/// The code of a file without comments and without its items for tests; and the names of its modules for tests.
fn without_tests(text: &str) -> (String, Vec<String>) {
    let (mut code, mut tests) = (String::new(), Vec::new());
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    while let Some(line) = lines.next() {
        if !(line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test,")) {
            code.push_str(line);
            code.push('\n');
            continue;
        }
        for line in lines.by_ref() {
            if let Some(name) = line.strip_suffix(';').and_then(|line| line.split_once("mod ")).map(|(_, name)| name) {
                tests.push(name.to_owned());
            }
            if line == "}" || line.ends_with(';') && !line.starts_with(' ') {
                break;
            }
        }
    }
    (code, tests)
}

/// The paths of a tree of paths, such as `a::{b, c::d as e}`, each with the name that it is known by; and where the
/// tree ends.
fn tree(text: &str, before: &[String], found: &mut Vec<(ModulePath, String)>) -> usize {
    let word = |text: &str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let length = word(text);
    let path = [before, &[text[..length].to_owned()]].concat();
    let rest = &text[length..];
    if rest.starts_with("::{") {
        let mut at = length + 3;
        loop {
            let rest = &text[at..];
            at += rest.len() - rest.trim_start_matches([' ', '\n', ',']).len();
            if text[at..].is_empty() || text[at..].starts_with('}') {
                return at + 1;
            }
            at += tree(&text[at..], &path, found).max(1);
        }
    }
    if let Some(rest) = rest.strip_prefix("::")
        && rest.starts_with(|c: char| c.is_alphabetic() || c == '_')
    {
        return length + 2 + tree(rest, &path, found);
    }
    let alias = rest.strip_prefix(" as ").map(|alias| &alias[..word(alias)]);
    found.push((path, alias.unwrap_or(&text[..length]).to_owned()));
    length + alias.map_or(0, |alias| " as ".len() + alias.len())
}

/// The paths in the code of a module that begin in the crate or above the module.
fn paths(own: &[String], code: &str) -> Vec<ModulePath> {
    let mut found = Vec::new();
    let above = &own[..own.len().saturating_sub(1)];
    for (prefix, before) in [("crate::", &[][..]), ("super::", above)] {
        for (at, _) in code.match_indices(prefix) {
            tree(&code[at + prefix.len()..], before, &mut found);
        }
    }
    found.into_iter().map(|(path, _)| path).collect()
}

/// What modules export of others, by the name under which they do.
fn exports(modules: &BTreeMap<ModulePath, String>) -> BTreeMap<ModulePath, ModulePath> {
    let mut exports = BTreeMap::new();
    for (own, code) in modules {
        for line in code.match_indices("\npub").map(|(at, _)| &code[at + 1..]) {
            let Some((_, used)) = line.split_once("use ").filter(|(head, _)| !head.contains('\n')) else { continue };
            let (before, used) = match used.strip_prefix("crate::") {
                Some(used) => (Vec::new(), used),
                None => (own.clone(), used),
            };
            let mut found = Vec::new();
            tree(used, &before, &mut found);
            let named = found.into_iter().map(|(path, name)| ([own.clone(), vec![name]].concat(), path));
            // A module may have the name of what it exports.
            exports.extend(named.filter(|(name, path)| !modules.contains_key(name) && name != path));
        }
    }
    exports
}

/// The module in which what a path names is written: exports are followed.
fn home<'m>(
    path: &[String],
    modules: &'m BTreeMap<ModulePath, String>,
    exports: &BTreeMap<ModulePath, ModulePath>,
) -> Option<&'m ModulePath> {
    let mut path = path.to_vec();
    while let Some(length) = (1..=path.len()).find(|length| exports.contains_key(&path[..*length])) {
        path = [exports[&path[..length]].clone(), path[length..].to_vec()].concat();
    }
    let (home, _) = (1..=path.len()).rev().find_map(|length| modules.get_key_value(&path[..length]))?;
    Some(home)
}

/// Uses between the files and subfolders of one folder: by user and used, the modules that do it.
type Uses = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The uses within each folder.
fn uses() -> BTreeMap<String, Uses> {
    let modules = modules();
    let exports = exports(&modules);
    let mut uses: BTreeMap<String, Uses> = BTreeMap::new();
    for (own, code) in &modules {
        for used in paths(own, code).iter().filter_map(|path| home(path, &modules, &exports)) {
            let common = own.iter().zip(used).take_while(|(own, used)| own == used).count();
            if let (Some(user), Some(to)) = (own.get(common), used.get(common)) {
                let folder = [&["src".to_owned()], &own[..common]].concat().join("/");
                let of = uses.entry(folder).or_default().entry(user.clone()).or_default();
                of.entry(to.clone()).or_default().insert(format!("{} uses {}", own.join("::"), used.join("::")));
            }
        }
    }
    uses
}

/// Everything that a file or subfolder uses, at once or through others.
fn reached(uses: &Uses, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(from) = next.pop() {
        let further = uses.get(&from).into_iter().flat_map(BTreeMap::keys).filter(|to| !reached.contains(*to)).cloned();
        let further: Vec<String> = further.collect();
        reached.extend(further.iter().cloned());
        next.extend(further);
    }
    reached
}

#[test]
fn files_of_a_folder_use_each_other_in_one_direction() {
    let mut circles: BTreeMap<(String, Vec<String>), String> = BTreeMap::new();
    for (folder, uses) in uses() {
        let reached: BTreeMap<&String, BTreeSet<String>> =
            uses.keys().map(|from| (from, reached(&uses, from))).collect();
        for (from, to) in reached.iter().filter(|(from, to)| to.contains(**from)) {
            let circle: Vec<String> =
                to.iter().filter(|other| reached.get(other).is_some_and(|to| to.contains(*from))).cloned().collect();
            let within = |name: &String| circle.contains(name);
            let lines = uses.iter().filter(|(user, _)| within(user)).flat_map(|(_, used)| {
                used.iter()
                    .filter(|(to, _)| within(to))
                    .flat_map(|(_, who)| who.iter().map(|who| format!("\n    {who}")))
            });
            let lines = lines.collect();
            circles.insert((folder.clone(), circle), lines);
        }
    }
    for (folder, files, reason) in CIRCLES {
        let files = files.iter().map(|&file| file.to_owned()).collect();
        let circle = circles.remove(&(folder.to_owned(), files));
        assert!(circle.is_some(), "`{folder}` has no such circle any more, so take it from the exceptions: {reason}");
    }
    let text: Vec<String> =
        circles.iter().map(|((folder, files), lines)| format!("{folder}: {}{lines}", files.join(", "))).collect();
    assert!(text.is_empty(), "files use each other in circles: move what they share below them\n{}", text.join("\n"));
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
        assert_eq!(written, list, "run `REQUITE_UPDATE_DOCS=1 cargo test --test docs`");
    }
}

/// The longest file, in lines: what is longer has more than one reason to exist.
const FILE_LINES_MAX: usize = 500;

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| FILE_LINES_MAX < *lines)
        .map(|(path, lines)| format!("{path} has {lines} lines"))
        .collect();
    assert!(long.is_empty(), "split these by their reasons to exist: {long:?}");
}

/// Words with which a comment asks a question instead of saying what a thing is, and how to begin instead.
const QUESTIONS: [(&str, &str); 5] = [
    ("What", "the noun: `Amount that …`"),
    ("How", "the quantity: `Number of …`, `Time until …`"),
    ("Whether", "`True if …`, `Returns true if …`"),
    ("Where", "the place: `Address of …`, `Position of …`"),
    ("Why", "`Reason for …`"),
];

/// Documentation comments in a hundred that may begin so.
const QUESTIONS_PERCENT_MAX: usize = 1;

#[test]
fn documentation_begins_with_the_thing_itself() {
    let (mut all, mut asking) = (0, Vec::new());
    for (path, text) in sources() {
        let mut inside = false;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            let comment =
                line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).filter(|rest| !rest.starts_with('/'));
            if let Some(comment) = comment.filter(|_| !inside) {
                all += 1;
                let first = comment.split_whitespace().next().unwrap_or_default();
                if let Some((_, instead)) = QUESTIONS.iter().find(|(word, _)| *word == first) {
                    asking.push(format!("{path}:{}: begin with {instead}", number + 1));
                }
            }
            inside = comment.is_some();
        }
    }
    assert!(5_000 < all, "only {all} comments were found");
    assert!(asking.len() * 100 <= all * QUESTIONS_PERCENT_MAX, "{} of {all}:\n{}", asking.len(), asking.join("\n"));
}
