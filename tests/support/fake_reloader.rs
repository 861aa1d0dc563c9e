//! An admin service on a socket of its own, and someone who works through what it is asked: with the
//! real check and the real engine, and a source that is a bundle in memory.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use requite::api::pb;
use requite::api::pb::policy_admin_service_client::PolicyAdminServiceClient;
use requite::domain::money::Currency;
use requite::domain::time::Timestamp;
use requite::engine::activations::{Activations, Entry};
use requite::engine::admit::admit;
use requite::engine::snapshot::Snapshot;
use requite::engine::status::{
    ActivationReport, Admissible, Assessment, CandidateReport, Failed, Hold, KnownGood, MoneyDifference, PolicyLabel,
    RECENT_ACTIVATIONS_MAX, Refusal, RestartForecast, Revision, Revisions, SourceStatus, StartedFrom, Status,
    WhyFailed,
};
use requite::engine::{Activator, Engine, open};
use requite::policy::bundle::{Bundle, BundleFile, Digest};
use requite::policy::diff::{Changes, bounded_diff};
use requite::reload::handle::{Files, ReloadCommand, ReloadHandle, Replace, Requester, Staged, Untried};
use requite::reload::status_view::StatusHandle;
use requite::server::Drained;
use requite::server::admin::{self, AdminAddress, AdminConfig, AdminLimits, OpenError, TlsFiles};
use requite::telemetry::event::Reloaded;
use requite::telemetry::labels::{ReloadResult, ReloadTrigger};
use requite::telemetry::reloads::LastAttempt;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

/// Longer than anything here may take; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Tokens by the rights that they carry; the last is in no file.
pub const READER: &str = "reader-1-0123456789abcdef0123456789abcdef";
pub const VALIDATOR: &str = "validator-0123456789abcdef0123456789abcde";
pub const RELOADER: &str = "reloader-0123456789abcdef0123456789abcdef";
pub const ROLLER: &str = "roller-2-0123456789abcdef0123456789abcdef";
pub const LEAD: &str = "lead-333-0123456789abcdef0123456789abcdef";
pub const NOBODY: &str = "nobody-4-0123456789abcdef0123456789abcdef";

/// The file of credentials that knows them.
pub fn credentials() -> String {
    format!(
        "# who may do what\nrita read {READER}\nvera validate {VALIDATOR}\nrelo reload {RELOADER}\nrolf rollback {ROLLER}\n\nlea read,validate,reload,rollback {LEAD}\n"
    )
}

/// Writes a file for its owner only.
pub fn write_secret(path: &Path, text: &str) {
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, text).unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&fresh, path).unwrap();
}

/// A bundle of one policy that differs by its version.
pub fn bundle(version: &str) -> Bundle {
    let text = format!(
        "policy: guide\nversion: \"{version}\"\ntimezone: UTC\ncurrencies: [EUR]\nchannels: [web]\nreasons:\n  other: {{ liable: customer }}\nrules:\n  - id: everything\n    refund: full\notherwise: {{ manual_review: NO_MATCHING_RULE }}\n"
    );
    Bundle::new(vec![BundleFile { path: "guide.policy.yaml".into(), bytes: text.into_bytes() }]).unwrap()
}

/// A bundle that may not be put in force.
pub fn broken() -> Bundle {
    Bundle::new(vec![BundleFile { path: "guide.policy.yaml".into(), bytes: b"policy: guide\nnonsense: 1\n".to_vec() }])
        .unwrap()
}

/// A bundle as a request carries it.
pub fn sent(bundle: &Bundle) -> pb::PolicyFiles {
    let file = |file: &BundleFile| pb::PolicyFile { path: file.path.clone(), content: file.bytes.clone() };
    pb::PolicyFiles { files: bundle.files().iter().map(file).collect() }
}

/// An admin service that runs.
pub struct Running {
    pub address: String,
    pub dir: TempDir,
    /// What the source holds.
    pub source: Arc<Mutex<Bundle>>,
    /// How long the one task takes for each thing asked.
    pub slowness: Arc<Mutex<Duration>>,
    /// How many things it has begun with.
    pub begun: Arc<AtomicU64>,
    pub status: watch::Receiver<Arc<Status>>,
    /// Ends the one task.
    pub teller: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Drained>,
}

