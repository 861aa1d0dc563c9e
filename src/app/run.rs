//! One run of the service, from the first signal handler to the last flushed trace.

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use crate::app::background;
use crate::app::config::Config;
use crate::app::descriptors;
use crate::app::signals::{Asked, Signals};
use crate::domain::printable::Printable;
use crate::engine::admit::admit_of;
use crate::engine::status::StartedFrom;
use crate::engine::{self, Activator, Engine};
use crate::reload::bootstrap::{BootstrapError, Bootstrapped, bootstrap};
use crate::reload::handle::ReloadHandle;
use crate::reload::signal::ReloadSignal;
use crate::reload::{InitialState, Loader, ReloadHandles};
use crate::server::admin::{self, AdminListener, OpenError};
use crate::server::limits::EVENT_INTERVAL;
use crate::server::pages::{self, PagesConfig, PagesError, PagesListener, Readiness, Sources};
use crate::server::series::declare_series;
use crate::server::{self, Drained, ServeError};
use crate::source::Source;
use crate::telemetry::event::Panicked;
use crate::telemetry::labels::ReloadTrigger;
use crate::telemetry::log_format::LogFormat;
use crate::telemetry::logs::{self, log_panics};
use crate::telemetry::{self, FLUSH_MAX, InitError};

/// Longest time from the signal to the end of serving, whatever hangs. The server's own drain is
/// shorter; this is for what it does not foresee.
const DRAIN_MAX: Duration = Duration::from_millis(10_500);

/// Longest wait for our own tasks once serving has ended; there are three rounds of it.
const JOIN_MAX: Duration = Duration::from_millis(250);

/// Longest wait for threads that block, such as a read that hangs in the file system.
const THREADS_MAX: Duration = Duration::from_millis(200);

/// Longest wait for whoever reads the log, at the very end: what it has not taken by then is lost.
const LOG_FLUSH_MAX: Duration = Duration::from_millis(500);

/// The same where someone has asked to stop at once.
const LOG_FLUSH_AT_ONCE_MAX: Duration = Duration::from_millis(100);

/// Longest time from the signal to the end of the process: half of what orchestrators grant.
const STOP_MAX: Duration = Duration::from_secs(15);

const _: () = assert!(
    DRAIN_MAX.as_millis()
        + 3 * JOIN_MAX.as_millis()
        + FLUSH_MAX.as_millis()
        + THREADS_MAX.as_millis()
        + LOG_FLUSH_MAX.as_millis()
        <= STOP_MAX.as_millis(),
    "every step of stopping fits into the whole"
);

/// Reasons why a run did not begin, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The operating system gives no threads or no signals.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    /// Telemetry cannot be set up as asked.
    #[error(transparent)]
    Telemetry(#[from] InitError),
    /// There is nothing to put in force.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address as written.
        address: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Admins cannot be served as asked.
    #[error(transparent)]
    Admin(#[from] OpenError),
    /// The pages cannot be served as asked.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// Serving failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A task of ours panicked.
    #[error("{0} failed, this is a bug")]
    Bug(&'static str),
}

/// The end of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Stopped as asked; everything in flight was answered or cut in time.
    Stopped,
    /// Stopped with requests in flight: they took too long.
    DrainTimeout,
    /// Stopped at once, asked a second time.
    Aborted,
}

/// Runs the service until it is asked to stop.
pub fn run(config: Config) -> Result<Ended, RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().event_interval(EVENT_INTERVAL).enable_all().build();
    let runtime = runtime.map_err(RunError::Runtime)?;
    let background = background::runtime().map_err(RunError::Runtime)?;
    let ended = runtime.block_on(run_on_runtime(config, background.handle()));
    let latest = Instant::now() + THREADS_MAX;
    for runtime in [runtime, background] {
        runtime.shutdown_timeout(latest.saturating_duration_since(Instant::now()));
    }
    logs::flush(if matches!(ended, Ok(Ended::Aborted)) { LOG_FLUSH_AT_ONCE_MAX } else { LOG_FLUSH_MAX });
    ended
}

async fn run_on_runtime(config: Config, background: &Handle) -> Result<Ended, RunError> {
    // First of all: until this is done, a SIGHUP ends the process.
    let mut signals = Signals::install().map_err(RunError::Runtime)?;
    let guard = telemetry::init(&config.logs, &config.export)?;
    log_panics();
    descriptors::raise_limit();
    declare_series();
    let opened = tokio::select! {
        opened = open(&config) => opened.map(Some),
        () = signals.stop() => Ok(None),
    };
    let ended = match opened {
        Ok(Some(opened)) => serve(config, opened, &mut signals, background).await,
        Ok(None) => Ok(Ended::Stopped),
        Err(error) => Err(error),
    };
    // Whoever asks twice does not want to wait for a collector.
    if !matches!(ended, Ok(Ended::Aborted)) {
        tokio::select! {
            () = guard.shut_down() => {}
            () = signals.stop() => tracing::warn!("asked to stop again: the last traces and metrics may be lost"),
        }
    }
    ended
}

