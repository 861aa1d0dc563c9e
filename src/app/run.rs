//! One run of the service, from the first signal handler to the last flushed trace.

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::app::begin::{Begun, begin};
use crate::app::config::{Config, Policies};
use crate::app::reload::hints::Hints;
use crate::app::reload::{Beginning, Loader, Road, lay};
use crate::app::signals::{Asked, Signals};
use crate::engine::admit::admit;
use crate::engine::status::StartedFrom;
use crate::engine::{self, Activator, Engine};
use crate::policy::bundle::{Bundle, BundleError};
use crate::policy::diagnostic::Colour;
use crate::server::{self, Drained, ServeError};
use crate::source::directory::{self, ReadError};
use crate::source::embedded;
use crate::source::state::{StateDir, StateError};
use crate::source::watch::{Timing, watch as watch_directory};
use crate::telemetry::event::ReloadTrigger;
use crate::telemetry::logs::{LogFormat, log_panics};
use crate::telemetry::{self, FLUSH_MAX, InitError};

/// Longest time from the signal to the end of serving, whatever hangs. The server's own drain is
/// shorter; this is for what it does not foresee.
const DRAIN_MAX: Duration = Duration::from_secs(11);

/// Longest wait for our own tasks once serving has ended; there are two rounds of it.
const JOIN_MAX: Duration = Duration::from_millis(300);

/// Longest wait for threads that block, such as a read that hangs in the file system.
const THREADS_MAX: Duration = Duration::from_millis(200);

/// Longest time from the signal to the end of the process: half of what orchestrators grant.
const STOP_MAX: Duration = Duration::from_secs(15);

const _: () = assert!(
    DRAIN_MAX.as_millis() + 2 * JOIN_MAX.as_millis() + FLUSH_MAX.as_millis() + THREADS_MAX.as_millis()
        <= STOP_MAX.as_millis(),
    "every step of stopping fits into the whole"
);

/// Why a run did not begin, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The operating system gives no threads or no signals.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    /// Telemetry cannot be set up as asked.
    #[error(transparent)]
    Telemetry(#[from] InitError),
    /// The policies cannot be read.
    #[error("the policies cannot be read")]
    Unreadable(#[source] ReadError),
    /// The policies may not be put in force; the report is for people.
    #[error("the policies may not be put in force")]
    Rejected {
        /// Every mistake, with its place.
        report: String,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address as written.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Serving failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A task of ours panicked.
    #[error("{0} failed, this is a bug")]
    Bug(&'static str),
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Stopped as asked; everything in flight was answered or cut in time.
    Stopped,
    /// Stopped with requests in flight: they took too long.
    Overdue,
    /// Stopped at once, asked a second time.
    Cut,
}

/// Runs the service until it is asked to stop.
pub fn run(config: Config) -> Result<Ended, RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Runtime)?;
    let ended = runtime.block_on(run_on_runtime(config));
    runtime.shutdown_timeout(THREADS_MAX);
    ended
}

async fn run_on_runtime(config: Config) -> Result<Ended, RunError> {
    // First of all: until this is done, a SIGHUP ends the process.
    let mut signals = Signals::install().map_err(RunError::Runtime)?;
    let guard = telemetry::init(&config.logs, &config.export)?;
    log_panics();
    let opened = tokio::select! {
        opened = open(&config) => opened.map(Some),
        () = signals.stop() => Ok(None),
    };
    let ended = match opened {
        Ok(Some(opened)) => serve(config, opened, signals).await,
        Ok(None) => Ok(Ended::Stopped),
        Err(error) => Err(error),
    };
    // Whoever asks twice does not want to wait for a collector.
    if !matches!(ended, Ok(Ended::Cut)) {
        guard.shut_down().await;
    }
    ended
}

/// What stands before the first request can be answered.
struct Opened {
    listener: TcpListener,
    engine: Engine,
    activator: Activator,
    beginning: Beginning,
    state: Option<Arc<StateDir>>,
}

async fn open(config: &Config) -> Result<Opened, RunError> {
    let (policies, state_dir) = (config.policies.clone(), config.state_dir.clone());
    let begun = tokio::task::spawn_blocking(move || begin(&policies, state_dir.as_deref()));
    let Begun { beginning, state } = begun.await.map_err(|_| RunError::Bug("loading the policies"))??;
    let (engine, activator) = engine::open_in(Arc::clone(&beginning.first.plans));
    let unbound = |source| RunError::Listen { address: config.listen.clone(), source };
    let listener = TcpListener::bind(&config.listen).await.map_err(unbound)?;
    announce(&listener, &engine, beginning.started_from, config).map_err(unbound)?;
    Ok(Opened { listener, engine, activator, beginning, state })
}

/// Reads the bundle from where it is.
pub fn read(policies: &Policies) -> Result<Bundle, ReadError> {
    match policies {
        Policies::Embedded => embedded::read().map_err(|error: BundleError| error.into()),
        Policies::Directory(path) => directory::read(path),
    }
}

/// Whether reports on standard error may be coloured.
#[must_use]
pub fn colour() -> Colour {
    if io::stderr().is_terminal() { Colour::On } else { Colour::Off }
}

/// One line on standard output that says where, for whoever started the process: with port 0 it
/// is the only way to know.
fn announce(listener: &TcpListener, engine: &Engine, from: StartedFrom, config: &Config) -> io::Result<()> {
    let address = listener.local_addr()?;
    let snapshot = engine.current();
    let digest = snapshot.digest.to_string();
    let policies: Vec<String> = snapshot.plans().map(|plan| format!("`{}` {}", plan.id, plan.version)).collect();
    tracing::info!(%address, digest, generation = snapshot.generation, policies = policies.join(", "), "serving");
    let (aside, from) = match from {
        StartedFrom::Source => ("", "source"),
        StartedFrom::LastKnownGood => (", the last known good: the policies are broken", "last_known_good"),
    };
    let line = match config.logs.format {
        LogFormat::Text => format!("serving on {address}: {} ({digest}{aside})", policies.join(", ")),
        LogFormat::Json => serde_json::json!({
            "message": "serving", "address": address.to_string(), "digest": digest, "policies": policies,
            "started_from": from,
        })
        .to_string(),
    };
    // Nobody listening on standard output is no reason not to serve.
    let _ = writeln!(io::stdout(), "{line}");
    Ok(())
}

/// How far the run has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Serving,
    Stopping,
}

