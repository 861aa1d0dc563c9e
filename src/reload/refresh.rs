//! Looking at the source, and putting in force what it holds.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{Instant, timeout};

use crate::engine::activations::{Entry, Withdrawal};
use crate::engine::snapshot::Snapshot;
use crate::engine::status::{ActivationReport, Failed, HeldBack, KnownGood, Refusal, Revision, WhyFailed};
use crate::policy::bundle::{Bundle, Digest};
use crate::policy::diff::{Changes, Content};
use crate::reload::Reloader;
use crate::reload::clock;
use crate::reload::flap_damper::{HoldState, Quality};
use crate::reload::handle::{Reply, Requester, answer};
use crate::reload::loader::{LoadContext, LoadOutcome, Ready, Wants};
use crate::reload::log::{self, Before};
use crate::reload::state::SourceState;
use crate::source::SourceError;
use crate::telemetry::event::{Flapped, Panicked, Reloaded};
use crate::telemetry::labels::{ReloadResult, ReloadTrigger};

/// First pause before a bundle that could not be read for now is read again; doubles each time.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(200);

/// Longest such pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// When to try again by ourselves, and how long to wait the time after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    pub(super) at: Instant,
    pause: Duration,
}

/// An admin who waits for a reload.
#[derive(Debug)]
pub(super) struct PendingReload {
    pub(super) expected: Option<Digest>,
    pub(super) requester: Requester,
    pub(super) reply: Reply<ActivationReport>,
}

/// Result of one check of the source.
enum Outcome {
    Applied(ActivationReport),
    Unchanged,
    Failed(Arc<Failed>),
    /// The source is good, and what it holds is kept out on purpose.
    KeptOut,
    /// The same, where an admin asked for it.
    HeldBack(Box<HeldBack>),
    /// Nothing is known that was not known before.
    Nothing,
    Bug,
}

