//! The road as the program lays it, over a real directory, without a server around it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use requite::engine::admit::admit_of;
use requite::engine::status::{ActivationReport, Refusal, Status};
use requite::engine::{Engine, open_in};
use requite::policy::bundle::{Bundle, BundleFile, Digest};
use requite::reload::bootstrap::{Bootstrapped, bootstrap};
use requite::reload::flap_damper::FlapLimits;
use requite::reload::handle::{Knowing, ReloadCommand, ReloadHandle, Replace, Reply, Requester, Staged};
use requite::reload::signal::ReloadSignal;
use requite::reload::{GoodAfter, ReloadConfig, ReloadHandles};
use requite::source::{Directory, Source, SourceError, Watching};
use requite::telemetry::labels::ReloadTrigger;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Longer than anything here may take; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Looks only where it is told to, and never knows anything as good.
pub const BY_HAND: ReloadConfig = ReloadConfig {
    poll: Duration::from_secs(3_600),
    read_max: PATIENCE,
    flap: FlapLimits {
        turns: 1_000,
        window: Duration::from_secs(60),
        hold_min: Duration::from_secs(60),
        hold_max: Duration::from_secs(60),
    },
    known_good: GoodAfter { served: Duration::from_secs(3_600), decisions: 0 },
    revisions_max: 10,
};

/// As good as soon as it is in force.
pub const GOOD_AT_ONCE: GoodAfter = GoodAfter { served: Duration::ZERO, decisions: 0 };

/// A policy of this version.
pub fn text(version: &str) -> String {
    format!(
        "policy: shop\nversion: \"{version}\"\ntimezone: UTC\ncurrencies: [CNY]\nrules: []\notherwise: {{ deny: NO_MATCHING_RULE }}\n"
    )
}

/// The bundle of this text.
pub fn bundle(text: &str) -> Bundle {
    Bundle::new(vec![BundleFile { path: "shop.policy.yaml".into(), bytes: text.into() }]).unwrap()
}

/// The digest of the policy of this version.
pub fn digest(version: &str) -> Digest {
    bundle(&text(version)).digest()
}

/// The directories of a server, over its runs.
pub struct Place {
    pub dir: TempDir,
    /// Whether it has a state directory.
    pub state: Option<PathBuf>,
}

/// A road that is run.
pub struct Running {
    pub engine: Engine,
    pub reload: ReloadHandle,
    pub signal: ReloadSignal,
    pub reads: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
    file: PathBuf,
}

impl Place {
    /// A source that holds this version, and no state directory.
    pub fn new(version: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), state: None };
        fs::create_dir(place.source()).unwrap();
        place.write(&text(version));
        place
    }

    /// The same, with a state directory.
    pub fn with_state(version: &str) -> Self {
        let mut place = Self::new(version);
        place.state = Some(place.dir.path().join("state"));
        place
    }

    pub fn source(&self) -> PathBuf {
        self.dir.path().join("policies")
    }

    pub fn file(&self) -> PathBuf {
        self.source().join("shop.policy.yaml")
    }

    pub fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    /// Begins a run.
    pub fn run(&self, config: ReloadConfig) -> Running {
        let laid = self.lay(config);
        laid.run()
    }

    /// Lays the road, so that asks may wait before it is run.
    pub fn lay(&self, config: ReloadConfig) -> Laid {
        let reads = Arc::new(AtomicUsize::new(0));
        let source = Counted { directory: Directory::new(self.source()), reads: Arc::clone(&reads) };
        let Bootstrapped { initial, loader } = bootstrap(Arc::new(source), admit_of, self.state.as_deref()).unwrap();
        // The first one was for the start.
        reads.store(0, Ordering::SeqCst);
        let (engine, activator) = open_in(Arc::clone(&initial.first.plans));
        let handles = ReloadHandles::new(loader, activator, initial, config);
        Laid { handles, engine, reads, file: self.file() }
    }
}

/// A directory that counts how often it is read.
#[derive(Debug)]
struct Counted {
    directory: Directory,
    reads: Arc<AtomicUsize>,
}

