//! What is remembered of a revision over restarts, as a small file that proves itself: a first line
//! with the hash of the rest, then JSON.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;
use crate::engine::history::Kept;
use crate::engine::status::{KnownGood, Revision};
use crate::policy::bundle::Digest;
use crate::telemetry::event::ReloadTrigger;

/// What every record begins with, before the hash.
const HEAD: &str = "requite record 1 blake3:";

/// Largest record, in bytes.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

/// Why a file is not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is cut, damaged, or something else altogether.
    #[error("it is cut or damaged: its first line does not hold the hash of the rest")]
    Damaged,
    /// It is whole and says something that this program does not know.
    #[error("it was not written by this program: {0}")]
    Json(#[from] serde_json::Error),
    /// One of its values cannot be one.
    #[error("it was not written by this program: `{0}` is no {1}")]
    Value(String, &'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    digest: String,
    place: u64,
    text_bytes: usize,
    activated_at: String,
    trigger: String,
    actor: String,
    known_good: bool,
}

/// The bytes of a record. The generation is not in it: it means nothing to another run.
pub fn write(kept: &Kept) -> Result<Vec<u8>, RecordError> {
    let Kept { revision, place, text_bytes, held: _ } = kept;
    let Revision { digest, generation: _, activated_at, trigger, actor, known_good } = revision;
    let written = Written {
        digest: digest.to_string(),
        place: *place,
        text_bytes: *text_bytes,
        activated_at: activated_at.to_string(),
        trigger: trigger.slug().to_owned(),
        actor: actor.clone(),
        known_good: *known_good == KnownGood::Yes,
    };
    let mut json = serde_json::to_string_pretty(&written)?;
    json.push('\n');
    Ok(format!("{HEAD}{}\n{json}", blake3::hash(json.as_bytes()).to_hex()).into_bytes())
}

/// The revision of a record, of an earlier run.
pub fn read(bytes: &[u8]) -> Result<Kept, RecordError> {
    let text = std::str::from_utf8(bytes).map_err(|_| RecordError::Damaged)?;
    let (hash, json) = text.strip_prefix(HEAD).and_then(|rest| rest.split_once('\n')).ok_or(RecordError::Damaged)?;
    if *hash != *blake3::hash(json.as_bytes()).to_hex() {
        return Err(RecordError::Damaged);
    }
    let Written { digest, place, text_bytes, activated_at, trigger, actor, known_good } = serde_json::from_str(json)?;
    let revision = Revision {
        digest: digest.parse::<Digest>().map_err(|_| RecordError::Value(digest, "digest"))?,
        generation: 0,
        activated_at: Timestamp::parse(&activated_at).ok_or(RecordError::Value(activated_at, "time"))?,
        trigger: ReloadTrigger::of_slug(&trigger).ok_or(RecordError::Value(trigger, "trigger"))?,
        actor,
        known_good: if known_good { KnownGood::Yes } else { KnownGood::NotYet },
    };
    Ok(Kept { revision, place, text_bytes, held: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::bundle::{Bundle, BundleFile};

    fn kept() -> Kept {
        let bundle = Bundle::new(vec![BundleFile { path: "a".into(), bytes: b"b".to_vec() }]).unwrap();
        let revision = Revision {
            digest: bundle.digest(),
            generation: 0,
            activated_at: Timestamp::from_unix(1_800_000_000, 123_456_789).unwrap(),
            trigger: ReloadTrigger::Rollback,
            actor: "ops \"night\" \n".into(),
            known_good: KnownGood::Yes,
        };
        Kept { revision, place: 7, text_bytes: 1, held: None }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = write(&kept()).unwrap();
        let read = read(&bytes).unwrap();
        assert_eq!((&read.revision, read.place, read.text_bytes), (&kept().revision, 7, 1));
    }

    #[test]
    fn no_cut_and_no_flipped_bit_is_a_record() {
        let bytes = write(&kept()).unwrap();
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "cut at {length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_whole_record_with_a_strange_word_is_named() {
        let json = String::from_utf8(write(&kept()).unwrap()).unwrap().split_once('\n').unwrap().1.to_owned();
        let json = json.replace("rollback", "whim");
        let bytes = format!("{HEAD}{}\n{json}", blake3::hash(json.as_bytes()).to_hex());
        assert_eq!(
            read(bytes.as_bytes()).unwrap_err().to_string(),
            "it was not written by this program: `whim` is no trigger"
        );
    }
}
