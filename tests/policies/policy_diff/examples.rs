//! The policies that the project comes with, cut into items that can be edited.

use std::fs;
use std::path::PathBuf;

use requite::policy::bundle::Bundle;
use requite::source::directory;

pub fn examples() -> Vec<(PathBuf, Bundle)> {
    let folders = fs::read_dir("policies/examples").unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
    folders.push("policies/standard".into());
    folders.sort();
    folders.into_iter().map(|folder| (folder.clone(), directory::read(&folder).unwrap())).collect()
}

/// The text of a file: what stands before the items of one of its sections, the items, the rest.
pub struct Cut {
    before: String,
    pub items: Vec<String>,
    rest: String,
}

impl Cut {
    /// The items of a section that is written as a block.
    pub fn of(text: &str, section: &str) -> Option<Self> {
        let (before, body) = text.split_once(&format!("\n{section}:\n"))?;
        let before = format!("{before}\n{section}:\n");
        let (mut items, mut rest): (Vec<String>, String) = (Vec::new(), String::new());
        let mut ended = false;
        for line in body.split_inclusive('\n') {
            ended |= line.starts_with(|first: char| first.is_alphabetic());
            let dash = if section == "rules" || section == "cases" {
                line.starts_with("  - ")
            } else {
                !line.starts_with("  - ")
            };
            let begins = dash && line.starts_with("  ") && !line[2..].starts_with([' ', '#']);
            match items.last_mut() {
                _ if ended => rest.push_str(line),
                _ if begins => items.push(line.to_owned()),
                Some(item) => item.push_str(line),
                None => {}
            }
        }
        (!items.is_empty()).then_some(Self { before, items, rest })
    }

    pub fn text(&self) -> String {
        format!("{}{}{}", self.before, self.items.concat(), self.rest)
    }
}

/// The name of an item, as it stands in its text.
pub fn name_of(section: &str, item: &str) -> String {
    let name = match section {
        "rules" => item.split_once("id: ").unwrap().1.split([',', '\n']).next().unwrap(),
        "cases" => item.split_once("case: ").unwrap().1.split('\n').next().unwrap(),
        _ => item.split(':').next().unwrap(),
    };
    name.trim().trim_matches('"').to_owned()
}

/// An item that is like no other of the examples.
pub fn item_of(section: &str, name: &str) -> String {
    match section {
        "rules" => format!("  - id: {name}\n    note: from the test\n    deny: EDITED\n"),
        "cases" => format!("  - case: \"{name}\"\n    expect: {{ outcome: edited }}\n"),
        _ => format!("  {name}: {{ edited: by the test }}\n"),
    }
}

pub const SECTIONS: [&str; 7] = ["rules", "reasons", "inputs", "next_steps", "facts", "components", "cases"];

/// The places of all sections of all examples that can be edited: bundle, file, section.
pub fn editable(examples: &[(PathBuf, Bundle)]) -> Vec<(usize, usize, &'static str)> {
    let mut found = Vec::new();
    for (number, (_, bundle)) in examples.iter().enumerate() {
        for (place, file) in bundle.files().iter().enumerate() {
            let text = std::str::from_utf8(&file.bytes).unwrap();
            found.extend(SECTIONS.into_iter().filter(|s| Cut::of(text, s).is_some()).map(|s| (number, place, s)));
        }
    }
    found
}

pub fn with(bundle: &Bundle, place: usize, text: String) -> Bundle {
    let mut files = bundle.files().to_vec();
    files[place].bytes = text.into_bytes();
    Bundle::new(files).unwrap()
}
