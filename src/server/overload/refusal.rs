//! The answer to a call that is not taken: made once, when the server starts, so that it costs next to
//! nothing when it is needed.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::{HeaderMap, Response};
use tonic::body::Body;

use crate::api::errors::{OVERLOADED, retry_later};
use crate::telemetry::labels::ShedReason;

/// Delays that callers are told in turn: were it one, all would come back at once.
const DELAYS: usize = 8;

/// When a caller may try again where the server has too much to do: from this …
const OVERLOADED_DELAY: Duration = Duration::from_millis(100);

/// … in steps of this.
const OVERLOADED_STEP: Duration = Duration::from_millis(50);

/// The same for one that asks for more than others.
const OVER_SHARE_DELAY: Duration = Duration::from_millis(500);

/// Its steps.
const OVER_SHARE_STEP: Duration = Duration::from_millis(100);

/// Reason for refusing a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// There is more work than can be done in time.
    Overloaded,
    /// Its caller asks for more than others do.
    CallerOverShare,
}

impl Refused {
    /// The reason in `ErrorInfo`.
    const fn reason(self) -> &'static str {
        match self {
            Self::Overloaded => OVERLOADED,
            Self::CallerOverShare => "CALLER_OVER_SHARE",
        }
    }

    /// The reason in metrics.
    pub(super) const fn shed_reason(self) -> ShedReason {
        match self {
            Self::Overloaded => ShedReason::Overloaded,
            Self::CallerOverShare => ShedReason::CallerOverShare,
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Overloaded => "the server has more calls than it can answer in time; retry after the delay given",
            Self::CallerOverShare => {
                "the server has more calls than it can answer in time, and this caller sends more than its share; \
                 send less, and retry after the delay given"
            }
        }
    }

    const fn delay(self) -> (Duration, Duration) {
        match self {
            Self::Overloaded => (OVERLOADED_DELAY, OVERLOADED_STEP),
            Self::CallerOverShare => (OVER_SHARE_DELAY, OVER_SHARE_STEP),
        }
    }
}

/// The answers to calls that are not taken.
#[derive(Debug)]
pub(super) struct Refusals {
    overloaded: Vec<HeaderMap>,
    over_share: Vec<HeaderMap>,
    next: AtomicUsize,
}

impl Refusals {
    pub(super) fn new() -> Self {
        let all = |refused: Refused| {
            let (first, step) = refused.delay();
            (0_u32..).take(DELAYS).map(|number| headers(refused, first + step * number)).collect()
        };
        Self {
            overloaded: all(Refused::Overloaded),
            over_share: all(Refused::CallerOverShare),
            next: AtomicUsize::new(0),
        }
    }

    /// The answer to one call.
    pub(super) fn response(&self, refused: Refused) -> Response<Body> {
        let all = match refused {
            Refused::Overloaded => &self.overloaded,
            Refused::CallerOverShare => &self.over_share,
        };
        let mut response = Response::new(Body::empty());
        if let Some(headers) = all.get(self.next.fetch_add(1, Relaxed) % DELAYS) {
            response.headers_mut().clone_from(headers);
        }
        response
    }
}

fn headers(refused: Refused, delay: Duration) -> HeaderMap {
    let status = retry_later(refused.reason(), refused.message(), delay);
    std::mem::take(status.into_http::<()>().headers_mut())
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::api::errors::{ERROR_DOMAIN, PUSHBACK};

    #[test]
    fn a_refusal_says_why_and_when_to_come_back() {
        let refusals = Refusals::new();
        let mut delays = std::collections::BTreeSet::new();
        for refused in [Refused::Overloaded, Refused::CallerOverShare] {
            for _ in 0..2 * DELAYS {
                let response = refusals.response(refused);
                let status = Status::from_header_map(response.headers()).unwrap();
                assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, refused.message()));
                let details = status.get_error_details();
                let info = details.error_info().unwrap();
                assert_eq!((info.reason.as_str(), info.domain.as_str()), (refused.reason(), ERROR_DOMAIN));
                let delay = details.retry_info().unwrap().retry_delay.unwrap();
                assert_eq!(response.headers().get(PUSHBACK).unwrap(), delay.as_millis().to_string().as_str());
                delays.insert(delay);
            }
        }
        assert_eq!(delays.len(), 2 * DELAYS, "callers do not all come back at once");
    }
}