impl Reloader {
    /// One look at the source, after a signal, for those who wait, or for both.
    pub(super) async fn reload(&mut self, signalled: Option<ReloadTrigger>, waiting: Vec<PendingReload>) {
        let over = self.activator.current();
        let (mut waiting, outdated): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|one| one.expected.is_none_or(|expected| expected == over.digest));
        for PendingReload { expected, reply, .. } in outdated {
            answer(reply, Err(self.other_in_force(expected)));
        }
        // What is read from here on is newer than every signal until now.
        let signalled = signalled.max(self.signal.take());
        let asked = waiting.first().map(|_| ReloadTrigger::Admin);
        let Some(trigger) = asked.max(signalled) else { return };
        // Who says over what is who may replace what was put in force: it is done for them, as if they had asked first.
        waiting.sort_by_key(|one| one.expected.is_none());
        let knowing = waiting.first().filter(|one| one.expected.is_some());
        let requester = waiting.first().map(|one| one.requester.clone()).unwrap_or_default();
        let wants = if asked.is_some() { Wants::Changes } else { Wants::Nothing };
        let mut known = self.known(trigger, wants);
        if knowing.is_none() && signalled != Some(ReloadTrigger::Signal) {
            // Nobody says over what: what an admin put in force is not replaced by what the source held then.
            known.out.clone_from(&self.state.source.out);
        }
        let outcome = self.look(trigger, &requester, &over, known).await;
        if let Some(result) = outcome.result() {
            self.attempted(trigger, result);
        }
        if matches!(outcome, Outcome::KeptOut) {
            // It is no attempt, but the source is good: one that failed before is made up for.
            self.state.last_attempt = self.state.last_attempt.then(ReloadResult::Unchanged, clock::now());
        }
        self.flap_damper.looked(Instant::now());
        match outcome {
            Outcome::Applied(_) => self.changed(),
            Outcome::Unchanged
            | Outcome::Failed(_)
            | Outcome::KeptOut
            | Outcome::HeldBack(_)
            | Outcome::Nothing
            | Outcome::Bug => self.publish(),
        }
        let mut waiting = waiting.into_iter();
        if let Some(first) = waiting.next() {
            let report = self.report(&outcome, over.digest);
            self.answer_when_kept(first.reply, report, |report| Some(&mut report.notices));
        }
        // The others asked after the first, and find what it has made.
        for PendingReload { expected, reply, .. } in waiting {
            let found = self.activator.digest();
            let result = match expected {
                Some(expected) if expected != found => Err(self.other_in_force(Some(expected))),
                Some(_) | None => self.report(&outcome.again(), found),
            };
            answer(reply, result);
        }
    }

    /// Refusal for one who expected this in force, where something else is.
    pub(super) fn other_in_force(&self, expected: Option<Digest>) -> Refusal {
        let origin = self.state.activations.origin().cloned().map(Box::new);
        match expected {
            Some(expected) => Refusal::OtherInForce { expected, found: self.activator.digest(), origin },
            None => Refusal::Bug,
        }
    }

    /// Counts an attempt.
    pub(super) fn attempted(&mut self, trigger: ReloadTrigger, result: ReloadResult) {
        Reloaded { trigger, result }.record();
        self.state.last_attempt = self.state.last_attempt.then(result, clock::now());
    }

    fn report(&self, outcome: &Outcome, in_force: Digest) -> Result<ActivationReport, Refusal> {
        match outcome {
            Outcome::Applied(report) => Ok(report.clone()),
            Outcome::Unchanged | Outcome::KeptOut | Outcome::Nothing => Ok(self.nothing_changed(in_force)),
            Outcome::HeldBack(held) => Err(Refusal::HeldBack(held.clone())),
            Outcome::Failed(failed) => Err(Refusal::Failed(Arc::clone(failed))),
            Outcome::Bug => Err(Refusal::Bug),
        }
    }

    /// Report for one who asked for the active revision.
    pub(super) fn nothing_changed(&self, in_force: Digest) -> ActivationReport {
        let Revision { generation, activated_at, .. } = *self.state.history.in_force();
        let held = self.state.history.current();
        ActivationReport {
            before: in_force,
            after: in_force,
            generation,
            at: activated_at,
            warnings: held.diagnostics(),
            changes: Changes::default(),
            cases_passed: held.cases_passed,
            notices: self.notices(),
        }
    }

    /// Notices for the admin where nothing was put in force.
    pub(super) fn notices(&self) -> Vec<String> {
        self.disk().and_then(|disk| disk.error).into_iter().collect()
    }

    /// Reads, for so long at most, and admits off the request threads.
    pub(super) async fn load(&mut self, known: LoadContext, within: Duration) -> Option<LoadOutcome> {
        let read = self.read(within).await;
        self.next_poll = Instant::now() + self.config.poll;
        let loader = Arc::clone(&self.loader);
        let loaded = match read {
            Ok(read) => tokio::task::spawn_blocking(move || loader.judge(read, &known)).await,
            Err(error) => Err(error),
        };
        match loaded {
            Ok(loaded) => {
                self.readable_again(&loaded);
                self.state.source.looked(clock::now(), &loaded);
                Some(loaded)
            }
            Err(error) => {
                Panicked { method: "reload" }.record();
                let in_force = self.activator.digest();
                self.retry = None;
                tracing::error!(%error, %in_force, "loading the policies failed, this is a bug: the ones in force keep serving");
                None
            }
        }
    }

    /// Reads the source, for as long as that may take: going back must not wait for a file system
    /// that hangs. One thread at most hangs with it.
    pub(super) async fn read(&mut self, within: Duration) -> Result<Result<Bundle, SourceError>, JoinError> {
        if self.hanging.as_ref().is_some_and(|reading| !reading.is_finished()) {
            return Ok(Err(SourceError::Hanging(within)));
        }
        let loader = Arc::clone(&self.loader);
        let mut reading = tokio::task::spawn_blocking(move || loader.source.read());
        match timeout(within, &mut reading).await {
            Ok(read) => {
                self.hanging = None;
                read
            }
            Err(_) => {
                self.hanging = Some(reading);
                Ok(Err(SourceError::Hanging(within)))
            }
        }
    }

    /// Context for checking the source. Triggers of kind `Asked` report known mistakes again and take content that was
    /// kept out, but not content that was rolled back from: that is activated by its own digest.
    pub(super) fn known(&self, trigger: ReloadTrigger, changes: Wants) -> LoadContext {
        let in_force = self.state.history.current().clone();
        let was_in_force = self.state.history.revisions().map(|kept| kept.revision.digest).collect();
        let withdrawn = self.state.activations.withdrawn().iter().map(Withdrawal::content).collect();
        let seen = self.state.source.seen.good();
        let (bad, out) = match kind(trigger) {
            Kind::Asked => (None, Vec::new()),
            Kind::Automatic => (self.last_rejected(), self.state.source.out.clone()),
        };
        LoadContext { in_force, bad, out, seen, withdrawn, was_in_force, changes }
    }

    fn last_rejected(&self) -> Option<Digest> {
        match self.state.last_failure.as_deref() {
            Some(Failed { why: WhyFailed::Rejected { digest, .. }, .. }) => Some(*digest),
            Some(Failed { why: WhyFailed::Unreadable(_), .. }) | None => None,
        }
    }

    async fn look(
        &mut self,
        trigger: ReloadTrigger,
        requester: &Requester,
        over: &Arc<Snapshot>,
        known: LoadContext,
    ) -> Outcome {
        let seen = self.state.source.seen;
        let before = match seen {
            SourceState::Bad(_) => Before::Bad,
            SourceState::Good(_) | SourceState::Unreadable => Before::Good,
        };
        let Some(loaded) = self.load(known, self.config.read_max).await else { return Outcome::Bug };
        if kind(trigger) == Kind::Asked {
            self.flap_damper.reset();
        } else if self.held_down(&loaded) {
            self.state.last_failure = None;
            return Outcome::KeptOut;
        }
        match loaded {
            LoadOutcome::Unreadable(error) => {
                let why = WhyFailed::from(&error);
                let said_before = self.state.last_failure.as_ref().is_some_and(|failed| failed.why == why);
                if !said_before || kind(trigger) == Kind::Asked {
                    log::unreadable(trigger, over.digest, &error, &self.state.restart(self.disk().as_ref()));
                }
                self.failed(trigger, why)
            }
            LoadOutcome::InForce(content) => {
                log::unchanged(trigger, content.digest, before);
                self.state.last_failure = None;
                Outcome::Unchanged
            }
            LoadOutcome::Out(content) => self.kept_out(trigger, content, seen),
            LoadOutcome::KnownBad(digest) => match &self.state.last_failure {
                // Nobody has touched it: it is as bad as it was.
                Some(_) | None if trigger == ReloadTrigger::Poll => {
                    // It may have been good to go back while the source is bad; the source is no better for it.
                    self.state.last_attempt = self.state.last_attempt.then(ReloadResult::Rejected, clock::now());
                    Outcome::Nothing
                }
                Some(failed) => {
                    log::known_bad(digest, over.digest);
                    Outcome::Failed(Arc::clone(failed))
                }
                None => Outcome::Bug,
            },
            LoadOutcome::Rejected(rejection) => {
                log::rejected(trigger, over.digest, &rejection, &self.state.restart(self.disk().as_ref()));
                self.failed(trigger, rejection.into())
            }
            LoadOutcome::Ready(ready) => match self.put_in_force(over, &ready, trigger, requester, Vec::new()) {
                Ok(report) => {
                    self.state.last_failure = None;
                    self.state.source.in_sync_at = Some(report.at);
                    self.state.source.out.clear();
                    Outcome::Applied(report)
                }
                Err(_) => Outcome::Bug,
            },
        }
    }

    /// The source holds what stays out. It is told to whoever asked, and in the log where it is news; before, the
    /// source held what was `seen`.
    fn kept_out(&mut self, trigger: ReloadTrigger, content: Content, seen: SourceState) -> Outcome {
        let Content { digest, .. } = content;
        let withdrawal = self.state.activations.withdrawal(content).cloned();
        if seen.digest() != Some(digest) || kind(trigger) == Kind::Asked {
            log::kept_out(trigger, digest, self.activator.digest(), withdrawal.as_ref());
        }
        if trigger == ReloadTrigger::Admin {
            let in_force = self.state.history.in_force().clone();
            return Outcome::HeldBack(Box::new(HeldBack { source: digest, withdrawal, in_force }));
        }
        self.state.last_failure = None;
        Outcome::KeptOut
    }

    /// Tells if a flapping source keeps this out for now.
    fn held_down(&mut self, loaded: &LoadOutcome) -> bool {
        let (digest, quality) = match loaded {
            LoadOutcome::Unreadable(_) | LoadOutcome::Out(_) => return false,
            LoadOutcome::InForce(content) => (content.digest, Quality::Good),
            LoadOutcome::KnownBad(digest) => (*digest, Quality::Bad),
            LoadOutcome::Rejected(rejection) => (rejection.digest, Quality::Bad),
            LoadOutcome::Ready(ready) => (ready.held.bundle.digest(), Quality::Good),
        };
        let course = self.flap_damper.look(Instant::now(), digest, quality);
        match course {
            HoldState::Begun => {
                Flapped.record();
                tracing::warn!(
                    %digest,
                    "the policies change between good and bad again and again: from now on only what stays the same is put in force; SIGHUP or a reload ask takes it at once"
                );
            }
            HoldState::Lifted => tracing::info!(%digest, "the policies have stayed the same: they are heeded again"),
            HoldState::Open | HoldState::Held => {}
        }
        // What is wrong is said all the same.
        matches!((course, loaded), (HoldState::Begun | HoldState::Held, LoadOutcome::Ready(_)))
    }

    /// Puts policies in force, and notes it everywhere but on the disk and in the status; what is wrong with the source is
    /// not looked at. It is the way back from what it withdraws.
    pub(super) fn put_in_force(
        &mut self,
        over: &Arc<Snapshot>,
        ready: &Ready,
        trigger: ReloadTrigger,
        requester: &Requester,
        withdraws: Vec<Content>,
    ) -> Result<ActivationReport, Refusal> {
        let Ready { held, changes } = ready;
        let replaced = self.replaces_colleagues(requester, held.content);
        let activation = self.activator.activate(over, Arc::clone(&held.plans)).map_err(|conflict| {
            tracing::error!(%conflict, trigger = trigger.as_str(), "policies not applied, this is a bug");
            Refusal::OtherInForce { expected: over.digest, found: conflict.found, origin: None }
        })?;
        let at = clock::now();
        self.in_force_since = Instant::now();
        let Requester { actor, reason } = requester;
        let reason = self.replaced_by(trigger, held.content).unwrap_or_else(|| reason.clone());
        let revision = Revision {
            digest: activation.after,
            semantic: held.content.semantic,
            generation: activation.generation,
            activated_at: at,
            trigger,
            actor: actor.clone(),
            reason: reason.clone(),
            known_good: KnownGood::NotYet,
        };
        let notices = replaced.into_iter().chain(self.gone_back_from(held.content)).collect();
        self.state.history.put(revision, held.clone());
        self.state.history.not_good(&withdraws);
        self.state.activations.enter(Entry {
            snapshot: &self.activator.current(),
            semantic: held.content.semantic,
            before: Some(activation.before),
            withdraws,
            trigger,
            fallback: false,
            actor: actor.clone(),
            reason,
            at,
        });
        log::applied(trigger, actor, activation, ready);
        Ok(ActivationReport {
            before: activation.before,
            after: activation.after,
            generation: activation.generation,
            at,
            warnings: held.diagnostics(),
            changes: changes.clone(),
            cases_passed: held.cases_passed,
            notices,
        })
    }

    /// Notice for an admin of the colleague's activation that this content replaces; `None`: what is in force says the
    /// same, or came from nobody else.
    fn replaces_colleagues(&self, requester: &Requester, content: Content) -> Option<String> {
        let origin = self.state.activations.origin().filter(|origin| !origin.content().says_as(content))?;
        let asked = !origin.actor.is_empty() && !requester.actor.is_empty();
        (asked && origin.actor != requester.actor)
            .then(|| format!("this replaces {}, a colleague's change: {}", self.activator.digest(), origin.told()))
    }

    /// Notice of the admin's activation that the source replaces without an admin asking for it.
    fn replaced_by(&self, trigger: ReloadTrigger, content: Content) -> Option<String> {
        let unasked = matches!(trigger, ReloadTrigger::Poll | ReloadTrigger::FileChange | ReloadTrigger::Signal);
        let reason = self.state.activations.replaced_by(content).filter(|_| unasked)?;
        tracing::warn!(trigger = trigger.as_str(), source = %content.digest, "the source {reason}");
        Some(reason)
    }

    /// Notice for the caller who activates content that was rolled back from.
    pub(super) fn gone_back_from(&self, content: Content) -> Option<String> {
        let withdrawal = self.state.activations.withdrawal(content)?;
        let Content { digest, .. } = content;
        Some(format!("{digest} {} before: {}", withdrawal.of(digest), withdrawal.told()))
    }

    pub(super) fn note_failure(&mut self, trigger: ReloadTrigger, why: WhyFailed) -> Arc<Failed> {
        let failed = Arc::new(Failed { at: clock::now(), trigger, why });
        self.state.last_failure = Some(Arc::clone(&failed));
        failed
    }

    fn failed(&mut self, trigger: ReloadTrigger, why: WhyFailed) -> Outcome {
        Outcome::Failed(self.note_failure(trigger, why))
    }

    /// Plans another try where one may help by itself, and forgets it where it did.
    fn readable_again(&mut self, loaded: &LoadOutcome) {
        if let LoadOutcome::Unreadable(error) = loaded {
            self.retry = error.is_transient().then(|| {
                let pause =
                    self.retry.map_or(RETRY_PAUSE_MIN, |retry| retry.pause.saturating_mul(2).min(RETRY_PAUSE_MAX));
                Retry { at: Instant::now() + pause, pause }
            });
            return;
        }
        self.retry = None;
        if self.state.source.seen == SourceState::Unreadable {
            tracing::info!("policies are readable again");
        }
    }
}

