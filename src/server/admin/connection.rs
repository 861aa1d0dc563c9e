//! One connection of an admin, until it is known who is on the other side.

use std::io;
use std::sync::Arc;

use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::server::admin::gate::{Gate, Peer, Shared};
use crate::server::admin::limits::{ADMIN_STREAM_WINDOW_BYTES, ADMIN_STREAMS_MAX};
use crate::server::admin::listen::Stream;
use crate::server::admin::tls;
use crate::server::limits::{CONNECTION_AGE_MAX, CONNECTION_IDLE_MAX};
use crate::server::transport::connection::{self, Bounds, without_delay};
use crate::server::transport::state::ConnectionState;
use crate::server::transport::stop::StopSignal;
use crate::server::transport::supervision::Stay;
use crate::telemetry::event::ConnectionClosed;
use crate::telemetry::labels::{Closure, Listener};

/// The cause of a connection whose handshake failed, as it is counted.
pub(super) const HANDSHAKE: &str = "handshake";

/// The cause of a connection that never finished its handshake, as it is counted.
pub(super) const SILENT: &str = "silent";

/// Serves a connection until it is closed, or until it is drained.
pub(crate) async fn serve(stream: Stream, state: Arc<ConnectionState>, shared: Arc<Shared>, mut stop: StopSignal) {
    let peer = Peer { address: stream.peer().into(), certificate: None };
    let stream = match stream {
        Stream::Unix(stream) => return http2(stream, peer, state, shared, stop).await,
        Stream::Tcp(stream, _) => stream,
    };
    without_delay(&stream);
    let Some(config) = shared.kept.tls.as_ref().map(|config| config.load_full()) else {
        return http2(stream, peer, state, shared, stop).await;
    };
    let handshake = tokio::select! {
        handshake = timeout(shared.limits.first_bytes_timeout, handshake(stream, config)) => handshake,
        () = state.closing() => {
            ConnectionClosed { listener: Listener::Admin, closure: Closure::Crowded }.record();
            return;
        }
        () = stop.draining() => return,
    };
    match handshake {
        Ok(Ok((stream, certificate))) => http2(stream, Peer { certificate, ..peer }, state, shared, stop).await,
        // Also whoever shows a certificate that nobody vouches for.
        Ok(Err(_)) => shared.unauthenticated(&peer.address, "connection", HANDSHAKE),
        Err(_elapsed) => shared.unauthenticated(&peer.address, "connection", SILENT),
    }
}

async fn http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    state: Arc<ConnectionState>,
    shared: Arc<Shared>,
    stop: StopSignal,
) {
    let bounds = Bounds {
        listener: Listener::Admin,
        stay: Stay {
            age_max: CONNECTION_AGE_MAX,
            idle_max: CONNECTION_IDLE_MAX,
            unauthenticated_max: Some(shared.limits.authentication_time_max),
        },
        first_bytes_timeout: shared.limits.first_bytes_timeout,
        streams_max: ADMIN_STREAMS_MAX,
        stream_window_bytes: ADMIN_STREAM_WINDOW_BYTES,
    };
    let address = Arc::clone(&peer.address);
    let gate = TowerToHyperService::new(Gate::new(shared, peer));
    connection::serve(stream, Some(&address), gate, state, None, bounds, stop).await;
}

type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// The names of a peer's certificate.
type Names = Option<Arc<[String]>>;

/// Agrees on keys, and on who the peer is if it has shown a certificate.
async fn handshake(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<(TlsStream, Names)> {
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let (_, session) = stream.get_ref();
    let names = session.peer_certificates().and_then(|chain| chain.first()).map(tls::names);
    Ok((stream, names.map(Arc::from)))
}
