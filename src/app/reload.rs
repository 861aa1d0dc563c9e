//! The one task that puts bundles in force.
//!
//! Every trigger is a message to it. Reading and admitting run off the request threads; a bundle
//! that cannot be read or may not be put in force is reported, and the one before keeps serving.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::engine::Activator;
use crate::engine::admit::{Admission, Rejection};
use crate::policy::bundle::{Bundle, Digest};
use crate::policy::diagnostic::{Diagnostic, Severity};
use crate::source::directory::ReadError;
use crate::telemetry::event::{Panicked, ReloadResult, ReloadTrigger, Reloaded};

/// First pause before a bundle that could not be read for now is read again; doubles each time.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(200);

/// Longest such pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Where bundles come from and what lets them in.
pub struct Loader {
    /// Fetches the bundle. Runs on a thread that may block.
    pub read: Box<dyn Fn() -> Result<Bundle, ReadError> + Send + Sync>,
    /// Whether it may be put in force. Runs on the same thread.
    pub admit: fn(&Bundle) -> Result<Admission, Rejection>,
}

/// The task that puts bundles in force.
#[derive(Debug)]
pub struct Reloader {
    loader: Arc<Loader>,
    activator: Activator,
    /// The last bundle that was not let in: what has been said about it need not be said again.
    rejected: Option<Digest>,
    /// Why the last attempt to read failed.
    unreadable: Option<ReadError>,
    /// When to try again by ourselves, and how long to wait the time after.
    retry: Option<Retry>,
}

#[derive(Clone, Copy, Debug)]
struct Retry {
    at: Instant,
    pause: Duration,
    trigger: ReloadTrigger,
}

/// What one attempt found.
enum Loaded {
    Unreadable(ReadError),
    InForce,
    KnownBad(Digest),
    Rejected(Rejection),
    Admitted(Admission),
}

impl Reloader {
    /// The task for this loader and this engine.
    #[must_use]
    pub fn new(loader: Loader, activator: Activator) -> Self {
        Self { loader: Arc::new(loader), activator, rejected: None, unreadable: None, retry: None }
    }

    /// Works until every sender of triggers is gone, or dropped.
    pub async fn run(mut self, mut triggers: mpsc::Receiver<ReloadTrigger>) {
        while let Some(mut trigger) = self.next(&mut triggers).await {
            // A burst is one reload: what is read now is newer than all of its triggers.
            while let Ok(another) = triggers.try_recv() {
                trigger = trigger.max(another);
            }
            let result = self.reload(trigger).await;
            Reloaded { trigger, result }.record();
        }
    }

    async fn next(&self, triggers: &mut mpsc::Receiver<ReloadTrigger>) -> Option<ReloadTrigger> {
        let Some(retry) = self.retry else { return triggers.recv().await };
        tokio::select! {
            trigger = triggers.recv() => trigger,
            () = sleep_until(retry.at) => Some(retry.trigger),
        }
    }

    async fn reload(&mut self, trigger: ReloadTrigger) -> ReloadResult {
        let loader = Arc::clone(&self.loader);
        let in_force = self.activator.digest();
        // Someone who asks by hand wants to hear again what is wrong.
        let known_bad = match trigger {
            ReloadTrigger::FileChange | ReloadTrigger::Poll => self.rejected,
            ReloadTrigger::Start
            | ReloadTrigger::Signal
            | ReloadTrigger::Admin
            | ReloadTrigger::Rollback
            | ReloadTrigger::Promotion => None,
        };
        let loaded = tokio::task::spawn_blocking(move || loader.load(in_force, known_bad)).await;
        if !matches!(loaded, Ok(Loaded::Unreadable(_))) {
            self.readable_again();
        }
        match loaded {
            Ok(Loaded::Unreadable(error)) => self.unreadable(trigger, error),
            Ok(Loaded::InForce) => self.unchanged(trigger, in_force),
            Ok(Loaded::KnownBad(digest)) => {
                tracing::warn!(%digest, %in_force, "policies rejected before and not changed since: the ones in force keep serving");
                ReloadResult::Rejected
            }
            Ok(Loaded::Rejected(rejection)) => self.reject(trigger, &rejection),
            Ok(Loaded::Admitted(admission)) => self.apply(trigger, admission),
            Err(error) => {
                Panicked { method: "reload" }.record();
                tracing::error!(%error, trigger = trigger.slug(), %in_force, "loading the policies failed, this is a bug: the ones in force keep serving");
                ReloadResult::Rejected
            }
        }
    }

