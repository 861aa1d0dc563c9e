//! Whichever way a policy is saved, the change is noticed and its last state is what is read.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use requite::source::directory::read;
use requite::source::watch::{Timing, watch};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(10);

/// Polls so rarely that only events can be in time, or so often that none are needed.
const BY_EVENTS: Timing = Timing { poll: Duration::from_secs(600), ..QUICK };
const QUICK: Timing = Timing {
    poll: Duration::from_millis(20),
    settle: Duration::from_millis(30),
    settle_max: Duration::from_millis(150),
};

struct Watched {
    dir: TempDir,
    changes: mpsc::UnboundedReceiver<()>,
    task: JoinHandle<()>,
}

impl Watched {
    async fn new(timing: Timing) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("policies")).unwrap();
        fs::write(dir.path().join("policies/a.yaml"), "before").unwrap();
        Self::of(dir, timing).await
    }

    async fn of(dir: TempDir, timing: Timing) -> Self {
        let (sender, changes) = mpsc::unbounded_channel();
        let changed = move || sender.send(()).unwrap_or_default();
        let task = tokio::spawn(watch(dir.path().join("policies"), timing, changed));
        let mut watched = Self { dir, changes, task };
        watched.change().await;
        watched
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("policies")
    }

    fn file(&self) -> PathBuf {
        self.root().join("a.yaml")
    }

    async fn change(&mut self) {
        let noticed = timeout(DEADLINE, self.changes.recv()).await;
        assert!(noticed.is_ok_and(|change| change.is_some()), "a change is noticed");
    }

    /// Reads after each change, as the service does, until the file says this.
    async fn until(&mut self, expected: &str) {
        loop {
            self.change().await;
            let root = self.root();
            let bundle = tokio::task::spawn_blocking(move || read(&root)).await.unwrap();
            if bundle.is_ok_and(|bundle| bundle.file("a.yaml").is_some_and(|file| file.bytes == expected.as_bytes())) {
                break;
            }
        }
    }

    async fn quiet(&mut self) {
        assert!(timeout(Duration::from_millis(200), self.changes.recv()).await.is_err(), "nothing changed");
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn each_way(save: impl AsyncFn(&Path, &Path)) {
    for timing in [QUICK, BY_EVENTS] {
        let mut watched = Watched::new(timing).await;
        let (root, file) = (watched.root(), watched.file());
        save(&root, &file).await;
        watched.until("after").await;
    }
}

#[tokio::test]
async fn written_in_place() {
    each_way(async |_, file| fs::write(file, "after").unwrap()).await;
}

#[tokio::test]
async fn written_in_place_with_the_same_size() {
    each_way(async |_, file| {
        fs::write(file, "befor3").unwrap();
        fs::write(file, "after").unwrap();
    })
    .await;
}

#[tokio::test]
async fn written_in_pieces() {
    each_way(async |_, file| {
        let mut open = fs::File::create(file).unwrap();
        for piece in ["a", "ft", "er"] {
            open.write_all(piece.as_bytes()).unwrap();
            sleep(Duration::from_millis(60)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn written_without_a_pause_for_longer_than_a_change_may_take() {
    each_way(async |_, file| {
        for round in 0..60 {
            fs::write(file, "x".repeat(round)).unwrap();
            sleep(Duration::from_millis(5)).await;
        }
        fs::write(file, "after").unwrap();
    })
    .await;
}

#[tokio::test]
async fn renamed_over_twice() {
    each_way(async |root, file| {
        for text in ["between", "after"] {
            let next = root.join(".a.yaml.tmp");
            fs::write(&next, text).unwrap();
            fs::rename(&next, file).unwrap();
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn saved_by_vim() {
    each_way(async |root, file| {
        fs::write(root.join("4913"), "").unwrap();
        fs::remove_file(root.join("4913")).unwrap();
        fs::rename(file, root.join("a.yaml~")).unwrap();
        sleep(Duration::from_millis(5)).await;
        fs::write(file, "after").unwrap();
        fs::remove_file(root.join("a.yaml~")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn saved_by_sed() {
    each_way(async |_, file| {
        let sed = Command::new("sed").args(["-i", "s/before/after/"]).arg(file).status().unwrap();
        assert!(sed.success());
    })
    .await;
}

#[tokio::test]
async fn deleted_and_created() {
    each_way(async |_, file| {
        fs::remove_file(file).unwrap();
        sleep(Duration::from_millis(100)).await;
        fs::write(file, "after").unwrap();
    })
    .await;
}

#[tokio::test]
async fn directory_replaced_by_another() {
    each_way(async |root, _| {
        let next = root.with_extension("next");
        fs::create_dir(&next).unwrap();
        fs::write(next.join("a.yaml"), "after").unwrap();
        fs::rename(root, root.with_extension("old")).unwrap();
        fs::rename(&next, root).unwrap();
    })
    .await;
}

#[tokio::test]
async fn directory_deleted_and_created_much_later() {
    each_way(async |root, file| {
        fs::remove_dir_all(root).unwrap();
        sleep(Duration::from_millis(200)).await;
        fs::create_dir(root).unwrap();
        fs::write(file, "between").unwrap();
        sleep(Duration::from_millis(100)).await;
        fs::write(file, "after").unwrap();
    })
    .await;
}

#[tokio::test]
async fn file_in_a_directory_that_was_not_there() {
    for timing in [QUICK, BY_EVENTS] {
        let mut watched = Watched::new(timing).await;
        fs::create_dir(watched.root().join("calendars")).unwrap();
        watched.change().await;
        fs::write(watched.root().join("calendars/cn.yaml"), "cn").unwrap();
        watched.change().await;
        assert_eq!(read(&watched.root()).unwrap().files().len(), 2);
    }
}

fn config_map(dir: &Path) {
    let root = dir.join("policies");
    fs::create_dir_all(root.join("..1")).unwrap();
    fs::write(root.join("..1/a.yaml"), "before").unwrap();
    symlink("..1", root.join("..data")).unwrap();
    symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
}

#[tokio::test]
async fn config_map_swapped() {
    for timing in [QUICK, BY_EVENTS] {
        let dir = tempfile::tempdir().unwrap();
        config_map(dir.path());
        let mut watched = Watched::of(dir, timing).await;
        let root = watched.root();
        fs::create_dir(root.join("..2")).unwrap();
        fs::write(root.join("..2/a.yaml"), "after").unwrap();
        symlink("..2", root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        fs::remove_dir_all(root.join("..1")).unwrap();
        watched.until("after").await;
    }
}

#[tokio::test]
async fn file_behind_a_link_changed_elsewhere() {
    for timing in [QUICK, BY_EVENTS] {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        fs::create_dir(dir.path().join("policies")).unwrap();
        fs::write(dir.path().join("elsewhere/real.yaml"), "before").unwrap();
        symlink("../elsewhere/real.yaml", dir.path().join("policies/a.yaml")).unwrap();
        let mut watched = Watched::of(dir, timing).await;
        fs::write(watched.dir.path().join("elsewhere/real.yaml"), "after").unwrap();
        watched.until("after").await;
    }
}

#[tokio::test]
async fn link_that_led_nowhere_leads_somewhere() {
    for timing in [QUICK, BY_EVENTS] {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("policies")).unwrap();
        symlink("real", dir.path().join("policies/a.yaml")).unwrap();
        let mut watched = Watched::of(dir, timing).await;
        fs::write(watched.root().join("real"), "after").unwrap();
        watched.until("after").await;
    }
}

#[tokio::test]
async fn what_is_not_part_of_the_bundle_is_no_change() {
    let mut watched = Watched::new(QUICK).await;
    fs::write(watched.root().join("README.md"), "for people").unwrap();
    fs::write(watched.root().join(".a.yaml.swp"), "for an editor").unwrap();
    drop(fs::read(watched.file()).unwrap());
    watched.quiet().await;
}

#[tokio::test]
async fn looking_does_not_wake_itself() {
    let mut watched = Watched::new(BY_EVENTS).await;
    drop(read(&watched.root()).unwrap());
    watched.quiet().await;
}
