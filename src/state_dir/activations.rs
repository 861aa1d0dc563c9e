//! The history of activations over restarts, as a small file with a checksum.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;
use crate::engine::activations::{ACTIVATIONS_BYTES_MAX, ACTIVATIONS_MAX, WITHDRAWN_MAX};
use crate::engine::activations::{Activated, Activations, PolicyVersion, Withdrawal};
use crate::policy::bundle::Digest;
use crate::state_dir::checksummed::{self, ChecksumError};
use crate::telemetry::labels::ReloadTrigger;

/// First words of the file, before the hash.
const HEAD: &str = "requite activations 1";

/// Names, digests and moments of one entry or withdrawal, in bytes, beside its texts.
const FRAME_BYTES_MAX: usize = 3 * 1024;

/// Largest file, in bytes: a byte of text is six as JSON at most, and each withdrawal has texts like an entry.
pub const FILE_BYTES_MAX: usize = 6 * ACTIVATIONS_BYTES_MAX + (ACTIVATIONS_MAX + 2 * WITHDRAWN_MAX) * FRAME_BYTES_MAX;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActivationsFile {
    activations: Vec<Entry>,
    withdrawn: Vec<Mark>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    number: u64,
    generation: u64,
    digest: String,
    /// Absent where it was not known, and in files of versions that knew none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    semantic: Option<String>,
    before: Option<String>,
    /// Absent: it did not fall back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fallback: Option<bool>,
    policies: Vec<Policy>,
    further_policies: usize,
    trigger: String,
    actor: String,
    reason: String,
    at: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    id: String,
    version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    digest: String,
    /// Absent where it was not known, and in files of versions that knew none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    semantic: Option<String>,
    at: String,
    actor: String,
    reason: String,
}

/// The bytes of a history.
pub fn write(history: &Activations) -> Result<Vec<u8>, ChecksumError> {
    let entry = |activated: &Activated| {
        let Activated { number, generation, digest, semantic, before, fallback, policies, .. } = activated;
        let Activated { further_policies, trigger, actor, reason, at, .. } = activated;
        let policy =
            |PolicyVersion { id, version }: &PolicyVersion| Policy { id: id.clone(), version: version.clone() };
        Entry {
            number: *number,
            generation: *generation,
            digest: digest.to_string(),
            semantic: semantic.map(|semantic| semantic.to_string()),
            before: before.map(|before| before.to_string()),
            fallback: fallback.then_some(true),
            policies: policies.iter().map(policy).collect(),
            further_policies: *further_policies,
            trigger: trigger.as_str().to_owned(),
            actor: actor.clone(),
            reason: reason.clone(),
            at: at.to_string(),
        }
    };
    let mark = |Withdrawal { digest, semantic, at, actor, reason }: &Withdrawal| Mark {
        digest: digest.to_string(),
        semantic: semantic.map(|semantic| semantic.to_string()),
        at: at.to_string(),
        actor: actor.clone(),
        reason: reason.clone(),
    };
    let written = ActivationsFile {
        activations: history.entries().map(entry).collect(),
        withdrawn: history.withdrawn().iter().map(mark).collect(),
    };
    checksummed::write(HEAD, &written)
}

/// The history in these bytes.
pub fn read(bytes: &[u8]) -> Result<Activations, ChecksumError> {
    let ActivationsFile { activations, withdrawn } = checksummed::read(HEAD, bytes)?;
    let entries = activations.into_iter().map(activated).collect::<Result<_, _>>()?;
    let withdrawn = withdrawn.into_iter().map(withdrawal).collect::<Result<_, _>>()?;
    Ok(Activations::kept(entries, withdrawn))
}

