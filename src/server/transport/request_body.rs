//! The body of a request, which is read to its end whatever becomes of the call.
//!
//! Many calls are answered before all of their body is there: those that are refused. The HTTP/2 layer would reset the
//! stream of such a call, and each frame that was under way would count as a mistake of the peer, until its connection is
//! closed with `ENHANCE_YOUR_CALM`. So the rest is read and dropped, in bounds, and the stream ends by itself.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::api::limits::MATERIAL_MESSAGE_BYTES_MAX;
use crate::server::limits::REST_OF_BODY_TIME_MAX;

/// The body of one request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    /// `None` once its rest is read elsewhere.
    inner: Option<Incoming>,
    /// All of it was read.
    ended: bool,
}

impl RequestBody {
    /// A body that is still unread.
    pub(crate) const fn new(body: Incoming) -> Self {
        Self { inner: Some(body), ended: false }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Some(body) = &mut self.inner else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        self.ended = !matches!(frame, Some(Ok(_))) || body.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.is_end_stream() {
            return;
        }
        let Some(mut rest) = self.inner.take() else { return };
        // Mostly all of it is there. What is there is bounded by the window of the stream.
        loop {
            match Pin::new(&mut rest).poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(_))) if !rest.is_end_stream() => {}
                Poll::Ready(_) => return,
                Poll::Pending => break,
            }
        }
        // While the process ends, there is no runtime, and nobody who sends more.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(REST_OF_BODY_TIME_MAX, read_rest(rest)));
        }
    }
}

/// Reads what is still under way, up to the length of the longest request.
async fn read_rest(mut rest: Incoming) {
    let mut bytes = 0_usize;
    while let (Some(Ok(frame)), ..=MATERIAL_MESSAGE_BYTES_MAX) = (rest.frame().await, bytes) {
        bytes = bytes.saturating_add(frame.data_ref().map_or(0, Bytes::len));
    }
}