async fn serve(config: Config, opened: Opened, mut signals: Signals) -> Result<Ended, RunError> {
    let Config { policies, timing, road, server: server_config, .. } = config;
    let Opened { listener, engine, activator, beginning, state } = opened;
    let (phase, stopping) = watch::channel(Phase::Serving);
    let source = policies.clone();
    let loader = Loader { read: Box::new(move || read(&source)), admit, state };
    let Road { reloader, desk, hints, keeper } = lay(loader, activator, beginning, road);
    let watcher = watch_policies(&policies, timing, hints.clone(), stopping.clone());
    let keeper = keeper.map(|keeper| tokio::spawn(keeper.run()));
    let reloader = tokio::spawn(reloader.run(stopped(stopping.clone())));

    // Whoever shows the status or takes what admins ask for gets a clone of the desk here.
    let serving = server::serve(listener, engine, server_config, stopped(stopping));
    let ended = until_served(serving, &phase, &hints, &mut signals).await;

    // However serving ended, the other tasks end now: first those that begin something, then the
    // one that brings it to the disk.
    phase.send_replace(Phase::Stopping);
    drop(desk);
    tokio::join!(join("watching the policies", watcher), join("reloading the policies", Some(reloader)));
    join("keeping the state directory", keeper).await;
    ended
}

async fn until_served(
    serving: impl Future<Output = Result<Drained, ServeError>>,
    phase: &watch::Sender<Phase>,
    hints: &Hints,
    signals: &mut Signals,
) -> Result<Ended, RunError> {
    tokio::pin!(serving);
    let mut overdue = None;
    loop {
        let asked = tokio::select! {
            served = &mut serving => return served.map(drained).map_err(RunError::from),
            () = due(overdue) => {
                tracing::error!(limit = ?DRAIN_MAX, "draining took too long: stopping at once");
                return Ok(Ended::Overdue);
            }
            asked = signals.next() => asked,
        };
        match (asked, overdue) {
            (Asked::Reload, _) => hints.give(ReloadTrigger::Signal),
            (Asked::Stop, None) => {
                tracing::info!("asked to stop: finishing what has begun; ask again to stop at once");
                phase.send_replace(Phase::Stopping);
                overdue = Some(Instant::now() + DRAIN_MAX);
            }
            (Asked::Stop, Some(_)) => {
                tracing::warn!("asked to stop again: stopping at once");
                return Ok(Ended::Cut);
            }
        }
    }
}

fn drained(drained: Drained) -> Ended {
    let Drained { connections_closed, connections_cut } = drained;
    tracing::info!(connections_closed, connections_cut, "stopped");
    Ended::Stopped
}

fn watch_policies(
    policies: &Policies,
    timing: Timing,
    hints: Hints,
    stopping: watch::Receiver<Phase>,
) -> Option<JoinHandle<()>> {
    match policies {
        Policies::Embedded => None,
        Policies::Directory(path) => {
            let changed = move || hints.give(ReloadTrigger::FileChange);
            let watching = watch_directory(path.clone(), timing, changed);
            Some(tokio::spawn(async move {
                tokio::select! {
                    () = watching => {}
                    () = stopped(stopping) => {}
                }
            }))
        }
    }
}

async fn stopped(mut stopping: watch::Receiver<Phase>) {
    // An error means that the sender is gone: the run is over, too.
    let _ = stopping.wait_for(|phase| *phase == Phase::Stopping).await;
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
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "{name} failed, this is a bug"),
        Err(_) => {
            tracing::warn!("{name} did not end in time");
            task.abort();
        }
    }
}
