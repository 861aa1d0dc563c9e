//! Record of a revision over restarts, as a small file with a checksum.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;
use crate::engine::history::HistoryEntry;
use crate::engine::status::{KnownGood, Revision};
use crate::policy::bundle::Digest;
use crate::state_dir::checksummed::{self, ChecksumError};
use crate::telemetry::labels::ReloadTrigger;

/// First words of every record, before the hash.
const HEAD: &str = "requite record 1";

/// Largest record, in bytes.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordFile {
    digest: String,
    place: u64,
    /// Absent in records of versions that knew none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    semantic: Option<String>,
    text_bytes: usize,
    activated_at: String,
    trigger: String,
    actor: String,
    /// Absent where nobody gave one, and in records of versions that knew none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    known_good: bool,
}

/// The bytes of a record. The generation is not in it: it means nothing to another run.
pub fn write(kept: &HistoryEntry) -> Result<Vec<u8>, ChecksumError> {
    let HistoryEntry { revision, place, text_bytes, held: _ } = kept;
    let Revision { digest, semantic, generation: _, activated_at, trigger, actor, reason, known_good } = revision;
    let written = RecordFile {
        digest: digest.to_string(),
        place: *place,
        semantic: semantic.map(|semantic| semantic.to_string()),
        text_bytes: *text_bytes,
        activated_at: activated_at.to_string(),
        trigger: trigger.as_str().to_owned(),
        actor: actor.clone(),
        reason: reason.clone(),
        known_good: *known_good == KnownGood::Yes,
    };
    checksummed::write(HEAD, &written)
}

/// The revision of a record, of an earlier run.
pub fn read(bytes: &[u8]) -> Result<HistoryEntry, ChecksumError> {
    let RecordFile { digest, place, semantic, text_bytes, activated_at, trigger, actor, reason, known_good } =
        checksummed::read(HEAD, bytes)?;
    let revision = Revision {
        digest: digest.parse::<Digest>().map_err(|_| ChecksumError::Value(digest, "digest"))?,
        semantic: semantic.map(checksummed::semantic_of).transpose()?,
        generation: 0,
        activated_at: Timestamp::parse(&activated_at).ok_or(ChecksumError::Value(activated_at, "time"))?,
        trigger: ReloadTrigger::of_slug(&trigger).ok_or(ChecksumError::Value(trigger, "trigger"))?,
        actor,
        reason,
        known_good: if known_good { KnownGood::Yes } else { KnownGood::NotYet },
    };
    Ok(HistoryEntry { revision, place, text_bytes, held: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::bundle::{Bundle, BundleFile};
    use crate::policy::diff::Content;

    fn kept() -> HistoryEntry {
        let bundle = Bundle::new(vec![BundleFile { path: "a".into(), bytes: b"b".to_vec() }]).unwrap();
        let revision = Revision {
            digest: bundle.digest(),
            semantic: Content::of(&bundle).semantic,
            generation: 0,
            activated_at: Timestamp::from_unix(1_800_000_000, 123_456_789).unwrap(),
            trigger: ReloadTrigger::Rollback,
            actor: "ops \"night\" \n".into(),
            reason: "CR-1234: \u{202e}".into(),
            known_good: KnownGood::Yes,
        };
        HistoryEntry { revision, place: 7, text_bytes: 1, held: None }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = write(&kept()).unwrap();
        let read = read(&bytes).unwrap();
        assert_eq!((&read.revision, read.place, read.text_bytes), (&kept().revision, 7, 1));
        assert_eq!(read.content(), kept().content());
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
    fn a_record_of_a_version_that_knew_less_is_read() {
        let json = String::from_utf8(write(&kept()).unwrap()).unwrap().split_once('\n').unwrap().1.to_owned();
        let without: String = json
            .lines()
            .filter(|line| !line.contains("reason") && !line.contains("semantic"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_ne!(json, without);
        let bytes = format!("{HEAD} blake3:{}\n{without}", blake3::hash(without.as_bytes()).to_hex());
        let read = read(bytes.as_bytes()).unwrap();
        assert_eq!((read.revision.reason.as_str(), read.revision.semantic), ("", None));
    }

    #[test]
    fn a_whole_record_with_a_strange_word_is_named() {
        let json = String::from_utf8(write(&kept()).unwrap()).unwrap().split_once('\n').unwrap().1.to_owned();
        let json = json.replace("rollback", "whim");
        let bytes = format!("{HEAD} blake3:{}\n{json}", blake3::hash(json.as_bytes()).to_hex());
        assert_eq!(
            read(bytes.as_bytes()).unwrap_err().to_string(),
            "it was not written by this program: `whim` is no trigger"
        );
    }
}
