//! Status of the replica, built from the state of the reload task. No waiting, no clock.

use std::sync::Arc;

use crate::domain::time::Timestamp;
use crate::engine::activations::{Activated, Activations, Withdrawal};
use crate::engine::history::{History, HistoryEntry};
use crate::engine::snapshot::Snapshot;
use crate::engine::status::{
    CandidateReport, Failed, Hold, PolicyLabel, RECENT_ACTIVATIONS_MAX, Refusal, RestartForecast, Revisions,
    SourceStatus, StartedFrom, Status, WhyFailed,
};
use crate::policy::bundle::Digest;
use crate::policy::diff::Content;
use crate::reload::candidate::Candidate;
use crate::reload::loader::LoadOutcome;
use crate::reload::persist::PersistStatus;
use crate::telemetry::reloads::{ConfigGauges, LastAttempt};

/// State of the reload task.
#[derive(Debug)]
pub(super) struct ReloaderState {
    pub(super) history: History,
    pub(super) activations: Activations,
    pub(super) started_from: StartedFrom,
    pub(super) started_at: Timestamp,
    pub(super) source: Source,
    pub(super) candidate: Option<Candidate>,
    pub(super) last_failure: Option<Arc<Failed>>,
    pub(super) last_attempt: LastAttempt,
    /// Notices that last for the whole run.
    pub(super) notices: Vec<String>,
}

/// The source, as of the last look.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) location: String,
    pub(super) checked_at: Timestamp,
    pub(super) in_sync_at: Option<Timestamp>,
    pub(super) seen: SourceState,
    /// Its state when it could last be read.
    pub(super) last_held: Option<SourceState>,
    /// Its content when it was last good.
    pub(super) last_good: Option<Content>,
    /// Contents that an admin keeps out, until other content of the source is activated. All are good: bad content
    /// stays out by itself. The latest last.
    pub(super) out: Vec<Content>,
}

/// Contents that are kept out at once; the oldest go first.
const OUT_MAX: usize = 16;

/// Result of the last check of the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SourceState {
    Unreadable,
    Bad(Digest),
    Good(Content),
}

/// Inputs that change while the task is idle.
#[derive(Debug)]
pub(super) struct StatusInputs<'m> {
    /// The active snapshot, which counts its decisions.
    pub(super) snapshot: &'m Snapshot,
    /// Until when a source that flaps is held down.
    pub(super) held_until: Option<Timestamp>,
    /// `None`: there is no state directory.
    pub(super) disk: Option<&'m PersistStatus>,
}

impl SourceState {
    pub(super) const fn after(why: Option<&WhyFailed>, in_force: Content) -> Self {
        match why {
            None => Self::Good(in_force),
            Some(WhyFailed::Unreadable(_)) => Self::Unreadable,
            Some(WhyFailed::Rejected { digest, .. }) => Self::Bad(*digest),
        }
    }

    pub(super) const fn digest(self) -> Option<Digest> {
        match self {
            Self::Unreadable => None,
            Self::Bad(digest) | Self::Good(Content { digest, .. }) => Some(digest),
        }
    }

    pub(super) const fn good(self) -> Option<Content> {
        match self {
            Self::Unreadable | Self::Bad(_) => None,
            Self::Good(content) => Some(content),
        }
    }
}

impl Source {
    /// Takes a look into account.
    pub(super) fn looked(&mut self, at: Timestamp, loaded: &LoadOutcome) {
        self.checked_at = at;
        self.seen = match loaded {
            LoadOutcome::Unreadable(_) => SourceState::Unreadable,
            LoadOutcome::KnownBad(digest) => SourceState::Bad(*digest),
            LoadOutcome::Rejected(rejection) => SourceState::Bad(rejection.digest),
            LoadOutcome::InForce(content) => SourceState::Good(*content),
            // It, or what says the same, was looked into when it was kept out, or was in force.
            LoadOutcome::Out(content) => SourceState::Good(*content),
            LoadOutcome::Ready(ready) => SourceState::Good(ready.held.content),
        };
        if self.seen != SourceState::Unreadable {
            self.last_held = Some(self.seen);
        }
        self.last_good = self.seen.good().or(self.last_good);
        if matches!(loaded, LoadOutcome::InForce(_)) {
            self.in_sync_at = Some(at);
        }
    }

