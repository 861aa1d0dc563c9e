//! The one task that puts bundles in force.
//!
//! A file change, the slow poll, SIGHUP and what an admin asks for all come to it as messages, one
//! after the other. Reading, admitting and comparing run off the request threads; a bundle that
//! cannot be read or may not be put in force is reported, and the one before keeps serving.
//!
//! Automatic triggers leave out what an admin went back from, and what the source held when an admin put something
//! else in force, and hold down a source that flaps. SIGHUP gets what the source holds now, but for what was gone back
//! from; so does an admin, who must say over what where something else than the source was put in force. Who may ask is
//! not known here.

pub mod bootstrap;
mod candidate;
pub mod clock;
mod commands;
pub mod flap_damper;
pub mod handle;
mod loader;
mod log;
pub mod persist;
mod refresh;
pub mod signal;
mod staging;
mod state;
pub mod status_view;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::domain::time::Timestamp;
use crate::engine::Activator;
use crate::engine::activations::{Activations, Entry};
use crate::engine::history::{History, HistoryEntry, LoadedBundle};
use crate::engine::snapshot::Snapshot;
use crate::engine::status::{Failed, KnownGood, Revision, StartedFrom, Status, WhyFailed};
use crate::policy::bundle::Bundle;
use crate::reload::flap_damper::{FlapDamper, FlapLimits};
use crate::reload::handle::{ReloadCommand, ReloadHandle};
pub use crate::reload::loader::{Admit, Loader};
pub use crate::reload::log::{let_in, report};
use crate::reload::persist::{Desired, DesiredRevisions, PersistStatus, StatePersister};
use crate::reload::refresh::Retry;
use crate::reload::signal::ReloadSignal;
use crate::reload::state::{ReloaderState, Source, SourceState, StatusInputs, is_news};
use crate::reload::status_view::StatusHandle;
use crate::source::SourceError;
use crate::telemetry::event::Reloaded;
use crate::telemetry::labels::{ReloadResult, ReloadTrigger};
use crate::telemetry::reloads::LastAttempt;

/// Commands that may wait. Whoever sends one when there are more waits for a place.
const COMMANDS_MAX: usize = 32;

/// Validations at once, beside the reload task.
const VALIDATIONS_MAX: usize = 2;

/// Interval for checking whether the active revision is known as good.
const TICK: Duration = Duration::from_secs(1);

/// Timeout for reading the source; the largest bundle of a slow disk takes a second.
pub const READ_MAX: Duration = Duration::from_secs(10);

/// Configuration of the reload task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReloadConfig {
    /// Between two looks at the source that no notice asked for.
    pub poll: Duration,
    /// Time that reading the source may take before it counts as unreadable.
    pub read_max: Duration,
    /// When a source is held down because it flaps.
    pub flap: FlapLimits,
    /// When a revision is known as good.
    pub known_good: GoodAfter,
    /// Revisions that are remembered, at least two.
    pub revisions_max: usize,
}

impl Default for ReloadConfig {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(30),
            read_max: READ_MAX,
            flap: FlapLimits::default(),
            known_good: GoodAfter { served: Duration::from_secs(600), decisions: 100 },
            revisions_max: 10,
        }
    }
}

/// When a revision is known as good: after both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GoodAfter {
    /// So long in force, without a break.
    pub served: Duration,
    /// So many claims decided.
    pub decisions: u64,
}

/// State at the start of a run.
#[derive(Debug)]
pub struct InitialState {
    /// The first active policies.
    pub first: LoadedBundle,
    /// Their origin.
    pub started_from: StartedFrom,
    /// When the program was started.
    pub started_at: Timestamp,
    /// Location of the source, for people.
    pub location: String,
    /// Failure of the source, where the first policies are not from it.
    pub failure: Option<WhyFailed>,
    /// Revisions that earlier runs left in the state directory.
    pub earlier: Vec<HistoryEntry>,
    /// The history of activations that they left there.
    pub activations: Activations,
    /// Notices that last for the whole run.
    pub notices: Vec<String>,
}

/// The reload task and its handles.
#[derive(Debug)]
pub struct ReloadHandles {
    /// The task, to be run.
    pub reloader: Reloader,
    /// Takes commands, and shows the status.
    pub reload: ReloadHandle,
    /// Takes notice of changes of the source.
    pub signal: ReloadSignal,
    /// Keeps the state directory, to be run; `None` without one. Ends after the task has.
    pub persister: Option<StatePersister>,
}

