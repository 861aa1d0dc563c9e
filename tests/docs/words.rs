//! Words that nobody outside of this project would understand, or that are read twice, with what to write instead. They stand
//! nowhere in the documents, the proto files and the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// The words, in lower case, and what to write instead.
const BANNED: [(&str, &str); 20] = [
    ("for want of", "because … is missing, for lack of"),
    ("said no", "refused"),
    ("held against", "checked against, compared with"),
    ("mend", "fix"),
    ("mends", "fixes"),
    ("mended", "fixed"),
    ("mending", "fixing"),
    ("not let in", "rejected"),
    ("none of grpc", "not gRPC"),
    ("overtaken", "conflict, outdated"),
    ("the road", "the reloader, the path"),
    ("one road", "one reloader"),
    ("desk", "handle, buffer, queue"),
    ("keeper", "persister"),
    ("off the road", "on another thread"),
    ("gone back from", "rolled back from"),
    ("goes back from", "rolls back from"),
    ("hear of", "learn of, be told"),
    ("hears of", "learns of, is told"),
    ("comes forth", "appears"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files with these endings in a folder and those below it.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, endings, found);
        } else if path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)) {
            found.push(path);
        }
    }
}

/// Where a word stands in a line as a word of its own.
fn stands_in(line: &str, word: &str) -> bool {
    let is_letter = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_letter);
        let after = line[at + word.len()..].chars().next().is_some_and(is_letter);
        !before && !after
    })
}

#[test]
fn banned_words_stand_nowhere() {
    let mut all: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name)).into();
    files(&root().join("docs"), &["md"], &mut all);
    files(&root().join("proto"), &["proto"], &mut all);
    files(&root().join("src"), &["rs", "md"], &mut all);
    assert!(300 < all.len(), "only {} files", all.len());
    let mut found = Vec::new();
    for path in all {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            for (word, instead) in BANNED.iter().filter(|(word, _)| stands_in(&line, word)) {
                let path = path.strip_prefix(root()).unwrap().display();
                found.push(format!("{path}:{}: `{word}`: write {instead}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_word_is_found_by_itself_only() {
    assert!(stands_in("he mended it", "mended") && stands_in("mend", "mend"));
    assert!(!stands_in("recommended", "mended") && !stands_in("desktop", "desk") && !stands_in("the_desk", "desk"));
}
