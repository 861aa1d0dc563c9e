//! Answers on their way out: in slices, each paid for until it is sent, and all of them in time.
//!
//! The HTTP/2 layer takes a whole chunk as soon as its peer allows one byte, and keeps it until the
//! peer allows the rest. So it gets slices, and whoever lets it keep them pays from the budget.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Response};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::time::Instant;
use tonic::Status;

use crate::server::errors::Failure;
use crate::server::limits::ANSWER_SLICE_BYTES;
use crate::server::transport::budget::{Account, Exhausted, Reservation};
use crate::server::transport::unsent::{Unsent, UnsentPart};
use crate::telemetry::event::BufferKind;

thread_local! {
    /// When the answer of the call that this thread runs must be sent; passed from the one who knows the
    /// call's deadline to the one who holds the call.
    static SEND_BY: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Notes when the answer of the call that runs now must be sent. Without it, an answer may go on without
/// an end, as those of streams do.
pub(crate) fn send_by(at: Instant) {
    SEND_BY.set(Some(at));
}

/// What was noted since this was last asked.
pub(crate) fn take_send_by() -> Option<Instant> {
    SEND_BY.take()
}

/// What answers of one connection are counted in.
#[derive(Clone, Debug)]
pub(crate) struct AnswerAccounts {
    /// Pays for what is not sent.
    pub(crate) account: Arc<Account>,
    /// Knows how long it waits.
    pub(crate) unsent: Arc<Unsent>,
}

/// A body that is sent in slices.
#[derive(Debug)]
pub(crate) struct PacedBody<B> {
    /// `None` where there was no room for it.
    inner: Option<B>,
    accounts: AnswerAccounts,
    /// What is left of the chunk that is being sent.
    rest: Bytes,
    held: Option<Arc<Reservation>>,
}

impl<B> PacedBody<B> {
    const fn new(inner: B, accounts: AnswerAccounts) -> Self {
        Self { inner: Some(inner), accounts, rest: Bytes::new(), held: None }
    }

    /// Pays for a chunk, then sends it.
    fn take(&mut self, chunk: Bytes) -> Result<(), Exhausted> {
        self.held = Some(Arc::new(self.accounts.account.reserve(BufferKind::Answers, chunk.len())?));
        self.rest = chunk;
        Ok(())
    }

    fn slice(&mut self) -> Bytes {
        let bytes = self.rest.split_to(self.rest.len().min(ANSWER_SLICE_BYTES));
        let held = if self.rest.is_empty() { self.held.take() } else { self.held.clone() };
        Bytes::from_owner(Slice { bytes, _held: held, _unsent: self.accounts.unsent.part() })
    }
}

/// A slice that the HTTP/2 layer drops when it is sent.
struct Slice {
    bytes: Bytes,
    _held: Option<Arc<Reservation>>,
    _unsent: UnsentPart,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<B: HttpBody<Data = Bytes, Error = Status> + Unpin> HttpBody for PacedBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
            let frame = match ready!(Pin::new(inner).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            let chunk = match frame.into_data() {
                Ok(chunk) if chunk.is_empty() => return Poll::Ready(Some(Ok(Frame::data(chunk)))),
                Ok(chunk) => chunk,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            if let Err(Exhausted) = self.take(chunk) {
                self.inner = None;
                let mut trailers = HeaderMap::new();
                Failure::Overloaded.status().add_header(&mut trailers)?;
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
        }
        Poll::Ready(Some(Ok(Frame::data(self.slice()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        // Where there is no room for it, the answer is another.
        SizeHint::default()
    }
}

/// A call that comes to an answer in slices.
#[derive(Debug)]
pub(crate) struct Paced<F> {
    call: F,
    accounts: AnswerAccounts,
}

impl<F> Paced<F> {
    /// The answer of this call, counted there.
    pub(crate) const fn new(call: F, accounts: AnswerAccounts) -> Self {
        Self { call, accounts }
    }
}

impl<F, B, E> Future for Paced<F>
where
    F: Future<Output = Result<Response<B>, E>> + Unpin,
{
    type Output = Result<Response<PacedBody<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.call).poll(cx))?;
        let accounts = self.accounts.clone();
        Poll::Ready(Ok(response.map(|body| PacedBody::new(body, accounts))))
    }
}
