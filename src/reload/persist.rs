//! Makes the state directory hold what it should, beside the reload task: a disk that is slow, full or
//! read-only delays and fails no reload.
//!
//! It receives only the desired state, writes what is missing and removes what is too much. So a
//! burst ends in its last state, and a failed write is tried again by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::engine::activations::Activations;
use crate::engine::history::HistoryEntry;
use crate::engine::status::{KnownGood, Refusal};
use crate::policy::bundle::Digest;
use crate::reload::Reloader;
use crate::reload::handle::{Reply, answer};
use crate::state_dir::StateDir;
use crate::telemetry::event::NotKept;

/// First pause after a write that failed; doubles each time.
const RETRY_PAUSE_MIN: Duration = Duration::from_secs(1);

/// Longest such pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);

/// State that the disk should hold.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// The revisions, the latest first.
    pub revisions: Vec<HistoryEntry>,
    /// The history of activations.
    pub activations: Activations,
    /// The number of this wish among those of the run, from 1.
    pub number: u64,
}

/// The desired state, as it is sent.
pub type DesiredRevisions = Arc<Desired>;

/// Status of the state directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersistStatus {
    /// The latest revision on it that is known as good: what a start falls back to.
    pub last_known_good: Option<Digest>,
    /// Error that keeps it from the desired state.
    pub error: Option<String>,
    /// The number of the latest wish whose history of activations it holds, marks included; 0: none.
    pub held: u64,
}

/// Keeps the state directory.
#[derive(Debug)]
pub struct StatePersister {
    store: Store,
    wanted: watch::Receiver<DesiredRevisions>,
    disk: watch::Sender<PersistStatus>,
}

/// Known state of the disk.
#[derive(Debug)]
struct Store {
    state: Arc<StateDir>,
    /// Revisions with a whole record there.
    there: BTreeMap<Digest, (u64, KnownGood)>,
    /// Bundles written by this run.
    written: BTreeSet<Digest>,
    /// The history of activations there; `None`: it is not known.
    activations: Option<Activations>,
    /// The number of the wish that it is of.
    held: u64,
}

impl StatePersister {
    /// A persister of this directory, which holds these revisions. Its history of activations is written anew: what was
    /// read may have been put aside.
    #[must_use]
    pub fn new(
        state: Arc<StateDir>,
        there: &[HistoryEntry],
        wanted: watch::Receiver<DesiredRevisions>,
    ) -> (Self, watch::Receiver<PersistStatus>) {
        let there = there.iter().map(entry).collect();
        let store = Store { state, there, written: BTreeSet::new(), activations: None, held: 0 };
        let disk = watch::Sender::new(PersistStatus { last_known_good: store.last_known_good(), error: None, held: 0 });
        let receiver = disk.subscribe();
        (Self { store, wanted, disk }, receiver)
    }

    /// Works until nobody can want anything else, and then brings the last wish to an end.
    pub async fn run(mut self) {
        let mut pause = RETRY_PAUSE_MIN;
        while self.wanted.changed().await.is_ok() {
            loop {
                let wanted = Arc::clone(&self.wanted.borrow_and_update());
                if self.reconcile(wanted).await {
                    pause = RETRY_PAUSE_MIN;
                    break;
                }
                // Whatever is wanted next is a reason to try at once.
                if let Ok(Err(_)) = timeout_at(Instant::now() + pause, self.wanted.changed()).await {
                    return;
                }
                pause = pause.saturating_mul(2).min(RETRY_PAUSE_MAX);
            }
        }
    }

    /// Writes the desired state; `true` if all is written.
    async fn reconcile(&mut self, wanted: DesiredRevisions) -> bool {
        let store = Store {
            state: Arc::clone(&self.store.state),
            there: std::mem::take(&mut self.store.there),
            written: std::mem::take(&mut self.store.written),
            activations: self.store.activations.take(),
            held: self.store.held,
        };
        let work = tokio::task::spawn_blocking(move || {
            let mut store = store;
            let error = store.reconcile(&wanted).err();
            (store, error)
        });
        let error = match work.await {
            Ok((store, error)) => {
                self.store = store;
                error
            }
            Err(error) => {
                // It is not known any more what is there: everything is written again.
                sleep(RETRY_PAUSE_MIN).await;
                Some(format!("a bug: {error}"))
            }
        };
        self.tell(error)
    }

