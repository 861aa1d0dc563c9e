//! The wrapper of every call of the data service: its span, its deadline, and the promise
//! that any failure ends in a standard status that reveals nothing of the inside.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderName, Request, Response};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;
use tracing::Instrument as _;

use crate::api::errors::Failure;
use crate::server::data::method::Method;
use crate::server::limits::CALL_TIME_MAX;
use crate::server::overload::Payer;
use crate::server::transport::answer::send_by;
use crate::telemetry;
use crate::telemetry::caller::CallerLabel;
use crate::telemetry::requests::ActiveRequest;

/// The header in which a caller says how long it waits.
static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// A call that may be answered: it has a method, and time left.
#[derive(Debug)]
pub struct GuardedCall<B> {
    pub(crate) request: Request<B>,
    pub(crate) method: Method,
    pub(crate) deadline: Deadline,
}

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

impl<S, B> Service<Request<B>> for Guard<S>
where
    S: Service<GuardedCall<B>, Response = Response<Body>, Error = Failure>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // What it guards is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let begun = Instant::now();
        let method = Method::of(request.uri().path());
        let caller = request.extensions().get().map_or(CallerLabel::UNNAMED, Payer::label);
        let active = ActiveRequest::begin(method.counted(), begun.into_std()).by(caller);
        let span = telemetry::span::rpc(method.full_name(), request.headers());
        // The request is handed on at once, so that nothing here has to hold it.
        let answer = Deadline::from_headers(request.headers(), begun).and_then(|deadline| {
            deadline.check_at(begun)?;
            let call = GuardedCall { request, method, deadline };
            let answer = catch_unwind(AssertUnwindSafe(|| self.inner.call(call))).map_err(|_reported| Panic);
            Ok((answer.map_err(|panic| panic.failure(method))?, deadline))
        });
        Box::pin(async move {
            let answer = match answer {
                Ok((answer, deadline)) => in_time(answer, method, deadline).instrument(span.clone()).await,
                Err(failure) => Err(failure),
            };
            let (code, response) = match answer {
                Ok(response) => (Code::Ok, response),
                Err(failure) => {
                    let status = failure.status();
                    (status.code(), status.into_http())
                }
            };
            telemetry::span::finished(&span, code as i32);
            active.finish(code as i32);
            Ok(response)
        })
    }
}

/// The answer to a call, unless it does not come in time.
async fn in_time<F>(answer: F, method: Method, deadline: Deadline) -> Result<Response<Body>, Failure>
where
    F: Future<Output = Result<Response<Body>, Failure>>,
{
    let answer = match timeout_at(deadline.0, catch_panic(answer)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => Err(panic.failure(method)),
        Err(_elapsed) => Err(Failure::DeadlineExceeded),
    };
    send_by(deadline.0);
    answer
}

/// The status code in headers or trailers.
pub(crate) fn code_in(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()) as i32)
}

/// When the answer to a call is no longer of use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// The deadline that the caller gave, but never later than [`CALL_TIME_MAX`] from now.
    pub(crate) fn from_headers(headers: &HeaderMap, now: Instant) -> Result<Self, Failure> {
        let asked = match headers.get(&GRPC_TIMEOUT) {
            None => CALL_TIME_MAX,
            Some(value) => value.to_str().ok().and_then(parse_timeout).ok_or(Failure::BadTimeout)?,
        };
        Ok(Self(now + asked.min(CALL_TIME_MAX)))
    }

    /// The moment itself.
    pub(crate) const fn at(self) -> Instant {
        self.0
    }

    /// Fails if no time is left.
    pub(crate) fn check(self) -> Result<(), Failure> {
        self.check_at(Instant::now())
    }

    /// Fails if no time is left at `now`.
    fn check_at(self, now: Instant) -> Result<(), Failure> {
        if self.0 <= now { Err(Failure::DeadlineExceeded) } else { Ok(()) }
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

impl Panic {
    /// Counts it, and returns the failure for the caller.
    fn failure(self, method: Method) -> Failure {
        telemetry::event::Panicked { method: method.full_name() }.record();
        Failure::Bug
    }
}

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
    fn statuses_of_the_library_become_standard_ones() {
        for (status, expected) in [
            (Status::internal as fn(&'static str) -> Status, Code::InvalidArgument),
            (Status::unknown, Code::InvalidArgument),
            (Status::cancelled, Code::Cancelled),
            (Status::out_of_range, Code::ResourceExhausted),
        ] {
            let response = with_standard_status(status("a secret").into_http());
            let headers = response.headers();
            assert!(!format!("{headers:?}").contains("secret"), "{headers:?}");
            assert_eq!(Status::from_header_map(headers).unwrap().code(), expected);
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
