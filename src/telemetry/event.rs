//! Things that happened, each a named fact with typed fields; labels are enums, never user text.

use std::time::Duration;

use crate::domain::words::{Outcome, ReasonCode};
use crate::telemetry::counts;
use crate::telemetry::instruments::instruments;
use crate::telemetry::labels::{BufferKind, Closure, Listener, Refusal, ReloadResult, ReloadTrigger, ShedReason};
use crate::telemetry::log_limit::LogLimiter;

/// A claim was decided.
#[derive(Clone, Copy, Debug)]
pub struct Decided {
    /// The answer.
    pub outcome: Outcome,
    /// The primary reason code; `None` for a full approval.
    pub reason: Option<ReasonCode>,
    /// From facts to decision.
    pub elapsed: Duration,
}

/// A handler panicked: a bug.
#[derive(Clone, Copy, Debug)]
pub struct Panicked {
    /// The full gRPC method name, or what else it was that panicked.
    pub method: &'static str,
}

/// The bundle was looked at again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reloaded {
    /// The trigger of the reload.
    pub trigger: ReloadTrigger,
    /// The result of the reload.
    pub result: ReloadResult,
}

/// The source changes between good and bad again and again, and is held down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flapped;

/// A revision could not be kept in the state directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotKept;

/// A connection that is open; dropped when it ends.
#[must_use]
#[derive(Debug)]
pub struct OpenConnection {
    listener: Listener,
}

/// A connection was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionRefused {
    /// The listener that refused it.
    pub listener: Listener,
    /// The reason.
    pub refusal: Refusal,
}

/// A connection was closed from here, or broken by its peer, before the stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionClosed {
    /// The listener that had taken it.
    pub listener: Listener,
    /// The reason.
    pub closure: Closure,
}

/// The answer to a call was not read in time, and was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnswerNotRead;

/// A call was refused because its headers are too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadersRefused {
    /// The listener that got the call.
    pub listener: Listener,
}

/// A request was refused that is not gRPC: it has another method than POST, or another content type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotGrpc {
    /// The listener that got the request.
    pub listener: Listener,
}

/// A call kept a thread that answers others for too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadHeld {
    /// For how long, without letting others go on.
    pub held: Duration,
}

/// A call was turned away at once, for lack of room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shed {
    /// The reason.
    pub reason: ShedReason,
}

/// Bytes that are held; dropped when they are given back.
#[must_use]
#[derive(Debug)]
pub struct BufferedBytes {
    kind: BufferKind,
    bytes: u64,
}

impl Decided {
    /// Counts it.
    pub fn record(self) {
        let Self { outcome, reason, elapsed } = self;
        counts::decided(outcome, reason, elapsed);
        if let Some(instruments) = instruments() {
            instruments.evaluation_seconds.record(elapsed.as_secs_f64(), &[]);
        }
    }
}

impl Panicked {
    /// Counts it, and writes a line unless there were many. What it said is in the line of the panic itself.
    pub fn record(self) {
        static LIMITER: LogLimiter = LogLimiter::new();
        let Self { method } = self;
        counts::panicked(method);
        if let Some(suppressed) = LIMITER.permit() {
            tracing::error!(method, suppressed, "a panic was caught, this is a bug");
        }
    }
}

impl Reloaded {
    /// Counts it. How the last one came out goes by way of [`crate::telemetry::reloads`].
    pub fn record(self) {
        let Self { trigger, result } = self;
        counts::reloaded(trigger, result);
    }
}

impl Flapped {
    /// Counts it.
    pub fn record(self) {
        counts::flapped();
    }
}

impl AnswerNotRead {
    /// Counts it, and writes a line unless there were many.
    pub fn record(self) {
        static LIMITER: LogLimiter = LogLimiter::new();
        counts::answer_not_read();
        if let Some(suppressed) = LIMITER.permit() {
            tracing::info!(suppressed, "an answer was given up that nobody read in time");
        }
    }
}

impl HeadersRefused {
    /// Counts it, and writes a line unless there were many.
    #[cold]
    pub fn record(self) {
        static LIMITERS: [LogLimiter; Listener::ALL.len()] = [const { LogLimiter::new() }; Listener::ALL.len()];
        let Self { listener } = self;
        counts::headers_refused(listener);
        if let Some(suppressed) = LIMITERS.get(listener as usize).and_then(LogLimiter::permit) {
            let listener = listener.as_str();
            tracing::info!(listener, suppressed, "a call was refused whose headers are above their limit");
        }
    }
}

