//! Requests as JSON, with the whole report that their author sees.
//!
//! `tests/request_json/NAME.json` is a request, `tests/request_json/NAME.report.txt` what `requite eval` says of
//! it, to the letter; of one that can be read, the message as it is written again.
//!
//! `REQUITE_UPDATE_REPORTS=1 cargo test --test requests request_json` writes the reports anew. Read what changed as the
//! author of the request would.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use requite::api::json::{request_from_json, request_to_json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/request_json")
}

/// The names of the files with such an ending.
fn names(ending: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect()
}

/// What is said of a request: all that `eval` writes before it exits with 2, or the message that was read.
fn report(name: &str) -> String {
    let file = format!("{name}.json");
    let text = String::from_utf8(fs::read(folder().join(&file)).unwrap()).unwrap();
    if let Ok(request) = request_from_json(&text) {
        return format!("{}\n", request_to_json(&request));
    }
    let eval =
        Command::new(env!("CARGO_BIN_EXE_requite")).args(["eval", &file]).current_dir(folder()).output().unwrap();
    assert_eq!(eval.status.code(), Some(2), "{name}");
    assert!(eval.stdout.is_empty(), "{name}");
    String::from_utf8(eval.stderr).unwrap()
}

#[test]
fn every_request_has_its_report() {
    let update = std::env::var_os("REQUITE_UPDATE_REPORTS").is_some();
    for name in names(".json") {
        let file = folder().join(format!("{name}.report.txt"));
        let report = report(&name);
        if update {
            fs::write(&file, &report).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(report, expected, "{name}");
    }
}

#[test]
fn every_report_has_its_request() {
    assert_eq!(names(".report.txt"), names(".json"));
    assert!(30 <= names(".json").len());
}
