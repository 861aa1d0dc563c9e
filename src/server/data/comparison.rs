//! The two ways from the bytes of a request to the bytes of its answer, each by itself.
//!
//! The server takes the fast path where it can and the slow one for all else. Tests and fuzzers hold
//! the two against each other here: where the fast path answers, the slow one gives the same bytes.

use prost::Message as _;
use tonic::Status;

use crate::api::decode::decode;
use crate::api::pb;
use crate::engine::snapshot::Snapshot;
use crate::server::data::evaluation::{self, Scratch};
use crate::server::fast_path::writer::Writer;

/// Answers `EvaluateRefundRequest` messages from their bytes, one after the other in the same memory, as
/// items of a batch are. `None` for each that needs the slow path, and then nothing is written.
#[must_use]
pub fn fast<'m>(snapshot: &'m Snapshot, messages: &[&'m [u8]]) -> Vec<Option<Vec<u8>>> {
    let mut scratch = Scratch::new(snapshot);
    let answer = |message: &&'m [u8]| {
        let mut bytes = Vec::new();
        scratch.answer(message, &mut Writer::at_end_of(&mut bytes)).map(|_| bytes)
    };
    messages.iter().map(answer).collect()
}

/// Answers an `EvaluateRefundRequest` by decoding it: its lists are counted, then it is decoded,
/// converted, checked against the plan, and decided.
///
/// # Errors
///
/// The status that the caller of the server would get.
pub fn slow(snapshot: &Snapshot, message: &[u8]) -> Result<Vec<u8>, Status> {
    let request = decode::<pb::EvaluateRefundRequest>(message)?;
    Ok(evaluation::answer(snapshot, &request)?.response.encode_to_vec())
}
