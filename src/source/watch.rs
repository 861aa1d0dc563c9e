//! Notices that a bundle directory changed, whichever way it was saved.
//!
//! Truth is a poll: two scans that differ. Events of the file system only wake the poll earlier,
//! so a lost, late or unsupported event costs half a second and never a change. What changed,
//! and whether it is any good, is for others to find out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::source::scan::{Scan, scan};

/// At most one look in this time, however many events come.
const LOOK_GAP: Duration = Duration::from_millis(20);

/// Intervals of the watch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// Between two looks when no event comes.
    pub poll: Duration,
    /// Time without a change after which a change counts as finished. Longer than the steps of the clock of any file
    /// system, so that a later write cannot hide behind an equal time stamp.
    pub settle: Duration,
    /// Longest time that a change may go on before it is reported all the same.
    pub settle_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(500),
            settle: Duration::from_millis(100),
            settle_max: Duration::from_secs(2),
        }
    }
}

/// Calls `changed` once at the beginning, for whatever happened before the watch began, and then
/// once after each change. Runs until it is dropped.
pub async fn watch(root: PathBuf, timing: Timing, mut changed: impl FnMut() + Send) {
    let mut eye = Eye::new(root);
    // The state that the last call told of; none while a change is still going on.
    let mut told: Option<Scan> = None;
    loop {
        let seen = eye.look().await;
        if told.as_ref() != Some(&seen) {
            told = eye.settle(seen, timing).await;
            changed();
            if told.is_none() {
                continue;
            }
        }
        tokio::select! {
            () = sleep(timing.poll) => {}
            () = eye.wake.notified() => sleep(LOOK_GAP).await,
        }
    }
}

/// Looks at the directory, off the request threads.
struct Eye {
    root: PathBuf,
    wake: Arc<Notify>,
    events: Option<FileEvents>,
}

impl Eye {
    fn new(root: PathBuf) -> Self {
        Self { root, wake: Arc::new(Notify::new()), events: None }
    }

    async fn look(&mut self) -> Scan {
        let (root, wake, events) = (self.root.clone(), Arc::clone(&self.wake), self.events.take());
        let look = tokio::task::spawn_blocking(move || {
            let mut events = events.unwrap_or_else(|| FileEvents::new(wake));
            let scan = scan(&root);
            events.follow(&root, &scan);
            (events, scan)
        });
        match look.await {
            Ok((events, scan)) => {
                self.events = Some(events);
                scan
            }
            Err(error) => {
                tracing::error!(%error, "looking at the policy directory failed");
                Scan::default()
            }
        }
    }

    /// Waits until nothing changes any more; `None` if that takes too long.
    async fn settle(&mut self, mut seen: Scan, timing: Timing) -> Option<Scan> {
        let began = Instant::now();
        loop {
            sleep(timing.settle).await;
            let now = self.look().await;
            if now == seen {
                return Some(seen);
            }
            if began.elapsed() > timing.settle_max {
                return None;
            }
            seen = now;
        }
    }
}

/// Events of the file system, where they can be had.
struct FileEvents {
    watcher: Option<RecommendedWatcher>,
    /// Directories watched, by device and inode: one that was replaced is watched anew.
    watched: BTreeMap<PathBuf, (u64, u64)>,
}

impl FileEvents {
    fn new(wake: Arc<Notify>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| is_change(event.kind)) {
                wake.notify_one();
            }
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "no file events here: policy changes are noticed by polling alone");
        }
        Self { watcher: watcher.ok(), watched: BTreeMap::new() }
    }

    fn follow(&mut self, root: &Path, scan: &Scan) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted = directories(root, scan);
        let stale: Vec<PathBuf> = self
            .watched
            .iter()
            .filter(|(path, inode)| wanted.get(*path) != Some(inode))
            .map(|(path, _)| path.clone())
            .collect();
        for path in stale {
            // It may be gone, and its watch with it.
            let _ = watcher.unwatch(&path);
            self.watched.remove(&path);
        }
        for (path, inode) in wanted {
            if !self.watched.contains_key(&path) && watcher.watch(&path, RecursiveMode::NonRecursive).is_ok() {
                self.watched.insert(path, inode);
            }
        }
    }
}

/// The directories in which an event may mean a change: those of the bundle, the one above it
/// (it may be replaced as a whole), and those that symbolic links lead to.
fn directories(root: &Path, scan: &Scan) -> BTreeMap<PathBuf, (u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let above = root.parent().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    let targets = scan.files.iter().filter_map(|file| file.target.as_deref()?.parent());
    let mut wanted: BTreeMap<PathBuf, (u64, u64)> = above
        .into_iter()
        .chain(targets)
        .filter_map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((path.to_owned(), (metadata.dev(), metadata.ino())))
        })
        .collect();
    wanted.extend(scan.directories.iter().map(|directory| (directory.path.clone(), directory.inode)));
    wanted
}

/// Our own looking makes events, too; only those of others are of interest.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}