impl Source for Counted {
    fn read(&self) -> Result<Bundle, SourceError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.directory.read()
    }

    fn watch(&self, changed: Box<dyn FnMut() + Send>) -> Watching {
        self.directory.watch(changed)
    }

    fn location(&self) -> String {
        self.directory.location()
    }
}

/// A road that is not run yet.
pub struct Laid {
    pub handles: ReloadHandles,
    engine: Engine,
    reads: Arc<AtomicUsize>,
    file: PathBuf,
}

impl Laid {
    pub fn run(self) -> Running {
        let Self { handles: ReloadHandles { reloader, reload, signal, persister }, engine, reads, file } = self;
        let mut tasks = vec![tokio::spawn(reloader.run(std::future::pending()))];
        tasks.extend(persister.map(|persister| tokio::spawn(persister.run())));
        Running { engine, reload, signal, reads, tasks, file }
    }
}

impl Running {
    /// Asks, and waits for the answer.
    pub async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> ReloadCommand) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.reload.commands.send(ask(reply)).await.unwrap();
        timeout(PATIENCE, answer).await.unwrap().unwrap()
    }

    pub async fn reload(&self, expected: Option<Digest>) -> Result<ActivationReport, Refusal> {
        self.ask(|reply| ReloadCommand::Reload { expected, requester: "ops".into(), reply }).await
    }

    pub async fn roll_back(&self, to: Option<Digest>) -> Result<ActivationReport, Refusal> {
        self.roll_back_because(to, "").await
    }

    pub async fn roll_back_because(&self, to: Option<Digest>, reason: &str) -> Result<ActivationReport, Refusal> {
        let expected = self.digest();
        let requester = Requester { actor: "ops".into(), reason: reason.into() };
        let done = self.ask(|reply| ReloadCommand::Rollback { to, expected, requester, reply }).await;
        self.settle().await;
        done
    }

    /// Waits for what the road does after an answer: it looks at the source, to leave out what that holds.
    async fn settle(&self) {
        self.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
    }

    /// Stages this version, as someone who replaces nobody else's candidate.
    pub async fn stage(&self, version: &str, actor: &str) -> Result<Staged, Refusal> {
        let (bundle, requester) = (Some(bundle(&text(version)).into()), Requester::from(actor));
        self.ask(|reply| ReloadCommand::Stage {
            bundle,
            sample_per_thousand: 1_000,
            replace: Replace::OwnOnly,
            requester,
            reply,
        })
        .await
    }

    /// Promotes this version over that one, tried or not, rolled back from or not.
    pub async fn promote(&self, version: &str, over: &str) -> Result<ActivationReport, Refusal> {
        let (digest, expected, knowing) = (digest(version), digest(over), Knowing::ALL);
        let done = self
            .ask(|reply| ReloadCommand::Promote { digest, expected, knowing, requester: "ops".into(), reply })
            .await;
        self.settle().await;
        Ok(done?.0)
    }

    /// Writes a version and has it put in force.
    pub async fn put(&self, version: &str) -> ActivationReport {
        self.write(&text(version));
        self.reload(None).await.unwrap()
    }

    pub fn write(&self, text: &str) {
        fs::write(&self.file, text).unwrap();
    }

    /// Hints, and waits until the source was read and the status tells of it.
    pub async fn hint(&self, trigger: ReloadTrigger) {
        let before = self.status().source.checked_at;
        self.signal.notify(trigger);
        self.until("the source is looked at", |status| status.source.checked_at != before).await;
    }

    pub fn digest(&self) -> Digest {
        self.engine.current().digest
    }

    pub fn generation(&self) -> u64 {
        self.engine.current().generation
    }

    pub fn status(&self) -> Arc<Status> {
        Arc::new(self.reload.shown.now())
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&Status) -> bool) -> Arc<Status> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "timed out waiting until {what}: {status:#?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends the run; what was begun is finished, and the state directory is free again.
    pub async fn end(self) {
        drop(self.reload);
        for task in self.tasks {
            timeout(PATIENCE, task).await.unwrap().unwrap();
        }
    }
}