    fn apply(&mut self, trigger: ReloadTrigger, admission: Admission) -> ReloadResult {
        let cases_passed = admission.cases_passed;
        report(&admission.warnings);
        let over = self.activator.current();
        let activation = match self.activator.activate(&over, admission) {
            Ok(activation) => activation,
            Err(overtaken) => {
                tracing::error!(%overtaken, "policies not applied");
                return ReloadResult::Rejected;
            }
        };
        self.rejected = None;
        tracing::info!(
            trigger = trigger.slug(),
            before = %activation.before,
            after = %activation.after,
            generation = activation.generation,
            cases_passed,
            "policies applied"
        );
        ReloadResult::Applied
    }

    fn unchanged(&mut self, trigger: ReloadTrigger, in_force: Digest) -> ReloadResult {
        if self.rejected.take().is_some() {
            tracing::info!(trigger = trigger.slug(), %in_force, "policies are again what is in force");
        } else if trigger == ReloadTrigger::Signal {
            tracing::info!(trigger = trigger.slug(), %in_force, "policies unchanged");
        } else {
            tracing::debug!(trigger = trigger.slug(), %in_force, "policies unchanged");
        }
        ReloadResult::Unchanged
    }

    fn reject(&mut self, trigger: ReloadTrigger, rejection: &Rejection) -> ReloadResult {
        let errors = rejection.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        tracing::error!(
            trigger = trigger.slug(),
            digest = %rejection.digest,
            in_force = %self.activator.digest(),
            errors,
            "policies rejected: the ones in force keep serving, a restart would fail"
        );
        report(&rejection.diagnostics);
        self.rejected = Some(rejection.digest);
        ReloadResult::Rejected
    }

    fn unreadable(&mut self, trigger: ReloadTrigger, error: ReadError) -> ReloadResult {
        let in_force = self.activator.digest();
        // Once for each reason, however often it is tried.
        if self.unreadable.as_ref() != Some(&error) || trigger == ReloadTrigger::Signal {
            tracing::error!(trigger = trigger.slug(), %in_force, "policies unreadable: the ones in force keep serving, a restart would fail");
            for (problem, help) in error.lines() {
                tracing::error!(help, "{problem}");
            }
        }
        self.retry = error.is_transient().then(|| {
            let pause = self.retry.map_or(RETRY_PAUSE_MIN, |retry| retry.pause.saturating_mul(2).min(RETRY_PAUSE_MAX));
            Retry { at: Instant::now() + pause, pause, trigger: ReloadTrigger::FileChange }
        });
        self.unreadable = Some(error);
        ReloadResult::Unreadable
    }

    fn readable_again(&mut self) {
        self.retry = None;
        if self.unreadable.take().is_some() {
            tracing::info!("policies are readable again");
        }
    }
}

impl Loader {
    fn load(&self, in_force: Digest, known_bad: Option<Digest>) -> Loaded {
        let bundle = match (self.read)() {
            Ok(bundle) => bundle,
            Err(error) => return Loaded::Unreadable(error),
        };
        if bundle.digest() == in_force {
            return Loaded::InForce;
        }
        if Some(bundle.digest()) == known_bad {
            return Loaded::KnownBad(bundle.digest());
        }
        match (self.admit)(&bundle) {
            Ok(admission) => Loaded::Admitted(admission),
            Err(rejection) => Loaded::Rejected(rejection),
        }
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").finish_non_exhaustive()
    }
}

/// Each diagnostic as a line of the log of its own, so that it can be searched for by code.
pub fn report(diagnostics: &[Diagnostic]) {
    for Diagnostic { severity, code, message, place, help } in diagnostics {
        let place = place.as_ref().map(ToString::to_string);
        let (place, help) = (place.as_deref(), help.as_deref());
        match severity {
            Severity::Error => tracing::error!(code, place, help, "{message}"),
            Severity::Warning => tracing::warn!(code, place, help, "{message}"),
        }
    }
}
