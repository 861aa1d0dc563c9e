//! What stands around every call of the data service: its span, its deadline, and the promise
//! that whatever goes wrong comes out as a standard status with nothing of the inside in it.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, HeaderMap, Request, Response};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;
use tracing::Instrument as _;

use crate::server::errors::Failure;
use crate::server::limits::CALL_TIME_MAX;
use crate::server::service::Method;
use crate::server::transport::answer::send_by;
use crate::telemetry;
use crate::telemetry::caller::CallerLabel;
use crate::telemetry::requests::ActiveRequest;

/// A service with a guard around it.
#[derive(Clone, Debug)]
pub struct Guard<S> {
    inner: S,
}

impl<S> Guard<S> {
    /// Puts a guard around a service.
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: NamedService> NamedService for Guard<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was asked whether it is ready is the one that is called.
        let waiting = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, waiting);
        let begun = Instant::now();
        let method = Method::of(request.uri().path());
        let caller = request.extensions().get().copied().unwrap_or(CallerLabel::UNNAMED);
        let active = ActiveRequest::begin(method.counted(), begun.into_std()).by(caller);
        let method = method.full_name();
        let span = telemetry::span::rpc(method, request.headers());
        Box::pin(async move {
            let response = guarded(ready, request, method, begun).instrument(span.clone()).await;
            let code = status_code(&response);
            telemetry::span::finished(&span, code);
            active.finish(code);
            response
        })
    }
}

/// The status that a response begins with; one without any has its status at the end, and that is
/// good: only errors are known from the start.
pub(crate) fn status_code(response: &Result<Response<Body>, Infallible>) -> i32 {
    let response = match response {
        Ok(response) => response,
        Err(never) => match *never {},
    };
    response.headers().get("grpc-status").map_or(0, |code| Code::from_bytes(code.as_bytes()) as i32)
}

async fn guarded<S, B>(
    mut inner: S,
    mut request: Request<B>,
    method: &'static str,
    begun: Instant,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    let deadline = match Deadline::from_headers(request.headers(), begun) {
        Ok(deadline) => deadline,
        Err(failure) => return Ok(failure.status().into_http()),
    };
    if let Err(failure) = deadline.check() {
        return Ok(failure.status().into_http());
    }
    request.extensions_mut().insert(deadline);
    let answer = async { inner.call(request).await };
    let response = match timeout_at(deadline.0, catch_panic(answer)).await {
        Ok(Ok(Ok(response))) => with_standard_status(response),
        Ok(Err(Panic)) => {
            telemetry::event::Panicked { method }.record();
            Failure::Bug.status().into_http()
        }
        Err(_elapsed) => Failure::DeadlineExceeded.status().into_http(),
    };
    send_by(deadline.0);
    Ok(response)
}

/// The answer of a service beside the data service, with statuses as the data service has them: a malformed
/// `grpc-timeout` is refused, and an answer whose headers do not come in time is DEADLINE_EXCEEDED. What begins in
/// time may go on: a watch has no end of its own.
pub(crate) async fn beside_data<F>(deadline: Result<Deadline, Failure>, answer: F) -> Result<Response<Body>, Infallible>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    let deadline = match deadline {
        Ok(deadline) => deadline,
        Err(failure) => return Ok(failure.status().into_http()),
    };
    if let Err(failure) = deadline.check() {
        return Ok(failure.status().into_http());
    }
    Ok(match timeout_at(deadline.0, answer).await {
        Ok(Ok(response)) => with_standard_status(response),
        Ok(Err(never)) => match never {},
        Err(_elapsed) => Failure::DeadlineExceeded.status().into_http(),
    })
}

/// When the answer to a call is no longer of use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// The deadline that the caller gave, but never later than [`CALL_TIME_MAX`] from now.
    pub(crate) fn from_headers(headers: &HeaderMap, now: Instant) -> Result<Self, Failure> {
        let asked = match headers.get("grpc-timeout") {
            None => CALL_TIME_MAX,
            Some(value) => value.to_str().ok().and_then(parse_timeout).ok_or(Failure::BadTimeout)?,
        };
        Ok(Self(now + asked.min(CALL_TIME_MAX)))
    }

    /// The deadline that the guard noted with the call.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_else(|| Self(Instant::now() + CALL_TIME_MAX))
    }

    /// Whether there is time left.
    pub(crate) fn check(self) -> Result<(), Failure> {
        if self.0 <= Instant::now() { Err(Failure::DeadlineExceeded) } else { Ok(()) }
    }
}

/// Up to eight digits and a unit, as the gRPC protocol has it.
pub(crate) fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || 8 < digits.len() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// A panic that was caught.
#[derive(Debug)]
pub(crate) struct Panic;

/// Runs a future to its end or to its panic.
pub(crate) async fn catch_panic<F: Future>(work: F) -> Result<F::Output, Panic> {
    let mut work = pin!(work);
    // Nothing of the work is looked at again after it panicked, so it does not matter in what
    // state the panic left it.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        // The panic hook has reported what it said.
        Err(_reported) => Poll::Ready(Err(Panic)),
    })
    .await
}

/// The response with a standard status. A [`Failure`] has one already, and details wherever the
/// library uses the same code; any other status comes from the reading of the message, and its code
/// and text are the library's.
pub(crate) fn with_standard_status(response: Response<Body>) -> Response<Body> {
    let Some(code) = response.headers().get("grpc-status") else { return response };
    if response.headers().contains_key("grpc-status-details-bin") {
        return response;
    }
    let failure = match Code::from_bytes(code.as_bytes()) {
        Code::OutOfRange | Code::ResourceExhausted => Failure::MessageTooLarge,
        Code::Internal | Code::Unknown | Code::DataLoss => Failure::BadMessage,
        Code::Cancelled => Failure::MessageBrokenOff,
        Code::Ok
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unimplemented
        | Code::Unavailable
        | Code::Unauthenticated => return response,
    };
    Status::from(failure).into_http()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_digits_and_a_unit() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("20m", Some(Duration::from_millis(20))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("0S", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("5", None),
            ("+5S", None),
            ("-1S", None),
            ("1 S", None),
            ("123456789S", None),
            ("1秒", None),
        ] {
            assert_eq!(parse_timeout(text), expected, "{text}");
        }
    }

    #[test]
    fn no_call_outlasts_the_limit() {
        let now = Instant::now();
        let mut headers = HeaderMap::new();
        assert_eq!(Deadline::from_headers(&headers, now), Ok(Deadline(now + CALL_TIME_MAX)));
        headers.insert("grpc-timeout", "99999999H".parse().unwrap());
        assert_eq!(Deadline::from_headers(&headers, now), Ok(Deadline(now + CALL_TIME_MAX)));
        headers.insert("grpc-timeout", "5x".parse().unwrap());
        assert_eq!(Deadline::from_headers(&headers, now), Err(Failure::BadTimeout));
    }
}
