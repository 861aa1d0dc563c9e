//! Commands of admins, one arm each.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::limits::BUNDLE_BYTES_MAX;
use crate::engine::history::HistoryEntry;
use crate::engine::snapshot::Snapshot;
use crate::engine::status::{ActivationReport, Assessment, Failed, Refusal, WhyFailed};
use crate::policy::bundle::{Bundle, Digest};
use crate::policy::diff::{Changes, Content, bounded_diff};
use crate::reload::candidate::Candidate;
use crate::reload::clock;
use crate::reload::handle::{Files, ReloadCommand, Reply, Requester, Upload, answer};
use crate::reload::loader::{LoadContext, LoadOutcome, Loader, Ready, Wants};
use crate::reload::refresh::PendingReload;
use crate::reload::state::SourceState;
use crate::reload::{Reloader, VALIDATIONS_MAX};
use crate::source::SourceError;
use crate::telemetry::event::Panicked;
use crate::telemetry::labels::{ReloadResult, ReloadTrigger};

/// Longest wait of the answer to a rollback or a promotion for the content of the source.
const OVERRIDDEN_READ_MAX: Duration = Duration::from_secs(1);

impl Reloader {
    /// Does what is asked for, and answers. What takes long and changes nothing is done beside the
    /// road.
    pub(super) async fn answer(&mut self, ask: ReloadCommand) {
        match ask {
            ReloadCommand::Reload { expected, requester, reply } => {
                let waiting = self.with_all_who_wait(vec![PendingReload { expected, requester, reply }]);
                self.reload(None, waiting).await;
            }
            ReloadCommand::Rollback { to, expected, requester, reply } => {
                let result = self.roll_back(to, expected, &requester).await;
                self.answer_when_kept(reply, result, |report| Some(&mut report.notices));
                self.changed();
            }
            // What is listed is not unlisted by a kill.
            ReloadCommand::Revisions { reply } => self.answer_when_kept(reply, Ok(self.state.revisions()), |_| None),
            ReloadCommand::Validate { bundle, reply } => self.validate(bundle, reply),
            ReloadCommand::Files { digest, reply } => self.files(digest, reply),
            ReloadCommand::Stage { bundle, sample_per_thousand, replace, requester, reply } => {
                let result = self.stage(bundle, sample_per_thousand, replace, requester).await;
                answer(reply, result);
            }
            ReloadCommand::Promote { digest, expected, knowing, requester, reply } => {
                let result = self.promote(digest, expected, knowing, &requester).await;
                self.answer_when_kept(reply, result, |(report, _)| Some(&mut report.notices));
                self.changed();
            }
            ReloadCommand::Discard { digest, requester, reply } => answer(reply, self.discard(digest, &requester)),
        }
    }

    /// Those who ask for a reload next share the look.
    pub(super) fn with_all_who_wait(&mut self, mut waiting: Vec<PendingReload>) -> Vec<PendingReload> {
        while let Some(command) = self.backlog.pop_front().or_else(|| self.commands.try_recv().ok()) {
            match command {
                ReloadCommand::Reload { expected, requester, reply } => {
                    waiting.push(PendingReload { expected, requester, reply })
                }
                other @ (ReloadCommand::Validate { .. }
                | ReloadCommand::Rollback { .. }
                | ReloadCommand::Revisions { .. }
                | ReloadCommand::Files { .. }
                | ReloadCommand::Stage { .. }
                | ReloadCommand::Promote { .. }
                | ReloadCommand::Discard { .. }) => {
                    self.backlog.push_front(other);
                    break;
                }
            }
        }
        waiting
    }

    async fn roll_back(
        &mut self,
        to: Option<Digest>,
        expected: Digest,
        requester: &Requester,
    ) -> Result<ActivationReport, Refusal> {
        let over = self.activator.current();
        if over.digest != expected {
            return Err(self.other_in_force(Some(expected)));
        }
        let kept = match to {
            Some(digest) => self.state.history.find(digest).ok_or(Refusal::NoRevision { wanted: to })?,
            None => self.state.back()?,
        };
        let kept = kept.clone();
        if kept.revision.digest == over.digest {
            let mut report = self.nothing_changed(over.digest);
            report.notices.push("it is in force already".to_owned());
            report.notices.extend(self.in_force_is_named(requester));
            return Ok(report);
        }
        let current = self.state.history.current();
        let (before, replaced) = (Arc::clone(&current.bundle), current.content);
        let later = self.state.history.after(kept.place);
        let withdraws = self.state.activations.left_by(kept.content(), later);
        let marked = self.marked_by(&withdraws);
        let ready = self.ready_again(kept).await?;
        let mut report = self.put_in_force(&over, &ready, ReloadTrigger::Rollback, requester, withdraws)?;
        self.attempted(ReloadTrigger::Rollback, ReloadResult::Applied);
        self.changed();
        self.leave_source_out(ReloadTrigger::Rollback, replaced).await;
        report.notices.extend(marked);
        report.notices.extend(self.still_in_the_source());
        report.changes = self.changes_since(before).await;
        Ok(report)
    }

