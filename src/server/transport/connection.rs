//! One connection of HTTP/2, from its first byte to its last, of any listener.
//!
//! The builder of the library's own server does not expose every bound that matters, so the
//! HTTP/2 layer is set up here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body as HttpBody, Bytes, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::Status;

use crate::server::limits::{
    ANSWER_BUFFER_BYTES, CONNECTION_AGE_GRACE, CONNECTION_CLOSING_MAX, CONNECTION_WINDOW_BYTES, CROWDED_CLOSING_MAX,
    GREETING_GRACE, HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, LOCAL_ERROR_RESETS_MAX,
    PENDING_RESET_STREAMS_MAX, SEND_GRACE,
};
use crate::server::overload::{Admission, MoreToRead, Order, Pace, yield_to_others};
use crate::server::transport::answer::{Paced, PacedBody, take_send_by};
use crate::server::transport::greeted::greeted;
use crate::server::transport::protocol;
use crate::server::transport::request_body::RequestBody;
use crate::server::transport::state::{ConnectionState, Stage};
use crate::server::transport::stop::StopSignal;
use crate::server::transport::supervision::{Stay, must_close};
use crate::telemetry::event::{AnswerNotRead, ConnectionClosed, NotGrpc, Panicked};
use crate::telemetry::labels::{Closure, Listener};

/// Bounds of a connection; those not listed are the same for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Whose it is.
    pub(crate) listener: Listener,
    /// Its maximum age and idle time.
    pub(crate) stay: Stay,
    /// Timeout for its HTTP/2 preface.
    pub(crate) first_bytes_timeout: Duration,
    /// Streams open at once.
    pub(crate) streams_max: u32,
    /// Bytes that may be sent on a stream before they are read.
    pub(crate) stream_window_bytes: u32,
}

/// Answers are small and awaited: none should wait for more to send.
pub(crate) fn without_delay(stream: &TcpStream) {
    // Where that cannot be had, they wait a little.
    let _ = stream.set_nodelay(true);
}

/// Serves a connection until it is closed, or until it is drained. The log calls the other side `peer`.
pub(crate) async fn serve<S, B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Option<&str>,
    services: S,
    state: Arc<ConnectionState>,
    admission: Option<Admission>,
    bounds: Bounds,
    mut stop: StopSignal,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + Unpin + 'static,
    B: HttpBody<Data = Bytes, Error = Status> + Unpin + Send + 'static,
{
    let calls = Calls::of(admission.clone());
    let mut pace = Pace::new(admission);
    let greeted = tokio::select! {
        greeted = timeout(bounds.first_bytes_timeout, greeted(stream, pace.reading(), bounds.listener)) => greeted,
        () = state.closing() => {
            ConnectionClosed { listener: bounds.listener, closure: Closure::Crowded }.record();
            return;
        }
        () = going(&mut stop) => return,
    };
    let Ok(Ok(io)) = greeted else {
        tracing::debug!(peer, "a connection was closed that did not begin with HTTP/2");
        ConnectionClosed { listener: bounds.listener, closure: Closure::NoGreeting }.record();
        return;
    };
    state.reach(Stage::Greeted);
    let services = Connected { services, state: Arc::clone(&state), listener: bounds.listener };
    let mut connection = pin!(http2_builder(calls.clone(), bounds).serve_connection(TokioIo::new(io), services));
    let mut must_close = pin!(must_close(&state, bounds.stay));
    let ended = tokio::select! {
        biased;
        ended = poll_fn(|cx| turn(connection.as_mut(), &calls, &mut pace, cx)) => Ended::ByPeer(ended),
        closure = must_close.as_mut() => {
            if let Some(time) = closing_time(closure, &state) {
                connection.as_mut().graceful_shutdown();
                // Cut where that takes too long.
                let _ = timeout(time, poll_fn(|cx| turn(connection.as_mut(), &calls, &mut pace, cx))).await;
            }
            Ended::Here(closure)
        }
        () = stop.draining() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                ended = poll_fn(|cx| turn(connection.as_mut(), &calls, &mut pace, cx)) => Ended::ByPeer(ended),
                closure = must_close => Ended::Here(closure),
            }
        }
    };
    let closure = match ended {
        Ended::ByPeer(Ok(())) => None,
        Ended::ByPeer(Err(error)) => {
            let cause = std::error::Error::source(&error).map(tracing::field::display);
            tracing::debug!(peer, %error, cause, "a connection ended with an error");
            Some(closure_of(&error))
        }
        Ended::Here(closure) => Some(closure),
    };
    if let Some(closure) = closure {
        ConnectionClosed { listener: bounds.listener, closure }.record();
    }
    calls.end().await;
}