    /// An admin put something in force over something else: what the source holds stays out. Where it is broken, nobody knows
    /// what it will be fixed to: what it held when it was last good stays out, and what was replaced since.
    pub(super) fn leave_out(&mut self, over: Content, in_force: Content) {
        if let SourceState::Good(held) = self.seen {
            self.out = if held.digest == in_force.digest { Vec::new() } else { vec![held] };
            return;
        }
        for content in self.last_good.into_iter().chain([over]) {
            self.out.retain(|out| !out.says_as(content));
            self.out.push(content);
        }
        self.out.retain(|out| !out.says_as(in_force));
        self.out.drain(..self.out.len().saturating_sub(OUT_MAX));
    }

    /// Tells if an admin keeps this out.
    pub(super) fn is_out(&self, content: Content) -> bool {
        self.out.iter().any(|out| out.says_as(content))
    }
}

impl ReloaderState {
    pub(super) fn restart(&self, disk: Option<&PersistStatus>) -> RestartForecast {
        let in_force = self.history.in_force().digest;
        match (self.source.seen, disk.and_then(|disk| disk.last_known_good)) {
            (SourceState::Good(content), _) if content.digest == in_force => RestartForecast::Same,
            (SourceState::Good(content), _) => RestartForecast::Other(content.digest),
            (SourceState::Bad(_) | SourceState::Unreadable, Some(good)) => RestartForecast::LastKnownGood(good),
            (SourceState::Bad(_) | SourceState::Unreadable, None) => RestartForecast::Failure,
        }
    }

    fn hold(&self, held_until: Option<Timestamp>) -> Hold {
        let held = self.source.seen.good();
        let in_force = self.history.in_force().digest;
        let kept_out = |held| self.source.is_out(held) || self.activations.withdrawal(held).is_some();
        if held.is_some_and(|held| held.digest != in_force && kept_out(held)) {
            return Hold::Overridden;
        }
        held_until.map_or(Hold::None, |until| Hold::Flapping { until })
    }

    pub(super) fn status(&self, inputs: &StatusInputs<'_>) -> Status {
        let StatusInputs { snapshot, held_until, disk } = *inputs;
        let good = disk.and_then(|disk| disk.last_known_good).and_then(|digest| self.history.find(digest));
        let error = disk.and_then(|disk| disk.error.clone());
        Status {
            in_force: self.history.in_force().clone(),
            withdrawal: self.activations.withdrawal(self.history.current().content).cloned(),
            policies: PolicyLabel::all_of(snapshot),
            stricter_errors: Arc::clone(&self.history.current().stricter_errors),
            decisions: snapshot.decisions(),
            started_from: self.started_from,
            started_at: self.started_at,
            source: SourceStatus {
                location: self.source.location.clone(),
                checked_at: self.source.checked_at,
                in_sync_at: self.source.in_sync_at,
                digest: self.source.seen.digest(),
                hold: self.hold(held_until),
            },
            last_failure: self.last_failure.clone(),
            restart: self.restart(disk),
            last_known_good: good.map(|kept| kept.revision.clone()),
            candidate: self.candidate.as_ref().map(|candidate| self.report_of(candidate)),
            activations: self.activations.entries().take(RECENT_ACTIVATIONS_MAX).cloned().collect(),
            last_attempt: self.last_attempt,
            notices: {
                let of_in_force = self.replaced().into_iter().chain(self.withdrawn_in_force());
                self.notices.iter().cloned().chain(of_in_force).chain(error).collect()
            },
        }
    }