/// A configuration on a free port, with [`credentials`].
pub fn config(dir: &TempDir) -> AdminConfig {
    let tokens = dir.path().join("tokens");
    write_secret(&tokens, &credentials());
    AdminConfig {
        listen: AdminAddress::Tcp("127.0.0.1:0".into()),
        credentials: tokens,
        tls: None,
        limits: AdminLimits { reread_interval: Duration::from_millis(20), ..AdminLimits::default() },
    }
}

/// Starts an admin service on a free port.
pub async fn start() -> Running {
    start_with(|_| {}).await
}

/// Starts one that is configured otherwise.
pub async fn start_with(change: impl FnOnce(&mut AdminConfig)) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir);
    change(&mut config);
    start_in(dir, config).await.unwrap()
}

/// Starts one as configured.
pub async fn start_in(dir: TempDir, config: AdminConfig) -> Result<Running, OpenError> {
    let listener = admin::open(config).await?;
    let address = listener.address().unwrap();
    let (reload, teller) = Teller::open();
    let (source, slowness, begun) = (teller.0.source.clone(), teller.0.slowness.clone(), teller.0.begun.clone());
    let status = reload.shown.told.clone();
    let teller = tokio::spawn(teller.0.run(teller.1));
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        admin::serve(listener, reload, async { stopped.await.unwrap_or_default() }).await.unwrap()
    });
    Ok(Running { address, dir, source, slowness, begun, status, teller, stop, task })
}

impl Running {
    /// A client that shows this token.
    pub async fn client(&self, token: &'static str) -> Client {
        client(&self.address, Shows(vec![format!("Bearer {token}")])).await
    }

    /// A client that shows this.
    pub async fn client_that(&self, shows: Shows) -> Client {
        client(&self.address, shows).await
    }

    /// The path of the file of credentials.
    pub fn tokens(&self) -> PathBuf {
        self.dir.path().join("tokens")
    }

    /// The digest in force.
    pub fn in_force(&self) -> String {
        self.status.borrow().in_force.digest.to_string()
    }

    /// Puts something else into the source.
    pub fn hold(&self, bundle: Bundle) {
        *self.source.lock().unwrap() = bundle;
    }

    /// Waits until the one task has begun with one thing more than so many.
    pub async fn begins_after(&self, count: u64) {
        until("the one task begins", async || count < self.begun.load(Ordering::SeqCst)).await;
    }

    /// How many things the one task has begun with.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Tells it to stop.
    pub fn begin_stop(self) -> JoinHandle<Drained> {
        self.stop.send(()).unwrap();
        self.task
    }

    /// Stops it and waits for its end.
    pub async fn stop(self) -> Drained {
        timeout(PATIENCE, self.begin_stop()).await.unwrap().unwrap()
    }
}

/// A client of the admin service.
pub type Client = PolicyAdminServiceClient<InterceptedService<Channel, Shows>>;

/// The `authorization` headers that a client sends.
#[derive(Clone)]
pub struct Shows(pub Vec<String>);

impl Interceptor for Shows {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        for value in &self.0 {
            request.metadata_mut().append("authorization", value.parse().unwrap());
        }
        Ok(request)
    }
}

/// A client of the service at `HOST:PORT` or `unix:/PATH`.
pub async fn client(address: &str, shows: Shows) -> Client {
    let address = if address.starts_with("unix:") { address.to_owned() } else { format!("http://{address}") };
    let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    client_on(channel, shows)
}

