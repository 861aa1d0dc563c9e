//! One run of the service, from the first signal handler to the last flushed trace.

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::app::config::{Config, Policies};
use crate::app::reload::{Loader, Reloader, report};
use crate::app::signals::{Asked, Signals};
use crate::engine::admit::{Admission, admit};
use crate::engine::{self, Activator, Engine};
use crate::policy::bundle::{Bundle, BundleError};
use crate::policy::diagnostic::{Colour, render};
use crate::server::{self, Drained, ServeError};
use crate::source::directory::{self, ReadError};
use crate::source::embedded;
use crate::source::watch::{Timing, watch as watch_directory};
use crate::telemetry::event::ReloadTrigger;
use crate::telemetry::logs::{LogFormat, log_panics};
use crate::telemetry::{self, FLUSH_MAX, InitError};

/// Longest time from the signal to the end of serving, whatever hangs. The server's own drain is
/// shorter; this is for what it does not foresee.
const DRAIN_MAX: Duration = Duration::from_secs(11);

/// Longest wait for our own tasks once serving has ended.
const JOIN_MAX: Duration = Duration::from_millis(500);

/// Longest wait for threads that block, such as a read that hangs in the file system.
const THREADS_MAX: Duration = Duration::from_millis(200);

/// Longest time from the signal to the end of the process: half of what orchestrators grant.
const STOP_MAX: Duration = Duration::from_secs(15);

const _: () = assert!(
    DRAIN_MAX.as_millis() + JOIN_MAX.as_millis() + FLUSH_MAX.as_millis() + THREADS_MAX.as_millis()
        <= STOP_MAX.as_millis(),
    "every step of stopping fits into the whole"
);

/// Triggers that may wait. One is enough to cause a reload that sees everything before it.
const TRIGGERS_MAX: usize = 4;

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
}

async fn open(config: &Config) -> Result<Opened, RunError> {
    let policies = config.policies.clone();
    let first = tokio::task::spawn_blocking(move || load_first(&policies));
    let admission = first.await.map_err(|_| RunError::Bug("loading the policies"))??;
    report(&admission.warnings);
    let (engine, activator) = engine::open(admission);
    let unbound = |source| RunError::Listen { address: config.listen.clone(), source };
    let listener = TcpListener::bind(&config.listen).await.map_err(unbound)?;
    announce(&listener, &engine, config).map_err(unbound)?;
    Ok(Opened { listener, engine, activator })
}

fn load_first(policies: &Policies) -> Result<Admission, RunError> {
    let bundle = read(policies).map_err(RunError::Unreadable)?;
    admit(&bundle).map_err(|rejection| RunError::Rejected { report: render(&rejection.diagnostics, &bundle, colour()) })
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
fn announce(listener: &TcpListener, engine: &Engine, config: &Config) -> io::Result<()> {
    let address = listener.local_addr()?;
    let snapshot = engine.current();
    let digest = snapshot.digest.to_string();
    let policies: Vec<String> = snapshot.plans().map(|plan| format!("`{}` {}", plan.id, plan.version)).collect();
    tracing::info!(%address, digest, generation = snapshot.generation, policies = policies.join(", "), "serving");
    let line = match config.logs.format {
        LogFormat::Text => format!("serving on {address}: {} ({digest})", policies.join(", ")),
        LogFormat::Json => serde_json::json!({
            "message": "serving", "address": address.to_string(), "digest": digest, "policies": policies,
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
    let Config { policies, timing, server: server_config, .. } = config;
    let Opened { listener, engine, activator } = opened;
    let (phase, stopping) = watch::channel(Phase::Serving);
    let (triggers, waiting) = mpsc::channel(TRIGGERS_MAX);
    let watcher = watch_policies(&policies, timing, triggers.clone(), stopping.clone());
    let loader = Loader { read: Box::new(move || read(&policies)), admit };
    let reloader = tokio::spawn(Reloader::new(loader, activator).run(waiting));

    let serving = server::serve(listener, engine, server_config, stopped(stopping));
    let ended = until_served(serving, &phase, &triggers, &mut signals).await;

    // However serving ended, the other tasks end now; the reload task does when nobody can
    // trigger it any more.
    phase.send_replace(Phase::Stopping);
    drop(triggers);
    tokio::join!(join("watching the policies", watcher), join("reloading the policies", Some(reloader)));
    ended
}

async fn until_served(
    serving: impl Future<Output = Result<Drained, ServeError>>,
    phase: &watch::Sender<Phase>,
    triggers: &mpsc::Sender<ReloadTrigger>,
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
            (Asked::Reload, _) => trigger(triggers, ReloadTrigger::Signal),
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

fn trigger(triggers: &mpsc::Sender<ReloadTrigger>, trigger: ReloadTrigger) {
    // A full queue is no loss: what it holds causes the same reload.
    let _ = triggers.try_send(trigger);
}

fn drained(drained: Drained) -> Ended {
    let Drained { connections_closed, connections_cut } = drained;
    tracing::info!(connections_closed, connections_cut, "stopped");
    Ended::Stopped
}

fn watch_policies(
    policies: &Policies,
    timing: Timing,
    triggers: mpsc::Sender<ReloadTrigger>,
    stopping: watch::Receiver<Phase>,
) -> Option<JoinHandle<()>> {
    match policies {
        Policies::Embedded => None,
        Policies::Directory(path) => {
            let changed = move || trigger(&triggers, ReloadTrigger::FileChange);
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
