//! State of one open connection: its stage, the bytes that its calls hold, its use.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::api::limits::OPEN_ENDED_CALLS_MAX;
use crate::server::overload::Payer;
use crate::server::transport::budget::Account;
use crate::server::transport::peer::Peer;
use crate::server::transport::unsent::Unsent;

/// Stage of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    /// It has said nothing yet.
    Silent,
    /// It speaks the protocol.
    Greeted,
    /// A call has begun on it.
    Called,
    /// Whoever is on it has shown who they are, where that is asked for.
    Authenticated,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    peer: Peer,
    opened: Instant,
    stage: AtomicU8,
    calls: AtomicUsize,
    /// When a call ended last, in milliseconds after it was opened.
    used_at: AtomicU64,
    /// When a call ended last that was answered, the same.
    answered_at: AtomicU64,
    /// Calls that may stay open without an end.
    open_ended: AtomicUsize,
    close: Notify,
    /// Pays for requests that are not whole.
    pub(crate) requests: Arc<Account>,
    /// Pays for answers that are not sent.
    pub(crate) answers: Arc<Account>,
    /// Knows how long they wait.
    pub(crate) unsent: Arc<Unsent>,
    /// Whoever pays for the work of its calls, where that is counted.
    pub(crate) payer: OnceLock<Payer>,
}

impl ConnectionState {
    /// A connection that was opened now.
    pub(crate) fn new(peer: Peer, requests: Arc<Account>, answers: Arc<Account>) -> Self {
        Self {
            peer,
            opened: Instant::now(),
            stage: AtomicU8::new(Stage::Silent as u8),
            calls: AtomicUsize::new(0),
            used_at: AtomicU64::new(0),
            answered_at: AtomicU64::new(0),
            open_ended: AtomicUsize::new(0),
            close: Notify::new(),
            requests,
            answers,
            unsent: Arc::default(),
            payer: OnceLock::new(),
        }
    }

    /// The peer of the connection.
    pub(crate) const fn peer(&self) -> Peer {
        self.peer
    }

    /// When it was opened.
    pub(crate) const fn opened(&self) -> Instant {
        self.opened
    }

    /// Notes how far it has come.
    pub(crate) fn reach(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Relaxed);
    }

    /// Returns true once the connection has reached `stage`.
    pub(crate) fn has_reached(&self, stage: Stage) -> bool {
        stage as u8 <= self.stage.load(Relaxed)
    }

    /// Notes a call that begins, until that is dropped.
    pub(crate) fn call(self: &Arc<Self>) -> OpenCall {
        self.reach(Stage::Called);
        self.calls.fetch_add(1, Relaxed);
        OpenCall(Arc::clone(self))
    }

    /// Notes a call that may stay open without an end, until that is dropped; `None` where there are too many.
    pub(crate) fn open_ended_call(self: &Arc<Self>) -> Option<OpenEndedCall> {
        // Taken first and looked at then: calls of one connection may begin on several threads.
        let before = self.open_ended.fetch_add(1, Relaxed);
        let call = OpenEndedCall(Arc::clone(self));
        (before < OPEN_ENDED_CALLS_MAX).then_some(call)
    }

    /// Returns true if no call is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.calls.load(Relaxed) == 0
    }

    /// When a call ended last, or it was opened.
    pub(crate) fn used_at(&self) -> Instant {
        self.opened + Duration::from_millis(self.used_at.load(Relaxed))
    }

    /// When a call was answered last, or it was opened.
    pub(crate) fn answered_at(&self) -> Instant {
        self.opened + Duration::from_millis(self.answered_at.load(Relaxed))
    }

    /// Asks its task to close it.
    pub(crate) fn close(&self) {
        self.close.notify_one();
    }

    /// Waits until its task is asked to close it.
    pub(crate) async fn closing(&self) {
        self.close.notified().await;
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A call that may stay open without an end; dropped when it ends.
#[must_use]
#[derive(Debug)]
pub(crate) struct OpenEndedCall(Arc<ConnectionState>);

impl Drop for OpenEndedCall {
    fn drop(&mut self) {
        let Self(connection) = self;
        connection.open_ended.fetch_sub(1, Relaxed);
    }
}

/// A call that is open; dropped when it ends.
#[must_use]
#[derive(Debug)]
pub(crate) struct OpenCall(Arc<ConnectionState>);

impl OpenCall {
    /// The connection that it came on.
    pub(crate) const fn connection(&self) -> &Arc<ConnectionState> {
        &self.0
    }

    /// Notes that it was answered.
    pub(crate) fn answered(&self) {
        self.0.answered_at.store(self.0.now(), Relaxed);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.used_at.store(self.0.now(), Relaxed);
        self.0.calls.fetch_sub(1, Relaxed);
    }
}