/// A client on a connection.
pub fn client_on(channel: Channel, shows: Shows) -> Client {
    PolicyAdminServiceClient::with_interceptor(channel, shows).max_decoding_message_size(256 * 1024 * 1024)
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The files of TLS in a directory.
pub fn tls_files(dir: &Path, client_ca: Option<&str>) -> TlsFiles {
    TlsFiles {
        certificate: dir.join("server.pem"),
        key: dir.join("server.key"),
        client_ca: client_ca.map(|name| dir.join(name)),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_nanos(i128::try_from(since.as_nanos()).unwrap()).unwrap()
}

/// The one task, as far as the admin service can tell.
pub struct Teller {
    source: Arc<Mutex<Bundle>>,
    slowness: Arc<Mutex<Duration>>,
    begun: Arc<AtomicU64>,
    engine: Engine,
    activator: Activator,
    bundles: HashMap<Digest, (Arc<Bundle>, Arc<Snapshot>)>,
    /// The latest first.
    revisions: Vec<Revision>,
    activations: Activations,
    candidate: Option<(CandidateReport, Bundle)>,
    status: watch::Sender<Arc<Status>>,
}

impl Teller {
    /// With bundle `1` in force.
    pub fn open() -> (ReloadHandle, (Self, mpsc::Receiver<ReloadCommand>)) {
        let first = bundle("1");
        let (engine, activator) = open(admit(&first).unwrap());
        let revision = revision(first.digest(), 1, ReloadTrigger::Start, &Requester::default());
        let snapshot = Arc::clone(&engine.current());
        snapshot.count(7);
        let (status, told) = watch::channel(Arc::new(status(&revision, &snapshot)));
        let (asks, asked) = mpsc::channel(4);
        let reload = ReloadHandle { asks, shown: StatusHandle { told, engine: engine.clone(), clock: now } };
        let teller = Self {
            source: Arc::new(Mutex::new(first.clone())),
            slowness: Arc::default(),
            begun: Arc::default(),
            engine,
            activator,
            bundles: HashMap::from([(first.digest(), (Arc::new(first), snapshot))]),
            revisions: vec![revision],
            activations: Activations::default(),
            candidate: None,
            status,
        };
        (reload, (teller, asked))
    }

    /// Works through what is asked.
    pub async fn run(mut self, mut asked: mpsc::Receiver<ReloadCommand>) {
        while let Some(ask) = asked.recv().await {
            self.begun.fetch_add(1, Ordering::SeqCst);
            let slowness = *self.slowness.lock().unwrap();
            tokio::time::sleep(slowness).await;
            self.answer(ask);
        }
    }

    fn answer(&mut self, ask: ReloadCommand) {
        // Whoever asked may be gone.
        match ask {
            ReloadCommand::Validate { bundle, reply } => {
                drop(reply.send(Ok(self.validate(bundle.map(|upload| upload.bundle)))))
            }
            ReloadCommand::Reload { expected, requester, reply } => {
                let bundle = self.source.lock().unwrap().clone();
                let done = self.expect(expected).and_then(|()| self.put(bundle, ReloadTrigger::Admin, &requester));
                drop(reply.send(done));
            }
            ReloadCommand::Rollback { to, expected, requester, reply } => {
                drop(reply.send(self.roll_back(to, expected, &requester)))
            }
            ReloadCommand::Revisions { reply } => {
                let kept = self.revisions.iter().map(|revision| (revision.clone(), None)).collect();
                let activations = self.activations.entries().cloned().collect();
                drop(reply.send(Ok(Revisions { kept, activations })));
            }
            ReloadCommand::Files { digest, reply } => {
                let found = self.bundles.get(&digest.unwrap_or(self.in_force()));
                let files =
                    found.map(|(bundle, snapshot)| Files { bundle: bundle.clone(), snapshot: snapshot.clone() });
                drop(reply.send(files.ok_or(Refusal::NoRevision { wanted: digest })));
            }
            ReloadCommand::Stage { bundle, sample_per_thousand, replace, requester, reply } => {
                let bundle = bundle.map(|upload| upload.bundle);
                drop(reply.send(self.stage(bundle, sample_per_thousand, replace, requester.actor)));
            }
            ReloadCommand::Promote { digest, expected, knowing, requester, reply } => {
                drop(reply.send(self.promote(digest, expected, knowing.untried, &requester)));
            }
            ReloadCommand::Discard { digest, requester: _, reply } => {
                let taken = self.take_candidate(digest).map(|(report, _)| report);
                self.tell(None);
                drop(reply.send(taken));
            }
        }
    }

    fn in_force(&self) -> Digest {
        self.activator.digest()
    }

    fn expect(&self, expected: Option<Digest>) -> Result<(), Refusal> {
        match expected {
            Some(expected) if expected != self.in_force() => {
                Err(Refusal::OtherInForce { expected, found: self.in_force(), origin: None })
            }
            _ => Ok(()),
        }
    }

    fn validate(&self, bundle: Option<Bundle>) -> Assessment {
        let bundle = bundle.unwrap_or_else(|| self.source.lock().unwrap().clone());
        let (digest, in_force) = (bundle.digest(), self.in_force());
        match admit(&bundle) {
            Ok(admission) => Assessment {
                digest,
                verdict: Admissible::Yes,
                diagnostics: admission.warnings,
                cases_passed: admission.cases_passed,
                changes: bounded_diff(&self.bundles[&in_force].0, &bundle),
                in_force,
            },
            Err(rejection) => Assessment {
                digest,
                verdict: Admissible::No,
                diagnostics: rejection.diagnostics,
                cases_passed: rejection.cases_passed,
                changes: Changes::default(),
                in_force,
            },
        }
    }

    fn put(
        &mut self,
        bundle: Bundle,
        trigger: ReloadTrigger,
        requester: &Requester,
    ) -> Result<ActivationReport, Refusal> {
        let before = self.in_force();
        let admission = match admit(&bundle) {
            Ok(admission) => admission,
            Err(rejection) => {
                let why = WhyFailed::Rejected {
                    digest: rejection.digest,
                    diagnostics: rejection.diagnostics,
                    cases_passed: rejection.cases_passed,
                };
                let failed = Arc::new(Failed { at: now(), trigger, why });
                self.tell(Some(Reloaded { trigger, result: ReloadResult::Rejected }));
                self.status.send_modify(|status| Arc::make_mut(status).last_failure = Some(failed.clone()));
                return Err(Refusal::Failed(failed));
            }
        };
        let (warnings, cases_passed) = (admission.warnings.clone(), admission.cases_passed);
        let changes = bounded_diff(&self.bundles[&before].0, &bundle);
        let generation = if bundle.digest() == before {
            self.revisions[0].generation
        } else {
            let generation = self.activator.activate(&self.activator.current(), admission).unwrap().generation;
            self.bundles.insert(bundle.digest(), (Arc::new(bundle), Arc::clone(&self.engine.current())));
            self.revisions.insert(0, revision(self.in_force(), generation, trigger, requester));
            self.activations.enter(Entry {
                snapshot: &self.engine.current(),
                semantic: None,
                before: Some(before),
                withdraws: Vec::new(),
                trigger,
                fallback: false,
                actor: requester.actor.clone(),
                reason: requester.reason.clone(),
                at: now(),
            });
            generation
        };
        self.tell(Some(Reloaded { trigger, result: ReloadResult::Applied }));
        let (after, at, notices) = (self.in_force(), now(), Vec::new());
        Ok(ActivationReport { before, after, generation, at, warnings, changes, cases_passed, notices })
    }

    fn roll_back(
        &mut self,
        to: Option<Digest>,
        expected: Digest,
        requester: &Requester,
    ) -> Result<ActivationReport, Refusal> {
        self.expect(Some(expected))?;
        let to = to.or_else(|| self.revisions.get(1).map(|revision| revision.digest));
        let found = to.and_then(|to| self.bundles.get(&to)).map(|(bundle, _)| Bundle::clone(bundle));
        self.put(found.ok_or(Refusal::NoRevision { wanted: to })?, ReloadTrigger::Rollback, requester)
    }

    fn stage(
        &mut self,
        bundle: Option<Bundle>,
        sample_per_thousand: u16,
        replace: Replace,
        actor: String,
    ) -> Result<Staged, Refusal> {
        if let (Some((staged, _)), Replace::OwnOnly) = (&self.candidate, replace)
            && staged.actor != actor
        {
            let (found, actor, at) = (staged.digest, staged.actor.clone(), staged.staged_at);
            return Err(Refusal::StagedByOther { found, actor, at });
        }
        let bundle = bundle.unwrap_or_else(|| self.source.lock().unwrap().clone());
        let changes = bounded_diff(&self.bundles[&self.in_force()].0, &bundle);
        let candidate = CandidateReport {
            digest: bundle.digest(),
            staged_at: now(),
            actor,
            staged_over: self.in_force(),
            compared_with: self.in_force(),
            withdrawal: None,
            sample_per_thousand,
            observed: Duration::from_millis(1_500),
            compared: 10,
            different: 4,
            not_comparable: 3,
            shed: 2,
            failed: 1,
            money: vec![MoneyDifference {
                currency: Currency::iso("EUR").unwrap(),
                live: 10_000,
                candidate: 9_250,
                above: 250,
                below: 1_000,
            }],
            by_rule: Vec::new(),
            further_rules: 0,
            by_reason: Vec::new(),
        };
        self.candidate = Some((candidate.clone(), bundle));
        self.tell(None);
        Ok(Staged { candidate, changes, warnings: Vec::new(), notices: vec!["nobody has tried it".into()] })
    }

    fn take_candidate(&mut self, digest: Option<Digest>) -> Result<(CandidateReport, Bundle), Refusal> {
        match (&self.candidate, digest) {
            (None, _) => Err(Refusal::NoCandidate),
            (Some((staged, _)), Some(digest)) if staged.digest != digest => {
                Err(Refusal::OtherCandidate { found: Some(staged.digest) })
            }
            (Some(_), _) => self.candidate.take().ok_or(Refusal::Bug),
        }
    }

    fn promote(
        &mut self,
        digest: Digest,
        expected: Digest,
        untried: Untried,
        requester: &Requester,
    ) -> Result<(ActivationReport, CandidateReport), Refusal> {
        self.expect(Some(expected))?;
        let compared = self.candidate.as_ref().map_or(0, |(report, _)| report.compared);
        if untried == Untried::Refused && compared == 0 {
            return Err(Refusal::Untried { candidate: digest, not_comparable: 3 });
        }
        let (report, bundle) = self.take_candidate(Some(digest))?;
        Ok((self.put(bundle, ReloadTrigger::Promotion, requester)?, report))
    }

    fn tell(&self, attempt: Option<Reloaded>) {
        if let Some(attempt) = attempt {
            attempt.record();
        }
        self.status.send_modify(|status| {
            let status = Arc::make_mut(status);
            status.in_force = self.revisions[0].clone();
            status.policies = PolicyLabel::all_of(&self.engine.current());
            status.activations = self.activations.entries().take(RECENT_ACTIVATIONS_MAX).cloned().collect();
            status.candidate = self.candidate.as_ref().map(|(report, _)| report.clone());
            if let Some(attempt) = attempt {
                status.last_attempt = status.last_attempt.then(attempt.result, now());
            }
        });
    }
}

fn revision(digest: Digest, generation: u64, trigger: ReloadTrigger, requester: &Requester) -> Revision {
    Revision {
        digest,
        semantic: None,
        generation,
        activated_at: now(),
        trigger,
        actor: requester.actor.clone(),
        reason: requester.reason.clone(),
        known_good: KnownGood::NotYet,
    }
}

fn status(in_force: &Revision, snapshot: &Snapshot) -> Status {
    Status {
        in_force: in_force.clone(),
        policies: PolicyLabel::all_of(snapshot),
        stricter_errors: Arc::new([]),
        withdrawal: None,
        decisions: snapshot.decisions(),
        started_from: StartedFrom::Source,
        started_at: now(),
        source: SourceStatus {
            location: "memory".into(),
            checked_at: now(),
            in_sync_at: Some(now()),
            digest: Some(in_force.digest),
            hold: Hold::None,
        },
        last_failure: None,
        restart: RestartForecast::Same,
        last_known_good: None,
        candidate: None,
        activations: Vec::new(),
        last_attempt: LastAttempt::first(ReloadResult::Applied, now()),
        notices: vec!["the state directory is full".into()],
    }
}
