//! Small files with a checksum: a first line with the hash of the rest, then JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::policy::diff::SemanticDigest;

/// Error of a file with a checksum.
#[derive(Debug, thiserror::Error)]
pub enum ChecksumError {
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

/// The bytes of a file that begins with these words.
pub fn write(head: &str, content: &impl Serialize) -> Result<Vec<u8>, ChecksumError> {
    let mut json = serde_json::to_string_pretty(content)?;
    json.push('\n');
    Ok(format!("{head} blake3:{}\n{json}", blake3::hash(json.as_bytes()).to_hex()).into_bytes())
}

/// The content of a file that must begin with these words.
pub fn read<T: DeserializeOwned>(head: &str, bytes: &[u8]) -> Result<T, ChecksumError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ChecksumError::Damaged)?;
    let rest = text.strip_prefix(head).and_then(|rest| rest.strip_prefix(" blake3:"));
    let (hash, json) = rest.and_then(|rest| rest.split_once('\n')).ok_or(ChecksumError::Damaged)?;
    if *hash != *blake3::hash(json.as_bytes()).to_hex() {
        return Err(ChecksumError::Damaged);
    }
    Ok(serde_json::from_str(json)?)
}

/// The identity of what a bundle says, as such a file holds it.
pub fn semantic_of(text: String) -> Result<SemanticDigest, ChecksumError> {
    text.parse().map_err(|_| ChecksumError::Value(text, "digest of what policies say"))
}
