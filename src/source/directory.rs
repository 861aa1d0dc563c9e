//! A bundle from a directory: the `*.yaml` files in it, in `calendars/` and in `cases/`.
//!
//! What is returned was all there at one moment. Every file is opened once and read to its limit;
//! if anything changed meanwhile, everything is read again.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::domain::limits::{BUNDLE_BYTES_MAX, FILE_BYTES_MAX};
use crate::policy::bundle::{Bundle, BundleError, BundleFile};
use crate::source::scan::{Fault, Identity, Kind, Problem, ScannedFile, Shown, scan};
use crate::source::watch::{Timing, watch};
use crate::source::{Source, SourceError, SourceProblem, Watching};

/// Attempts to read a directory that keeps changing, before giving up.
const ATTEMPTS_MAX: u32 = 5;

/// Pause between two attempts: longer than an editor needs between its rename and its write.
const PAUSE: Duration = Duration::from_millis(20);

/// A directory as a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directory {
    /// Its path.
    pub path: PathBuf,
    /// Intervals of the watch.
    pub timing: Timing,
}

impl Directory {
    /// The directory at this path, watched as closely as usual.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), timing: Timing::default() }
    }
}

impl Source for Directory {
    fn read(&self) -> Result<Bundle, SourceError> {
        read(&self.path)
    }

    fn watch(&self, changed: Box<dyn FnMut() + Send>) -> Watching {
        Box::pin(watch(self.path.clone(), self.timing, changed))
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }
}

/// Reads the bundle of a directory. May wait for a moment: not for a thread that serves requests.
pub fn read(root: &Path) -> Result<Bundle, SourceError> {
    let mut attempts = 1;
    loop {
        match read_once(root) {
            Err(error) if error.is_transient() && attempts < ATTEMPTS_MAX => thread::sleep(PAUSE),
            result => return result,
        }
        attempts += 1;
    }
}

fn problems_of(problems: Vec<Problem>) -> SourceError {
    let problem = |problem: &Problem| SourceProblem {
        problem: problem.to_string(),
        help: problem.help(),
        is_transient: problem.is_transient(),
    };
    SourceError::Problems(problems.iter().map(problem).collect())
}

fn unstable(path: &Path) -> SourceError {
    SourceError::Unstable(Shown(path).to_string())
}

fn read_once(root: &Path) -> Result<Bundle, SourceError> {
    let before = scan(root);
    if !before.problems.is_empty() {
        return Err(problems_of(before.problems));
    }
    within_bounds(&before.files)?;
    let (mut files, mut problems) = (Vec::with_capacity(before.files.len()), Vec::new());
    for scanned in &before.files {
        match read_file(scanned) {
            Ok(bytes) => files.push(BundleFile { path: scanned.name.clone(), bytes }),
            Err(FileError::Unstable) => return Err(unstable(&scanned.path)),
            Err(FileError::Fault(fault)) => problems.push(Problem { path: scanned.path.clone(), fault }),
        }
    }
    if !problems.is_empty() {
        return Err(problems_of(problems));
    }
    if scan(root) != before {
        return Err(unstable(root));
    }
    Ok(Bundle::new(files)?)
}

/// Sizes are checked against their limits before the first byte is read.
fn within_bounds(files: &[ScannedFile]) -> Result<(), SourceError> {
    let too_large = |file: &&ScannedFile| file.identity.size_bytes > FILE_BYTES_MAX as u64;
    let problems: Vec<Problem> = files
        .iter()
        .filter(too_large)
        .map(|file| Problem { path: file.path.clone(), fault: Fault::TooLarge { bytes: file.identity.size_bytes } })
        .collect();
    if !problems.is_empty() {
        return Err(problems_of(problems));
    }
    let total = files.iter().fold(0_u64, |total, file| total.saturating_add(file.identity.size_bytes));
    if total > BUNDLE_BYTES_MAX as u64 {
        return Err(BundleError::TooLarge(usize::try_from(total).unwrap_or(usize::MAX)).into());
    }
    Ok(())
}

enum FileError {
    Unstable,
    Fault(Fault),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Fault(Fault::from(&error))
    }
}

fn read_file(scanned: &ScannedFile) -> Result<Vec<u8>, FileError> {
    // Without blocking: the path may have become a pipe since it was looked at.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&scanned.path)?;
    let opened = file.metadata()?;
    if !opened.is_file() {
        return Err(FileError::Fault(Fault::NotAFile(Kind::Special)));
    }
    if Identity::of(&opened) != scanned.identity {
        return Err(FileError::Unstable);
    }
    let mut bytes = Vec::new();
    (&file).take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(FileError::Fault(Fault::TooLarge { bytes: bytes.len() as u64 }));
    }
    if Identity::of(&file.metadata()?) != scanned.identity || bytes.len() as u64 != scanned.identity.size_bytes {
        return Err(FileError::Unstable);
    }
    Ok(bytes)
}