fn activated(entry: Entry) -> Result<Activated, ChecksumError> {
    let Entry { number, generation, digest, semantic, before, fallback, policies, further_policies, .. } = entry;
    let Entry { trigger, actor, reason, at, .. } = entry;
    Ok(Activated {
        number,
        generation,
        digest: digest_of(digest)?,
        semantic: semantic.map(checksummed::semantic_of).transpose()?,
        before: before.map(digest_of).transpose()?,
        fallback: fallback.unwrap_or(false),
        policies: policies.into_iter().map(|Policy { id, version }| PolicyVersion { id, version }).collect(),
        further_policies,
        trigger: ReloadTrigger::of_slug(&trigger).ok_or(ChecksumError::Value(trigger, "trigger"))?,
        actor,
        reason,
        at: moment_of(at)?,
    })
}

fn withdrawal(mark: Mark) -> Result<Withdrawal, ChecksumError> {
    let Mark { digest, semantic, at, actor, reason } = mark;
    let semantic = semantic.map(checksummed::semantic_of).transpose()?;
    Ok(Withdrawal { digest: digest_of(digest)?, semantic, at: moment_of(at)?, actor, reason })
}

fn digest_of(text: String) -> Result<Digest, ChecksumError> {
    text.parse().map_err(|_| ChecksumError::Value(text, "digest"))
}

fn moment_of(text: String) -> Result<Timestamp, ChecksumError> {
    Timestamp::parse(&text).ok_or(ChecksumError::Value(text, "time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::activations::ENTRY_POLICIES_MAX;
    use crate::policy::bundle::{Bundle, BundleFile};
    use crate::policy::diff::Content;

    fn digest(text: &str) -> Digest {
        Bundle::new(vec![BundleFile { path: "a".into(), bytes: text.into() }]).unwrap().digest()
    }

    fn content(text: &str) -> Content {
        Content::of(&Bundle::new(vec![BundleFile { path: "a".into(), bytes: text.into() }]).unwrap())
    }

    fn entry(number: u64, text: &str) -> Activated {
        Activated {
            number,
            generation: number,
            digest: digest("b"),
            semantic: (number != 1).then(|| content("b").semantic).flatten(),
            fallback: number == 1,
            before: (number != 1).then(|| digest("a")),
            policies: vec![PolicyVersion { id: "workshop".into(), version: "2 \"b\"".into() }],
            further_policies: 3,
            trigger: ReloadTrigger::Rollback,
            actor: text.to_owned(),
            reason: text.to_owned(),
            at: Timestamp::from_unix(1_800_000_000, 5).unwrap(),
        }
    }

    fn history() -> Activations {
        let Content { digest, semantic } = content("b");
        let (at, actor, reason) = (Timestamp::EPOCH, "ops".to_owned(), "too dear".to_owned());
        let mark = Withdrawal { digest, semantic, at, actor, reason };
        Activations::kept(vec![entry(2, "\u{202e}\n"), entry(1, "")], vec![mark])
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&write(&history()).unwrap()).unwrap(), history());
    }

    #[test]
    fn no_cut_and_no_flipped_bit_is_a_history() {
        let bytes = write(&history()).unwrap();
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "cut at {length}");
        }
        for byte in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[byte] ^= 1;
            assert!(read(&damaged).is_err(), "byte {byte}");
        }
    }

    #[test]
    fn the_longest_history_is_within_the_bound_of_its_file() {
        let worst = "\u{1}".repeat(256);
        let entries = (0..ACTIVATIONS_MAX as u64).map(|number| Activated {
            policies: vec![PolicyVersion { id: "\u{1}".repeat(64), version: worst.clone() }; ENTRY_POLICIES_MAX],
            ..entry(number, &worst)
        });
        let mark = |number: usize| Withdrawal {
            digest: digest(&number.to_string()),
            semantic: history().withdrawn()[0].semantic,
            at: Timestamp::EPOCH,
            actor: worst.clone(),
            reason: worst.clone(),
        };
        let history = Activations::kept(entries.collect(), (0..WITHDRAWN_MAX).map(mark).collect());
        let bytes = write(&history).unwrap().len();
        assert!(bytes <= FILE_BYTES_MAX, "{bytes} of {FILE_BYTES_MAX}");
    }
}