impl NotGrpc {
    /// Counts it, and writes a line unless there were many.
    #[cold]
    pub fn record(self) {
        static LIMITERS: [LogLimiter; Listener::ALL.len()] = [const { LogLimiter::new() }; Listener::ALL.len()];
        let Self { listener } = self;
        counts::not_grpc(listener);
        if let Some(suppressed) = LIMITERS.get(listener as usize).and_then(LogLimiter::permit) {
            let listener = listener.as_str();
            tracing::info!(listener, suppressed, "a request was refused that is not gRPC");
        }
    }
}

impl ThreadHeld {
    /// Counts it, and writes a line unless there were many.
    #[cold]
    pub fn record(self) {
        static LIMITER: LogLimiter = LogLimiter::new();
        let Self { held } = self;
        counts::thread_held();
        if let Some(suppressed) = LIMITER.permit() {
            tracing::info!(?held, suppressed, "a call kept a thread that answers others");
        }
    }
}

impl NotKept {
    /// Counts it; writes a line with the problem if that is `news`, unless there were many.
    pub fn record(self, problem: &str, news: bool) {
        static LIMITER: LogLimiter = LogLimiter::new();
        counts::not_kept();
        if let Some(suppressed) = news.then(|| LIMITER.permit()).flatten() {
            tracing::error!(
                suppressed,
                "{problem}: policies are put in force all the same, a restart may not know of them"
            );
        }
    }
}

impl OpenConnection {
    /// Counts a connection that was taken, until it is dropped.
    pub fn on(listener: Listener) -> Self {
        counts::connection_taken(listener);
        Self { listener }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        counts::connection_ended(self.listener);
    }
}

impl ConnectionRefused {
    /// Counts it, and writes a line unless there were many.
    pub fn record(self) {
        static LIMITERS: [[LogLimiter; Refusal::ALL.len()]; Listener::ALL.len()] =
            [const { [const { LogLimiter::new() }; Refusal::ALL.len()] }; Listener::ALL.len()];
        let Self { listener, refusal } = self;
        counts::connection_refused(listener, refusal);
        let limiter = LIMITERS.get(listener as usize).and_then(|limiters| limiters.get(refusal as usize));
        if let Some(suppressed) = limiter.and_then(LogLimiter::permit) {
            let (listener, reason) = (listener.as_str(), refusal.as_str());
            tracing::warn!(listener, reason, suppressed, "a connection was refused");
        }
    }
}

impl ConnectionClosed {
    /// Counts it, and writes a line unless there were many.
    pub fn record(self) {
        static LIMITERS: [[LogLimiter; Closure::ALL.len()]; Listener::ALL.len()] =
            [const { [const { LogLimiter::new() }; Closure::ALL.len()] }; Listener::ALL.len()];
        let Self { listener, closure } = self;
        counts::connection_closed(listener, closure);
        let limiter = LIMITERS.get(listener as usize).and_then(|limiters| limiters.get(closure as usize));
        if let Some(suppressed) = limiter.and_then(LogLimiter::permit) {
            let (listener, reason) = (listener.as_str(), closure.as_str());
            tracing::info!(listener, reason, suppressed, "a connection was closed");
        }
    }
}

impl Shed {
    /// Counts it, and writes a line unless there were many.
    pub fn record(self) {
        static LIMITERS: [LogLimiter; ShedReason::ALL.len()] = [const { LogLimiter::new() }; ShedReason::ALL.len()];
        let Self { reason } = self;
        counts::shed(reason);
        if let Some(suppressed) = LIMITERS.get(reason as usize).and_then(LogLimiter::permit) {
            tracing::warn!(reason = reason.as_str(), suppressed, "a call was turned away for lack of room");
        }
    }
}

impl BufferedBytes {
    /// Counts bytes that are held from now on, until this is dropped.
    pub fn hold(kind: BufferKind, bytes: u64) -> Self {
        counts::bytes_added(kind, bytes);
        Self { kind, bytes }
    }

    /// Counts further bytes.
    pub fn grow(&mut self, bytes: u64) {
        counts::bytes_added(self.kind, bytes);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Counts bytes that are given back, of those that are held.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        counts::bytes_released(self.kind, bytes);
        self.bytes -= bytes;
    }
}

impl Drop for BufferedBytes {
    fn drop(&mut self) {
        counts::bytes_released(self.kind, self.bytes);
    }
}
