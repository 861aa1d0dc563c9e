//! A bundle: all policy texts fetched together, with one digest.

use std::fmt;
use std::str::FromStr;

use crate::domain::limits::{BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX, FILE_BYTES_MAX};

/// One file of a bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BundleFile {
    /// Its path within the bundle, with `/` between the parts: `calendars/cn.yaml`.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// All policy texts fetched together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bundle {
    files: Vec<BundleFile>,
    digest: Digest,
}

/// The identity of a bundle's content: the same files with the same bytes have the same digest,
/// on every machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Error of files that are not a bundle.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BundleError {
    /// There is no file.
    #[error("the bundle is empty: it needs at least one policy file, `NAME.policy.yaml`")]
    Empty,
    /// One path stands twice.
    #[error("the bundle holds `{0}` twice")]
    DuplicatePath(String),
    /// More than [`BUNDLE_FILES_MAX`] files.
    #[error("the bundle holds {0} files, at most {BUNDLE_FILES_MAX} are allowed")]
    TooManyFiles(usize),
    /// A file of more than [`FILE_BYTES_MAX`] bytes.
    #[error("`{path}` has {bytes} bytes, at most {FILE_BYTES_MAX} are allowed")]
    FileTooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: usize,
    },
    /// More than [`BUNDLE_BYTES_MAX`] bytes together.
    #[error("the bundle has {0} bytes, at most {BUNDLE_BYTES_MAX} are allowed")]
    TooLarge(usize),
}

impl Bundle {
    /// A bundle of these files, in whatever order they come.
    pub fn new(mut files: Vec<BundleFile>) -> Result<Self, BundleError> {
        if files.is_empty() {
            return Err(BundleError::Empty);
        }
        if files.len() > BUNDLE_FILES_MAX {
            return Err(BundleError::TooManyFiles(files.len()));
        }
        if let Some(file) = files.iter().find(|file| file.bytes.len() > FILE_BYTES_MAX) {
            return Err(BundleError::FileTooLarge { path: file.path.clone(), bytes: file.bytes.len() });
        }
        let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
        if bytes > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLarge(bytes));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        if let Some(path) = files.windows(2).find_map(|pair| match pair {
            [a, b] if a.path == b.path => Some(a.path.clone()),
            _ => None,
        }) {
            return Err(BundleError::DuplicatePath(path));
        }
        let digest = digest_of(&files);
        Ok(Self { files, digest })
    }

    /// The files, sorted by path.
    #[must_use]
    pub fn files(&self) -> &[BundleFile] {
        &self.files
    }

    /// The size of all files together, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.files.iter().map(|file| file.bytes.len()).sum()
    }

    /// The file of this path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&BundleFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The identity of the content.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

/// Lengths are hashed before contents, so that no two bundles read the same.
fn digest_of(files: &[BundleFile]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"requite bundle 1\n");
    for file in files {
        for part in [file.path.as_bytes(), &file.bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    Digest(*hasher.finalize().as_bytes())
}

impl Digest {
    /// The 32 bytes of the hash.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A text that is no digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected `blake3:` and 64 hex digits")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    /// Reads what `Display` writes, and nothing else: small letters, the prefix in front.
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let hex = text.strip_prefix("blake3:").ok_or(NotADigest)?;
        let hash = blake3::Hash::from_hex(hex).map_err(|_| NotADigest)?;
        let digest = Self(*hash.as_bytes());
        if hex.bytes().any(|byte| byte.is_ascii_uppercase()) { Err(NotADigest) } else { Ok(digest) }
    }
}

impl fmt::Display for Digest {
    /// `blake3:` and 64 hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> BundleFile {
        BundleFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn the_digest_depends_on_content_and_not_on_order() {
        let ab = Bundle::new(vec![file("a", "1"), file("b", "2")]).unwrap();
        let ba = Bundle::new(vec![file("b", "2"), file("a", "1")]).unwrap();
        let moved = Bundle::new(vec![file("a", "12"), file("b", "")]).unwrap();
        assert_eq!(ab.digest(), ba.digest());
        assert_ne!(ab.digest(), moved.digest());
    }

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = Bundle::new(vec![file("a", "1")]).unwrap().digest();
        let text = digest.to_string();
        assert_eq!(text.parse(), Ok(digest));
        for wrong in [text.to_uppercase(), text.replace("blake3:", ""), text.replace(':', ":0"), String::new()] {
            assert_eq!(wrong.parse::<Digest>(), Err(NotADigest), "{wrong}");
        }
    }

    #[test]
    fn an_empty_bundle_is_an_error() {
        assert_eq!(Bundle::new(vec![]), Err(BundleError::Empty));
    }

    #[test]
    fn a_path_stands_once() {
        assert_eq!(Bundle::new(vec![file("a", "1"), file("a", "1")]), Err(BundleError::DuplicatePath("a".into())));
    }
}
