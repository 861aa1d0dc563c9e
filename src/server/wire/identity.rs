//! The identity of a decision: what it follows from, and nothing else.

use prost::{EncodeError, Message};

use crate::decision::ENGINE_REVISION;
use crate::engine::snapshot::Snapshot;
use crate::plan::Plan;

/// The inputs of decisions by one policy, side by side. Parts are preceded by their lengths, so that no two requests
/// read the same.
#[derive(Debug)]
pub(crate) struct Identity {
    parts: Vec<u8>,
    /// Number of leading bytes that are the same for every request.
    of_policy: usize,
}

/// 128 bits, so that no two ids ever meet.
pub(crate) const DECISION_ID_BYTES: usize = 16;

/// Room for what a usual decision follows from.
const USUAL_BYTES: usize = 1024;

impl Identity {
    /// That of decisions by a policy. A request is still to be added.
    pub(crate) fn new(snapshot: &Snapshot, plan: &Plan) -> Self {
        let mut identity = Self { parts: Vec::with_capacity(USUAL_BYTES), of_policy: 0 };
        identity.parts.extend_from_slice(b"requite decision 2\n");
        identity.parts.extend_from_slice(&ENGINE_REVISION.to_le_bytes());
        identity.part(snapshot.digest.bytes());
        identity.part(plan.id.as_bytes());
        identity.of_policy = identity.parts.len();
        identity
    }

    /// Begins with a request of this id, whose order and claim are added after it. Another request is gone.
    pub(crate) fn begin(&mut self, request_id: &str) {
        self.parts.truncate(self.of_policy);
        self.part(request_id.as_bytes());
    }

    /// Adds a part.
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        self.parts.extend_from_slice(&length(bytes.len()));
        self.parts.extend_from_slice(bytes);
    }

    /// Adds a message as the part of its bytes.
    pub(crate) fn message(&mut self, message: &impl Message) -> Result<(), EncodeError> {
        let begins = self.parts.len();
        self.parts.extend_from_slice(&length(0));
        message.encode(&mut self.parts)?;
        // Only now it is known how long it is.
        if let Some((before, bytes)) = self.parts.get_mut(begins..).and_then(|part| part.split_first_chunk_mut()) {
            *before = length(bytes.len());
        }
        Ok(())
    }

    /// The id that answers have.
    pub(crate) fn id(&self) -> [u8; DECISION_ID_BYTES] {
        blake3::hash(&self.parts).as_bytes().first_chunk().copied().unwrap_or_default()
    }
}

/// A length as it stands before a part.
fn length(bytes: usize) -> [u8; 8] {
    (bytes as u64).to_le_bytes()
}
