//! Requests encoded once, and of the answers only what is looked at: the rest of a message is skipped, so
//! that the generator costs little beside the server that it shares a machine with.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;

use crate::api::limits::{BATCH_ITEMS_MAX, EVALUATION_MESSAGE_BYTES_MAX, MATERIAL_MESSAGE_BYTES_MAX};
use crate::api::pb;
use crate::load::revisions::Saying;

/// The head of a message in gRPC: a flag for compression and four bytes of length.
const HEAD_BYTES: usize = 5;

/// Different batches at most: each may have a megabyte.
const BATCHES_MAX: usize = 32;

/// The fields of an answer that are read. They are those of `EvaluateRefundResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Answer {
    #[prost(bytes = "bytes", tag = "1")]
    decision_id: Bytes,
    #[prost(int32, tag = "3")]
    pub(super) outcome: i32,
    #[prost(message, optional, tag = "16")]
    policy: Option<Policy>,
}

/// `PolicyRef`.
#[derive(Clone, PartialEq, Message)]
struct Policy {
    #[prost(bytes = "bytes", tag = "2")]
    version: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    digest: Bytes,
    #[prost(uint64, tag = "4")]
    generation: u64,
}

/// `BatchEvaluateRefundResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchAnswer {
    #[prost(message, repeated, tag = "1")]
    pub(super) items: Vec<Item>,
    #[prost(uint64, tag = "2")]
    generation: u64,
    #[prost(bytes = "bytes", tag = "3")]
    digest: Bytes,
}

/// `BatchItem`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Item {
    #[prost(message, optional, tag = "1")]
    pub(super) response: Option<Answer>,
    #[prost(message, optional, tag = "2")]
    pub(super) error: Option<ItemError>,
}

/// `BatchError`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ItemError {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
}

impl Answer {
    /// Returns the policy, outcome and decision id that it names; `None` where it names no policy.
    pub(super) fn saying(&self) -> Option<Saying<'_>> {
        let Policy { version, digest, generation } = self.policy.as_ref()?;
        Some(Saying { version, digest, generation: *generation, outcome: self.outcome, decision_id: &self.decision_id })
    }
}

impl BatchAnswer {
    /// Returns true if an item has the generation and digest that the batch names for all of it.
    pub(super) fn covers(&self, saying: &Saying<'_>) -> bool {
        saying.generation == self.generation && saying.digest == self.digest
    }
}

/// A message to send: encoded, with its head, and the examples it is made of.
#[derive(Clone, Debug)]
pub(super) struct Payload {
    pub(super) frame: Bytes,
    /// The numbers of the examples: one, or those of the items of a batch.
    pub(super) examples: Vec<usize>,
}

/// Reasons why examples cannot be sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PayloadError {
    /// There is nothing to send.
    #[error("there is no example request")]
    NoExample,
    /// A single one is above the limit of the server.
    #[error("example {} has {bytes} bytes as a message, above the {EVALUATION_MESSAGE_BYTES_MAX} that a server takes", index + 1)]
    TooLarge {
        /// Index of the example, counted from zero.
        index: usize,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A batch is above the limit of the server.
    #[error(
        "a batch of {items} of these requests has {bytes} bytes, above the {MATERIAL_MESSAGE_BYTES_MAX} that a server takes"
    )]
    BatchTooLarge {
        /// Number of items in it.
        items: usize,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A batch of too many.
    #[error("a batch has at most {BATCH_ITEMS_MAX} requests, got {items}")]
    TooManyItems {
        /// Number of items asked for.
        items: usize,
    },
}

/// One payload for each example.
pub(super) fn singles(examples: &[pb::EvaluateRefundRequest]) -> Result<Vec<Payload>, PayloadError> {
    let single = |(index, example): (usize, &pb::EvaluateRefundRequest)| match example.encoded_len() {
        bytes if EVALUATION_MESSAGE_BYTES_MAX < bytes => Err(PayloadError::TooLarge { index, bytes }),
        _ => Ok(Payload { frame: framed(example), examples: vec![index] }),
    };
    filled(examples.iter().enumerate().map(single).collect::<Result<_, _>>()?)
}

/// Batches of so many: one goes on where the one before ended, around and around.
pub(super) fn batches(examples: &[pb::EvaluateRefundRequest], items: usize) -> Result<Vec<Payload>, PayloadError> {
    if BATCH_ITEMS_MAX < items {
        return Err(PayloadError::TooManyItems { items });
    }
    singles(examples)?;
    let batch = |first: usize| {
        let numbered = || examples.iter().enumerate().cycle().skip(first).take(items);
        let batch = pb::BatchEvaluateRefundRequest { requests: numbered().map(|(_, it)| it.clone()).collect() };
        match batch.encoded_len() {
            bytes if MATERIAL_MESSAGE_BYTES_MAX < bytes => Err(PayloadError::BatchTooLarge { items, bytes }),
            _ => Ok(Payload { frame: framed(&batch), examples: numbered().map(|(index, _)| index).collect() }),
        }
    };
    let firsts = (0..examples.len().min(BATCHES_MAX)).map(|number| number * items % examples.len());
    filled(firsts.map(batch).collect::<Result<_, _>>()?)
}

