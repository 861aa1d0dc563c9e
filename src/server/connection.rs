//! One connection, from its first byte to its last.
//!
//! The builder of the library's own server does not expose every bound that matters, so the
//! HTTP/2 layer is set up here.

use std::future::Future;
use std::io::{self, Cursor};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::service::Routes;

use crate::server::limits::{
    CONCURRENT_STREAMS_MAX, CONNECTION_WINDOW_BYTES, HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
    LOCAL_ERROR_RESETS_MAX, PENDING_RESET_STREAMS_MAX, STREAM_WINDOW_BYTES,
};
use crate::server::stop::StopSignal;

/// What every HTTP/2 client says first.
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection until it is closed, or until it is drained.
pub(crate) async fn serve(stream: TcpStream, routes: Routes, first_bytes: Duration, mut stop: StopSignal) {
    // Answers are small and awaited: none should wait for more to send.
    let _ = stream.set_nodelay(true);
    let greeted = tokio::select! {
        greeted = timeout(first_bytes, greeted(stream)) => greeted,
        () = stop.draining() => return,
    };
    let Ok(Ok(io)) = greeted else {
        tracing::debug!("a connection was closed that did not begin with HTTP/2");
        return;
    };
    let streams = Streams::default();
    let connection =
        http2_builder(streams.clone()).serve_connection(TokioIo::new(io), TowerToHyperService::new(routes));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.draining() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended with an error");
    }
    streams.end().await;
}

/// The bounds of one connection.
pub(crate) fn http2_builder(streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(CONCURRENT_STREAMS_MAX)
        .max_pending_accept_reset_streams(PENDING_RESET_STREAMS_MAX)
        .max_local_error_reset_streams(LOCAL_ERROR_RESETS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    builder
}

/// Waits for the preface, and gives the connection back as if it were unread. The HTTP/2 layer
/// itself waits for it for ever, without keepalive.
async fn greeted(mut stream: TcpStream) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    if preface != *PREFACE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (read, write) = stream.into_split();
    Ok(tokio::io::join(Cursor::new(preface).chain(read), write))
}

/// The tasks that answer the streams of one connection. They end with the connection: by
/// themselves, or cut when it is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams(Arc<Mutex<JoinSet<()>>>);

impl Streams {
    /// Cuts those that are not finished: the connection is gone, so nobody would get their answers.
    pub(crate) async fn end(self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, work: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Finished ones are let go here, so that an old connection does not collect them.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
    }
}
