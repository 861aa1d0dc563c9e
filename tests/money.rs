//! Orders that are claimed again, in parts, in another order, with free lines and components beside: every figure is
//! worked out by hand in the cases of `tests/money`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test may panic to fail"
)]

use std::fs;
use std::path::{Path, PathBuf};

use requite::engine::admit::admit;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, render};

/// Fewer cases than this, and a figure has lost its case.
const CASES_MIN: usize = 70;

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/money");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn bundle(folder: &Path) -> Bundle {
    let file = |entry: fs::DirEntry| BundleFile {
        path: entry.file_name().into_string().unwrap(),
        bytes: fs::read(entry.path()).unwrap(),
    };
    Bundle::new(fs::read_dir(folder).unwrap().map(|entry| file(entry.unwrap())).collect()).unwrap()
}

#[test]
fn every_figure_worked_out_by_hand_comes_out() {
    let mut cases = 0;
    for folder in folders() {
        let bundle = bundle(&folder);
        let admission = admit(&bundle)
            .unwrap_or_else(|rejection| panic!("\n{}", render(&rejection.diagnostics, &bundle, Colour::Off)));
        assert!(admission.warnings.is_empty(), "{}: {:?}", folder.display(), admission.warnings);
        cases += admission.cases_passed;
    }
    assert!(CASES_MIN <= cases, "only {cases} cases");
}