/// The task that puts bundles in force.
#[derive(Debug)]
pub struct Reloader {
    loader: Arc<Loader>,
    activator: Activator,
    config: ReloadConfig,
    state: ReloaderState,
    flap_damper: FlapDamper,
    in_force_since: Instant,
    signal: ReloadSignal,
    commands: mpsc::Receiver<ReloadCommand>,
    /// Asks that were taken and not answered yet.
    backlog: VecDeque<ReloadCommand>,
    /// A read that took too long and has not ended yet.
    hanging: Option<JoinHandle<Result<Bundle, SourceError>>>,
    /// When to try again by ourselves.
    retry: Option<Retry>,
    next_poll: Instant,
    tick: Interval,
    beside: JoinSet<()>,
    slots: Arc<Semaphore>,
    /// Number of the latest desired state of the state directory.
    wishes: u64,
    disk: Option<(watch::Sender<DesiredRevisions>, watch::Receiver<PersistStatus>)>,
    status: watch::Sender<Arc<Status>>,
}

/// Messages to the reload task.
#[derive(Debug)]
enum Message {
    /// The source may have changed.
    Hint(ReloadTrigger),
    /// Someone asks for something.
    ReloadCommand(ReloadCommand),
    /// A second has passed.
    Tick,
    /// The state directory is doing otherwise than before.
    PersistStatus,
}

impl ReloadHandles {
    /// Sets up the reload task for an engine on which `initial` is in force as generation 1.
    #[must_use]
    pub fn new(loader: Loader, activator: Activator, initial: InitialState, config: ReloadConfig) -> Self {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let signal = ReloadSignal::default();
        let (disk, persister) = match &loader.state {
            Some(state) => {
                let (wanted, receiver) = watch::channel(DesiredRevisions::default());
                let (persister, disk) = StatePersister::new(Arc::clone(state), &initial.earlier, receiver);
                (Some((wanted, disk)), Some(persister))
            }
            None => (None, None),
        };
        let state = initial.state(&activator.current(), config.revisions_max);
        let now = disk.as_ref().map(|(_, disk)| disk.borrow().clone());
        let inputs = StatusInputs { snapshot: &activator.current(), held_until: None, disk: now.as_ref() };
        let (status, told) = watch::channel(Arc::new(state.status(&inputs)));
        let reload = ReloadHandle {
            commands: sender,
            shown: StatusHandle { told, engine: activator.engine(), clock: clock::now },
        };
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reloader = Reloader {
            loader: Arc::new(loader),
            activator,
            config,
            state,
            flap_damper: FlapDamper::new(config.flap),
            in_force_since: Instant::now(),
            signal: signal.clone(),
            commands,
            backlog: VecDeque::new(),
            hanging: None,
            retry: None,
            next_poll: Instant::now() + config.poll,
            tick,
            beside: JoinSet::new(),
            slots: Arc::new(Semaphore::new(commands::PERMITS)),
            wishes: 0,
            disk,
            status,
        };
        reloader.changed();
        Self { reloader, reload, signal, persister }
    }
}

impl InitialState {
    fn state(self, snapshot: &Snapshot, revisions_max: usize) -> ReloaderState {
        let Self { first, started_from, started_at, location, failure, earlier, mut activations, notices } = self;
        let content = first.content;
        let digest = content.digest;
        let replaced = activations.replaced_by(content);
        if let Some(replaced) = &replaced {
            tracing::warn!(%digest, "the start {replaced}");
        }
        let reason = replaced.unwrap_or_default();
        let revision = Revision {
            digest,
            semantic: content.semantic,
            generation: snapshot.generation,
            activated_at: started_at,
            trigger: ReloadTrigger::Start,
            actor: String::new(),
            reason: reason.clone(),
            known_good: KnownGood::NotYet,
        };
        let seen = SourceState::after(failure.as_ref(), content);
        let result = match seen {
            SourceState::Good(_) => ReloadResult::Applied,
            SourceState::Bad(_) => ReloadResult::Rejected,
            SourceState::Unreadable => ReloadResult::Unreadable,
        };
        Reloaded { trigger: ReloadTrigger::Start, result }.record();
        let in_sync_at = failure.is_none().then_some(started_at);
        activations.enter(Entry {
            snapshot,
            semantic: content.semantic,
            before: None,
            withdraws: Vec::new(),
            trigger: ReloadTrigger::Start,
            fallback: started_from == StartedFrom::LastKnownGood,
            actor: String::new(),
            reason,
            at: started_at,
        });
        if let Some(withdrawal) = activations.withdrawal(content) {
            tracing::warn!(%digest, "what is in force {}: {}", withdrawal.of(digest), withdrawal.told());
        }
        ReloaderState {
            history: History::new(revision, first, earlier, revisions_max),
            activations,
            started_from,
            started_at,
            source: Source {
                location,
                checked_at: started_at,
                in_sync_at,
                seen,
                last_held: Some(seen).filter(|seen| *seen != SourceState::Unreadable),
                last_good: seen.good(),
                out: Vec::new(),
            },
            candidate: None,
            last_failure: failure.map(|why| Arc::new(Failed { at: started_at, trigger: ReloadTrigger::Start, why })),
            last_attempt: LastAttempt::first(result, started_at),
            notices,
        }
    }
}

