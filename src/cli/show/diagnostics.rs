//! Mistakes in policies as a server tells them: their places, without the lines around them.

use crate::api::pb;
use crate::api::pb::DiagnosticSeverity;
use crate::cases::CASE_FAILED;
use crate::cli::show::{humanize, short, visible};
use crate::domain::count::counted;
use crate::policy::diagnostic::STRICTER_NOTE;

/// Report on policies that were rejected.
pub(in crate::cli) fn rejection(rejection: &pb::PolicyRejection) -> String {
    let mut page = String::new();
    for problem in &rejection.read_problems {
        page.push_str(&format!("error: {}\n", visible(problem)));
    }
    page.push_str(&list(&rejection.diagnostics));
    if 0 < rejection.further_diagnostics {
        page.push_str(&format!("and {} more; `requite status` shows all of them\n\n", rejection.further_diagnostics));
    }
    let trigger = humanize(rejection.trigger().as_str_name(), "RELOAD_TRIGGER_");
    let what = match rejection.digest.as_str() {
        "" => "the source cannot be read".to_owned(),
        digest => format!("{} was rejected", short(digest)),
    };
    let errors = rejection.diagnostics.iter().filter(|it| it.severity() != DiagnosticSeverity::Warning).count();
    let cases = counted(u64::from(rejection.cases_passed), "case");
    let shown = if 0 < rejection.further_diagnostics { "at least " } else { "" };
    page.push_str(&format!("{what} ({trigger}): {shown}{}, {cases} passed\n", counted(errors as u64, "error")));
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
        DiagnosticSeverity::Unspecified | DiagnosticSeverity::Error | DiagnosticSeverity::StricterError => "error",
    };
    let note = match diagnostic.severity() {
        DiagnosticSeverity::StricterError => format!("\n  = note: {STRICTER_NOTE}"),
        DiagnosticSeverity::Unspecified | DiagnosticSeverity::Error | DiagnosticSeverity::Warning => String::new(),
    };
    let (code, message, help, file) = (visible(code), visible(message), visible(help), visible(file));
    let place = match (file.as_str(), line) {
        ("", _) => String::new(),
        (file, 0) => format!("\n  --> {file}"),
        (file, line) => format!("\n  --> {file}:{line}:{column}"),
    };
    let help = if help.is_empty() { String::new() } else { format!("\n  = help: {help}") };
    format!("{severity}[{code}]: {message}{place}{help}{note}\n\n")
}

/// Returns true if the policies are valid and only their cases come out otherwise. Of a rejection that was
/// cut short nobody knows: what was left out may be a mistake.
pub(in crate::cli) fn only_cases_failed(rejection: &pb::PolicyRejection) -> bool {
    if 0 < rejection.further_diagnostics {
        return false;
    }
    let mut errors = rejection.diagnostics.iter().filter(|it| it.severity() != DiagnosticSeverity::Warning).peekable();
    errors.peek().is_some() && errors.all(|diagnostic| diagnostic.code == CASE_FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(codes: &[&str], further_diagnostics: u32) -> pb::PolicyRejection {
        let one = |code: &&str| pb::PolicyDiagnostic {
            severity: DiagnosticSeverity::Error.into(),
            code: (*code).to_owned(),
            ..pb::PolicyDiagnostic::default()
        };
        pb::PolicyRejection {
            diagnostics: codes.iter().map(one).collect(),
            further_diagnostics,
            ..pb::PolicyRejection::default()
        }
    }

    #[test]
    fn only_cases_failed_where_all_is_known_and_all_are_cases() {
        assert!(only_cases_failed(&failed(&[CASE_FAILED, CASE_FAILED], 0)));
        assert!(!only_cases_failed(&failed(&[CASE_FAILED, "unknown-word"], 0)));
        assert!(!only_cases_failed(&failed(&[CASE_FAILED], 7)), "what was left out may be a mistake");
        assert!(!only_cases_failed(&failed(&[], 0)));
    }

    #[test]
    fn what_was_left_out_is_counted() {
        let page = rejection(&failed(&[CASE_FAILED], 7));
        assert!(page.contains("and 7 more") && page.contains("at least 1 error"), "{page}");
        assert!(!rejection(&failed(&[CASE_FAILED], 0)).contains("more"));
    }
}
