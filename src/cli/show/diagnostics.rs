//! Mistakes in policies as a server tells them: their places, without the lines around them.

use crate::cases::CASE_FAILED;
use crate::cli::show::{counted, short, spoken, visible};
use crate::server::pb;
use crate::server::pb::DiagnosticSeverity;

/// Why policies were not let in.
pub(in crate::cli) fn rejection(rejection: &pb::PolicyRejection) -> String {
    let mut page = String::new();
    for problem in &rejection.read_problems {
        page.push_str(&format!("error: {}\n", visible(problem)));
    }
    page.push_str(&list(&rejection.diagnostics));
    let trigger = spoken(rejection.trigger().as_str_name(), "RELOAD_TRIGGER_");
    let what = match rejection.digest.as_str() {
        "" => "the source cannot be read".to_owned(),
        digest => format!("{} was rejected", short(digest)),
    };
    let errors = rejection.diagnostics.iter().filter(|it| it.severity() == DiagnosticSeverity::Error).count();
    let cases = counted(u64::from(rejection.cases_passed), "case");
    page.push_str(&format!("{what} ({trigger}): {}, {cases} passed\n", counted(errors as u64, "error")));
    page
}

/// Each mistake with its place and what to do about it.
pub(in crate::cli) fn list(diagnostics: &[pb::PolicyDiagnostic]) -> String {
    diagnostics.iter().map(one).collect()
}

fn one(diagnostic: &pb::PolicyDiagnostic) -> String {
    let pb::PolicyDiagnostic { severity: _, code, message, help, file, line, column } = diagnostic;
    let severity = match diagnostic.severity() {
        DiagnosticSeverity::Warning => "warning",
        DiagnosticSeverity::Unspecified | DiagnosticSeverity::Error => "error",
    };
    let place = match (file.as_str(), line) {
        ("", _) => String::new(),
        (file, 0) => format!("\n  --> {file}"),
        (file, line) => format!("\n  --> {file}:{line}:{column}"),
    };
    let help = if help.is_empty() { String::new() } else { format!("\n  = help: {help}") };
    visible(&format!("{severity}[{code}]: {message}{place}{help}\n\n"))
}

/// Whether the policies are valid and only their cases come out otherwise.
pub(in crate::cli) fn only_cases_failed(rejection: &pb::PolicyRejection) -> bool {
    let mut errors = rejection.diagnostics.iter().filter(|it| it.severity() != DiagnosticSeverity::Warning).peekable();
    errors.peek().is_some() && errors.all(|diagnostic| diagnostic.code == CASE_FAILED)
}
