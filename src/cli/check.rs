//! `check`: would this bundle be put in force?

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cases::CASE_FAILED;
use crate::cli::exit::Exit;
use crate::cli::output::{answer, colour_of_reports, say, say_unreadable};
use crate::cli::show::visible;
use crate::domain::count::counted;
use crate::engine::admit::{Admission, Rejection, admit};
use crate::policy::bundle::Bundle;
use crate::policy::diagnostic::{Diagnostic, render};
use crate::source::directory;

/// Say whether a directory of policies would be put in force
#[derive(Debug, Args)]
#[command(
    long_about = "Say whether a directory of policies would be put in force.\n\n\
        Reads every `.yaml` file in DIR, DIR/calendars and DIR/cases, reports every mistake with its \
        file, line and what to do about it, and runs the policies' own cases: exactly what `serve` \
        does before it puts them in force. `requite explain CODE` says more about the code in \
        brackets, such as `unknown-word`.",
    after_long_help = "Example:\n  requite check policies/standard\n\n\
        Exit codes:\n  0  it would be put in force\n  3  there are mistakes in the policies, or they cannot be read\n  \
        4  the policies are valid, but a case does not come out as expected"
)]
pub(super) struct Check {
    /// The directory of the policies
    dir: PathBuf,
}

impl Check {
    pub(super) fn run(self) -> Exit {
        let (admission, bundle) = match admitted(&self.dir) {
            Ok(admitted) => admitted,
            Err(exit) => return exit,
        };
        say_warnings(&admission.warnings, &bundle);
        answer(summary(&admission, &self.dir), Exit::Done)
    }
}

/// The admission of a directory; where there is none, everything has been said.
pub(super) fn admitted(dir: &Path) -> Result<(Admission, Bundle), Exit> {
    let bundle = directory::read(dir).map_err(|error| say_unreadable(&error))?;
    match admit(&bundle) {
        Ok(admission) => Ok((admission, bundle)),
        Err(rejection) => {
            say_report(&rejection.diagnostics, &bundle);
            if let Some(failed) = rejection.only_cases_failed {
                say(&format!("{} failed, {} passed", counted(failed, "case"), rejection.cases_passed));
            }
            Err(exit_of(&rejection))
        }
    }
}

/// The report on a bundle, and how to read more about its codes.
pub(super) fn say_report(diagnostics: &[Diagnostic], bundle: &Bundle) {
    say(&render(diagnostics, bundle, colour_of_reports()));
    if let Some(help) = further_help(diagnostics) {
        say(&help);
    }
}

/// The verb that says more about the codes of a report; `None` where only cases failed, which say all there is.
pub(super) fn further_help(diagnostics: &[Diagnostic]) -> Option<String> {
    let mut codes = diagnostics.iter().map(|diagnostic| diagnostic.code).filter(|code| *code != CASE_FAILED);
    let first = codes.next()?;
    let code = if codes.all(|code| code == first) { first } else { "CODE" };
    Some(format!("help: `requite explain {code}` says more"))
}

/// Warnings of a bundle that is good enough.
pub(super) fn say_warnings(warnings: &[Diagnostic], bundle: &Bundle) {
    if !warnings.is_empty() {
        say_report(warnings, bundle);
    }
}

/// A mistake in a policy outweighs a case: the case may only show the mistake.
pub(super) const fn exit_of(rejection: &Rejection) -> Exit {
    if rejection.only_cases_failed.is_some() { Exit::CasesFailed } else { Exit::PolicyInvalid }
}

fn summary(admission: &Admission, dir: &Path) -> String {
    let mut text = String::new();
    for plan in &admission.plans {
        let rules = counted(plan.rules.len(), "rule");
        let requirements = counted(plan.requirements.len(), "evidence requirement");
        text.push_str(&format!("policy `{}` {}: {rules}, {requirements}\n", plan.id, visible(&plan.version)));
    }
    text.push_str(&match admission.cases_passed {
        0 => "no cases: nothing says what these policies are meant to do\n".to_owned(),
        cases => format!("{} passed\n", counted(cases, "case")),
    });
    text.push_str(&format!("digest {}\n", admission.digest));
    text.push_str(&format!("next: `requite serve --policies {}`\n", dir.display()));
    text
}