/// Waits until a connection without a preface has to go. Bytes under way arrive first: a call may come with
/// them, and its caller gets an answer, or is told that the call was not taken.
async fn going(stop: &mut StopSignal) {
    stop.draining().await;
    sleep(GREETING_GRACE).await;
}

/// End of a connection.
#[derive(Debug)]
enum Ended {
    /// The peer has ended it, or broken it.
    ByPeer(hyper::Result<()>),
    /// It had to be closed.
    Here(Closure),
}

/// Time for calls to finish where a connection has to be closed; `None`: no time.
fn closing_time(closure: Closure, state: &ConnectionState) -> Option<Duration> {
    match closure {
        Closure::Age => Some(CONNECTION_AGE_GRACE),
        Closure::Idle => Some(CONNECTION_CLOSING_MAX),
        Closure::Crowded if state.has_reached(Stage::Called) => Some(CROWDED_CLOSING_MAX),
        // It has nothing to finish: it is told, and cut.
        Closure::Crowded => Some(Duration::ZERO),
        Closure::NoGreeting | Closure::Protocol | Closure::Lost | Closure::Stalled | Closure::Unauthenticated => None,
    }
}

/// Returns the reason for the end of a connection by an error.
fn closure_of(error: &hyper::Error) -> Closure {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        let io = io.or_else(|| error.downcast_ref::<h2::Error>().and_then(h2::Error::get_io));
        if let Some(io) = io {
            return if io.kind() == io::ErrorKind::TimedOut {
                // Nothing else ends so: a write found no room for too long.
                Closure::Stalled
            } else if io.kind() == io::ErrorKind::InvalidData {
                // What is read is only looked at for its frames: there were too many without calls.
                Closure::Protocol
            } else {
                Closure::Lost
            };
        }
        cause = error.source();
    }
    Closure::Protocol
}

/// Services as one connection calls them: what its calls hold is counted for it.
struct Connected<S> {
    services: S,
    state: Arc<ConnectionState>,
    listener: Listener,
}

impl<S, B, E> Service<Request<Incoming>> for Connected<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = E>,
    S::Future: Unpin,
{
    type Response = Response<PacedBody<B>>;
    type Error = E;
    type Future = Paced<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(RequestBody::new);
        if let Some(refusal) = protocol::refusal(&request) {
            NotGrpc { listener: self.listener }.record();
            return Paced::refused(refusal, self.state.call());
        }
        let call = self.state.call();
        request.extensions_mut().insert(Arc::clone(&self.state));
        Paced::new(self.services.call(request), call)
    }
}

/// Reads what has arrived, gives the calls in it a turn, and sends their answers together.
fn turn<C: Future>(
    mut connection: Pin<&mut C>,
    calls: &Calls,
    pace: &mut Pace,
    cx: &mut Context<'_>,
) -> Poll<C::Output> {
    let mut answered = 0;
    loop {
        let turn = pace.begin(calls.begun(), cx);
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        let more = pace.polled(turn, calls.begun());
        let taken = calls.turn(turn.calls.saturating_sub(answered), cx);
        pace.begun(taken);
        answered += taken;
        match (turn.order, taken) {
            (Order::Waits, 0) => return Poll::Pending,
            (Order::Next, 0) => {
                yield_to_others(cx);
                return Poll::Pending;
            }
            (_, 0) if more == MoreToRead::Maybe => {
                pace.end();
                yield_to_others(cx);
                return Poll::Pending;
            }
            (Order::Free, 0) if turn.is_long(answered) => break,
            (Order::Free | Order::OthersFirst { reads: true }, 0) => {
                pace.end();
                return Poll::Pending;
            }
            (Order::Free, _) if turn.calls <= answered => {
                // Their answers do not wait for the turns of others.
                pace.read_no_more();
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    return Poll::Ready(ended);
                }
                break;
            }
            (Order::Free, _) => {}
            (Order::OthersFirst { .. } | Order::Next | Order::Waits, _) => {
                if calls.begun() == 0 {
                    // Their answers are sent before another connection is read.
                    if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                        return Poll::Ready(ended);
                    }
                    pace.end();
                }
                yield_to_others(cx);
                return Poll::Pending;
            }
        }
    }
    // Other connections want the thread, too, also those whose bytes have just come.
    if pace.stand_back(cx) {
        yield_to_others(cx);
    }
    Poll::Pending
}

