//! Calls of one message and one answer: their frames, without the library's streams.
//!
//! Whatever is compressed, cut short, or followed by more is refused.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Body as HttpBody, Bytes, Frame};
use tonic::body::Body;

use crate::api::errors::Failure;
use crate::api::limits::ANSWER_BYTES_MAX;
use crate::server::fast_path::writer::Writer;

/// The prefix of every gRPC message: a flag and the length.
pub(crate) const MESSAGE_PREFIX_BYTES: usize = 5;

static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Room for a usual answer, so that its bytes are written once and never moved.
const USUAL_ANSWER_BYTES: usize = 1024;

/// Encoding of the messages of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encoding {
    Identity,
    Other,
}

impl Encoding {
    /// Reads it from the headers of a call.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match headers.get(&GRPC_ENCODING) {
            Some(encoding) if encoding != "identity" => Self::Other,
            Some(_) | None => Self::Identity,
        }
    }
}

/// The message of a call: one, whole, and not compressed.
pub(crate) fn message(encoding: Encoding, body: &[u8]) -> Result<&[u8], Failure> {
    let (&[flag, a, b, c, d], message) = body.split_first_chunk::<MESSAGE_PREFIX_BYTES>().ok_or(Failure::BadMessage)?;
    match (flag, encoding) {
        (0, _) => {}
        (1, Encoding::Other) => return Err(Failure::Compressed),
        (_, _) => return Err(Failure::BadMessage),
    }
    let whole = usize::try_from(u32::from_be_bytes([a, b, c, d])) == Ok(message.len());
    if whole { Ok(message) } else { Err(Failure::BadMessage) }
}

/// An answer in the making: a message, and before it the room for its prefix.
#[derive(Debug)]
pub(crate) struct Answer(Vec<u8>);

impl Answer {
    /// Nothing yet, with room for so many usual messages.
    pub(crate) fn with_room_for(messages: usize) -> Self {
        let mut bytes = Vec::with_capacity(messages.saturating_mul(USUAL_ANSWER_BYTES));
        bytes.extend_from_slice(&[0; MESSAGE_PREFIX_BYTES]);
        Self(bytes)
    }

    /// Writes fields of the message at its end.
    pub(crate) const fn writer(&mut self) -> Writer<'_> {
        Writer::at_end_of(&mut self.0)
    }

    /// Fails if it is above its limit already.
    pub(crate) const fn check_size(&self) -> Result<(), Failure> {
        if self.0.len() <= ANSWER_BYTES_MAX + MESSAGE_PREFIX_BYTES { Ok(()) } else { Err(Failure::AnswerTooLarge) }
    }

    /// The response that carries it, if it is within its limit.
    pub(crate) fn into_response(self) -> Result<http::Response<Body>, Failure> {
        self.check_size()?;
        self.into_framed().map(response)
    }

    /// The message and its prefix, of any size.
    pub(crate) fn into_framed(mut self) -> Result<Bytes, Failure> {
        let length = self.0.len().checked_sub(MESSAGE_PREFIX_BYTES).and_then(|length| u32::try_from(length).ok());
        let (Some(length), Some([_, prefix @ ..])) = (length, self.0.first_chunk_mut::<MESSAGE_PREFIX_BYTES>()) else {
            return Err(Failure::Bug);
        };
        *prefix = length.to_be_bytes();
        Ok(self.0.into())
    }
}

/// The response that carries a message with its prefix.
pub(crate) fn response(framed: Bytes) -> http::Response<Body> {
    let mut response = http::Response::new(Body::new(AnswerBody::Message(framed)));
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The message, then the status that all went well.
#[derive(Debug)]
enum AnswerBody {
    Message(Bytes),
    Status,
    End,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(match std::mem::replace(&mut *self, Self::End) {
            Self::Message(bytes) => {
                *self = Self::Status;
                Some(Ok(Frame::data(bytes)))
            }
            Self::Status => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(&GRPC_STATUS, HeaderValue::from_static("0"));
                Some(Ok(Frame::trailers(trailers)))
            }
            Self::End => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_whole_plain_message_is_read() {
        let plain = Encoding::of(&HeaderMap::new());
        assert_eq!(message(plain, &[0, 0, 0, 0, 2, 7, 8]), Ok([7, 8].as_slice()));
        assert_eq!(message(plain, &[0, 0, 0, 0, 0]), Ok([].as_slice()));
        for bad in [
            &[][..],
            &[0, 0, 0, 0],
            &[1, 0, 0, 0, 1, 7],
            &[2, 0, 0, 0, 1, 7],
            &[0, 0, 0, 0, 2, 7],
            &[0, 0, 0, 0, 1, 7, 8],
        ] {
            assert_eq!(message(plain, bad), Err(Failure::BadMessage), "{bad:?}");
        }
        let encoding = |name: &'static str| {
            Encoding::of(&[(GRPC_ENCODING.clone(), HeaderValue::from_static(name))].into_iter().collect())
        };
        assert_eq!(message(encoding("gzip"), &[1, 0, 0, 0, 0]), Err(Failure::Compressed));
        // The flag of the message says that this one is not.
        assert!(message(encoding("gzip"), &[0, 0, 0, 0, 0]).is_ok());
        assert!(message(encoding("identity"), &[0, 0, 0, 0, 0]).is_ok());
        assert_eq!(message(encoding("identity"), &[1, 0, 0, 0, 0]), Err(Failure::BadMessage));
    }

    #[test]
    fn an_answer_has_a_bound() {
        let answer = |bytes: usize| {
            let mut answer = Answer::with_room_for(1);
            answer.0.resize(MESSAGE_PREFIX_BYTES + bytes, 7);
            answer
        };
        assert!(answer(ANSWER_BYTES_MAX).into_response().is_ok());
        assert_eq!(answer(ANSWER_BYTES_MAX + 1).into_response().unwrap_err(), Failure::AnswerTooLarge);
        assert!(answer(ANSWER_BYTES_MAX + 1).into_framed().is_ok());
    }
}
