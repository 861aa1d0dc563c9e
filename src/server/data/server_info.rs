//! `GetServerInfo`: what is in force, written once for each generation. It names every word of every policy, so
//! writing it takes long beside a decision, and the same bytes answer all who ask.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;

use crate::api::errors::Failure;
use crate::engine::snapshot::Snapshot;
use crate::server::data::evaluation;
use crate::server::transport::unary::Answer;

/// The answer for the latest generation that was asked about.
#[derive(Clone, Debug, Default)]
pub(crate) struct InfoWritten(Arc<Mutex<Option<EncodedInfo>>>);

#[derive(Debug)]
struct EncodedInfo {
    generation: u64,
    /// The message and its prefix.
    framed: Bytes,
}

impl InfoWritten {
    /// The answer about a snapshot: the message and its prefix.
    pub(crate) fn of(&self, snapshot: &Snapshot) -> Result<Bytes, Failure> {
        let generation = snapshot.generation;
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match latest.as_ref() {
            Some(written) if written.generation == generation => return Ok(written.framed.clone()),
            // Somebody has looked just before another one came into force.
            Some(written) if generation < written.generation => return write(snapshot),
            Some(_) | None => {}
        }
        let framed = write(snapshot)?;
        *latest = Some(EncodedInfo { generation, framed: framed.clone() });
        Ok(framed)
    }
}

fn write(snapshot: &Snapshot) -> Result<Bytes, Failure> {
    let mut answer = Answer::with_room_for(1);
    answer.writer().fields(&evaluation::server_info(snapshot));
    // As large as the policies are: no request makes it larger.
    answer.into_framed()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::api::pb;
    use crate::engine::admit::admit;
    use crate::engine::open;
    use crate::policy::bundle::{Bundle, BundleFile};
    use crate::server::transport::unary::MESSAGE_PREFIX_BYTES;
    use crate::source::embedded;

    fn read(framed: &Bytes) -> pb::GetServerInfoResponse {
        pb::GetServerInfoResponse::decode(framed.slice(MESSAGE_PREFIX_BYTES..)).unwrap()
    }

    #[test]
    fn it_is_written_once_for_each_generation_and_says_what_is_in_force() {
        let bundle = embedded::read().unwrap();
        let (engine, mut activator) = open(admit(&bundle).unwrap());
        let info = InfoWritten::default();
        let first = Arc::clone(&engine.current());
        let written = info.of(&first).unwrap();
        assert_eq!(read(&written), evaluation::server_info(&first));
        assert_eq!(info.of(&first).unwrap().as_ptr(), written.as_ptr(), "the same bytes");
        let files = bundle.files().iter().map(|file| BundleFile {
            path: file.path.clone(),
            bytes: [b"# changed\n", file.bytes.as_slice()].concat(),
        });
        let changed = admit(&Bundle::new(files.collect()).unwrap()).unwrap();
        activator.activate(&first, changed).unwrap();
        let second = Arc::clone(&engine.current());
        assert_eq!(read(&info.of(&second).unwrap()), evaluation::server_info(&second));
        assert_ne!(first.generation, second.generation);
        assert_eq!(read(&info.of(&first).unwrap()), evaluation::server_info(&first));
        assert_eq!(read(&info.of(&second).unwrap()), evaluation::server_info(&second));
    }
}
