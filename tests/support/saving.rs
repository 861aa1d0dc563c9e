//! A directory of policies that a program serves while it is saved in some way, and a caller who
//! sees what is in force meanwhile.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use requite::api::pb;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::client;
use requite::source::directory::read;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::samples::late;
use crate::support::serve::{Service, copy_standard, serve_by};

/// From the end of a save to its being in force; a change is promised to take two seconds at most,
/// and the rest is for a machine with other things to do.
pub const IN_FORCE_MAX: Duration = Duration::from_secs(15);

/// Longer than a poll and than the settling after a change: whatever stands there is read meanwhile.
pub const LONG_PAUSE: Duration = Duration::from_millis(900);

/// Between two calls of the caller.
pub const CALL_GAP: Duration = Duration::from_millis(10);

/// A directory of policies that a program serves, and a caller who asks it all the time.
pub struct Served {
    /// Holds `policies`, and room beside it on the same file system.
    pub dir: TempDir,
    pub service: Service,
    caller: Option<JoinHandle<()>>,
    pub seen: Arc<Seen>,
    /// How many plain saves were made.
    saves: u32,
}

/// What the caller was answered.
#[derive(Default)]
pub struct Seen {
    /// Digests in the order in which they came into force.
    pub digests: Mutex<Vec<String>>,
    /// The last generation.
    generation: AtomicU64,
    calls_failed: Mutex<Vec<String>>,
    enough: AtomicBool,
}

pub fn text() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/standard/standard.policy.yaml")).unwrap()
}

/// Another text with the same meaning, whose digest is another.
pub fn new_text() -> String {
    format!("{}# new\n", text())
}

/// A directory laid out as usual: plain files.
pub fn plain(root: &Path) {
    copy_standard(root);
}

/// A directory as an orchestrator mounts it: every name is a link through `..data`.
pub fn mounted(root: &Path) {
    copy_standard(&root.join("..one"));
    symlink("..one", root.join("..data")).unwrap();
    for name in ["standard.policy.yaml", "standard.cases.yaml", "calendars"] {
        symlink(Path::new("..data").join(name), root.join(name)).unwrap();
    }
}

/// The same, with another name of the policy's file elsewhere.
pub fn with_another_name(root: &Path) {
    plain(root);
    fs::create_dir(root.with_file_name("elsewhere")).unwrap();
    fs::hard_link(root.join("standard.policy.yaml"), root.with_file_name("elsewhere").join("other")).unwrap();
}

/// A new directory that holds the new text.
pub fn new_release(root: &Path) {
    copy_standard(root);
    fs::write(root.join("standard.policy.yaml"), new_text()).unwrap();
}

impl Served {
    pub fn new() -> Self {
        Self::laid_out(plain)
    }

    pub fn laid_out(lay_out: impl FnOnce(&Path)) -> Self {
        Self::run_by(Command::new(env!("CARGO_BIN_EXE_requite")), tempfile::tempdir().unwrap(), lay_out)
    }

    pub fn run_by(program: Command, dir: TempDir, lay_out: impl FnOnce(&Path)) -> Self {
        let root = dir.path().join("policies");
        fs::create_dir(&root).unwrap();
        lay_out(&root);
        let service = serve_by(program, &["--policies", root.to_str().unwrap()], &[]);
        let seen = Arc::new(Seen::default());
        let caller = std::thread::spawn({
            let (seen, address) = (Arc::clone(&seen), service.address.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(ask(&address, &seen));
            }
        });
        let served = Self { dir, service, caller: Some(caller), seen, saves: 0 };
        served.until("something is in force", || served.in_force().is_some());
        served
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("policies")
    }

    pub fn file(&self) -> PathBuf {
        self.root().join("standard.policy.yaml")
    }

    /// A path beside the directory of policies.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The digest of what the directory holds.
    pub fn digest(&self) -> String {
        read(&self.root()).unwrap().digest().to_string()
    }

    pub fn in_force(&self) -> Option<String> {
        self.seen.digests.lock().unwrap().last().cloned()
    }

