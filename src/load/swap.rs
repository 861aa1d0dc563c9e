//! Changes a policy file again and again while a server watches it, and puts it back.
//!
//! Only the label of the version changes, so every variant decides alike. A variant takes the place of
//! the file by rename, as editors save: the server never sees half of one.

use std::fs::{self, FileTimes};
use std::io;
use std::path::{Path, PathBuf};

/// Variants before the first comes again: bounds what is remembered of their digests.
const VARIANTS: u32 = 8;

/// Reasons why policies cannot be changed under load.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// Reading or writing failed.
    #[error("cannot change `{}` under load", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// There is no file whose label can be changed.
    #[error("`{}` holds no `*.policy.yaml` with a line `version: …` at its left margin", path.display())]
    NoPolicy {
        /// The directory.
        path: PathBuf,
    },
    /// Someone else saved the file meanwhile.
    #[error("`{}` was changed by someone else during the run; it is left as they saved it", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

/// A policy file that is being changed. Puts it back when dropped.
#[derive(Debug)]
pub struct Swap {
    path: PathBuf,
    original: Vec<u8>,
    times: FileTimes,
    /// The text before the label, the label, and the text after it.
    parts: (String, String, String),
    /// Current content of the file.
    current: Vec<u8>,
    made: u32,
}

impl Swap {
    /// Finds the first policy of a directory.
    pub fn new(directory: &Path) -> Result<Self, SwapError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SwapError::Io { path, source }
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed(directory))? {
            let path = entry.map_err(failed(directory))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.ends_with(".policy.yaml") && !name.starts_with('.') {
                files.push(path);
            }
        }
        files.sort();
        for path in files {
            // A rename would put a file in the place of a link, so it is done where the file is.
            let path = fs::canonicalize(&path).map_err(failed(&path))?;
            let original = fs::read(&path).map_err(failed(&path))?;
            let Some(parts) = std::str::from_utf8(&original).ok().and_then(label) else { continue };
            let metadata = fs::metadata(&path).map_err(failed(&path))?;
            let times = match metadata.modified() {
                Ok(modified) => FileTimes::new().set_modified(modified),
                Err(_) => FileTimes::new(),
            };
            return Ok(Self { path, current: original.clone(), original, times, parts, made: 0 });
        }
        Err(SwapError::NoPolicy { path: directory.to_owned() })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of variants written.
    #[must_use]
    pub const fn made(&self) -> u32 {
        self.made
    }

    /// Puts the next variant there.
    pub fn change(&mut self) -> Result<(), SwapError> {
        let (before, label, after) = &self.parts;
        let variant = format!("{before}\"{label} bench {}\"{after}", self.made % VARIANTS + 1);
        self.put(variant.into_bytes(), None)?;
        self.made += 1;
        Ok(())
    }

    /// Puts the file back as it was, with its time. Nothing is done where it is already.
    pub fn put_back(&mut self) -> Result<(), SwapError> {
        if self.current == self.original {
            return Ok(());
        }
        self.put(self.original.clone(), Some(self.times))
    }

    fn put(&mut self, bytes: Vec<u8>, times: Option<FileTimes>) -> Result<(), SwapError> {
        let path = &self.path;
        let failed = |source| SwapError::Io { path: path.clone(), source };
        if fs::read(path).map_err(failed)? != self.current {
            return Err(SwapError::Foreign { path: path.clone() });
        }
        // Hidden, so that nobody takes it for a policy.
        let next = path.with_file_name(format!(".requite-bench-{}.tmp", std::process::id()));
        let written = || {
            fs::write(&next, &bytes)?;
            fs::set_permissions(&next, fs::metadata(path)?.permissions())?;
            if let Some(times) = times {
                fs::File::options().write(true).open(&next)?.set_times(times)?;
            }
            fs::rename(&next, path)
        };
        if let Err(error) = written() {
            // It may not even be there; what failed first is what is told.
            let _ = fs::remove_file(&next);
            return Err(failed(error));
        }
        self.current = bytes;
        Ok(())
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // Whoever wants to know whether it works calls `put_back`.
        let _ = self.put_back();
    }
}

/// The text around the label of the version, and the label without quotes.
fn label(text: &str) -> Option<(String, String, String)> {
    const KEY: &str = "version:";
    let start = if text.starts_with(KEY) { 0 } else { text.find(&format!("\n{KEY}"))? + 1 };
    let (before, rest) = text.split_at_checked(start + KEY.len())?;
    let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
    let (value, after) = rest.split_at_checked(end)?;
    // A comment behind the value is no part of it.
    let value = value.split(" #").next().unwrap_or_default().trim();
    let bare = value.trim_matches(['"', '\'']);
    if bare.is_empty() || bare.contains(['"', '\\', '\'']) {
        return None;
    }
    Some((format!("{before} "), bare.to_owned(), after.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "# a shop\npolicy: shop\nversion: '7' # ours\ntimezone: UTC\n";

    fn directory(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("shop.policy.yaml");
        fs::write(&file, text).unwrap();
        (directory, file)
    }

    #[test]
    fn variants_differ_in_their_label_and_the_file_is_put_back_with_its_time() {
        let (directory, file) = directory(POLICY);
        let before = fs::metadata(&file).unwrap();
        let mut swap = Swap::new(directory.path()).unwrap();
        swap.change().unwrap();
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "# a shop\npolicy: shop\nversion: \"7 bench 1\"\ntimezone: UTC\n"
        );
        for _ in 0..8 {
            swap.change().unwrap();
        }
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "# a shop\npolicy: shop\nversion: \"7 bench 1\"\ntimezone: UTC\n"
        );
        assert_eq!(swap.made(), 9);
        drop(swap);
        assert_eq!(fs::read_to_string(&file).unwrap(), POLICY);
        let after = fs::metadata(&file).unwrap();
        assert_eq!(after.modified().unwrap(), before.modified().unwrap());
        assert_eq!(after.permissions(), before.permissions());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn what_someone_else_saved_is_never_overwritten() {
        let (directory, file) = directory(POLICY);
        let mut swap = Swap::new(directory.path()).unwrap();
        swap.change().unwrap();
        fs::write(&file, "version: theirs\n").unwrap();
        assert!(matches!(swap.change(), Err(SwapError::Foreign { .. })));
        assert!(matches!(swap.put_back(), Err(SwapError::Foreign { .. })));
        drop(swap);
        assert_eq!(fs::read_to_string(&file).unwrap(), "version: theirs\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let (real, file) = directory(POLICY);
        let mounted = tempfile::tempdir().unwrap();
        let link = mounted.path().join("shop.policy.yaml");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut swap = Swap::new(mounted.path()).unwrap();
        swap.change().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&link).unwrap().contains("bench 1"));
        swap.put_back().unwrap();
        assert_eq!(fs::read_to_string(real.path().join("shop.policy.yaml")).unwrap(), POLICY);
    }

    #[test]
    fn a_directory_without_a_label_is_told_so() {
        for text in ["policy: shop\n", "version:\n  a: b\n", "policy: shop\n  version: 1\n"] {
            let (directory, _file) = directory(text);
            assert!(matches!(Swap::new(directory.path()), Err(SwapError::NoPolicy { .. })), "{text}");
        }
        let missing = Path::new("/nowhere/at/all");
        assert!(matches!(Swap::new(missing), Err(SwapError::Io { .. })));
    }
}