    /// Notice of the digests that a rollback newly marks as rolled back from.
    fn marked_by(&self, withdraws: &[Content]) -> Option<String> {
        let new = withdraws.iter().filter(|content| self.state.activations.withdrawal(**content).is_none());
        let new: Vec<String> = new.map(|content| content.digest.to_string()).collect();
        (!new.is_empty()).then(|| format!("marked as rolled back from: {}", new.join(", ")))
    }

    /// Notes that an admin put in force by its digest what is in force: it is not withdrawn any more.
    pub(super) fn in_force_is_named(&mut self, requester: &Requester) -> Option<String> {
        let content = self.state.history.current().content;
        let withdrawal = self.state.activations.withdrawal(content)?.told();
        self.state.activations.reinstate(content);
        let Requester { actor, reason } = requester;
        tracing::info!(digest = %content.digest, actor, reason, "what is in force was named: it is not marked as rolled back from any more");
        self.changed();
        Some(format!("it is not marked as rolled back from any more, as it was: {withdrawal}"))
    }

    /// Changes since `before`. Computed after the activation, so as not to delay it.
    pub(super) async fn changes_since(&self, before: Arc<Bundle>) -> Changes {
        let after = Arc::clone(&self.state.history.current().bundle);
        run_blocking(move || bounded_diff(&before, &after)).await.unwrap_or_default()
    }

    /// The policies of a revision: those in memory as they are, those on the disk admitted again.
    async fn ready_again(&mut self, kept: HistoryEntry) -> Result<Ready, Refusal> {
        if let Some(held) = kept.held {
            return Ok(Ready { held, changes: Changes::default() });
        }
        let (loader, known) = (Arc::clone(&self.loader), self.known(ReloadTrigger::Rollback, Wants::Nothing));
        let digest = kept.revision.digest;
        match run_blocking(move || loader.recall(digest, &known)).await {
            Some(Ok(ready)) => Ok(ready),
            Some(Err(why)) => {
                tracing::error!(%digest, ?why, "the revision cannot be put in force again");
                let result = match why {
                    WhyFailed::Unreadable(_) => ReloadResult::Unreadable,
                    WhyFailed::Rejected { .. } => ReloadResult::Rejected,
                };
                self.attempted(ReloadTrigger::Rollback, result);
                Err(Refusal::Failed(self.note_failure(ReloadTrigger::Rollback, why)))
            }
            None => Err(Refusal::Bug),
        }
    }

    /// Keeps out the content of the source until other content of it is activated, and notes what is wrong with it.
    /// A rollback waits for no hanging file system: a source that cannot be read soon is assumed to hold what it held
    /// before.
    pub(super) async fn leave_source_out(&mut self, trigger: ReloadTrigger, replaced: Content) {
        // Whether it is good is asked of what was rolled back from, too.
        let known = LoadContext { withdrawn: Vec::new(), ..self.known(trigger, Wants::Nothing) };
        let failed_before = self.state.last_failure.take();
        let failed = match self.load(known, OVERRIDDEN_READ_MAX.min(self.config.read_max)).await {
            Some(LoadOutcome::Rejected(rejection)) => Some(WhyFailed::from(rejection)),
            Some(LoadOutcome::Unreadable(error)) => Some(WhyFailed::from(&error)),
            Some(LoadOutcome::InForce(_) | LoadOutcome::Out(_) | LoadOutcome::Ready(_) | LoadOutcome::KnownBad(_))
            | None => None,
        };
        self.state.last_failure = failed.map(|why| {
            let as_before = failed_before.filter(|before| before.why == why);
            as_before.unwrap_or_else(|| Arc::new(Failed { at: clock::now(), trigger: ReloadTrigger::FileChange, why }))
        });
        let in_force = self.state.history.current().content;
        self.state.source.leave_out(replaced, in_force);
        for out in &self.state.source.out {
            let (source, in_force) = (out.digest, in_force.digest);
            match self.state.source.seen {
                SourceState::Good(_) => tracing::warn!(
                    %source,
                    %in_force,
                    "the source holds other policies than those in force: they stay out until it changes or is asked for, a restart takes them"
                ),
                SourceState::Bad(_) | SourceState::Unreadable => tracing::warn!(
                    %source,
                    %in_force,
                    "the source is broken: these policies stay out where it is fixed to them, until it changes or is asked for, a restart takes them"
                ),
            }
        }
    }

