//! One connection, from its first byte to its last.
//!
//! The builder of the library's own server does not expose every bound that matters, so the
//! HTTP/2 layer is set up here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::body::Body;

use crate::server::limits::{
    CALLS_PER_TURN, CONCURRENT_STREAMS_MAX, CONNECTION_WINDOW_BYTES, HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL,
    KEEPALIVE_TIMEOUT, LOCAL_ERROR_RESETS_MAX, PENDING_RESET_STREAMS_MAX, STREAM_WINDOW_BYTES, TURNS_MAX,
};
use crate::server::stop::StopSignal;

/// What every HTTP/2 client says first.
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection until it is closed, or until it is drained.
pub(crate) async fn serve<S>(stream: TcpStream, services: S, first_bytes: Duration, mut stop: StopSignal)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
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
    let calls = Calls::default();
    let mut connection = pin!(http2_builder(calls.clone()).serve_connection(TokioIo::new(io), services));
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

/// What has arrived is read, the calls in it get a turn, and their answers are sent together.
pub(crate) fn turns<C: Future>(mut connection: Pin<&mut C>, calls: &Calls, cx: &mut Context<'_>) -> Poll<C::Output> {
    for _ in 0..TURNS_MAX {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        match calls.turn(cx) {
            Turn::Taken => {}
            Turn::NobodyWaited => return Poll::Pending,
        }
    }
    // Other connections want the thread, too.
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// The bounds of one connection.
pub(crate) fn http2_builder(calls: Calls) -> http2::Builder<Calls> {
    let mut builder = http2::Builder::new(calls);
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
async fn greeted(mut stream: TcpStream) -> io::Result<Greeted> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    if preface != *PREFACE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Greeted { unread: PREFACE, stream })
}

/// A connection whose preface has been seen.
#[derive(Debug)]
struct Greeted {
    /// What of the preface has not been read again.
    unread: &'static [u8],
    stream: TcpStream,
}

impl AsyncRead for Greeted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let (now, later) = self.unread.split_at(self.unread.len().min(into.remaining()));
        into.put_slice(now);
        self.unread = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The calls of one connection that are not answered yet.
///
/// Most calls wait for nothing: they are answered by the task of their connection, and a task of
/// their own would cost more than the answer. What does wait becomes a task. All end with the
/// connection: by themselves, or cut when it is dropped.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<Unanswered>>);

#[derive(Default)]
struct Unanswered {
    /// In the order in which they came.
    begun: VecDeque<Call>,
    waiting: JoinSet<()>,
}

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whether there was a call that had just begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    Taken,
    NobodyWaited,
}

impl Calls {
    /// Gives calls that have just begun their first turn.
    fn turn(&self, cx: &mut Context<'_>) -> Turn {
        let mut taken = Turn::NobodyWaited;
        for _ in 0..CALLS_PER_TURN {
            let Some(mut call) = self.unanswered().begun.pop_front() else { break };
            taken = Turn::Taken;
            // A panic ends the call that it came from, as it would in a task, and the panic hook has
            // reported it. Nothing of the call is looked at again.
            if let Ok(Poll::Pending) = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
                self.unanswered().wait(call);
            }
        }
        taken
    }

    /// Cuts those that are not finished: the connection is gone, so nobody would get their answers.
    pub(crate) async fn end(self) {
        let Unanswered { begun, waiting: mut tasks } = std::mem::take(&mut *self.unanswered());
        drop(begun);
        tasks.shutdown().await;
    }

    fn unanswered(&self) -> MutexGuard<'_, Unanswered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unanswered {
    fn wait(&mut self, call: Call) {
        // Finished ones are let go here, so that an old connection does not collect them.
        while self.waiting.try_join_next().is_some() {}
        self.waiting.spawn(call);
    }
}

impl<F> Executor<F> for Calls
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        self.unanswered().begun.push_back(Box::pin(call));
    }
}
