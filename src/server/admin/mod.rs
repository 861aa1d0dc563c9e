//! `PolicyAdminService`: what is in force, putting it in force, and taking it back.
//!
//! It has a listener, credentials and bounds of its own. It hands commands to the reload task (`reload::handle`) and
//! does not know who runs it.

mod config;
mod connection;
mod credentials;
mod failure;
mod files;
mod gate;
mod keep;
pub mod limits;
mod listen;
mod method;
mod record;
mod request;
mod service;
mod tls;
mod watch;

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tonic::service::Routes;

pub use config::{
    AdminAddress, AdminConfig, AdminLimits, DEFAULT_ADDRESS, NotAnAddress, OFF, OpenError, TlsError, TlsFiles,
};
pub use credentials::{CredentialsError, LineProblem, Right};
pub use files::FileError;

use crate::api::limits::SMALL_MESSAGE_BYTES_MAX;
use crate::api::pb::ADMIN_DESCRIPTOR_SET;
use crate::api::pb::policy_admin_service_server::{PolicyAdminServiceServer, SERVICE_NAME};
use crate::reload::handle::ReloadHandle;
use crate::server::admin::credentials::Unrecognised;
use crate::server::admin::gate::Shared;
use crate::server::admin::keep::{Kept, Seen};
use crate::server::admin::limits::{ADMIN_HELD_BYTES_DIVISOR, ADMIN_HELD_BYTES_MAX, LARGE_CALL_BYTES_MAX};
use crate::server::admin::listen::Bound;
use crate::server::admin::method::Method;
use crate::server::admin::record::Mentions;
use crate::server::admin::service::Admins;
use crate::server::transport::budget::ByteBudget;
use crate::server::transport::connections::{Connections, Drained, Places, peer_share};
use crate::server::transport::state::ConnectionState;
use crate::server::transport::stop::stop_signal;
use crate::telemetry::labels::Listener;

/// The methods of admins by their full names, and those that are none, as panics are counted.
pub(crate) fn method_full_names() -> impl Iterator<Item = &'static str> {
    Method::ALL.iter().copied().chain([Method::Reflection]).map(Method::full_name)
}

/// The methods of admins without the service, and those that are none, as calls are counted.
pub(crate) fn method_names() -> Vec<&'static str> {
    Method::ALL.iter().copied().chain([Method::Unknown]).map(Method::name).collect()
}

/// Causes of failed authentication of a call or a connection, as they are counted.
pub(crate) fn unauthenticated_causes() -> Vec<&'static str> {
    let calls = Unrecognised::SLUGS.into_iter();
    calls.chain([connection::HANDSHAKE, connection::SILENT]).collect()
}

/// The admin service, ready to be served: its address is taken, and its files are as they must be.
#[derive(Debug)]
pub struct AdminListener {
    bound: Bound,
    config: Arc<AdminConfig>,
    kept: Kept,
    seen: Seen,
}

/// Reads the files and takes the address. Everything that can be wrong with how it is to run is
/// found here.
pub async fn open(config: AdminConfig) -> Result<AdminListener, OpenError> {
    let config = Arc::new(config);
    let read = {
        let config = Arc::clone(&config);
        tokio::task::spawn_blocking(move || Kept::open(&config))
    };
    let (kept, seen) = read
        .await
        .map_err(|error| OpenError::Listen { address: config.listen.to_string(), source: io::Error::other(error) })??;
    let bound = Bound::open(&config.listen, config.tls.as_ref()).await?;
    Ok(AdminListener { bound, config, kept, seen })
}

impl AdminListener {
    /// Address it listens on: `HOST:PORT`, or `unix:PATH`.
    pub fn address(&self) -> io::Result<String> {
        self.bound.address()
    }
}

/// Serves admins until `stop` is ready, then finishes what has begun and ends. What they ask for
/// is sent to the reloader.
pub async fn serve(
    listener: AdminListener,
    reload: ReloadHandle,
    stop: impl Future<Output = ()>,
) -> Result<Drained, OpenError> {
    let AdminListener { bound, config, kept, seen } = listener;
    let (switch, signal) = stop_signal();
    let limits = config.limits;
    let admins = Admins {
        reload: reload.clone(),
        kept: kept.clone(),
        watchers: Arc::new(Semaphore::new(limits.watchers_max)),
        stop: signal.clone(),
    };
    let shared = Arc::new(Shared {
        kept: kept.clone(),
        reload,
        limits,
        routes: routes(admins)?,
        large: Arc::new(Semaphore::new(limits.large_calls_max.max(1))),
        large_account: ByteBudget::counting().account(),
        budget: ByteBudget::new(ADMIN_HELD_BYTES_MAX, ADMIN_HELD_BYTES_DIVISOR),
        mentions: Mentions::default(),
        reads: Arc::default(),
        changing: Mutex::new(JoinSet::new()),
    });
    announce(&bound, &config, &kept);
    let mut persister = tokio::spawn(kept.keep(Arc::clone(&config), seen, signal.clone()));
    let max = limits.connections_max.max(1);
    let places = Places {
        max,
        per_peer_max: peer_share(max),
        unauthenticated_max: Some(max.div_ceil(2)),
        unanswered_max: limits.call_time_max,
    };
    let mut connections = Connections::new(Listener::Admin, places);
    // Large answers are bounded by their permits, and all of them are asked for by someone known.
    let open = |peer| ConnectionState::new(peer, shared.budget.account_of(peer), Arc::clone(&shared.large_account));
    let serve = |stream, state| connection::serve(stream, state, Arc::clone(&shared), signal.clone());
    connections.accept(&bound, open, serve, stop).await;
    drop(bound);
    switch.drain();
    let by = Instant::now() + limits.drain_time_max;
    let drained = connections.drain(by).await;
    let mut changing = std::mem::take(&mut *shared.changing.lock().unwrap_or_else(PoisonError::into_inner));
    // What goes on without its caller has the same time.
    let finish = async { while changing.join_next().await.is_some() {} };
    if timeout_at(by, finish).await.is_err() {
        tracing::warn!("what an admin asked for did not come to its end in time");
    }
    changing.shutdown().await;
    match timeout_at(by, &mut persister).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "keeping the credentials of admins failed, this is a bug"),
        // A file system that hangs must not hold the stop up.
        Err(_elapsed) => persister.abort(),
    }
    Ok(drained)
}

fn announce(bound: &Bound, config: &AdminConfig, kept: &Kept) {
    let address = bound.address().unwrap_or_else(|_| config.listen.to_string());
    let tls = match (&config.listen, &config.tls) {
        (AdminAddress::Unix(_), _) | (_, None) => "none",
        (_, Some(TlsFiles { client_ca: None, .. })) => "server",
        (_, Some(TlsFiles { client_ca: Some(_), .. })) => "mutual",
    };
    tracing::info!(address, tls, admins = kept.credentials.load().len(), "serving admins");
}

/// The service, and reflection on it.
fn routes(admins: Admins) -> Result<Routes, OpenError> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(ADMIN_DESCRIPTOR_SET)
            .with_service_name(SERVICE_NAME)
    };
    let v1 = reflection().build_v1().map_err(OpenError::Reflection)?;
    let v1alpha = reflection().build_v1alpha().map_err(OpenError::Reflection)?;
    let service = PolicyAdminServiceServer::new(admins).max_decoding_message_size(LARGE_CALL_BYTES_MAX);
    Ok(Routes::new(service)
        .add_service(v1.max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
        .add_service(v1alpha.max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
        .prepare())
}