    /// That what is in force replaced, unasked, what an admin had put in force: nobody else tells them.
    fn replaced(&self) -> Option<String> {
        let Activated { trigger, actor, reason, .. } = self.activations.origin()?;
        let unasked = actor.is_empty() && !reason.is_empty();
        unasked.then(|| format!("what is in force came from the source ({}) and {reason}", trigger.as_str()))
    }

    /// That what is in force was rolled back from: a start takes what the source holds, whatever that is.
    fn withdrawn_in_force(&self) -> Option<String> {
        let Content { digest, .. } = self.history.current().content;
        let withdrawal = self.activations.withdrawal(self.history.current().content)?;
        Some(format!("what is in force {}: {}", withdrawal.of(digest), withdrawal.told()))
    }

    /// The revisions that can be gone back to, and the history of activations.
    pub(super) fn revisions(&self) -> Revisions {
        let with_withdrawal = |kept: &HistoryEntry| {
            let withdrawal = self.activations.withdrawal(kept.content()).cloned();
            (kept.revision.clone(), withdrawal)
        };
        Revisions {
            kept: self.history.revisions().map(with_withdrawal).collect(),
            activations: self.activations.entries().cloned().collect(),
        }
    }

    /// The latest revision before the one in force that was not rolled back from, and that says something else: another
    /// layout of it is no way back.
    pub(super) fn back(&self) -> Result<&HistoryEntry, Refusal> {
        let withdrawal = |kept: &HistoryEntry| self.activations.withdrawal(kept.content());
        let in_force = self.history.current().content;
        let before = || self.history.before().filter(|kept| !kept.content().says_as(in_force));
        if let Some(kept) = before().find(|kept| withdrawal(kept).is_none()) {
            return Ok(kept);
        }
        // By the digests to choose from, whichever of those that say the same was rolled back from.
        let choice =
            |kept: &HistoryEntry| Some(Withdrawal { digest: kept.revision.digest, ..withdrawal(kept)?.clone() });
        let choices: Vec<Withdrawal> = before().filter_map(choice).collect();
        Err(if choices.is_empty() { Refusal::NoRevision { wanted: None } } else { Refusal::AllWithdrawn { choices } })
    }

    /// The report of a candidate, by what is in force and withdrawn.
    pub(super) fn report_of(&self, candidate: &Candidate) -> CandidateReport {
        candidate.report(&self.activations, self.history.in_force())
    }

    /// Values of the gauges.
    pub(super) fn gauges(&self) -> ConfigGauges {
        ConfigGauges {
            last_attempt: self.last_attempt,
            digest: self.history.in_force().digest.to_string(),
            stricter_errors: self.history.current().stricter_errors.len() as u64,
        }
    }
}

/// Tells if a status differs from the one before in more than later times and larger
/// counts.
pub(super) fn is_news(before: &Status, after: &Status) -> bool {
    let same_failure = match (&before.last_failure, &after.last_failure) {
        (Some(before), Some(after)) => (before.trigger, &before.why) == (after.trigger, &after.why),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let same_hold = match (before.source.hold, after.source.hold) {
        (Hold::Flapping { .. }, Hold::Flapping { .. }) => true,
        (before, after) => before == after,
    };
    let staged = |status: &Status| {
        let candidate = status.candidate.as_ref()?;
        Some((candidate.digest, candidate.staged_at, candidate.withdrawal.clone()))
    };
    let of_before = Status {
        decisions: before.decisions,
        source: SourceStatus {
            checked_at: before.source.checked_at,
            in_sync_at: before.source.in_sync_at,
            hold: before.source.hold,
            ..after.source.clone()
        },
        last_failure: before.last_failure.clone(),
        candidate: before.candidate.clone(),
        last_attempt: before.last_attempt,
        ..after.clone()
    };
    !(same_failure && same_hold && staged(before) == staged(after) && of_before == *before)
}
