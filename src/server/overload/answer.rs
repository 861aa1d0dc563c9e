//! The answer to a call of the data service, and the permit that lasts until it is sent.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::Response;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::server::limits::THREAD_HELD_MAX;
use crate::server::overload::admission::Permit;
use crate::telemetry::event::ThreadHeld;

/// The answer to a call, on its way.
#[derive(Debug)]
pub(crate) enum Answering<F> {
    /// The call was not taken.
    Refused(Option<Response<Body>>),
    /// The call was taken: what is done for it is measured.
    Admitted(F, Option<Permit>),
    /// The call is not the limiter's business.
    Unlimited(F),
}

impl<F> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<AdmittedBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (polled, permit) = match &mut *self {
            Self::Refused(response) => match response.take() {
                Some(response) => (Poll::Ready(Ok(response)), None),
                // It has been given already.
                None => return Poll::Pending,
            },
            Self::Unlimited(answer) => (Pin::new(answer).poll(cx), None),
            Self::Admitted(answer, permit) => {
                let begun = Instant::now();
                let polled = Pin::new(answer).poll(cx);
                let held = begun.elapsed();
                if let Some(permit) = permit {
                    permit.charge(held);
                }
                if THREAD_HELD_MAX < held {
                    ThreadHeld { held }.record();
                }
                match polled {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(response) => (Poll::Ready(response), permit.take()),
                }
            }
        };
        polled.map_ok(|response| response.map(|body| AdmittedBody { body, _permit: permit }))
    }
}

/// The body of an answer; gives the permit back when dropped.
#[derive(Debug)]
pub(crate) struct AdmittedBody {
    body: Body,
    _permit: Option<Permit>,
}

impl HttpBody for AdmittedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use super::*;
    use crate::telemetry::prometheus;

    fn times_held() -> u64 {
        let page = prometheus::page().into_text();
        let sample = page.lines().find_map(|line| line.strip_prefix("requite_threads_held_total "));
        sample.unwrap().parse().unwrap()
    }

    #[test]
    fn a_call_that_keeps_its_thread_for_too_long_is_counted() {
        let before = times_held();
        let held = poll_fn(|_| {
            std::thread::sleep(2 * THREAD_HELD_MAX);
            Poll::Ready(Ok(Response::new(Body::empty())))
        });
        let mut answering = Answering::Admitted(held, None);
        let answer = Pin::new(&mut answering).poll(&mut Context::from_waker(Waker::noop()));
        assert!(answer.is_ready());
        assert!(before < times_held());
    }
}
