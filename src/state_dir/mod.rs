//! The state directory: revisions that were in force, kept over restarts.
//!
//! For each revision two files, named by its digest: the bundle, then the record that says when it
//! was in force and whether it is known as good. One more file holds the history of activations. Every file appears whole or not at
//! all: written beside its place, flushed, renamed, and the directory flushed. What is damaged is reported and put
//! aside, never trusted and never deleted. One server at a time. Which revisions are worth keeping
//! is not known here.

pub mod activations;
pub mod archive;
pub mod checksummed;
pub mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::domain::time::Timestamp;
use crate::engine::activations::Activations;
use crate::engine::history::HistoryEntry;
use crate::policy::bundle::{Bundle, Digest};
use crate::state_dir::archive::{ARCHIVE_BYTES_MAX, ArchiveError};
use crate::state_dir::record::RECORD_BYTES_MAX;

const BUNDLE: &str = "bundle";
const RECORD: &str = "record";
const ASIDE: &str = "corrupt";

/// The file of the history of activations.
const ACTIVATIONS: &str = "activations";

/// Suffix of a file's name until the file is whole.
const UNFINISHED: &str = ".unfinished";

/// Time that a server waits for the one before it to end.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(500);

/// Pause between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A state directory that is ours.
#[derive(Debug)]
pub struct StateDir {
    root: PathBuf,
    /// Locked as long as it is open.
    lock: Option<File>,
}

/// Content of a state directory when it was opened.
#[derive(Debug)]
pub struct Opened {
    /// The directory.
    pub state: StateDir,
    /// Its revisions, the latest first.
    pub revisions: Vec<HistoryEntry>,
    /// Its history of activations, and what was rolled back from.
    pub activations: Activations,
    /// Problems found, a sentence each: the files put aside, and the reason.
    pub problems: Vec<String>,
}

/// Reason that a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another server uses it.
    #[error("the state directory `{path}` is in use by another server{holder}")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// ` (process 17)`, where that is known.
        holder: String,
    },
    /// Its lock is a symbolic link, a directory, a pipe: two servers could take it for two.
    #[error("`{}` is not a file of its own: remove it, or choose another state directory", path.display())]
    NotAFile {
        /// The lock.
        path: PathBuf,
    },
    /// It cannot be made or listed.
    #[error("the state directory `{path}` cannot be used")]
    Io {
        /// The directory.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

/// Reason that a revision cannot be read from the state directory.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// It cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// It is not what its name says.
    #[error("`{path}` is damaged: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what way.
        source: ArchiveError,
    },
}

