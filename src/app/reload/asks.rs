//! What admins ask for, one arm each.

use std::sync::Arc;

use crate::app::clock;
use crate::app::reload::candidates::{Candidate, changed};
use crate::app::reload::load::{Known, Loader, Ready, Wants};
use crate::app::reload::look::{Waiting, answer, other_in_force};
use crate::app::reload::standing::Seen;
use crate::app::reload::{Reloader, VALIDATIONS_MAX};
use crate::domain::limits::BUNDLE_BYTES_MAX;
use crate::engine::history::Kept;
use crate::engine::snapshot::Snapshot;
use crate::engine::status::{ActivationReport, Assessment, Failed, Refusal, WhyFailed};
use crate::policy::bundle::{Bundle, Digest};
use crate::policy::diff::{Changes, bounded_diff};
use crate::server::admin::desk::{Ask, Asker, Files, Reply, Upload};
use crate::source::directory::ReadError;
use crate::telemetry::event::{Panicked, ReloadResult, ReloadTrigger};

impl Reloader {
    /// Does what is asked for, and answers. What takes long and changes nothing is done beside the
    /// road.
    pub(super) async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Reload { expected, asker, reply } => {
                let waiting = self.with_all_who_wait(vec![Waiting { expected, asker, reply }]);
                self.reload(None, waiting).await;
            }
            Ask::Rollback { to, expected, asker, reply } => {
                let result = self.roll_back(to, expected, &asker).await;
                let changed = changed(&result, |report| report);
                self.answer_when_kept(reply, result, |report| &mut report.notices);
                self.overridden(changed).await;
            }
            Ask::Revisions { reply } => answer(reply, Ok(self.standing.revisions())),
            Ask::Validate { bundle, reply } => self.validate(bundle, reply),
            Ask::Files { digest, reply } => self.files(digest, reply),
            Ask::Stage { bundle, sample_per_thousand, replace, asker, reply } => {
                let result = self.stage(bundle, sample_per_thousand, replace, asker).await;
                answer(reply, result);
            }
            Ask::Promote { digest, expected, untried, asker, reply } => {
                let result = self.promote(digest, expected, untried, &asker).await;
                let changed = changed(&result, |(report, _)| report);
                self.answer_when_kept(reply, result, |(report, _)| &mut report.notices);
                self.overridden(changed).await;
            }
            Ask::Discard { digest, asker, reply } => answer(reply, self.discard(digest, &asker)),
        }
    }

    /// After an admin put something in force, and was told: going back must not wait for a source
    /// that hangs.
    async fn overridden(&mut self, changed: bool) {
        if changed {
            self.leave_source_out().await;
        }
        self.changed();
    }

    /// Those who ask for a reload next share the look.
    pub(super) fn with_all_who_wait(&mut self, mut waiting: Vec<Waiting>) -> Vec<Waiting> {
        while let Some(ask) = self.backlog.pop_front().or_else(|| self.asks.try_recv().ok()) {
            match ask {
                Ask::Reload { expected, asker, reply } => waiting.push(Waiting { expected, asker, reply }),
                other @ (Ask::Validate { .. }
                | Ask::Rollback { .. }
                | Ask::Revisions { .. }
                | Ask::Files { .. }
                | Ask::Stage { .. }
                | Ask::Promote { .. }
                | Ask::Discard { .. }) => {
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
        asker: &Asker,
    ) -> Result<ActivationReport, Refusal> {
        let over = self.activator.current();
        if over.digest != expected {
            return Err(other_in_force(Some(expected), over.digest));
        }
        let kept = match to {
            Some(digest) => self.standing.history.find(digest).ok_or(Refusal::NoRevision { wanted: to })?,
            None => self.standing.back()?,
        };
        let kept = kept.clone();
        if kept.revision.digest == over.digest {
            let mut report = self.nothing_changed(over.digest);
            report.notices.push("it is in force already".to_owned());
            return Ok(report);
        }
        let before = Arc::clone(&self.standing.history.current().bundle);
        let later = self.standing.history.after(kept.place);
        let withdraws = self.standing.activations.left_by(kept.revision.digest, later);
        let marked = self.marked_by(&withdraws);
        let ready = self.ready_again(kept).await?;
        let mut report = self.put_in_force(&over, &ready, ReloadTrigger::Rollback, asker, withdraws)?;
        self.attempted(ReloadTrigger::Rollback, ReloadResult::Applied);
        self.changed();
        report.notices.extend(marked);
        report.notices.extend(self.still_in_the_source());
        report.changes = self.changes_since(before).await;
        Ok(report)
    }

    /// What a rollback marks as rolled back from that was not yet.
    fn marked_by(&self, withdraws: &[Digest]) -> Option<String> {
        let new = withdraws.iter().filter(|digest| self.standing.activations.withdrawal(**digest).is_none());
        let new: Vec<String> = new.map(Digest::to_string).collect();
        (!new.is_empty()).then(|| format!("marked as rolled back from: {}", new.join(", ")))
    }

    /// What is different now. Worked out afterwards: it must not delay what was asked for.
    pub(super) async fn changes_since(&self, before: Arc<Bundle>) -> Changes {
        let after = Arc::clone(&self.standing.history.current().bundle);
        off_the_road(move || bounded_diff(&before, &after)).await.unwrap_or_default()
    }

    /// The policies of a revision: those in memory as they are, those on the disk admitted again.
    async fn ready_again(&mut self, kept: Kept) -> Result<Ready, Refusal> {
        if let Some(held) = kept.held {
            return Ok(Ready { held, changes: Changes::default() });
        }
        let (loader, known) = (Arc::clone(&self.loader), self.known(ReloadTrigger::Rollback, Wants::Nothing));
        let digest = kept.revision.digest;
        match off_the_road(move || loader.recall(digest, &known)).await {
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

    /// What the source holds now stays out until something else of it comes into force.
    pub(super) async fn leave_source_out(&mut self) {
        self.standing.source.out = None;
        // Whether it is good is asked of what was rolled back from, too.
        let known = Known { withdrawn: Vec::new(), ..self.known(ReloadTrigger::Rollback, Wants::Nothing) };
        // What could not be read holds what it held before, as far as anyone knows.
        let _ = self.load(known).await;
        let in_force = self.activator.digest();
        self.standing.source.out = match self.standing.source.last_held {
            Some(Seen::Good(held)) if held != in_force => Some(held),
            Some(Seen::Good(_) | Seen::Bad(_) | Seen::Unreadable) | None => None,
        };
        if let Some(out) = self.standing.source.out {
            tracing::warn!(
                source = %out,
                %in_force,
                "the source holds other policies than those in force: they stay out until it changes or is asked for, a restart takes them"
            );
        }
    }

    /// What an admin should know of the source after something else was put in force.
    pub(super) fn still_in_the_source(&self) -> Option<String> {
        let in_force = self.activator.digest();
        match self.standing.source.last_held? {
            Seen::Good(held) if held == in_force => None,
            Seen::Good(held) if self.standing.activations.withdrawal(held).is_some() => Some(format!(
                "the source holds {held}, which was rolled back from: it stays out until the source changes, and a \
                 restart would put it in force"
            )),
            Seen::Good(held) => Some(format!(
                "the source holds {held}: it stays out until the source changes or a reload over what is in force is \
                 asked for, and a restart would put it in force"
            )),
            Seen::Bad(held) => {
                Some(format!("the source holds {held}, which has mistakes: a restart would not take it"))
            }
            Seen::Unreadable => None,
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
        let history = &self.standing.history;
        let digest = digest.unwrap_or_else(|| history.in_force().digest);
        let Some(kept) = history.find(digest) else {
            let candidate = self.standing.candidate.as_ref().filter(|candidate| candidate.digest() == digest);
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

    /// Work that changes nothing, on a bundle of so many bytes, beside the road: a bounded number at once, and of
    /// bytes, the others wait, and whoever does not wait for the answer any more is forgotten at once.
    fn beside<T: Send + 'static>(
        &mut self,
        bytes: usize,
        mut reply: Reply<T>,
        work: impl FnOnce(&Loader, Known) -> Result<T, Refusal> + Send + 'static,
    ) {
        let (loader, slots, share) = (Arc::clone(&self.loader), Arc::clone(&self.slots), share_of(bytes));
        let known = self.known(ReloadTrigger::Admin, Wants::Nothing);
        self.beside.spawn(async move {
            let _slot = tokio::select! {
                slot = slots.acquire_many(share) => slot,
                () = reply.closed() => return,
            };
            let result = off_the_road(move || work(&loader, known)).await;
            answer(reply, result.unwrap_or(Err(Refusal::Bug)));
        });
    }
}

/// Bytes of bundles for which one permit of the work beside the road stands.
const PERMIT_BYTES: usize = 1024;

/// Permits for all work beside the road: bundles of [`BUNDLE_BYTES_MAX`] together. Reading one takes up to forty times
/// its size and what its policies share, which has limits of its own, so this is what bounds the memory for validations.
pub(super) const PERMITS: usize = BUNDLE_BYTES_MAX / PERMIT_BYTES;

/// The permits that work on a bundle of so many bytes takes: at least so many that no more than
/// [`VALIDATIONS_MAX`] run at once.
fn share_of(bytes: usize) -> u32 {
    let permits = bytes.div_ceil(PERMIT_BYTES).clamp(PERMITS / VALIDATIONS_MAX, PERMITS);
    u32::try_from(permits).unwrap_or(u32::MAX)
}

/// Runs on a thread that may block; `None` where it panicked, which was counted and logged.
pub(super) async fn off_the_road<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(_panicked) => {
            Panicked { method: "reload" }.record();
            None
        }
    }
}

pub(super) fn unreadable(error: &ReadError) -> Refusal {
    failed(ReloadTrigger::Admin, error.into())
}

fn failed(trigger: ReloadTrigger, why: WhyFailed) -> Refusal {
    Refusal::Failed(Arc::new(Failed { at: clock::now(), trigger, why }))
}
