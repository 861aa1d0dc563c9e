//! Policies as files: from messages to a bundle, and back.

use std::collections::BTreeSet;

use crate::api::path::Path;
use crate::api::pb;
use crate::domain::limits::{BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX, FILE_BYTES_MAX};
use crate::domain::request::FieldViolation;
use crate::domain::violations::Violations;
use crate::policy::bundle::{Bundle, BundleFile};

/// The path of one file, in bytes of UTF-8: what file systems take for one name, three parts deep.
const PATH_BYTES_MAX: usize = 768;

/// Violations that are looked for among the files: what is wrong with a thousand names, the first
/// hundred say as well.
const VIOLATIONS_MAX: usize = 100;

/// The bundle of these files. Hashes them: not to be called where nothing may take long.
pub(crate) fn bundle(files: pb::PolicyFiles) -> Result<Bundle, Vec<FieldViolation>> {
    let pb::PolicyFiles { files } = files;
    let mut violations = Violations::default();
    let (root, at) = (Path::Root, "files");
    let message = root.field(at);
    let list = message.field(at);
    if files.is_empty() {
        violations.add(list, "must hold at least one file; leave the message out for what the source holds");
    }
    if BUNDLE_FILES_MAX < files.len() {
        violations.add(list, format!("must hold at most {BUNDLE_FILES_MAX} files, got {}", files.len()));
    }
    let bytes = files.iter().fold(0_usize, |sum, file| sum.saturating_add(file.content.len()));
    if BUNDLE_BYTES_MAX < bytes {
        violations.add(list, format!("must hold at most {BUNDLE_BYTES_MAX} bytes together, got {bytes}"));
    }
    let mut paths = BTreeSet::new();
    for (place, file) in files.iter().enumerate() {
        if VIOLATIONS_MAX <= violations.len() {
            break;
        }
        let pb::PolicyFile { path, content } = file;
        let item = list.item(place);
        if let Some(problem) = path_problem(path) {
            violations.add(item.field("path"), problem);
        }
        if !paths.insert(path) {
            violations.add(item.field("path"), "is the path of a file before it");
        }
        if FILE_BYTES_MAX < content.len() {
            let problem = format!("must have at most {FILE_BYTES_MAX} bytes, got {}", content.len());
            violations.add(item.field("content"), problem);
        }
    }
    let found = violations.into_list();
    if !found.is_empty() {
        return Err(found);
    }
    let files = files.into_iter().map(|pb::PolicyFile { path, content }| BundleFile { path, bytes: content });
    Bundle::new(files.collect()).map_err(|error| vec![FieldViolation::new("files.files", error.to_string())])
}

/// Returns the fault in the path of a file. Code that keeps a bundle on disk relies on this: a
/// path leads to a place below the bundle, and to the same one everywhere.
fn path_problem(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("must not be empty")
    } else if PATH_BYTES_MAX < path.len() {
        Some("must have at most 768 bytes")
    } else if path.chars().any(|c| c.is_control() || c == '\\') {
        Some("must hold no control characters and no `\\`: write `/` between the parts")
    } else if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("must be relative, without `.`, `..` or empty parts: such as `calendars/cn.yaml`")
    } else {
        None
    }
}

/// The message of a bundle.
pub(crate) fn files(bundle: &Bundle) -> pb::PolicyFiles {
    let file = |BundleFile { path, bytes }: &BundleFile| pb::PolicyFile { path: path.clone(), content: bytes.clone() };
    pb::PolicyFiles { files: bundle.files().iter().map(file).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(paths: &[&str]) -> pb::PolicyFiles {
        let file = |path: &&str| pb::PolicyFile { path: (*path).to_owned(), content: b"x".to_vec() };
        pb::PolicyFiles { files: paths.iter().map(file).collect() }
    }

    #[test]
    fn files_make_the_bundle_that_a_directory_would() {
        let bundle = bundle(sent(&["b.yaml", "calendars/cn.yaml", "a.yaml"])).unwrap();
        let paths: Vec<_> = bundle.files().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a.yaml", "b.yaml", "calendars/cn.yaml"]);
        assert_eq!(files(&bundle).files.len(), 3);
    }

    #[test]
    fn no_path_leads_out_of_the_bundle() {
        let long = "a".repeat(PATH_BYTES_MAX + 1);
        let bad = ["", "/etc/passwd", "../a.yaml", "a/../../b.yaml", "./a", "a//b", "a/", "a\\b", "a\nb", &long];
        let violations = bundle(sent(&bad)).unwrap_err();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.clone()).collect();
        let expected: Vec<_> = (0..bad.len()).map(|place| format!("files.files[{place}].path")).collect();
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_path_stands_once_and_a_bundle_is_not_empty() {
        let twice = bundle(sent(&["a.yaml", "a.yaml"])).unwrap_err();
        assert_eq!(twice, [FieldViolation::new("files.files[1].path", "is the path of a file before it")]);
        assert_eq!(bundle(sent(&[])).unwrap_err().len(), 1);
    }

    #[test]
    fn a_thousand_bad_paths_are_not_a_thousand_violations() {
        let violations = bundle(sent(&vec![".."; BUNDLE_FILES_MAX + 1])).unwrap_err();
        assert!(violations.len() <= VIOLATIONS_MAX + 2, "{}", violations.len());
    }
}
