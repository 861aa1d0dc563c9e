//! A bundle as one file: the very bytes that its digest is the hash of.
//!
//! So a file proves itself: what is read back is a bundle, and its digest is the one that was asked
//! for, or it is not the file. `b3sum` prints the same digest.

use crate::domain::limits::{BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX};
use crate::policy::bundle::{Bundle, BundleError, BundleFile, Digest};

/// First line of every such file, and of the bytes that the digest hashes.
const HEAD: &[u8] = b"requite bundle 1\n";

/// Two lengths and a path, in bytes, for each file beside its content.
const FRAME_BYTES_MAX: usize = 16 + 4096;

/// Largest file of a bundle, in bytes.
pub const ARCHIVE_BYTES_MAX: usize = HEAD.len() + BUNDLE_BYTES_MAX + BUNDLE_FILES_MAX * FRAME_BYTES_MAX;

/// Reason that a file is not the bundle asked for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is cut, or something else altogether.
    #[error("it is not a whole bundle: expected {expected} at byte {at}")]
    Cut {
        /// Expected content.
        expected: &'static str,
        /// Offset in bytes.
        at: usize,
    },
    /// Its files are no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// It is another bundle, or a damaged one.
    #[error("its content is {0}")]
    Other(Digest),
}

/// The bytes of a bundle.
#[must_use]
pub fn write(bundle: &Bundle) -> Vec<u8> {
    let content: usize = bundle.files().iter().map(|file| 16 + file.path.len() + file.bytes.len()).sum();
    let mut bytes = Vec::with_capacity(HEAD.len() + content);
    bytes.extend_from_slice(HEAD);
    for file in bundle.files() {
        for part in [file.path.as_bytes(), &file.bytes] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

/// The bundle of this digest, from its bytes.
pub fn read(bytes: &[u8], digest: Digest) -> Result<Bundle, ArchiveError> {
    let mut rest = Rest { all: bytes, left: bytes };
    if rest.take(HEAD.len(), "its first line")? != HEAD {
        return Err(ArchiveError::Cut { expected: "its first line", at: 0 });
    }
    let mut files = Vec::new();
    while !rest.left.is_empty() && files.len() <= BUNDLE_FILES_MAX {
        let path = rest.part("a path")?;
        let path = std::str::from_utf8(path)
            .map_err(|_| ArchiveError::Cut { expected: "a path in UTF-8", at: rest.at() - path.len() })?
            .to_owned();
        files.push(BundleFile { path, bytes: rest.part("the content of a file")?.to_vec() });
    }
    let bundle = Bundle::new(files)?;
    if bundle.digest() == digest { Ok(bundle) } else { Err(ArchiveError::Other(bundle.digest())) }
}

/// Bytes that are not read yet.
struct Rest<'b> {
    all: &'b [u8],
    left: &'b [u8],
}

impl<'b> Rest<'b> {
    const fn at(&self) -> usize {
        self.all.len() - self.left.len()
    }

    fn take(&mut self, count: usize, expected: &'static str) -> Result<&'b [u8], ArchiveError> {
        let (taken, left) = self.left.split_at_checked(count).ok_or(ArchiveError::Cut { expected, at: self.at() })?;
        self.left = left;
        Ok(taken)
    }

    fn part(&mut self, expected: &'static str) -> Result<&'b [u8], ArchiveError> {
        let at = self.at();
        let length = self.take(8, "a length")?;
        let length = <[u8; 8]>::try_from(length).map(u64::from_le_bytes).ok().and_then(|it| usize::try_from(it).ok());
        self.take(length.ok_or(ArchiveError::Cut { expected: "a length", at })?, expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let file = |path: &str, text: &str| BundleFile { path: path.to_owned(), bytes: text.into() };
        Bundle::new(vec![file("a.policy.yaml", "policy: a\n"), file("calendars/cn.yaml", ""), file("z", "é")]).unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_its_hash_is_the_digest() {
        let bytes = write(&bundle());
        assert_eq!(read(&bytes, bundle().digest()), Ok(bundle()));
        assert_eq!(blake3::hash(&bytes).as_bytes(), bundle().digest().bytes());
        assert!(bytes.len() <= ARCHIVE_BYTES_MAX);
    }

    #[test]
    fn no_cut_and_no_flipped_bit_is_taken_for_the_bundle() {
        let bytes = write(&bundle());
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length], bundle().digest()).is_err(), "cut at {length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged, bundle().digest()).is_err(), "bit {bit}");
        }
        let longer = [bytes.as_slice(), b"\0"].concat();
        assert!(read(&longer, bundle().digest()).is_err());
    }

    #[test]
    fn lengths_beyond_the_end_are_errors_and_reserve_nothing() {
        let mut bytes = HEAD.to_vec();
        bytes.extend(u64::MAX.to_le_bytes());
        let expected = ArchiveError::Cut { expected: "a path", at: HEAD.len() + 8 };
        assert_eq!(read(&bytes, bundle().digest()), Err(expected));
    }
}