/// Parts that are ready before the first request can be answered.
struct Opened {
    listener: TcpListener,
    admins: Option<AdminListener>,
    pages: Option<PagesListener>,
    engine: Engine,
    activator: Activator,
    initial: InitialState,
    loader: Loader,
}

async fn open(config: &Config) -> Result<Opened, RunError> {
    let (source, state_dir) = (Arc::clone(&config.source), config.state_dir.clone());
    let begun = tokio::task::spawn_blocking(move || bootstrap(source, admit_of, state_dir.as_deref()));
    let Bootstrapped { initial, loader } = begun.await.map_err(|_| RunError::Bug("loading the policies"))??;
    let (engine, activator) = engine::open_in(Arc::clone(&initial.first.plans));
    let unbound = |source| RunError::Listen { address: config.listen.clone(), source };
    let listener = TcpListener::bind(&config.listen).await.map_err(unbound)?;
    let admins = match &config.admin {
        Some(admin) => Some(admin::open(admin.clone()).await?),
        None => None,
    };
    let pages = match &config.pages {
        Some(address) => Some(pages::open(address).await?),
        None => None,
    };
    let addresses = Addresses {
        data: listener.local_addr().map_err(unbound)?,
        admins: match (&config.admin, &admins) {
            (Some(admin), Some(admins)) => Some(
                admins.address().map_err(|source| OpenError::Listen { address: admin.listen.to_string(), source })?,
            ),
            (Some(_) | None, _) => None,
        },
        pages: pages.as_ref().map(PagesListener::address),
    };
    announce(&addresses, &engine, initial.started_from, config.logs.format)?;
    Ok(Opened { listener, admins, pages, engine, activator, initial, loader })
}

/// Addresses of the services, for those who call them.
struct Addresses {
    data: SocketAddr,
    admins: Option<String>,
    pages: Option<SocketAddr>,
}

/// Writes the addresses to standard output: with port 0, whoever started the process learns them from there alone.
/// As text, whoever sees the last line has seen all of them.
fn announce(addresses: &Addresses, engine: &Engine, from: StartedFrom, format: LogFormat) -> Result<(), RunError> {
    let Addresses { data: address, admins, pages } = addresses;
    let pages = pages.map(|pages| pages.to_string());
    let snapshot = engine.current();
    let digest = snapshot.digest.to_string();
    let policies: Vec<String> = snapshot.plans().map(|plan| format!("`{}` {}", plan.id, plan.version)).collect();
    let shown: Vec<String> = policies.iter().map(|policy| Printable(policy).to_string()).collect();
    tracing::info!(%address, digest, generation = snapshot.generation, policies = policies.join(", "), "serving");
    if admins.is_none() {
        tracing::info!("{}", admin::OFF);
    }
    let (aside, from) = match from {
        StartedFrom::Source => ("", "source"),
        StartedFrom::LastKnownGood => (", the last known good: the policies are broken", "last_known_good"),
    };
    let said = match format {
        LogFormat::Text => {
            let beside = |what: &str, at: &Option<String>| at.as_ref().map(|at| format!("serving {what} on {at}\n"));
            format!(
                "{}{}serving on {address}: {} ({digest}{aside})",
                beside("admins", admins).unwrap_or_default(),
                beside("pages", &pages).unwrap_or_default(),
                shown.join(", ")
            )
        }
        LogFormat::Json => serde_json::json!({
            "message": "serving", "address": address.to_string(), "admin_address": admins, "pages_address": pages,
            "digest": digest, "policies": policies, "started_from": from,
        })
        .to_string(),
    };
    // Nobody reading standard output is no reason not to serve, and none not to stop: a thread of its own
    // waits for them.
    let write = move || {
        let _ = writeln!(io::stdout(), "{said}");
    };
    thread::Builder::new().name("announce".to_owned()).spawn(write).map_err(RunError::Runtime)?;
    Ok(())
}

/// The phase of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    /// Callers and admins are served.
    Serving,
    /// Work that has begun is finished; its callers still get an answer.
    Stopping,
    /// Nobody is served any more.
    Served,
}

