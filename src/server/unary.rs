//! Calls of one message and one answer: their frames, without the library's streams.
//!
//! Only what is plain is read here. Whatever is compressed, cut short, or followed by more is left
//! to the library, so there is one place that says what is wrong with it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue};
use hyper::body::{Body as HttpBody, Bytes, Frame};
use tonic::body::Body;

use crate::server::errors::Failure;
use crate::server::wire::writer::Writer;

/// What stands before every gRPC message: a flag and the length.
pub(crate) const MESSAGE_PREFIX_BYTES: usize = 5;

/// Room for a usual answer, so that its bytes are written once and never moved.
const USUAL_ANSWER_BYTES: usize = 1024;

/// The message of a call, if it is one plain message and nothing else.
pub(crate) fn plain_message<'b>(headers: &HeaderMap, body: &'b [u8]) -> Option<&'b [u8]> {
    let encoded = headers.get("grpc-encoding").is_some_and(|encoding| encoding != "identity");
    let (&[flag, a, b, c, d], message) = body.split_first_chunk::<MESSAGE_PREFIX_BYTES>()?;
    let whole = usize::try_from(u32::from_be_bytes([a, b, c, d])) == Ok(message.len());
    (!encoded && flag == 0 && whole).then_some(message)
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

    /// The response that carries it.
    pub(crate) fn into_response(mut self) -> Result<http::Response<Body>, Failure> {
        let length = self.0.len().checked_sub(MESSAGE_PREFIX_BYTES).and_then(|length| u32::try_from(length).ok());
        let (Some(length), Some([_, prefix @ ..])) = (length, self.0.first_chunk_mut::<MESSAGE_PREFIX_BYTES>()) else {
            return Err(Failure::Bug);
        };
        *prefix = length.to_be_bytes();
        let body = Body::new(AnswerBody::Message(self.0.into()));
        let mut response = http::Response::new(body);
        response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        Ok(response)
    }
}

/// A field of number 1 that has a length: its number, three bits to the left, and the kind.
const FIRST_FIELD_KEY: u8 = 1 << 3 | 2;

/// The items of the list that is field 1 of a message; `None` where it has anything else, or more
/// than so many items.
pub(crate) fn items(mut message: &[u8], items_max: usize) -> Option<Vec<&[u8]>> {
    let mut items = Vec::new();
    while let [key, rest @ ..] = message {
        let mut rest = rest;
        let length = prost::decode_length_delimiter(&mut rest).ok()?;
        let (item, after) = rest.split_at_checked(length)?;
        if *key != FIRST_FIELD_KEY || items_max <= items.len() {
            return None;
        }
        items.push(item);
        message = after;
    }
    Some(items)
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
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
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
    use prost::Message as _;

    use super::*;
    use crate::server::pb;

    #[test]
    fn only_one_whole_plain_message_is_read() {
        let none = HeaderMap::new();
        assert_eq!(plain_message(&none, &[0, 0, 0, 0, 2, 7, 8]), Some([7, 8].as_slice()));
        assert_eq!(plain_message(&none, &[0, 0, 0, 0, 0]), Some([].as_slice()));
        for left in [&[][..], &[0, 0, 0, 0], &[1, 0, 0, 0, 1, 7], &[0, 0, 0, 0, 2, 7], &[0, 0, 0, 0, 1, 7, 8]] {
            assert_eq!(plain_message(&none, left), None, "{left:?}");
        }
        let encoding = |name: &'static str| {
            [(http::header::HeaderName::from_static("grpc-encoding"), HeaderValue::from_static(name))]
        };
        assert_eq!(plain_message(&encoding("gzip").into_iter().collect(), &[0, 0, 0, 0, 0]), None);
        assert!(plain_message(&encoding("identity").into_iter().collect(), &[0, 0, 0, 0, 0]).is_some());
    }

    #[test]
    fn items_are_found_where_there_is_nothing_else() {
        let request = |id: &str| pb::EvaluateRefundRequest { request_id: id.into(), ..Default::default() };
        let batch = pb::BatchEvaluateRefundRequest { requests: vec![request("a"), request(""), request("c")] };
        let bytes = batch.encode_to_vec();
        let found = items(&bytes, 3).unwrap();
        let found: Vec<_> = found.into_iter().map(|item| pb::EvaluateRefundRequest::decode(item).unwrap()).collect();
        assert_eq!(found, batch.requests);
        assert_eq!(items(&bytes, 2), None);
        assert_eq!(items(&[], 0), Some(Vec::new()));
        for left in [
            &[0x0a][..],
            &[0x0a, 5, 1],
            &[0x12, 0],
            &[0x08, 1],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert_eq!(items(left, 9), None, "{left:?}");
        }
    }
}