fn filled(payloads: Vec<Payload>) -> Result<Vec<Payload>, PayloadError> {
    if payloads.is_empty() { Err(PayloadError::NoExample) } else { Ok(payloads) }
}

/// A message with its head. The lengths are checked before, so they fit.
fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.put_slice(&message.encode_to_vec());
    frame.freeze()
}

/// Reads the one message of a body; nothing where it is cut, compressed or another message.
pub(super) fn unframed<M: Message + Default>(body: &Bytes) -> Option<M> {
    let (head, message) = (body.get(..HEAD_BYTES)?, body.slice_ref(body.get(HEAD_BYTES..)?));
    let (flag, length) = head.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if *flag != 0 || usize::try_from(length) != Ok(message.len()) {
        return None;
    }
    M::decode(message).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response() -> pb::EvaluateRefundResponse {
        let mut response = pb::EvaluateRefundResponse {
            decision_id: "d-1".into(),
            request_id: "r-1".into(),
            policy: Some(pb::PolicyRef {
                policy_id: "standard".into(),
                version: "v1".into(),
                digest: "blake3:aa".into(),
                generation: 7,
                effective_from: None,
                engine_revision: 1,
            }),
            ..pb::EvaluateRefundResponse::default()
        };
        response.set_outcome(pb::Outcome::Denied);
        response
    }

    #[test]
    fn what_is_looked_at_is_read_from_the_whole_message() {
        let answer: Answer = unframed(&framed(&response())).unwrap();
        let expected = Saying { version: b"v1", digest: b"blake3:aa", generation: 7, outcome: 5, decision_id: b"d-1" };
        assert_eq!(answer.saying(), Some(expected));
    }

    #[test]
    fn a_batch_is_held_to_its_one_generation() {
        let items = [
            pb::batch_item::Answer::Response(response()),
            pb::batch_item::Answer::Error(pb::BatchError { code: 5, ..pb::BatchError::default() }),
        ];
        let batch = pb::BatchEvaluateRefundResponse {
            items: items.map(|answer| pb::BatchItem { answer: Some(answer) }).to_vec(),
            generation: 7,
            digest: "blake3:aa".into(),
        };
        let answer: BatchAnswer = unframed(&framed(&batch)).unwrap();
        let saying = answer.items[0].response.as_ref().unwrap().saying().unwrap();
        assert!(answer.covers(&saying));
        assert!(!answer.covers(&Saying { generation: 8, ..saying }));
        assert!(!answer.covers(&Saying { digest: b"blake3:bb", ..saying }));
        assert_eq!(answer.items[1].error.as_ref().map(|error| error.code), Some(5));
    }

    #[test]
    fn a_cut_body_is_no_answer() {
        let whole = framed(&response());
        assert_eq!(unframed::<Answer>(&whole.slice(..whole.len() - 1)), None);
        assert_eq!(unframed::<Answer>(&whole.slice(..3)), None);
        assert_eq!(unframed::<Answer>(&Bytes::new()), None);
        let mut compressed = whole.to_vec();
        compressed[0] = 1;
        assert_eq!(unframed::<Answer>(&compressed.into()), None);
    }

    #[test]
    fn batches_go_round_and_are_bounded() {
        let examples = ["a", "b", "c"]
            .map(|id| pb::EvaluateRefundRequest { request_id: id.into(), ..pb::EvaluateRefundRequest::default() });
        let payloads = batches(&examples, 4).unwrap();
        assert_eq!(payloads.iter().map(|it| it.examples.clone()).collect::<Vec<_>>()[1], [1, 2, 0, 1]);
        let sent: pb::BatchEvaluateRefundRequest = unframed(&payloads[1].frame).unwrap();
        assert_eq!(sent.requests.iter().map(|it| it.request_id.as_str()).collect::<Vec<_>>(), ["b", "c", "a", "b"]);
        let large = pb::EvaluateRefundRequest { request_id: "x".repeat(60_000), ..examples[0].clone() };
        assert!(matches!(
            batches(std::slice::from_ref(&large), 20),
            Err(PayloadError::BatchTooLarge { items: 20, .. })
        ));
        let larger = pb::EvaluateRefundRequest { request_id: "x".repeat(270_000), ..large };
        assert!(matches!(singles(&[larger]), Err(PayloadError::TooLarge { index: 0, .. })));
        assert_eq!(singles(&[]).unwrap_err(), PayloadError::NoExample);
        assert_eq!(batches(&examples, 1_001).unwrap_err(), PayloadError::TooManyItems { items: 1_001 });
    }
}
