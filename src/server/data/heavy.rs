//! Calls that take long: answered on threads of their own, as far as there are places, which callers get in turn.
//! What such a call costs is charged to its caller, as what is done on the thread of its connection is.

use std::panic::resume_unwind;
use std::sync::Arc;

use http::Extensions;

use crate::api::errors::Failure;
use crate::server::limits::WAITING_CALL_BYTES;
use crate::server::overload::{FairPlaces, Payer, Place};
use crate::server::transport::budget::Account;
use crate::server::transport::state::ConnectionState;
use crate::telemetry;
use crate::telemetry::cpu::{self, Clock};
use crate::telemetry::labels::BufferKind;

/// Payer of a call.
#[derive(Clone, Debug)]
pub(crate) struct Paying {
    /// For its work.
    payer: Payer,
    /// For its bytes while they wait.
    account: Arc<Account>,
}

impl Paying {
    /// Whoever makes calls that come on no connection.
    pub(crate) const fn unconnected(payer: Payer, account: Arc<Account>) -> Self {
        Self { payer, account }
    }

    /// Whoever makes the call with these extensions: the one who is named, or the peer of the connection.
    pub(crate) fn of(extensions: &Extensions, unconnected: &Self) -> Self {
        let connection = extensions.get::<Arc<ConnectionState>>();
        let named = extensions.get::<Payer>().or_else(|| connection?.payer.get());
        Self {
            payer: named.unwrap_or(&unconnected.payer).clone(),
            account: Arc::clone(connection.map_or(&unconnected.account, |connection| &connection.requests)),
        }
    }

    /// Whoever pays for the bytes.
    pub(crate) const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// A place for the call, once there is one. What it holds meanwhile beside what is paid already is so many
    /// bytes.
    pub(crate) async fn place(&self, places: &FairPlaces, bytes: usize) -> Result<Place, Failure> {
        if let Some(place) = places.take(&self.payer) {
            return Ok(place);
        }
        let bytes = bytes.saturating_add(WAITING_CALL_BYTES);
        let _waits = self.account.reserve(BufferKind::Requests, bytes).map_err(|_| Failure::Overloaded)?;
        // Places are given as long as there is a service.
        places.wait(&self.payer).await.ok_or(Failure::Bug)
    }

    /// Does the work of a call on a thread of its own, once there is a place. It goes on when the caller is gone, and
    /// keeps its place until it ends.
    pub(crate) async fn work_apart<T: Send + 'static>(
        &self,
        places: &FairPlaces,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let place = self.place(places, bytes).await?;
        let (payer, span) = (self.payer.clone(), telemetry::span::current());
        let done = tokio::task::spawn_blocking(move || {
            let _charged = Charged { payer, begun: cpu::used(Clock::Thread), _place: place };
            match span {
                Some(span) => span.in_scope(work),
                None => work(),
            }
        });
        done.await.map_err(|error| match error.try_into_panic() {
            // The guard tells of it.
            Ok(panic) => resume_unwind(panic),
            // The process ends.
            Err(_cancelled) => Failure::Bug,
        })
    }
}

/// Work on this thread; charged when it ends, also by a panic.
struct Charged {
    payer: Payer,
    begun: std::time::Duration,
    _place: Place,
}

impl Drop for Charged {
    fn drop(&mut self) {
        self.payer.charge(cpu::used(Clock::Thread).saturating_sub(self.begun));
    }
}
