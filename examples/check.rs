//! A directory of policies checked from Rust: every mistake with its line, and an exit code.
//!
//!     cargo run --example check -- policies/standard

use std::process::ExitCode;

use requite::engine::admit::admit;
use requite::policy::diagnostic::{Colour, render};
use requite::source::{Directory, Source as _};

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("expected the path of a directory of policies");
        return ExitCode::from(2);
    };
    let bundle = match Directory::new(path).read() {
        Ok(bundle) => bundle,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match admit(&bundle) {
        Ok(admission) => {
            println!("{} policies, {} cases passed", admission.plans.len(), admission.cases_passed);
            ExitCode::SUCCESS
        }
        Err(rejection) => {
            eprintln!("{}", render(&rejection.diagnostics, &bundle, Colour::Off));
            ExitCode::FAILURE
        }
    }
}
