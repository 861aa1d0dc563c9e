//! Answers on their way out: in slices, each paid for until it is sent, and all of them in time.
//!
//! The HTTP/2 layer takes a whole chunk as soon as its peer allows one byte, and keeps it until the
//! peer allows the rest. So it gets slices, and the connection pays for those it keeps from the budget.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Response};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::time::Instant;
use tonic::Status;

use crate::api::errors::Failure;
use crate::server::limits::ANSWER_SLICE_BYTES;
use crate::server::transport::budget::{Exhausted, Reservation};
use crate::server::transport::state::OpenCall;
use crate::server::transport::unsent::UnsentPart;
use crate::telemetry::labels::BufferKind;

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

/// Takes the time noted by `send_by`, if any.
pub(crate) fn take_send_by() -> Option<Instant> {
    SEND_BY.take()
}

/// A body that is sent in slices.
#[derive(Debug)]
pub(crate) struct PacedBody<B> {
    /// `None` where there is none, or was no room for it.
    inner: Option<B>,
    call: OpenCall,
    /// The rest of the chunk that is being sent.
    rest: Bytes,
    held: Option<Arc<Reservation>>,
    /// True once it had a message.
    answered: bool,
}

impl<B> PacedBody<B> {
    const fn new(inner: Option<B>, call: OpenCall) -> Self {
        Self { inner, call, answered: false, rest: Bytes::new(), held: None }
    }

    /// Pays for a chunk, then sends it.
    fn take(&mut self, chunk: Bytes) -> Result<(), Exhausted> {
        self.held = Some(Arc::new(self.call.connection().answers.reserve(BufferKind::Answers, chunk.len())?));
        self.rest = chunk;
        self.answered = true;
        Ok(())
    }

    fn slice(&mut self) -> Bytes {
        let bytes = self.rest.split_to(self.rest.len().min(ANSWER_SLICE_BYTES));
        let held = if self.rest.is_empty() { self.held.take() } else { self.held.clone() };
        Bytes::from_owner(Slice { bytes, _held: held, _unsent: self.call.connection().unsent.part() })
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
                Err(trailers) => {
                    if self.answered {
                        self.call.answered();
                    }
                    return Poll::Ready(Some(Ok(trailers)));
                }
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
    answer: Answer<F>,
    /// Until the answer is there, and has it.
    call: Option<OpenCall>,
}

#[derive(Debug)]
enum Answer<F> {
    Coming(F),
    /// One without a body; `None` once it was given.
    Refused(Option<Response<()>>),
}

impl<F> Paced<F> {
    /// The answer of this call.
    pub(crate) const fn new(answer: F, call: OpenCall) -> Self {
        Self { answer: Answer::Coming(answer), call: Some(call) }
    }

    /// The answer to what is no call.
    pub(crate) const fn refused(refusal: Response<()>, call: OpenCall) -> Self {
        Self { answer: Answer::Refused(Some(refusal)), call: Some(call) }
    }
}

impl<F, B, E> Future for Paced<F>
where
    F: Future<Output = Result<Response<B>, E>> + Unpin,
{
    type Output = Result<Response<PacedBody<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (head, body) = match &mut self.answer {
            Answer::Coming(answer) => {
                let (head, body) = ready!(Pin::new(answer).poll(cx))?.into_parts();
                (Some(head), Some(body))
            }
            Answer::Refused(refusal) => (refusal.take().map(|refusal| refusal.into_parts().0), None),
        };
        // Nobody polls it after that.
        let (Some(head), Some(call)) = (head, self.call.take()) else { return Poll::Pending };
        Poll::Ready(Ok(Response::from_parts(head, PacedBody::new(body, call))))
    }
}