async fn serve(config: Config, opened: Opened, signals: &mut Signals, background: &Handle) -> Result<Ended, RunError> {
    let Config { source, handles, server: server_config, pages_config, .. } = config;
    let Opened { listener, admins, pages, engine, activator, initial, loader } = opened;
    let (phase, reached) = watch::channel(Phase::Serving);
    let (readiness, ready) = watch::channel(Readiness::Starting);
    let ReloadHandles { reloader, reload, signal, persister } = {
        // Its timers go with it.
        let _behind = background.enter();
        ReloadHandles::new(loader, activator, initial, handles)
    };
    let watcher = background.spawn(watch_source(source, signal.clone(), reached.clone()));
    let persister = persister.map(|persister| background.spawn(persister.run()));
    let sources = Sources { readiness: ready, shown: reload.shown.clone() };
    let pages = pages
        .map(|pages| tokio::spawn(serve_pages(pages, sources, pages_config, until(Phase::Served, reached.clone()))));
    // The reloader outlives those who send it commands, so that each of them gets an answer.
    let reloader = background.spawn(reloader.run(until(Phase::Served, reached.clone())));
    let mut admins = admins
        .map(|admins| tokio::spawn(serve_admins(admins, reload.clone(), until(Phase::Stopping, reached.clone()))));

    let serving = async {
        readiness.send_replace(Readiness::Serving);
        let served = server::serve(listener, engine, server_config, until(Phase::Stopping, reached)).await;
        // Where it failed, nobody has asked to stop.
        phase.send_replace(Phase::Stopping);
        if let Some(task) = &mut admins {
            ended("serving admins", task.await);
        }
        admins = None;
        served
    };
    let stopping = || {
        readiness.send_replace(Readiness::Draining);
        phase.send_replace(Phase::Stopping);
    };
    let end = until_served(serving, stopping, &signal, signals).await;

    // However serving ended, the other tasks end now: first those that begin something, then the
    // one that brings it to the disk.
    stopping();
    tokio::join!(join("watching the policies", Some(watcher)), join("serving admins", admins));
    phase.send_replace(Phase::Served);
    drop(reload);
    tokio::join!(
        async {
            join("reloading the policies", Some(reloader)).await;
            join("keeping the state directory", persister).await;
        },
        join("serving pages", pages)
    );
    end
}

/// Serves admins. Where that fails, callers are served all the same.
async fn serve_admins(listener: AdminListener, reload: ReloadHandle, stop: impl Future<Output = ()>) {
    match admin::serve(listener, reload, stop).await {
        Ok(Drained { connections_closed, connections_cut }) => {
            tracing::info!(connections_closed, connections_cut, "stopped serving admins");
        }
        Err(error) => {
            let problem: &dyn std::error::Error = &error;
            tracing::error!(problem, "admins are not served: callers are, until the process is started again");
        }
    }
}

async fn serve_pages(listener: PagesListener, sources: Sources, config: PagesConfig, stop: impl Future<Output = ()>) {
    let Drained { connections_closed, connections_cut } = pages::serve(listener, sources, config, stop).await;
    tracing::info!(connections_closed, connections_cut, "stopped serving pages");
}

async fn until_served(
    serving: impl Future<Output = Result<Drained, ServeError>>,
    stopping: impl Fn(),
    signal: &ReloadSignal,
    signals: &mut Signals,
) -> Result<Ended, RunError> {
    tokio::pin!(serving);
    let mut overdue = None;
    loop {
        let asked = tokio::select! {
            served = &mut serving => return served.map(drained).map_err(RunError::from),
            () = due(overdue) => {
                tracing::error!(limit = ?DRAIN_MAX, "draining took too long: stopping at once");
                return Ok(Ended::DrainTimeout);
            }
            asked = signals.next() => asked,
        };
        match (asked, overdue) {
            (Asked::Reload, _) => signal.notify(ReloadTrigger::Signal),
            (Asked::Stop, None) => {
                tracing::info!("asked to stop: finishing what has begun; ask again to stop at once");
                stopping();
                overdue = Some(Instant::now() + DRAIN_MAX);
            }
            (Asked::Stop, Some(_)) => {
                tracing::warn!("asked to stop again: stopping at once");
                return Ok(Ended::Aborted);
            }
        }
    }
}

fn drained(drained: Drained) -> Ended {
    let Drained { connections_closed, connections_cut } = drained;
    tracing::info!(connections_closed, connections_cut, "stopped");
    Ended::Stopped
}

async fn watch_source(source: Arc<dyn Source>, signal: ReloadSignal, reached: watch::Receiver<Phase>) {
    let changed = Box::new(move || signal.notify(ReloadTrigger::FileChange));
    tokio::select! {
        () = source.watch(changed) => {}
        () = until(Phase::Stopping, reached) => {}
    }
}

async fn until(wanted: Phase, mut reached: watch::Receiver<Phase>) {
    // An error means that the sender is gone: the run is over, too.
    let _ = reached.wait_for(|phase| wanted <= *phase).await;
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits for a task of ours to end, and cuts it off if it does not.
async fn join(name: &'static str, task: Option<JoinHandle<()>>) {
    let Some(mut task) = task else { return };
    match tokio::time::timeout(JOIN_MAX, &mut task).await {
        Ok(joined) => ended(name, joined),
        Err(_) => {
            tracing::warn!("{name} did not end in time");
            task.abort();
        }
    }
}

fn ended(name: &'static str, joined: Result<(), JoinError>) {
    if let Err(error) = joined {
        Panicked { method: "task" }.record();
        tracing::error!(%error, "{name} failed, this is a bug");
    }
}