impl Outcome {
    fn result(&self) -> Option<ReloadResult> {
        match self {
            Self::Applied(_) => Some(ReloadResult::Applied),
            Self::Unchanged => Some(ReloadResult::Unchanged),
            Self::KeptOut | Self::HeldBack(_) | Self::Nothing => None,
            Self::Failed(failed) => Some(match failed.why {
                WhyFailed::Unreadable(_) => ReloadResult::Unreadable,
                WhyFailed::Rejected { .. } => ReloadResult::Rejected,
            }),
            Self::Bug => Some(ReloadResult::Rejected),
        }
    }

    /// The same look, for one who asked a moment later.
    fn again(&self) -> Self {
        match self {
            Self::Applied(_) | Self::Unchanged | Self::KeptOut | Self::Nothing => Self::Unchanged,
            Self::HeldBack(held) => Self::HeldBack(held.clone()),
            Self::Failed(failed) => Self::Failed(Arc::clone(failed)),
            Self::Bug => Self::Bug,
        }
    }
}

/// Kind of trigger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Caused by nobody: the source changed, or its check is due.
    Automatic,
    /// Caused by someone who wants what the source holds now.
    Asked,
}

const fn kind(trigger: ReloadTrigger) -> Kind {
    match trigger {
        ReloadTrigger::Start | ReloadTrigger::Poll | ReloadTrigger::FileChange => Kind::Automatic,
        ReloadTrigger::Signal | ReloadTrigger::Admin | ReloadTrigger::Rollback | ReloadTrigger::Promotion => {
            Kind::Asked
        }
    }
}