    pub fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < IN_FORCE_MAX, "{what}, got {:#?}", self.seen.digests.lock().unwrap());
            sleep(Duration::from_millis(5));
        }
    }

    /// Writes the new text in parts, so that each is read before the next is there.
    pub fn write_slowly(&self, path: &Path) {
        let text = new_text();
        let mut file = File::create(path).unwrap();
        for chunk in text.as_bytes().chunks(text.len() / 3 + 1) {
            sleep(LONG_PAUSE);
            assert_eq!(self.seen.digests.lock().unwrap().len(), 1, "a part of the file is never in force");
            file.write_all(chunk).unwrap();
        }
    }

    /// What was saved is in force, as the second of this run and with nothing in between.
    pub fn ends_in_force(&self) {
        let began = Instant::now();
        let (saved, first) = (self.digest(), self.seen.digests.lock().unwrap()[0].clone());
        assert_ne!(saved, first, "the save changed something");
        self.until("what was saved is in force", || self.in_force() == Some(saved.clone()));
        println!("in force {} ms after the save", began.elapsed().as_millis());
        assert_eq!(*self.seen.digests.lock().unwrap(), [first, saved], "one after the other and nothing else");
    }

    /// What was saved is told as a problem, and the old policies stay.
    pub fn ends_kept(&self, message: &str, why: &str) {
        let told = self.told(message, why);
        println!("kept: {told}");
        sleep(LONG_PAUSE);
        assert_eq!(self.seen.digests.lock().unwrap().len(), 1, "nothing else came into force");
    }

    /// The log line of an error that names the reason, after the one that names what happened.
    pub fn told(&self, message: &str, why: &str) -> String {
        let happened = self.service.says(message);
        assert_eq!(happened["level"], "ERROR");
        loop {
            let line: Value = self.service.says("");
            let text = line.to_string();
            if text.contains(why) {
                assert_eq!(line["level"], "ERROR");
                return line["message"].as_str().unwrap().to_owned();
            }
        }
    }

    /// A plain save of a text that was never there.
    pub fn save_plainly(&mut self) {
        self.saves += 1;
        let next = self.root().join(".next");
        fs::write(&next, format!("{}# save {}\n", text(), self.saves)).unwrap();
        fs::rename(&next, self.file()).unwrap();
    }

    /// Puts everything as it was: the next save is a plain one.
    pub fn repair_with(mut self, repair: impl FnOnce(&Self)) {
        repair(&self);
        self.save_plainly();
        self.still_hears();
    }

    /// The next plain save is in force, too, and nobody was left without an answer.
    pub fn goes_on(mut self) {
        self.save_plainly();
        self.still_hears();
    }

    pub fn still_hears(&mut self) {
        let saved = self.digest();
        self.until("the next save is in force", || self.in_force() == Some(saved.clone()));
        self.seen.enough.store(true, Ordering::Relaxed);
        self.caller.take().unwrap().join().unwrap();
        assert_eq!(*self.seen.calls_failed.lock().unwrap(), Vec::<String>::new());
        let digests = self.seen.digests.lock().unwrap().clone();
        let distinct: BTreeSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len(), "nothing came back: {digests:#?}");
        let generations = self.seen.generation.load(Ordering::Relaxed);
        assert_eq!(generations, digests.len() as u64, "nothing was in force so shortly that nobody saw it");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.seen.enough.store(true, Ordering::Relaxed);
        // A test user's directory must be removable again.
        let _ = fs::set_permissions(self.root(), Permissions::from_mode(0o755));
    }
}

/// Asks what is in force, and for a decision, until it was enough.
async fn ask(address: &str, seen: &Seen) {
    let mut client = RefundPolicyServiceClient::new(client::connect(address).await.unwrap());
    let mut last = false;
    while !last {
        // What was in force when it was enough is asked for once more.
        last = seen.enough.load(Ordering::Relaxed);
        let info = client.get_server_info(pb::GetServerInfoRequest::default()).await;
        let decision = client.evaluate_refund(late()).await;
        match (info, decision) {
            (Ok(info), Ok(decision)) => {
                let info = info.into_inner();
                seen.generation.store(info.generation, Ordering::Relaxed);
                note(seen, info.digest);
                let decision = decision.into_inner();
                note(seen, decision.policy.unwrap().digest);
                if decision.refund.as_ref().is_none_or(|refund| refund.units != 125) {
                    seen.calls_failed.lock().unwrap().push(format!("another refund: {:?}", decision.refund));
                }
            }
            (Err(status), _) | (_, Err(status)) => seen.calls_failed.lock().unwrap().push(status.to_string()),
        }
        tokio::time::sleep(CALL_GAP).await;
    }
}

fn note(seen: &Seen, digest: String) {
    let mut digests = seen.digests.lock().unwrap();
    if digests.last() != Some(&digest) {
        digests.push(digest);
    }
}

pub const REJECTED: &str = "policies rejected";
pub const UNREADABLE: &str = "policies unreadable";

/// A program that the permissions of files hold for: where the tests run as root, which they do not
/// hold for, another user runs it, from a place that this user can reach.
pub fn run_by_someone_else() -> (Command, TempDir) {
    const NOBODY: u32 = 65_534;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let own = Path::new(env!("CARGO_BIN_EXE_requite"));
    if fs::metadata(dir.path()).unwrap().uid() != 0 {
        return (Command::new(own), dir);
    }
    let copied = dir.path().join("requite");
    fs::copy(own, &copied).unwrap();
    fs::set_permissions(&copied, Permissions::from_mode(0o755)).unwrap();
    let mut program = Command::new(copied);
    program.uid(NOBODY).gid(NOBODY).current_dir("/");
    (program, dir)
}

/// What the operating system says of a process.
#[cfg(target_os = "linux")]
pub fn told_of(service: &Service, page: &str, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/{page}", service.id())).unwrap();
    let row = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    row.split_whitespace().next().unwrap().parse().unwrap()
}
