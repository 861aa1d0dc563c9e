//! Log messages about putting policies in force.

use crate::engine::Activation;
use crate::engine::activations::Withdrawal;
use crate::engine::admit::Rejection;
use crate::engine::history::LoadedBundle;
use crate::engine::status::RestartForecast;
use crate::policy::bundle::Digest;
use crate::policy::diagnostic::{Diagnostic, Severity};
use crate::reload::loader::Ready;
use crate::source::SourceError;
use crate::telemetry::labels::ReloadTrigger;

/// Each diagnostic as a line of the log of its own, so that it can be searched for by code.
pub fn report(diagnostics: &[Diagnostic]) {
    for Diagnostic { severity, code, message, place, help } in diagnostics {
        let place = place.as_ref().map(ToString::to_string);
        let (place, help) = (place.as_deref(), help.as_deref());
        match severity {
            Severity::Error | Severity::StricterError => tracing::error!(code, place, help, "{message}"),
            Severity::Warning => tracing::warn!(code, place, help, "{message}"),
        }
    }
}

/// Logs errors that would refuse these policies if new.
pub fn let_in(held: &LoadedBundle) {
    if held.stricter_errors.is_empty() {
        return;
    }
    tracing::error!(
        digest = %held.bundle.digest(),
        errors = held.stricter_errors.len(),
        "policies let in that would be refused if they were new: they have been in force and are served as before; fix them, a change of them is refused until then"
    );
    report(&held.stricter_errors);
}

pub(super) fn applied(trigger: ReloadTrigger, actor: &str, activation: Activation, ready: &Ready) {
    let Activation { before, after, generation } = activation;
    let_in(&ready.held);
    report(&ready.held.warnings);
    let cases_passed = ready.held.cases_passed;
    let actor = Some(actor).filter(|actor| !actor.is_empty());
    tracing::info!(trigger = trigger.as_str(), actor, %before, %after, generation, cases_passed, "policies applied");
}

/// State before: bad if something was wrong that no longer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Before {
    Bad,
    Good,
}

pub(super) fn unchanged(trigger: ReloadTrigger, in_force: Digest, before: Before) {
    let asked = ReloadTrigger::Signal <= trigger;
    let trigger = trigger.as_str();
    match before {
        Before::Bad => tracing::info!(trigger, %in_force, "source matches the active policies again"),
        Before::Good if asked => tracing::info!(trigger, %in_force, "policies unchanged"),
        Before::Good => tracing::debug!(trigger, %in_force, "policies unchanged"),
    }
}

pub(super) fn kept_out(trigger: ReloadTrigger, source: Digest, in_force: Digest, withdrawal: Option<&Withdrawal>) {
    let trigger = trigger.as_str();
    match withdrawal {
        Some(withdrawal) => tracing::warn!(
            trigger,
            %source,
            %in_force,
            "the source holds what {}: it stays out until an admin names it: {}",
            withdrawal.of(source),
            withdrawal.told()
        ),
        None => tracing::info!(
            trigger,
            %source,
            %in_force,
            "the source holds what it held when an admin put something else in force: it stays out"
        ),
    }
}

pub(super) fn known_bad(digest: Digest, in_force: Digest) {
    tracing::warn!(%digest, %in_force, "policies rejected before and not changed since: the ones in force keep serving");
}

pub(super) fn rejected(trigger: ReloadTrigger, in_force: Digest, rejection: &Rejection, restart: &RestartForecast) {
    let errors = rejection.diagnostics.iter().filter(|diagnostic| diagnostic.severity.is_error()).count();
    tracing::error!(
        trigger = trigger.as_str(),
        digest = %rejection.digest,
        %in_force,
        errors,
        "policies rejected: the ones in force keep serving, {}",
        would(restart)
    );
    report(&rejection.diagnostics);
}

pub(super) fn unreadable(trigger: ReloadTrigger, in_force: Digest, error: &SourceError, restart: &RestartForecast) {
    tracing::error!(
        trigger = trigger.as_str(),
        %in_force,
        "policies unreadable: the ones in force keep serving, {}",
        would(restart)
    );
    for (problem, help) in error.lines() {
        tracing::error!(help, "{problem}");
    }
}

fn would(restart: &RestartForecast) -> String {
    match restart {
        RestartForecast::Same => "a restart would take the same".to_owned(),
        RestartForecast::Other(digest) => format!("a restart would take {digest}"),
        RestartForecast::LastKnownGood(digest) => format!("a restart would take the last known good, {digest}"),
        RestartForecast::Failure => "a restart would fail".to_owned(),
    }
}