impl Reloader {
    /// Works until it is told to end, or nobody can ask for anything any more.
    pub async fn run(mut self, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        loop {
            let message = tokio::select! {
                biased;
                () = &mut end => break,
                message = self.next() => message,
            };
            match message {
                Some(Message::Hint(trigger)) => {
                    let waiting = self.with_all_who_wait(Vec::new());
                    self.reload(Some(trigger), waiting).await;
                }
                Some(Message::ReloadCommand(ask)) => self.answer(ask).await,
                Some(Message::Tick) => self.tick(),
                Some(Message::PersistStatus) => self.publish(),
                None => break,
            }
        }
    }

    async fn next(&mut self) -> Option<Message> {
        if let Some(ask) = self.backlog.pop_front() {
            return Some(Message::ReloadCommand(ask));
        }
        let (due, trigger) = self.due();
        let disk = async {
            let told = match &mut self.disk {
                Some((_, disk)) => disk.changed().await.is_ok(),
                None => false,
            };
            if !told {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            command = self.commands.recv() => command.map(Message::ReloadCommand),
            trigger = self.signal.recv() => Some(Message::Hint(trigger)),
            () = disk => Some(Message::PersistStatus),
            () = sleep_until(due) => Some(Message::Hint(trigger)),
            _ = self.tick.tick() => Some(Message::Tick),
        }
    }

    /// When to look at the source by ourselves, and why.
    fn due(&self) -> (Instant, ReloadTrigger) {
        let retry = self.retry.map(|retry| (retry.at, ReloadTrigger::FileChange));
        let held = self.flap_damper.until().map(|until| (until, ReloadTrigger::FileChange));
        let poll = (self.next_poll, ReloadTrigger::Poll);
        [retry, held].into_iter().flatten().fold(poll, |first, other| if other.0 < first.0 { other } else { first })
    }

    fn tick(&mut self) {
        // Nobody waits for these; a panic in one was logged where it was caught.
        while self.beside.try_join_next().is_some() {}
        if self.becomes_good() {
            self.changed();
        }
    }

    /// Something else is in force, or known of it: for the disk, the gauges and all who watch.
    fn changed(&mut self) {
        self.becomes_good();
        self.wishes = self.wishes.saturating_add(1);
        if let Some((wanted, _)) = &self.disk {
            let revisions = self.state.history.revisions().cloned().collect();
            let activations = self.state.activations.clone();
            wanted.send_replace(Arc::new(Desired { revisions, activations, number: self.wishes }));
        }
        self.publish();
    }

    /// Marks the active revision as known good if it is by now; `true` if it did so.
    fn becomes_good(&mut self) -> bool {
        let GoodAfter { served, decisions } = self.config.known_good;
        let good = self.state.history.in_force().known_good == KnownGood::NotYet
            && served <= self.in_force_since.elapsed()
            && decisions <= self.activator.current().decisions();
        if good {
            let (digest, content) = (self.activator.digest(), self.state.history.current().content);
            self.state.history.in_force_is_good();
            if let Some(withdrawal) = self.state.activations.withdrawal(content) {
                tracing::warn!(
                    %digest,
                    "policies that were rolled back from are known as good again, since they have been in force long enough: they are not marked any more: {}",
                    withdrawal.told()
                );
            }
            self.state.activations.reinstate(content);
            tracing::info!(%digest, "policies are known as good");
        }
        good
    }

    /// Shows the status. Who watches it is woken where it says something new: times of looks and counts
    /// change without a word.
    fn publish(&mut self) {
        let disk = self.disk.as_mut().map(|(_, disk)| disk.borrow().clone());
        let held_until =
            self.flap_damper.until().map(|until| clock::after(until.saturating_duration_since(Instant::now())));
        let inputs = StatusInputs { snapshot: &self.activator.current(), held_until, disk: disk.as_ref() };
        let status = Arc::new(self.state.status(&inputs));
        self.status.send_if_modified(|shown| {
            let news = is_news(shown, &status);
            *shown = status;
            news
        });
        self.state.gauges().show();
    }

    fn disk(&self) -> Option<PersistStatus> {
        self.disk.as_ref().map(|(_, disk)| disk.borrow().clone())
    }
}
