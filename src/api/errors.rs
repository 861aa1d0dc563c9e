//! Calls that end without an answer: each with its standard code and its details.
//!
//! A denied refund is an answer and never comes here. Texts for bugs and for messages that could
//! not be read are fixed, so that nothing of the inside gets out.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation as WireViolation, StatusExt as _};

use crate::api::limits::{
    ANSWER_BYTES_MAX, OPEN_ENDED_CALLS_MAX, OVERLOADED_RETRY_AFTER, SMALL_FRAME_BYTES, SMALL_FRAMES_MAX,
    STATUS_TEXT_BYTES_MAX, VIOLATION_BYTES_MAX,
};
use crate::api::pb;
use crate::domain::printable::Printable;
use crate::domain::request::FieldViolation;

/// The trailer by which clients of gRPC are told when to retry, in milliseconds.
pub(crate) const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The reason in `ErrorInfo` of a call for which there is no room.
pub(crate) const OVERLOADED: &str = "OVERLOADED";

/// The `domain` of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "requite";

/// Reason why a call has no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Fields that cannot be accepted; at least one.
    BadRequest(Vec<FieldViolation>),
    /// The policy is not here.
    PolicyNotFound {
        /// The policy asked for.
        policy_id: String,
    },
    /// The active revision is not the one that the caller pinned.
    RevisionNotAvailable {
        /// The digest in force.
        digest: String,
        /// The generation in force.
        generation: u64,
    },
    /// The message is not what the method takes.
    BadMessage,
    /// The caller went away before the end of the message.
    MessageBrokenOff,
    /// The message is above the limit of the method.
    MessageTooLarge,
    /// A method of one message got more.
    MoreThanOneMessage,
    /// The message comes in more small frames than are received.
    TooManyFrames,
    /// More calls that may stay open without an end are open on the connection than may be.
    TooManyOpenCalls,
    /// There is no room for the call now.
    Overloaded,
    /// The answer would be above its limit.
    AnswerTooLarge,
    /// The message is compressed.
    Compressed,
    /// There is no such method.
    UnknownMethod,
    /// The header `grpc-timeout` cannot be read.
    BadTimeout,
    /// The time for the call is over.
    DeadlineExceeded,
    /// A mistake of ours. What happened is in the log.
    Bug,
}

impl Failure {
    /// One field that cannot be accepted.
    #[must_use]
    pub fn field(field: &str, problem: impl Into<String>) -> Self {
        Self::BadRequest(vec![FieldViolation::new(field, problem)])
    }

    /// The status that the caller gets.
    #[must_use]
    pub fn status(&self) -> Status {
        let (code, message) = (self.code(), self.message());
        match self {
            Self::BadRequest(violations) => {
                let violations: Vec<_> = named(violations)
                    .into_iter()
                    .map(|FieldViolation { field, problem }| WireViolation::new(field, problem))
                    .collect();
                Status::with_error_details(code, message, ErrorDetails::with_bad_request(violations))
            }
            Self::PolicyNotFound { policy_id } => {
                let facts = [("policy_id", clip(policy_id))];
                Status::with_error_details(code, message, error_info("POLICY_NOT_FOUND", facts))
            }
            Self::RevisionNotAvailable { digest, generation } => {
                let facts = [("digest", digest.clone()), ("generation", generation.to_string())];
                Status::with_error_details(code, message, error_info("POLICY_REVISION_NOT_AVAILABLE", facts))
            }
            // Its details tell it from what the library calls internal.
            Self::Bug => Status::with_error_details(code, message, error_info("BUG", [])),
            Self::Overloaded => retry_later(OVERLOADED, message, OVERLOADED_RETRY_AFTER),
            Self::TooManyFrames => Status::with_error_details(code, message, error_info("TOO_MANY_FRAMES", [])),
            Self::TooManyOpenCalls => Status::with_error_details(code, message, error_info("TOO_MANY_OPEN_CALLS", [])),
            Self::MessageTooLarge => Status::with_error_details(code, message, error_info("MESSAGE_TOO_LARGE", [])),
            Self::AnswerTooLarge => {
                let facts = [("bytes_max", ANSWER_BYTES_MAX.to_string())];
                Status::with_error_details(code, message, error_info("ANSWER_TOO_LARGE", facts))
            }
            Self::Compressed => {
                let accepted = [("grpc-accept-encoding", "identity")].into_iter();
                let metadata =
                    accepted.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
                Status::with_metadata(code, message, MetadataMap::from_headers(metadata.collect()))
            }
            Self::BadMessage
            | Self::MessageBrokenOff
            | Self::MoreThanOneMessage
            | Self::UnknownMethod
            | Self::BadTimeout
            | Self::DeadlineExceeded => Status::new(code, message),
        }
    }

