//! The default bundle is admitted, and its cases pass.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test may panic to fail")]

use requite::engine::admit::admit;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, render};

#[test]
fn the_default_bundle_is_admitted() {
    let file = |path: &str| BundleFile {
        path: path.into(),
        bytes: std::fs::read(format!("policies/standard/{path}")).unwrap(),
    };
    let bundle =
        Bundle::new(vec![file("standard.policy.yaml"), file("standard.cases.yaml"), file("calendars/cn.yaml")])
            .unwrap();
    match admit(&bundle) {
        Ok(admission) => {
            assert!(0 < admission.cases_passed && admission.warnings.is_empty(), "{:?}", admission.warnings)
        }
        Err(rejection) => panic!("\n{}", render(&rejection.diagnostics, &bundle, Colour::Off)),
    }
}