    /// Notice about the source after other policies were activated.
    pub(super) fn still_in_the_source(&self) -> Option<String> {
        let in_force = self.activator.digest();
        let holds = match self.state.source.seen {
            SourceState::Unreadable => "the source cannot be read now; when it last could it held",
            SourceState::Good(_) | SourceState::Bad(_) => "the source holds",
        };
        match self.state.source.last_held? {
            SourceState::Good(Content { digest, .. }) if digest == in_force => None,
            SourceState::Good(held) => Some(match self.state.activations.withdrawal(held) {
                Some(withdrawal) => format!(
                    "{holds} {}, which {}: it stays out until the source says something else, also with another layout, and \
                     a restart would put it in force",
                    held.digest,
                    withdrawal.of(held.digest)
                ),
                None => format!(
                    "{holds} {}: it stays out until the source says something else or a reload over what is in force is \
                     asked for, and a restart would put it in force",
                    held.digest
                ),
            }),
            SourceState::Bad(held) => Some(format!(
                "{holds} {held}, which has mistakes: a restart would not take it, and what was in force before stays out where it is fixed to that"
            )),
            SourceState::Unreadable => None,
        }
    }

    fn validate(&mut self, upload: Option<Upload>, reply: Reply<Assessment>) {
        let bytes = upload.as_ref().map_or(BUNDLE_BYTES_MAX, |upload| upload.bundle.bytes());
        self.beside(bytes, reply, move |loader, known| {
            let (bundle, _share) = upload.map_or((None, None), |Upload { bundle, share }| (Some(bundle), share));
            let assessed = loader.assess(bundle, &known);
            assessed.map_err(|error| unreadable(&error))
        });
    }

    fn files(&mut self, digest: Option<Digest>, reply: Reply<Files>) {
        let history = &self.state.history;
        let digest = digest.unwrap_or_else(|| history.in_force().digest);
        let Some(kept) = history.find(digest) else {
            let candidate = self.state.candidate.as_ref().filter(|candidate| candidate.digest() == digest);
            let files = candidate.map(Candidate::files).ok_or(Refusal::NoRevision { wanted: Some(digest) });
            return answer(reply, files);
        };
        let generation = kept.revision.generation;
        match &kept.held {
            Some(held) => {
                let snapshot = Arc::new(Snapshot::new(Arc::clone(&held.plans), generation));
                answer(reply, Ok(Files { bundle: Arc::clone(&held.bundle), snapshot }));
            }
            None => self.beside(BUNDLE_BYTES_MAX, reply, move |loader, known| {
                let Ready { held, .. } =
                    loader.recall(digest, &known).map_err(|why| failed(ReloadTrigger::Admin, why))?;
                let snapshot = Arc::new(Snapshot::new(held.plans, generation));
                Ok(Files { bundle: held.bundle, snapshot })
            }),
        }
    }

    /// Runs work that changes nothing, on a bundle of `bytes`, beside the reload task. The number and bytes at once are
    /// bounded; further work waits, and is dropped as soon as nobody waits for its answer.
    fn beside<T: Send + 'static>(
        &mut self,
        bytes: usize,
        mut reply: Reply<T>,
        work: impl FnOnce(&Loader, LoadContext) -> Result<T, Refusal> + Send + 'static,
    ) {
        let (loader, slots, share) = (Arc::clone(&self.loader), Arc::clone(&self.slots), share_of(bytes));
        let known = self.known(ReloadTrigger::Admin, Wants::Nothing);
        self.beside.spawn(async move {
            let _slot = tokio::select! {
                slot = slots.acquire_many(share) => slot,
                () = reply.closed() => return,
            };
            let result = run_blocking(move || work(&loader, known)).await;
            answer(reply, result.unwrap_or(Err(Refusal::Bug)));
        });
    }
}

/// Bytes of bundles per permit of the work beside the reload task.
const PERMIT_BYTES: usize = 1024;

/// Permits for all work beside the reload task: bundles of [`BUNDLE_BYTES_MAX`] together. Reading one takes up to forty
/// times its size, plus the data shared by its policies, which has limits of its own: so this bounds the memory for
/// validations.
pub(super) const PERMITS: usize = BUNDLE_BYTES_MAX / PERMIT_BYTES;

/// The permits that work on a bundle of so many bytes takes: at least so many that no more than
/// [`VALIDATIONS_MAX`] run at once.
fn share_of(bytes: usize) -> u32 {
    let permits = bytes.div_ceil(PERMIT_BYTES).clamp(PERMITS / VALIDATIONS_MAX, PERMITS);
    u32::try_from(permits).unwrap_or(u32::MAX)
}

/// Runs on a thread that may block; `None` where it panicked, which was counted and logged.
pub(super) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(_panicked) => {
            Panicked { method: "reload" }.record();
            None
        }
    }
}

pub(super) fn unreadable(error: &SourceError) -> Refusal {
    failed(ReloadTrigger::Admin, error.into())
}

fn failed(trigger: ReloadTrigger, why: WhyFailed) -> Refusal {
    Refusal::Failed(Arc::new(Failed { at: clock::now(), trigger, why }))
}
