//! The services beside the data service, health and reflection: statuses as the data service has them, panics
//! caught, and each call counted once it has ended, also one that goes on for long after its headers.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Response};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;

use crate::api::errors::Failure;
use crate::server::data::guard::{Deadline, Panic, catch_panic, code_in, with_standard_status};
use crate::server::transport::state::{ConnectionState, OpenEndedCall};
use crate::telemetry::event::Panicked;
use crate::telemetry::requests::{ActiveRequest, RequestMethod};

/// A call of a service beside the data service.
#[derive(Debug)]
pub(crate) struct BesideData {
    method: RequestMethod,
    deadline: Result<Deadline, Failure>,
    active: ActiveRequest,
    /// Its place among those of its connection that may stay open without an end.
    place: Option<OpenEndedCall>,
}

impl BesideData {
    /// A call that begins now, on this connection if it is known.
    pub(crate) fn begin(method: RequestMethod, headers: &HeaderMap, connection: Option<&Arc<ConnectionState>>) -> Self {
        let begun = Instant::now();
        let active = ActiveRequest::begin(method, begun.into_std());
        let mut deadline = Deadline::from_headers(headers, begun);
        let place = connection.filter(|_| method.is_open_ended()).map(ConnectionState::open_ended_call);
        if let Some(None) = place {
            deadline = Err(Failure::TooManyOpenCalls);
        }
        Self { method, deadline, active, place: place.flatten() }
    }

    /// The answer: a malformed `grpc-timeout` is refused, and an answer whose headers do not come in time is
    /// DEADLINE_EXCEEDED. What begins in time may go on: a watch has no end of its own.
    pub(crate) async fn answer<F>(self, answer: F) -> Result<Response<Body>, Infallible>
    where
        F: Future<Output = Result<Response<Body>, Infallible>>,
    {
        let Self { method, deadline, active, place } = self;
        let response = match in_time(method, deadline, answer).await {
            Ok(response) => with_standard_status(response),
            Err(failure) => failure.status().into_http(),
        };
        match code_in(response.headers()) {
            None if !response.body().is_end_stream() => {
                Ok(response.map(|body| Body::new(CountedBody { body, method, active: Some(active), _place: place })))
            }
            // There is no more.
            code => {
                active.finish(code.unwrap_or(0));
                Ok(response)
            }
        }
    }
}

async fn in_time<F>(
    method: RequestMethod,
    deadline: Result<Deadline, Failure>,
    answer: F,
) -> Result<Response<Body>, Failure>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    let deadline = deadline?;
    deadline.check()?;
    match timeout_at(deadline.at(), catch_panic(answer)).await {
        Ok(Ok(Ok(response))) => Ok(response),
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(Panic)) => {
            Panicked { method: method.text() }.record();
            Err(Failure::Bug)
        }
        Err(_elapsed) => Err(Failure::DeadlineExceeded),
    }
}

/// The body of an answer, counted when it ends. One that is dropped before was cancelled.
#[derive(Debug)]
struct CountedBody {
    body: Body,
    method: RequestMethod,
    /// `None` once it is counted.
    active: Option<ActiveRequest>,
    _place: Option<OpenEndedCall>,
}

impl CountedBody {
    fn finish(&mut self, code: i32) {
        if let Some(active) = self.active.take() {
            active.finish(code);
        }
    }

    /// Returns the last frame of the answer, after a panic.
    fn after_panic(&mut self) -> Result<Frame<Bytes>, Status> {
        // The panic hook has reported what it said, and nothing of the body is looked at again.
        Panicked { method: self.method.text() }.record();
        self.body = Body::empty();
        let mut trailers = HeaderMap::new();
        Failure::Bug.status().add_header(&mut trailers)?;
        Ok(Frame::trailers(trailers))
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.body).poll_frame(cx))) {
            Ok(polled) => ready!(polled),
            Err(_reported) => Some(this.after_panic()),
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.finish(code_in(trailers).unwrap_or(0));
                }
            }
            Some(Err(status)) => this.finish(status.code() as i32),
            None => this.finish(0),
        }
        Poll::Ready(frame)
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
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio_stream::StreamExt as _;
    use tonic::Code;

    use super::*;
    use crate::telemetry::prometheus;

    fn sample(name: &str) -> u64 {
        let page = prometheus::page().into_text();
        let value = page.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    fn counted(method: RequestMethod, code: &str) -> u64 {
        let method = method.text();
        sample(&format!("requite_requests_total{{method=\"{method}\",code=\"{code}\",caller=\"unnamed\"}}"))
    }

    // Each test has a method of its own: others count at the same time.

    #[tokio::test]
    async fn a_panic_before_the_headers_is_a_bug_and_counted() {
        let method = RequestMethod::Reflection;
        let panics = format!("requite_panics_total{{method=\"{}\"}}", method.text());
        let before = (counted(method, "INTERNAL"), sample(&panics));
        let answer = BesideData::begin(method, &HeaderMap::new(), None).answer(async { panic!("on purpose") }).await;
        assert_eq!(code_in(answer.unwrap().headers()), Some(Code::Internal as i32));
        assert_eq!((counted(method, "INTERNAL"), sample(&panics)), (before.0 + 1, before.1 + 1));
    }

    #[tokio::test]
    async fn a_panic_in_a_stream_ends_it_with_a_status_and_is_counted() {
        let method = RequestMethod::HealthWatch;
        let panics = format!("requite_panics_total{{method=\"{}\"}}", method.text());
        let before = (counted(method, "INTERNAL"), counted(method, "OK"), sample(&panics));
        let frames = tokio_stream::iter([1, 2]).map(|number| match number {
            1 => Ok::<_, Status>(Frame::data(Bytes::from_static(b"news"))),
            _ => panic!("on purpose"),
        });
        let body = Body::new(StreamBody::new(frames));
        let call = BesideData::begin(method, &HeaderMap::new(), None);
        let answer = call.answer(async { Ok(Response::new(body)) }).await.unwrap();
        assert_eq!(counted(method, "OK"), before.1, "it goes on");
        let collected = answer.into_body().collect().await.unwrap();
        assert_eq!(code_in(collected.trailers().unwrap()), Some(Code::Internal as i32));
        assert_eq!(collected.to_bytes(), "news");
        assert_eq!((counted(method, "INTERNAL"), sample(&panics)), (before.0 + 1, before.2 + 1));
    }
}
