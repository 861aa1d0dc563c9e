//! Status, changes and problems of a replica, as messages.

use crate::api::pb;
use crate::decision::ENGINE_REVISION;
use crate::engine::status::{
    ActivationReport, Admissible, Assessment, Failed, Hold, PolicyLabel, RestartForecast, Revision, SourceStatus,
    StartedFrom, Status, WhyFailed,
};
use crate::policy::diagnostic::{Diagnostic, Severity};
use crate::policy::diff::{Change, ChangeKind, Changes};
use crate::server::wire::candidate;
use crate::server::wire::history::{self, entry, revision};
use crate::server::wire::scalars::{count, moment};

/// The message of a status.
pub(crate) fn status(status: &Status) -> pb::PolicyStatus {
    let Status {
        in_force,
        withdrawal,
        policies,
        stricter_errors,
        decisions,
        started_from,
        started_at,
        source,
        last_failure,
        restart,
        last_known_good,
        candidate,
        activations,
        // For metrics, which are not repeated here.
        last_attempt: _,
        notices,
    } = status;
    let (forecast, restart_detail) = restart_forecast(restart);
    pb::PolicyStatus {
        in_force: Some(revision(in_force, withdrawal.as_ref())),
        policies: policies.iter().map(|label| policy_ref(label, in_force)).collect(),
        decisions: *decisions,
        started_from: match started_from {
            StartedFrom::Source => pb::StartedFrom::Source,
            StartedFrom::LastKnownGood => pb::StartedFrom::LastKnownGood,
        }
        .into(),
        source: Some(source_status(source)),
        last_rejection: last_failure.as_deref().map(rejection),
        restart: forecast.into(),
        restart_detail,
        candidate: candidate.as_ref().map(candidate::report),
        last_known_good: last_known_good.as_ref().map(|good| revision(good, None)),
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: Some(moment(*started_at)),
        notices: notices.clone(),
        stricter_errors: diagnostics(stricter_errors),
        activations: activations.iter().map(entry).collect(),
    }
}

fn policy_ref(label: &PolicyLabel, in_force: &Revision) -> pb::PolicyRef {
    let PolicyLabel { id, version, effective_from } = label;
    pb::PolicyRef {
        policy_id: id.clone(),
        version: version.clone(),
        digest: in_force.digest.to_string(),
        generation: in_force.generation,
        effective_from: effective_from.map(moment),
        engine_revision: ENGINE_REVISION,
    }
}

fn source_status(source: &SourceStatus) -> pb::SourceStatus {
    let SourceStatus { location, checked_at, in_sync_at, digest, hold } = source;
    let (hold, held_until) = match hold {
        Hold::None => (pb::SourceHold::Unspecified, None),
        Hold::Flapping { until } => (pb::SourceHold::Flapping, Some(moment(*until))),
        Hold::Overridden => (pb::SourceHold::Overridden, None),
    };
    pb::SourceStatus {
        location: location.clone(),
        checked_at: Some(moment(*checked_at)),
        in_sync_at: in_sync_at.map(moment),
        digest: digest.map(|digest| digest.to_string()).unwrap_or_default(),
        hold: hold.into(),
        held_until,
    }
}

fn restart_forecast(forecast: &RestartForecast) -> (pb::RestartForecast, String) {
    match forecast {
        RestartForecast::Same => {
            (pb::RestartForecast::Same, "a restart would put the same policies in force".to_owned())
        }
        RestartForecast::Other(digest) => {
            (pb::RestartForecast::Other, format!("a restart would put in force what the source holds: {digest}"))
        }
        RestartForecast::LastKnownGood(digest) => (
            pb::RestartForecast::LastKnownGood,
            format!("the source is broken: a restart would put the last revision known to be good in force: {digest}"),
        ),
        RestartForecast::Failure => (
            pb::RestartForecast::Failure,
            "the source is broken and there is no revision known to be good: a restart would fail".to_owned(),
        ),
    }
}

/// The message of an attempt that failed.
pub(crate) fn rejection(failed: &Failed) -> pb::PolicyRejection {
    let Failed { at, trigger, why } = failed;
    let (digest, diagnostics, read_problems, cases_passed) = match why {
        WhyFailed::Unreadable(problems) => (String::new(), Vec::new(), problems.clone(), 0),
        WhyFailed::Rejected { digest, diagnostics, cases_passed } => {
            (digest.to_string(), self::diagnostics(diagnostics), Vec::new(), count(*cases_passed))
        }
    };
    pb::PolicyRejection {
        digest,
        rejected_at: Some(moment(*at)),
        trigger: history::trigger(*trigger).into(),
        diagnostics,
        read_problems,
        cases_passed,
        further_diagnostics: 0,
    }
}

/// The message of what a reload, rollback or promotion came to.
pub(crate) fn activation(report: ActivationReport) -> pb::Activation {
    let ActivationReport { before, after, generation, at, warnings, changes, cases_passed, notices } = report;
    pb::Activation {
        before_digest: before.to_string(),
        after_digest: after.to_string(),
        generation,
        activated_at: Some(moment(at)),
        warnings: diagnostics(&warnings),
        further_changes: count(changes.further),
        changes: self::changes(changes),
        cases_passed: count(cases_passed),
        notices,
    }
}

/// The message of what policies would do.
pub(crate) fn assessment(assessment: Assessment) -> pb::ValidatePolicyResponse {
    let Assessment { digest, verdict, diagnostics, cases_passed, changes, in_force } = assessment;
    pb::ValidatePolicyResponse {
        digest: digest.to_string(),
        admissible: match verdict {
            Admissible::Yes => true,
            Admissible::No => false,
        },
        diagnostics: self::diagnostics(&diagnostics),
        cases_passed: count(cases_passed),
        further_changes: count(changes.further),
        changes: self::changes(changes),
        in_force_digest: in_force.to_string(),
    }
}

/// The messages of mistakes.
pub(crate) fn diagnostics(diagnostics: &[Diagnostic]) -> Vec<pb::PolicyDiagnostic> {
    diagnostics.iter().map(diagnostic).collect()
}

fn diagnostic(diagnostic: &Diagnostic) -> pb::PolicyDiagnostic {
    let Diagnostic { severity, code, message, place, help } = diagnostic;
    let (file, line, column) =
        place.as_ref().map_or((String::new(), 0, 0), |place| (place.file.clone(), place.line, place.column));
    pb::PolicyDiagnostic {
        severity: match severity {
            Severity::Error => pb::DiagnosticSeverity::Error,
            Severity::StricterError => pb::DiagnosticSeverity::StricterError,
            Severity::Warning => pb::DiagnosticSeverity::Warning,
        }
        .into(),
        code: (*code).to_owned(),
        message: message.clone(),
        help: help.clone().unwrap_or_default(),
        file,
        line,
        column,
    }
}

/// The messages of differences that are shown.
pub(crate) fn changes(Changes { shown, further: _ }: Changes) -> Vec<pb::PolicyChange> {
    let change = |Change { kind, document, section, name, before, after }| {
        let kind = match kind {
            ChangeKind::Added => pb::ChangeKind::Added,
            ChangeKind::Removed => pb::ChangeKind::Removed,
            ChangeKind::Changed => pb::ChangeKind::Changed,
            ChangeKind::Moved => pb::ChangeKind::Moved,
        };
        pb::PolicyChange { kind: kind.into(), document, section, name, before, after }
    };
    shown.into_iter().map(change).collect()
}
