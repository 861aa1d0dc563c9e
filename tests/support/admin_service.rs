//! An admin service on a socket of its own, before the program's own reload task. Only the source is another: a bundle
//! in memory; and a queue before the task takes its time, where a test wants that.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use requite::api::pb;
use requite::api::pb::policy_admin_service_client::PolicyAdminServiceClient;
use requite::domain::money::Currency;
use requite::engine::admit::admit_of;
use requite::engine::status::{CandidateReport, MoneyDifference, Status};
use requite::engine::{Activator, Engine, open_in};
use requite::policy::bundle::{Bundle, BundleFile, Digest};
use requite::reload::ReloadHandles;
use requite::reload::bootstrap::{Bootstrapped, bootstrap};
use requite::reload::clock;
use requite::reload::handle::{ReloadCommand, ReloadHandle};
use requite::reload::status_view::StatusHandle;
use requite::server::Drained;
use requite::server::admin::{self, AdminAddress, AdminConfig, AdminLimits, OpenError, TlsFiles};
use requite::source::{Source, SourceError, Watching};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

use crate::support::reload::BY_HAND;

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
    /// How long the queue keeps each command.
    pub slowness: Arc<Mutex<Duration>>,
    /// How many commands have left the line.
    pub begun: Arc<AtomicU64>,
    pub status: watch::Receiver<Arc<Status>>,
    /// Takes the commands out of the queue.
    pub queue: JoinHandle<()>,
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

/// Starts one that shows a status changed by hand.
pub async fn start_showing(change: impl FnOnce(&mut Status)) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir);
    let mut reloading = Reloading::begin();
    reloading.reload.shown = shows(&reloading.reload.shown, change);
    start_before(reloading, dir, config).await.unwrap()
}

/// Starts one as configured.
pub async fn start_in(dir: TempDir, config: AdminConfig) -> Result<Running, OpenError> {
    start_before(Reloading::begin(), dir, config).await
}

async fn start_before(reloading: Reloading, dir: TempDir, config: AdminConfig) -> Result<Running, OpenError> {
    let listener = admin::open(config).await?;
    let address = listener.address().unwrap();
    let Reloading { reload, source, slowness, begun, queue } = reloading;
    let status = reload.shown.told.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        admin::serve(listener, reload, async { stopped.await.unwrap_or_default() }).await.unwrap()
    });
    Ok(Running { address, dir, source, slowness, begun, status, queue, stop, task })
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

    /// Waits until one command more than so many has left the line.
    pub async fn begins_after(&self, count: u64) {
        until("the next command is taken", async || count < self.begun.load(Ordering::SeqCst)).await;
    }

    /// How many commands have left the line.
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

/// A bundle in memory.
#[derive(Debug)]
struct Memory(Arc<Mutex<Bundle>>);

impl Source for Memory {
    fn read(&self) -> Result<Bundle, SourceError> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn watch(&self, _changed: Box<dyn FnMut() + Send>) -> Watching {
        Box::pin(std::future::pending())
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

/// A reload task that runs, and the queue before it.
pub struct Reloading {
    pub reload: ReloadHandle,
    pub source: Arc<Mutex<Bundle>>,
    pub slowness: Arc<Mutex<Duration>>,
    pub begun: Arc<AtomicU64>,
    pub queue: JoinHandle<()>,
}

impl Reloading {
    /// With bundle `1` in force, seven claims decided, and a notice.
    pub fn begin() -> Self {
        let source = Arc::new(Mutex::new(bundle("1")));
        let Bootstrapped { mut initial, loader } =
            bootstrap(Arc::new(Memory(Arc::clone(&source))), admit_of, None).unwrap();
        initial.notices.push("the state directory is full".into());
        let (engine, activator): (Engine, Activator) = open_in(Arc::clone(&initial.first.plans));
        engine.current().count(7);
        let ReloadHandles { reloader, reload, .. } = ReloadHandles::new(loader, activator, initial, BY_HAND);
        tokio::spawn(reloader.run(std::future::pending()));
        let (slowness, begun) = <(Arc<Mutex<Duration>>, Arc<AtomicU64>)>::default();
        let (asks, asked) = mpsc::channel(4);
        let queue = tokio::spawn(pass_on(asked, reload.commands.clone(), slowness.clone(), begun.clone()));
        Self { reload: ReloadHandle { commands: asks, shown: reload.shown }, source, slowness, begun, queue }
    }
}

/// Passes commands on, one after the other, each as late as `slowness` says.
async fn pass_on(
    mut asked: mpsc::Receiver<ReloadCommand>,
    asks: mpsc::Sender<ReloadCommand>,
    slowness: Arc<Mutex<Duration>>,
    begun: Arc<AtomicU64>,
) {
    while let Some(command) = asked.recv().await {
        begun.fetch_add(1, Ordering::SeqCst);
        let slowness = *slowness.lock().unwrap();
        tokio::time::sleep(slowness).await;
        if asks.send(command).await.is_err() {
            break;
        }
    }
}

/// A handle on a status made by hand: for figures that take traffic to come about.
pub fn shows(shown: &StatusHandle, change: impl FnOnce(&mut Status)) -> StatusHandle {
    let mut status = shown.now();
    change(&mut status);
    let (_, told) = watch::channel(Arc::new(status));
    StatusHandle { told, engine: shown.engine.clone(), clock: clock::now }
}

/// A report on a candidate as after some traffic.
pub fn candidate(digest: Digest, in_force: Digest) -> CandidateReport {
    CandidateReport {
        digest,
        staged_at: clock::now(),
        actor: "lea".into(),
        staged_over: in_force,
        compared_with: in_force,
        withdrawal: None,
        sample_per_thousand: 250,
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
    }
}