    fn tell(&self, error: Option<String>) -> bool {
        let (before, done) = (self.disk.borrow().error.clone(), error.is_none());
        match (&before, &error) {
            (_, Some(error)) => {
                NotKept.record(error, before.as_ref() != Some(error));
            }
            (Some(_), None) => tracing::info!("the state directory can be written again"),
            (None, None) => {}
        }
        let last_known_good = self.store.last_known_good();
        let held = self.store.held;
        self.disk.send_if_modified(|disk| {
            let next = PersistStatus { last_known_good, error, held };
            let changed = *disk != next;
            *disk = next;
            changed
        });
        done
    }
}

impl Store {
    fn reconcile(&mut self, wanted: &Desired) -> Result<(), String> {
        let Desired { revisions: wanted, activations, number } = wanted;
        // The oldest first: what is written last is the latest.
        for kept in wanted.iter().rev() {
            let (digest, entry) = entry(kept);
            if self.there.get(&digest) == Some(&entry) {
                continue;
            }
            let bundle =
                kept.held.as_ref().map(|held| held.bundle.as_ref()).filter(|_| !self.written.contains(&digest));
            self.state
                .keep(kept, bundle)
                .map_err(|error| format!("revision {digest} cannot be kept in the state directory: {error}"))?;
            if bundle.is_some() {
                self.written.insert(digest);
            }
            self.there.insert(digest, entry);
        }
        // After the records: one that was rolled back from is not known as good before anything else is known of it.
        if self.activations.as_ref() != Some(activations) {
            self.state.keep_activations(activations).map_err(|error| {
                format!("the history of activations cannot be kept in the state directory: {error}")
            })?;
            self.activations = Some(activations.clone());
        }
        self.held = *number;
        let wanted: BTreeSet<Digest> = wanted.iter().map(|kept| kept.revision.digest).collect();
        let surplus: Vec<Digest> = self.there.keys().filter(|digest| !wanted.contains(digest)).copied().collect();
        for digest in surplus {
            self.state
                .forget(digest)
                .map_err(|error| format!("revision {digest} cannot be let go from the state directory: {error}"))?;
            self.there.remove(&digest);
            self.written.remove(&digest);
        }
        Ok(())
    }

    fn last_known_good(&self) -> Option<Digest> {
        let good = self.there.iter().filter(|(_, (_, known_good))| *known_good == KnownGood::Yes);
        good.max_by_key(|(_, (place, _))| *place).map(|(digest, _)| *digest)
    }
}

fn entry(kept: &HistoryEntry) -> (Digest, (u64, KnownGood)) {
    (kept.revision.digest, (kept.place, kept.revision.known_good))
}

/// Time that an answer waits until the history of activations is on the disk.
const KEPT_WAIT_MAX: Duration = Duration::from_secs(2);

impl Reloader {
    /// Gives an answer once the history on the disk has everything until now, so that what was answered is remembered
    /// however the process ends. A slow disk delays nothing but the answer, and that for a while only. Where the disk does
    /// not have it, the notices say so; `None`: the answer has none.
    pub(super) fn answer_when_kept<T: Send + 'static>(
        &self,
        reply: Reply<T>,
        result: Result<T, Refusal>,
        notices: fn(&mut T) -> Option<&mut Vec<String>>,
    ) {
        let number = self.wishes;
        let waits = move |disk: &PersistStatus| disk.held < number && disk.error.is_none();
        let (mut disk, mut done) = match (self.disk.as_ref().map(|(_, disk)| disk.clone()), result) {
            (Some(disk), Ok(done)) => (disk, done),
            (None, result) | (Some(_), result @ Err(_)) => return answer(reply, result),
        };
        if !waits(&disk.borrow()) {
            say_not_kept(notices(&mut done), &disk.borrow(), number);
            return answer(reply, Ok(done));
        }
        tokio::spawn(async move {
            // What it came to is seen next, however the wait ended.
            let _ = timeout(KEPT_WAIT_MAX, disk.wait_for(|disk| !waits(disk))).await;
            say_not_kept(notices(&mut done), &disk.borrow(), number);
            answer(reply, Ok(done));
        });
    }
}

/// Says that the disk does not hold the history of the wish of this number, where it does not.
fn say_not_kept(notices: Option<&mut Vec<String>>, disk: &PersistStatus, number: u64) {
    let Some(notices) = notices.filter(|_| disk.held < number) else { return };
    notices.push(match &disk.error {
        None => "the state directory is slow: it does not hold this change yet".to_owned(),
        Some(error) => format!(
            "the state directory does not hold this change: until it can be written again, a restart would not know of it, \
             nor of what it marks as rolled back from: {error}"
        ),
    });
}
