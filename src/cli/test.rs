//! `test`: do the policies decide their own cases as expected?

use std::path::PathBuf;

use clap::Args;

use crate::cli::check::{admitted, say_warnings};
use crate::cli::exit::Exit;
use crate::cli::output::{answer, say};
use crate::domain::count::counted;

/// Run the cases that stand beside the policies
#[derive(Debug, Args)]
#[command(
    long_about = "Run the cases that stand beside the policies.\n\n\
        A case is an order, a claim and the decision expected on it, in a file `NAME.cases.yaml`. Every \
        difference is named with its file and line.",
    after_long_help = "Example:\n  requite test policies/standard\n\n\
        Exit codes:\n  0  every case came out as expected\n  3  there are mistakes in the policies, or they cannot be read\n  \
        4  a case did not come out as expected, or there is none and `--allow-no-cases` is not given"
)]
pub(super) struct Test {
    /// The directory of the policies
    dir: PathBuf,
    /// Succeed where there are no cases
    #[arg(long)]
    allow_no_cases: bool,
}

impl Test {
    pub(super) fn run(self) -> Exit {
        let (admission, bundle) = match admitted(&self.dir) {
            Ok(admitted) => admitted,
            Err(exit) => return exit,
        };
        say_warnings(&admission.warnings, &bundle);
        let dir = self.dir.display();
        match admission.cases_passed {
            0 if self.allow_no_cases => answer(format!("no cases in `{dir}`"), Exit::Done),
            0 => {
                say(&format!(
                    "error: no cases in `{dir}`, so nothing was tested\nhelp: write what you expect into \
                     `NAME.cases.yaml` beside the policy, or give `--allow-no-cases`"
                ));
                Exit::CasesFailed
            }
            cases => {
                let passed = counted(cases, "case");
                answer(format!("{passed} passed\nnext: `requite serve --policies {dir}`"), Exit::Done)
            }
        }
    }
}
