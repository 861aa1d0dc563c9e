//! Files with secrets: read whole, bounded, and only where nobody else can read them.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Users besides its owner that may be able to read a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Readers {
    /// Nobody: neither its group nor others.
    OwnerOnly,
    /// Its group.
    Group,
    /// Everyone: it holds no secret.
    Everyone,
}

/// Reason that a file is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// It is a directory, a pipe, a device.
    #[error("`{}` is not a file", path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// It holds a secret that others can read.
    #[error("`{}` can be read by others than its owner: its mode is {mode:03o}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is above its bound.
    #[error("`{}` is larger than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        bytes_max: usize,
    },
}

impl FileError {
    /// Advice on the error.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Exposed { path, mode: _ } => Some(format!("run `chmod 600 {}`", path.display())),
            Self::Unreadable { .. } | Self::NotAFile { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// Reads a file to its end.
pub(crate) fn read(path: &Path, readers: Readers, bytes_max: usize) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    // Opening a pipe would otherwise wait for someone to write into it.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    let mode = metadata.permissions().mode() & 0o777;
    let too_open = match readers {
        Readers::OwnerOnly => mode & 0o077,
        Readers::Group => mode & 0o027,
        Readers::Everyone => 0,
    };
    if too_open != 0 {
        return Err(FileError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    let bound = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes_max < bytes.len() {
        return Err(FileError::TooLarge { path: path.to_owned(), bytes_max });
    }
    Ok(bytes)
}

/// Hash of files as last read, to detect a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fingerprint(blake3::Hash);

impl Fingerprint {
    /// Of these files, or of why they cannot be read.
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = &'a Result<Vec<u8>, FileError>>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for file in files {
            let (kind, bytes) = match file {
                Ok(bytes) => (b"+", Cow::Borrowed(bytes.as_slice())),
                Err(error) => (b"-", Cow::Owned(error.to_string().into_bytes())),
            };
            hasher.update(kind).update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
        }
        Self(hasher.finalize())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "12345").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_way_out() {
        for mode in [0o640, 0o604, 0o660, 0o601, 0o777] {
            let (_dir, path) = write(mode);
            let error = read(&path, Readers::OwnerOnly, 10).unwrap_err();
            assert!(matches!(error, FileError::Exposed { mode: found, .. } if found == mode), "{error}");
            assert_eq!(error.help(), Some(format!("run `chmod 600 {}`", path.display())));
        }
        for mode in [0o600, 0o400] {
            let (_dir, path) = write(mode);
            assert_eq!(read(&path, Readers::OwnerOnly, 10).unwrap(), b"12345");
        }
    }

    #[test]
    fn a_key_may_be_for_its_group_and_a_certificate_for_everyone() {
        let (_dir, path) = write(0o640);
        assert!(read(&path, Readers::Group, 10).is_ok());
        let (_dir, path) = write(0o644);
        assert!(read(&path, Readers::Group, 10).is_err());
        assert!(read(&path, Readers::Everyone, 10).is_ok());
    }

    #[test]
    fn only_files_within_the_bound_are_read() {
        let (dir, path) = write(0o600);
        assert!(read(&path, Readers::OwnerOnly, 5).is_ok());
        assert!(matches!(read(&path, Readers::OwnerOnly, 4), Err(FileError::TooLarge { .. })));
        assert!(matches!(read(dir.path(), Readers::OwnerOnly, 4), Err(FileError::NotAFile { .. })));
        assert!(matches!(read(&dir.path().join("x"), Readers::OwnerOnly, 4), Err(FileError::Unreadable { .. })));
        let fifo = dir.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert!(matches!(read(&fifo, Readers::OwnerOnly, 4), Err(FileError::NotAFile { .. })));
    }
}