    /// The error of one item of a batch, in place of a decision.
    #[must_use]
    pub fn batch_error(&self) -> pb::BatchError {
        let field_violations = match self {
            Self::BadRequest(violations) => named(violations)
                .into_iter()
                .map(|FieldViolation { field, problem }| pb::FieldViolation { field, description: problem })
                .collect(),
            Self::PolicyNotFound { .. }
            | Self::RevisionNotAvailable { .. }
            | Self::BadMessage
            | Self::MessageBrokenOff
            | Self::MessageTooLarge
            | Self::MoreThanOneMessage
            | Self::TooManyFrames
            | Self::TooManyOpenCalls
            | Self::Overloaded
            | Self::AnswerTooLarge
            | Self::Compressed
            | Self::UnknownMethod
            | Self::BadTimeout
            | Self::DeadlineExceeded
            | Self::Bug => Vec::new(),
        };
        pb::BatchError { code: self.code() as i32, message: self.message(), field_violations }
    }

    /// The failure as text for a person, one line for each bad field.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::BadRequest(violations) => {
                violations.iter().map(|FieldViolation { field, problem }| format!("{field}: {problem}")).collect()
            }
            Self::PolicyNotFound { .. }
            | Self::RevisionNotAvailable { .. }
            | Self::BadMessage
            | Self::MessageBrokenOff
            | Self::MessageTooLarge
            | Self::MoreThanOneMessage
            | Self::TooManyFrames
            | Self::TooManyOpenCalls
            | Self::Overloaded
            | Self::AnswerTooLarge
            | Self::Compressed
            | Self::UnknownMethod
            | Self::BadTimeout
            | Self::DeadlineExceeded
            | Self::Bug => vec![self.message()],
        }
    }

    const fn code(&self) -> Code {
        match self {
            Self::BadRequest(_) | Self::BadMessage | Self::BadTimeout => Code::InvalidArgument,
            Self::MessageBrokenOff => Code::Cancelled,
            Self::PolicyNotFound { .. } => Code::NotFound,
            Self::RevisionNotAvailable { .. } => Code::FailedPrecondition,
            Self::MessageTooLarge
            | Self::TooManyFrames
            | Self::TooManyOpenCalls
            | Self::Overloaded
            | Self::AnswerTooLarge => Code::ResourceExhausted,
            Self::Compressed | Self::UnknownMethod | Self::MoreThanOneMessage => Code::Unimplemented,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Bug => Code::Internal,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::BadRequest(violations) => match violations.as_slice() {
                [] => "the request cannot be accepted".to_owned(),
                [FieldViolation { field, problem }] => format!("{}: {}", clip(field), clip(problem)),
                [FieldViolation { field, problem }, rest @ ..] => {
                    let least = at_least(violations);
                    format!("{}: {} (and {least}{} more bad fields)", clip(field), clip(problem), rest.len())
                }
            },
            Self::PolicyNotFound { policy_id } => format!("there is no policy `{}` here", clip(policy_id)),
            Self::RevisionNotAvailable { digest, generation } => {
                format!("the pinned policies are not in force here: generation {generation} is, with {digest}")
            }
            Self::BadMessage => "the message is not a valid request of this method".to_owned(),
            Self::MessageBrokenOff => "the message broke off before its end".to_owned(),
            Self::MessageTooLarge => "the message is larger than this method accepts".to_owned(),
            Self::MoreThanOneMessage => "the method takes one message, got more".to_owned(),
            Self::TooManyFrames => format!(
                "the message came in more than {SMALL_FRAMES_MAX} frames of less than {SMALL_FRAME_BYTES} bytes; send it in larger ones"
            ),
            Self::TooManyOpenCalls => format!(
                "{OPEN_ENDED_CALLS_MAX} watches of health and streams of reflection are open on this connection already: end \
                 one of them first"
            ),
            Self::Overloaded => "the server holds as much as it may; try again later".to_owned(),
            Self::AnswerTooLarge => format!(
                "the answer would have more than {ANSWER_BYTES_MAX} bytes: send fewer requests at once, or ask for \
                 explanations of fewer of them"
            ),
            Self::Compressed => "compressed messages are not read here: send them as they are".to_owned(),
            Self::UnknownMethod => "there is no such method here".to_owned(),
            Self::BadTimeout => "the header `grpc-timeout` must be up to 8 digits and one of H M S m u n".to_owned(),
            Self::DeadlineExceeded => "the deadline passed before there was an answer".to_owned(),
            Self::Bug => "internal error".to_owned(),
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        failure.status()
    }
}