/// The bounds of one connection.
fn http2_builder(calls: Calls, bounds: Bounds) -> http2::Builder<Calls> {
    let Bounds { listener: _, stay: _, first_bytes_timeout: _, streams_max, stream_window_bytes } = bounds;
    let mut builder = http2::Builder::new(calls);
    builder
        .timer(TokioTimer::new())
        // The library cannot write years after 9999, and no answer needs a date.
        .auto_date_header(false)
        .max_concurrent_streams(streams_max)
        .max_pending_accept_reset_streams(PENDING_RESET_STREAMS_MAX)
        .max_local_error_reset_streams(LOCAL_ERROR_RESETS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .initial_stream_window_size(stream_window_bytes)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(ANSWER_BUFFER_BYTES)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    builder
}

/// The calls of one connection that are not answered yet.
///
/// Most calls wait for nothing: they are answered by the task of their connection, and a task of
/// their own would cost more than the answer. What does wait becomes a task. All end with the
/// connection: by themselves, or cut when it is dropped.
#[derive(Clone)]
struct Calls {
    unanswered: Arc<Mutex<Unanswered>>,
    /// `None`: all are taken.
    admission: Option<Admission>,
}

#[derive(Default)]
struct Unanswered {
    /// Calls that are not taken: their answers go first.
    refused: Vec<Call>,
    /// In the order in which they came.
    begun: VecDeque<Call>,
    waiting: JoinSet<()>,
}

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Calls {
    /// Those of a connection with this admission.
    fn of(admission: Option<Admission>) -> Self {
        Self { unanswered: Arc::default(), admission }
    }

    /// Calls that have just begun and had no turn.
    fn begun(&self) -> usize {
        let unanswered = self.unanswered();
        unanswered.refused.len() + unanswered.begun.len()
    }

    /// Gives calls that have just begun their first turn: all that are not taken, and at most so many others.
    /// Says how many there were.
    fn turn(&self, calls_max: usize, cx: &mut Context<'_>) -> usize {
        let mut begun = 0;
        while let Some(refused) = self.next_refused() {
            self.begin(refused, cx);
            begun += 1;
        }
        for _ in 0..calls_max {
            let Some(call) = self.next_begun() else { break };
            self.begin(call, cx);
            begun += 1;
        }
        begun
    }

    fn begin(&self, mut call: Call, cx: &mut Context<'_>) {
        take_send_by();
        // A panic ends the call that it came from, as it would in a task, and the panic hook has
        // reported it. Nothing of the call is looked at again.
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
            Ok(Poll::Ready(())) => {}
            Ok(Poll::Pending) => self.unanswered().wait(call, take_send_by()),
            Err(_reported) => Panicked { method: "connection" }.record(),
        }
    }

    fn next_refused(&self) -> Option<Call> {
        self.unanswered().refused.pop()
    }

    fn next_begun(&self) -> Option<Call> {
        self.unanswered().begun.pop_front()
    }

    /// Cuts those that are not finished: the connection is gone, so nobody would get their answers.
    async fn end(self) {
        let Unanswered { refused, begun, waiting: mut tasks } = std::mem::take(&mut *self.unanswered());
        drop((refused, begun));
        tasks.shutdown().await;
    }

    fn unanswered(&self) -> MutexGuard<'_, Unanswered> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unanswered {
    fn wait(&mut self, call: Call, send_by: Option<Instant>) {
        // Finished ones are let go here, so that an old connection does not collect them.
        while self.waiting.try_join_next().is_some() {}
        self.waiting.spawn(finish(call, send_by));
    }
}

/// Runs a call to its end, or until its answer must be sent: then the call is dropped, and with it its
/// stream is reset.
async fn finish(mut call: Call, send_by: Option<Instant>) {
    let late = |at: Instant| Box::pin(sleep_until(at + SEND_GRACE));
    let mut late_at = send_by.map(late);
    poll_fn(|cx| {
        // What another call left on this thread is not about this one.
        take_send_by();
        if call.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if let Some(at) = take_send_by() {
            late_at = Some(late(at));
        }
        match &mut late_at {
            Some(sleep) => sleep.as_mut().poll(cx).map(|()| AnswerNotRead.record()),
            None => Poll::Pending,
        }
    })
    .await;
}

impl<F> Executor<F> for Calls
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        let call: Call = Box::pin(call);
        let refused = self.admission.as_ref().is_some_and(Admission::take_refused);
        let mut unanswered = self.unanswered();
        if refused {
            unanswered.refused.push(call);
        } else {
            unanswered.begun.push_back(call);
        }
    }
}

#[cfg(test)]
mod tests;
