//! An open-loop load generator: requests go out when they are meant to, whatever the answers do.
//!
//! Latency counts from the intended moment, so nothing that a request had to wait for is left out.
//! Threads share nothing while they send; their figures are added up at the end. What it says and how
//! is for the caller: nothing here prints.

pub mod answer;
pub mod arrivals;
mod connection;
mod judge;
pub mod mix;
pub mod plot;
pub mod random;
pub mod record;
pub mod report;
pub mod revisions;
mod run;
pub mod swap;
mod timer;
mod worker;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use run::run;
pub use worker::Progress;

use crate::api::pb;
use crate::client::CallError;
use crate::load::answer::PayloadError;
use crate::load::arrivals::Arrivals;
use crate::load::swap::SwapError;

/// Connections at most: what a server takes unless told otherwise.
pub const CONNECTIONS_MAX: usize = crate::server::limits::CONNECTIONS_MAX;

/// Threads at most.
pub const THREADS_MAX: usize = 64;

/// Requests in flight at most, whatever is asked for: each holds some kilobytes.
pub const IN_FLIGHT_MAX: usize = 1_000_000;

/// Requests in flight at most, unless asked otherwise.
pub const IN_FLIGHT_DEFAULT: usize = 10_000;

/// The longest time of measuring.
pub const DURATION_MAX: Duration = Duration::from_secs(60 * 60);

/// The shortest time of measuring: a percentile of less says nothing.
pub const DURATION_MIN: Duration = Duration::from_millis(100);

/// The longest warm-up.
pub const WARM_UP_MAX: Duration = Duration::from_secs(10 * 60);

/// The longest deadline of a call.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// The shortest period between two changes of the policies.
pub const RELOAD_EVERY_MIN: Duration = Duration::from_millis(10);

/// Different example requests at most: each is remembered with its answer.
pub const EXAMPLES_MAX: usize = 4_096;

/// Settings of a run. The caller must hold them to the bounds above.
#[derive(Clone, Debug)]
pub struct Load {
    /// Address of the server (`host:port`).
    pub addr: String,
    /// Requests to send, one after the other, around and around.
    pub examples: Vec<pb::EvaluateRefundRequest>,
    /// Origin of the examples, for the report.
    pub requests_from: String,
    /// True where the first example must be decided before the run begins.
    pub ask_first: bool,
    /// Kind of each call.
    pub call: Call,
    /// Calls per second, of all connections together.
    pub rate_per_s: u32,
    /// Distribution of the calls over time.
    pub arrivals: Arrivals,
    /// Seed of the arrivals.
    pub seed: u64,
    /// Connections.
    pub connections: usize,
    /// Threads; no more than connections.
    pub threads: usize,
    /// Calls in flight at most; those above it are counted as failed and not sent.
    pub in_flight_max: usize,
    /// The deadline of a call, and how long the last answers are waited for.
    pub timeout: Duration,
    /// Time that is not counted.
    pub warm_up: Duration,
    /// Time that is counted.
    pub duration: Duration,
    /// Changes of the policies meanwhile.
    pub reload: Option<Reload>,
}

/// Kind of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// One decision, by `EvaluateRefund`.
    Single,
    /// So many, by `BatchEvaluateRefund`.
    Batch {
        /// At least one.
        items: usize,
    },
}

/// Changes of the policies under load.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reload {
    /// The period.
    pub every: Duration,
    /// The directory that the server watches.
    pub directory: PathBuf,
    /// The process to send SIGHUP after each change; without it, the server has to notice.
    pub hang_up: Option<u32>,
}

/// Requests of a watcher to a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interrupt {
    /// Someone wants it to end: once sends nothing more, twice waits for nothing more.
    End,
}

/// Reasons why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The server cannot be asked what it is.
    #[error(transparent)]
    Server(#[from] CallError),
    /// The server does not decide the first example.
    #[error("the first request gets no decision, so nothing was sent")]
    First(#[source] CallError),
    /// A connection cannot be made, though another one could.
    #[error("cannot make {connections} connections to {addr}")]
    Connect {
        /// As given.
        addr: String,
        /// Number of connections asked for.
        connections: usize,
        /// The error of the network.
        source: io::Error,
    },
    /// The examples cannot be sent.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The policies cannot be changed under load.
    #[error(transparent)]
    Reload(#[from] SwapError),
    /// There is no process to send SIGHUP.
    #[error("cannot send SIGHUP to process {pid}")]
    HangUp {
        /// As given.
        pid: u32,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The address is not one that a request can name.
    #[error("`{addr}` cannot stand in a request")]
    Address {
        /// As given.
        addr: String,
        /// The error of the parser.
        source: http::Error,
    },
    /// Someone ended it before it began.
    #[error("ended before it began")]
    Ended,
    /// The generator cannot run.
    #[error("the generator cannot run")]
    Generator(#[from] io::Error),
}