/// The status of a call that is not taken now: why, and when to come back, as details and as the trailer that
/// clients of gRPC look at by themselves.
pub(crate) fn retry_later(reason: &str, message: impl Into<String>, after: Duration) -> Status {
    let mut details = error_info(reason, []);
    details.set_retry_info(Some(after));
    let mut pushback = HeaderMap::with_capacity(1);
    if let Ok(millis) = u64::try_from(after.as_millis()) {
        pushback.insert(PUSHBACK, HeaderValue::from(millis));
    }
    let metadata = MetadataMap::from_headers(pushback);
    Status::with_error_details_and_metadata(Code::ResourceExhausted, message, details, metadata)
}

fn error_info<const N: usize>(reason: &str, facts: [(&str, String); N]) -> ErrorDetails {
    let metadata: HashMap<String, String> = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    ErrorDetails::with_error_info(reason, ERROR_DOMAIN, metadata)
}

/// The violations as far as a status has room for them; what did not fit is counted in a last one.
fn named(violations: &[FieldViolation]) -> Vec<FieldViolation> {
    let mut named = Vec::new();
    let mut bytes = 0;
    for violation in violations {
        let shown = FieldViolation::new(clip(&violation.field), clip(&violation.problem));
        bytes += shown.field.len() + shown.problem.len();
        if VIOLATION_BYTES_MAX < bytes && !named.is_empty() {
            let left = violations.len() - named.len();
            named.push(FieldViolation::new(
                "",
                format!("{}{left} more fields are bad and have no room here", at_least(violations)),
            ));
            break;
        }
        named.push(shown);
    }
    named
}

/// Said before a number of violations where not all of them are in the list.
fn at_least(violations: &[FieldViolation]) -> &'static str {
    // That there are more is said without a field.
    if violations.iter().any(|violation| violation.field.is_empty()) { "at least " } else { "" }
}

/// A text as far as a status has room for it, with hidden characters as escapes: clients print it.
pub(crate) fn clip(text: &str) -> String {
    let text = Printable(text).to_string();
    if text.len() <= STATUS_TEXT_BYTES_MAX {
        return text;
    }
    let mut end = STATUS_TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_field_is_named() {
        let failure = Failure::BadRequest(vec![FieldViolation::new("order", "a"), FieldViolation::new("claim", "b")]);
        let status = failure.status();
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let fields: Vec<_> =
            details.bad_request().unwrap().field_violations.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, ["order", "claim"]);
        assert_eq!(status.message(), "order: a (and 1 more bad fields)");
    }

    #[test]
    fn a_status_stays_within_what_clients_accept_as_headers() {
        let huge = FieldViolation::new("界".repeat(9_999), "界".repeat(9_999));
        let status = Failure::BadRequest(vec![huge; 999]).status();
        let headers = status.to_http_bytes();
        assert!(headers < 8 * 1024, "{headers} bytes of headers");
        let details = status.get_error_details();
        let last = details.bad_request().unwrap().field_violations.last().unwrap().description.clone();
        assert!(last.ends_with("more fields are bad and have no room here"), "{last}");
    }

    #[test]
    fn what_finds_no_room_is_told_when_to_come_back() {
        let status = Failure::Overloaded.status();
        let delay = status.get_error_details().retry_info().unwrap().retry_delay.unwrap();
        assert_eq!(status.metadata().get(PUSHBACK).unwrap(), delay.as_millis().to_string().as_str());
    }

    #[test]
    fn what_is_in_force_is_said_where_the_pin_is_not() {
        let status = Failure::RevisionNotAvailable { digest: "blake3:00".into(), generation: 7 }.status();
        assert_eq!(status.code(), Code::FailedPrecondition);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("POLICY_REVISION_NOT_AVAILABLE", "requite"));
        assert_eq!(info.metadata.get("generation").map(String::as_str), Some("7"));
    }

    trait HeaderBytes {
        fn to_http_bytes(&self) -> usize;
    }

    impl HeaderBytes for Status {
        fn to_http_bytes(&self) -> usize {
            let response = self.clone().into_http::<()>();
            response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
        }
    }
}
