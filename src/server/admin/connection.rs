//! One connection of an admin, from its first byte to its last.

use std::future::poll_fn;
use std::io::{self, Cursor};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::server::admin::gate::{Gate, Peer, Shared};
use crate::server::admin::limits::{ADMIN_STREAM_WINDOW_BYTES, ADMIN_STREAMS_MAX};
use crate::server::admin::listen::Stream;
use crate::server::admin::tls;
use crate::server::connection::{Calls, PREFACE, http2_builder, turns};
use crate::server::stop::StopSignal;

/// Serves a connection until it is closed, or until it is drained.
pub(crate) async fn serve(stream: Stream, shared: Arc<Shared>, mut stop: StopSignal) {
    let address = stream.peer();
    let first_bytes = shared.limits.first_bytes_timeout;
    match stream {
        Stream::Unix(stream) => plain(stream, address, shared, stop).await,
        Stream::Tcp(stream, _) => {
            // Answers are small and awaited: none should wait for more to send.
            let _ = stream.set_nodelay(true);
            let Some(config) = shared.kept.tls.as_ref().map(|config| config.load_full()) else {
                return plain(stream, address, shared, stop).await;
            };
            let handshake = tokio::select! {
                handshake = timeout(first_bytes, handshake(stream, config)) => handshake,
                () = stop.draining() => return,
            };
            match handshake {
                Ok(Ok((stream, certificate))) => {
                    let peer = Peer { address: address.into(), certificate };
                    http2(stream, peer, shared, stop).await;
                }
                // Also whoever shows a certificate that nobody vouches for.
                Ok(Err(_)) => shared.unauthenticated(&address, "connection", "handshake"),
                Err(_elapsed) => shared.unauthenticated(&address, "connection", "silent"),
            }
        }
    }
}

async fn plain(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: String,
    shared: Arc<Shared>,
    stop: StopSignal,
) {
    http2(stream, Peer { address: address.into(), certificate: None }, shared, stop).await;
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

async fn http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    shared: Arc<Shared>,
    mut stop: StopSignal,
) {
    let greeted = tokio::select! {
        greeted = greeted(stream, shared.limits.first_bytes_timeout) => greeted,
        () = stop.draining() => return,
    };
    let Ok(io) = greeted else {
        tracing::debug!(peer = &*peer.address, "a connection was closed that did not begin with HTTP/2");
        return;
    };
    let calls = Calls::default();
    let mut builder = http2_builder(calls.clone());
    builder.max_concurrent_streams(ADMIN_STREAMS_MAX).initial_stream_window_size(ADMIN_STREAM_WINDOW_BYTES);
    let gate = TowerToHyperService::new(Gate::new(shared, peer));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), gate));
    let ended = tokio::select! {
        biased;
        ended = poll_fn(|cx| turns(connection.as_mut(), &calls, cx)) => ended,
        () = stop.draining() => {
            connection.as_mut().graceful_shutdown();
            poll_fn(|cx| turns(connection.as_mut(), &calls, cx)).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended with an error");
    }
    calls.end().await;
}

/// Waits for what every HTTP/2 client says first, and gives the connection back as if it were
/// unread. The HTTP/2 layer itself waits for it for ever.
async fn greeted<S>(mut stream: S, within: Duration) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut preface = [0; PREFACE.len()];
    timeout(within, stream.read_exact(&mut preface)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    if preface != *PREFACE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (read, write) = tokio::io::split(stream);
    Ok(tokio::io::join(Cursor::new(preface).chain(read), write))
}