impl StateDir {
    /// Opens a state directory, and makes it where there is none.
    pub fn open(root: &Path) -> Result<Opened, StateError> {
        let failed = |source| StateError::Io { path: root.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(failed)?;
        let mut problems = Vec::new();
        let lock = lock(root, &mut problems)?;
        let mode = fs::metadata(root).map_err(failed)?.permissions().mode();
        if mode & 0o022 != 0 {
            problems.push(format!(
                "others may write to the state directory `{}`, and so decide what a start falls back to: `chmod 700` it",
                root.display()
            ));
        }
        let state = Self { root: root.to_owned(), lock };
        let revisions = state.list(&mut problems).map_err(failed)?;
        let activations = state.activations(&revisions, &mut problems);
        Ok(Opened { state, revisions, activations, problems })
    }

    /// Keeps a revision: its bundle, where one is given, and then its record.
    pub fn keep(&self, kept: &HistoryEntry, bundle: Option<&Bundle>) -> io::Result<()> {
        let digest = kept.revision.digest;
        if let Some(bundle) = bundle {
            let bytes = archive::write(bundle);
            within(bytes.len(), ARCHIVE_BYTES_MAX)?;
            self.write(&name(digest, BUNDLE), &bytes)?;
        }
        let bytes = record::write(kept).map_err(io::Error::other)?;
        within(bytes.len(), RECORD_BYTES_MAX)?;
        self.write(&name(digest, RECORD), &bytes)
    }

    /// Keeps the history of activations.
    pub fn keep_activations(&self, history: &Activations) -> io::Result<()> {
        let bytes = activations::write(history).map_err(io::Error::other)?;
        within(bytes.len(), activations::FILE_BYTES_MAX)?;
        self.write(ACTIVATIONS, &bytes)
    }

    /// The history of activations. Where it is damaged or missing, each of the revisions may have been rolled back from.
    fn activations(&self, revisions: &[HistoryEntry], problems: &mut Vec<String>) -> Activations {
        let path = self.root.join(ACTIVATIONS);
        let problem = match read_within(&path, activations::FILE_BYTES_MAX) {
            Ok(bytes) => match activations::read(&bytes) {
                Ok(history) => return history,
                Err(error) => error.to_string(),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return self.no_activations(&path, revisions, problems);
            }
            Err(error) => error.to_string(),
        };
        let what = match self.aside(ACTIVATIONS).and_then(|()| self.flush()) {
            Ok(()) => format!("it is kept as `{ACTIVATIONS}.{ASIDE}`"),
            Err(error) => format!("it cannot be put aside: {error}"),
        };
        problems.push(format!(
            "the history of activations `{}` is not used: {problem}; {what}. Which revisions were rolled back from is \
             not known any more: name the one to go back to",
            path.display()
        ));
        lost(revisions)
    }

    /// The history where there is no file of it. One is there from the first moment on: where it is missing beside
    /// revisions, it was lost.
    fn no_activations(&self, path: &Path, revisions: &[HistoryEntry], problems: &mut Vec<String>) -> Activations {
        if !revisions.is_empty() {
            problems.push(format!(
                "the history of activations `{}` is missing. Which revisions were rolled back from is not known any more: \
                 name the one to go back to",
                path.display()
            ));
            return lost(revisions);
        }
        // Without the lock it is known already that nothing can be written.
        if self.lock.is_some()
            && let Err(error) = self.keep_activations(&Activations::default())
        {
            problems.push(format!("the history of activations `{}` cannot be written: {error}", path.display()));
        }
        Activations::default()
    }

    /// Lets a revision go. The record goes first, so that no record is ever without its bundle.
    pub fn forget(&self, digest: Digest) -> io::Result<()> {
        for extension in [RECORD, BUNDLE] {
            match fs::remove_file(self.root.join(name(digest, extension))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        self.flush()
    }

    /// The bundle of a revision; its digest is verified.
    pub fn recall(&self, digest: Digest) -> Result<Bundle, RecallError> {
        let path = self.root.join(name(digest, BUNDLE));
        let bytes = match read_within(&path, ARCHIVE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(source) => return Err(RecallError::Io { path, source }),
        };
        archive::read(&bytes, digest).map_err(|source| RecallError::Damaged { path, source })
    }

    /// Puts a damaged revision aside, under names that nobody reads.
    pub fn put_aside(&self, digest: Digest) -> io::Result<()> {
        for extension in [RECORD, BUNDLE] {
            self.aside(&name(digest, extension))?;
        }
        self.flush()
    }

    fn aside(&self, name: &str) -> io::Result<()> {
        match fs::rename(self.root.join(name), self.root.join(format!("{name}.{ASIDE}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whole or not at all, whenever the machine stops.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.root.join(format!("{name}{UNFINISHED}"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let mut file = options.open(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.root.join(name))?;
        self.flush()
    }

    fn flush(&self) -> io::Result<()> {
        File::open(&self.root)?.sync_all()
    }

    /// Reads all records. Leftovers of a write that was cut are removed; everything else that is not
    /// as it should be is put aside and told of.
    fn list(&self, problems: &mut Vec<String>) -> io::Result<Vec<HistoryEntry>> {
        let (mut records, mut bundles) = (BTreeMap::new(), BTreeSet::new());
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let Ok(file) = entry.file_name().into_string() else { continue };
            match file.split_once('.') {
                Some((_, rest)) if rest.ends_with(UNFINISHED) => self.remove_leftover(&file, problems),
                Some((stem, RECORD)) => {
                    records.insert(stem.to_owned(), self.read_record(stem, &entry.path()));
                }
                Some((stem, BUNDLE)) => {
                    bundles.insert(stem.to_owned());
                }
                Some(_) | None => {}
            }
        }
        let mut revisions = Vec::new();
        for (stem, record) in records {
            let bundled = bundles.remove(&stem);
            match record {
                Ok(kept) if bundled => revisions.push(kept),
                Ok(_) => self.put_stem_aside(&stem, "its bundle is missing", problems),
                Err(problem) => self.put_stem_aside(&stem, &problem, problems),
            }
        }
        for stem in bundles {
            // The process ended between the bundle and its record: it was never kept.
            self.remove_leftover(&format!("{stem}.{BUNDLE}"), problems);
        }
        revisions.sort_by_key(|kept| std::cmp::Reverse(kept.place));
        Ok(revisions)
    }

    fn read_record(&self, stem: &str, path: &Path) -> Result<HistoryEntry, String> {
        let bytes = read_within(path, RECORD_BYTES_MAX).map_err(|error| error.to_string())?;
        let kept = record::read(&bytes).map_err(|error| error.to_string())?;
        if name(kept.revision.digest, RECORD) == format!("{stem}.{RECORD}") {
            Ok(kept)
        } else {
            Err(format!("it is the record of {}", kept.revision.digest))
        }
    }

    fn put_stem_aside(&self, stem: &str, why: &str, problems: &mut Vec<String>) {
        let path = self.root.join(format!("{stem}.{RECORD}"));
        let aside = self.aside(&format!("{stem}.{BUNDLE}")).and_then(|()| self.aside(&format!("{stem}.{RECORD}")));
        let what = match aside {
            Ok(()) => format!("it is kept as `….{ASIDE}`"),
            Err(error) => format!("it cannot be put aside: {error}"),
        };
        problems.push(format!("`{}` is not used: {why}; {what}", path.display()));
    }

    fn remove_leftover(&self, name: &str, problems: &mut Vec<String>) {
        let path = self.root.join(name);
        if let Err(error) = fs::remove_file(&path) {
            problems.push(format!("`{}`, left by a write that was cut, cannot be removed: {error}", path.display()));
        }
    }
}

/// The history of which nothing is left but these revisions.
fn lost(revisions: &[HistoryEntry]) -> Activations {
    let at = revisions.iter().map(|kept| kept.revision.activated_at).max().unwrap_or(Timestamp::EPOCH);
    Activations::lost(revisions.iter().map(HistoryEntry::content), at)
}

/// Takes the lock. Without a way to take one nobody can write there either, so it may be read.
fn lock(root: &Path, problems: &mut Vec<String>) -> Result<Option<File>, StateError> {
    let path = root.join("lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut file = match options.open(&path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            problems.push(format!("the state directory `{}` cannot be written: {error}", root.display()));
            return Ok(None);
        }
        Err(_) if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) => {
            return Err(StateError::NotAFile { path });
        }
        Err(source) => return Err(StateError::Io { path: root.to_owned(), source }),
    };
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return Err(StateError::NotAFile { path });
    }
    match lock_within(&file, LOCK_WAIT_MAX) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only to be helpful: the number may not be there yet.
            let read = (&file).take(32).read_to_string(&mut holder);
            let holder = read.ok().and_then(|_| holder.trim().parse::<u32>().ok());
            let holder = holder.map_or_else(String::new, |process| format!(" (process {process})"));
            return Err(StateError::InUse { path: root.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(StateError::Io { path: root.to_owned(), source }),
    }
    if let Err(error) = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())) {
        problems.push(format!("the state directory `{}` cannot be written: {error}", root.display()));
    }
    Ok(Some(file))
}

/// Tries for a moment: a server that was told to stop may be about to end, and what it started a
/// moment ago holds its files until it runs a program of its own.
fn lock_within(file: &File, wait_max: Duration) -> Result<(), TryLockError> {
    let by = Instant::now() + wait_max;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < by => thread::sleep(LOCK_PAUSE),
            result => return result,
        }
    }
}

fn name(digest: Digest, extension: &str) -> String {
    format!("{}.{extension}", blake3::Hash::from_bytes(*digest.bytes()).to_hex())
}

fn within(bytes: usize, bytes_max: usize) -> io::Result<()> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("it would have {bytes} bytes, at most {bytes_max} are kept"),
    ))
}

fn read_within(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    within(bytes.len(), bytes_max)?;
    Ok(bytes)
}
