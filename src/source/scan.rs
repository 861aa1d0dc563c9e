//! Scans of a bundle directory: the files in it at one moment, and marks that tell whether they changed.
//!
//! A scan opens no file. Two equal scans mean: nobody changed a file in between, as far as the
//! file system can tell. Contents are read elsewhere.

use std::fmt;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::domain::limits::BUNDLE_FILES_MAX;
use crate::domain::printable::Printable;

/// Directories below the bundle's own that may hold files of it, as prefixes of their paths within it.
const PLACES_BELOW: [&str; 2] = ["calendars/", "cases/"];

/// A bundle directory at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scan {
    /// The files of the bundle, by their paths within it.
    pub files: Vec<ScannedFile>,
    /// The directories that were listed, the bundle's own one first.
    pub directories: Vec<ScannedDirectory>,
    /// Problems that keep the directory from being a bundle.
    pub problems: Vec<Problem>,
}

/// A file of the bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScannedFile {
    /// Its path within the bundle: `calendars/cn.yaml`.
    pub name: String,
    /// The path that leads to it.
    pub path: PathBuf,
    /// The path of its target, if its own path is a symbolic link.
    pub target: Option<PathBuf>,
    /// The identity and state of the file.
    pub identity: Identity,
}

/// A directory that was listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScannedDirectory {
    /// The path of the directory.
    pub path: PathBuf,
    /// Its device and inode: a directory that was replaced has others.
    pub inode: (u64, u64),
}

/// The identity and state of a file: whoever changes a file changes one of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    device: u64,
    inode: u64,
    /// Its size in bytes.
    pub size_bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A problem that keeps a directory from being a bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The path that has the problem.
    pub path: PathBuf,
    /// The problem itself.
    pub fault: Fault,
}

/// The problem of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The operating system refused.
    Io(IoFault),
    /// It is named like a policy file and is none.
    NotAFile(Kind),
    /// It ends in something that only looks like `.yaml`.
    Extension,
    /// Its name is not UTF-8.
    Name,
    /// It is larger than a file of a bundle may be.
    TooLarge {
        /// Its size, as far as it was looked at.
        bytes: u64,
    },
    /// It is one file more than a bundle may hold.
    TooMany,
}

/// An error of the operating system, as a value that can be compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IoFault {
    kind: io::ErrorKind,
    code: Option<i32>,
}

/// The kind of a path's target that is no regular file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A pipe, a socket or a device.
    Special,
}

/// The kind of a file in a bundle directory, by its name.
enum Named {
    Policy,
    Misspelt,
    Foreign,
}

/// Looks at a bundle directory.
#[must_use]
pub fn scan(root: &Path) -> Scan {
    let mut scan = Scan::default();
    scan_place(root, "", &mut scan);
    if !scan.directories.is_empty() {
        for prefix in PLACES_BELOW {
            scan_place(root, prefix, &mut scan);
        }
    }
    scan.files.sort_by(|a, b| a.name.cmp(&b.name));
    scan.problems.sort_by(|a, b| a.path.cmp(&b.path));
    scan
}

impl Identity {
    /// The identity that goes with what the operating system says of a file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn scan_place(root: &Path, prefix: &str, scan: &mut Scan) {
    let path = if prefix.is_empty() { root.to_owned() } else { root.join(prefix.trim_end_matches('/')) };
    let metadata = match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) if prefix.is_empty() => {
            return scan.problem(path, Fault::from(&io::Error::from_raw_os_error(libc::ENOTDIR)));
        }
        // A file named `calendars` is as foreign to a bundle as a README.
        Ok(_) => return,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !prefix.is_empty() => return,
        Err(error) => return scan.problem(path, Fault::from(&error)),
    };
    scan.directories.push(ScannedDirectory { path: path.clone(), inode: (metadata.dev(), metadata.ino()) });
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) => return scan.problem(path, Fault::from(&error)),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return scan.problem(path, Fault::from(&error)),
        };
        if scan.files.len() == BUNDLE_FILES_MAX && matches!(named(&entry.file_name()), Named::Policy) {
            return scan.problem(entry.path(), Fault::TooMany);
        }
        scan_entry(prefix, &entry, scan);
    }
}

fn scan_entry(prefix: &str, entry: &fs::DirEntry, scan: &mut Scan) {
    let (path, name) = (entry.path(), entry.file_name());
    match named(&name) {
        Named::Foreign => return,
        Named::Misspelt => return scan.problem(path, Fault::Extension),
        Named::Policy => {}
    }
    let Some(name) = name.to_str() else { return scan.problem(path, Fault::Name) };
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) => return scan.problem(path, Fault::from(&error)),
    };
    if !metadata.is_file() {
        return scan.problem(path, Fault::NotAFile(Kind::of(&metadata)));
    }
    let target = match entry.file_type().as_ref().map(FileType::is_symlink) {
        Ok(false) => None,
        // The same file by another way is a change: a swap of links may reuse an inode.
        Ok(true) | Err(_) => fs::canonicalize(&path).ok(),
    };
    scan.files.push(ScannedFile { name: format!("{prefix}{name}"), path, target, identity: Identity::of(&metadata) });
}

/// Hidden files and what editors leave behind are not the author's; everything else that is not
/// YAML may live beside a policy.
fn named(name: &std::ffi::OsStr) -> Named {
    let bytes = name.as_encoded_bytes();
    let leftover = bytes.starts_with(b".") || bytes.ends_with(b"~") || bytes.starts_with(b"#");
    let extension = Path::new(name).extension().unwrap_or_default();
    if leftover {
        Named::Foreign
    } else if extension == "yaml" {
        Named::Policy
    } else if extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml") {
        Named::Misspelt
    } else {
        Named::Foreign
    }
}

impl Scan {
    fn problem(&mut self, path: PathBuf, fault: Fault) {
        self.problems.push(Problem { path, fault });
    }
}

impl Kind {
    fn of(metadata: &Metadata) -> Self {
        if metadata.is_dir() { Self::Directory } else { Self::Special }
    }
}

impl Problem {
    /// Returns true if the problem may be over in a moment, without anyone changing the directory.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self.fault {
            Fault::Io(_) => true,
            Fault::NotAFile(_) | Fault::Extension | Fault::Name | Fault::TooLarge { .. } | Fault::TooMany => false,
        }
    }

    /// Advice on solving the problem.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self.fault {
            Fault::Io(IoFault { kind: io::ErrorKind::NotADirectory, .. }) => {
                "policies are read from a directory: name the one that holds the file"
            }
            Fault::Io(_) => "check that it exists and that this user may read it",
            Fault::NotAFile(_) => "rename it, or move it out of the policy directory",
            Fault::Extension => "rename it to `.yaml`",
            Fault::Name => "rename it in plain letters",
            Fault::TooLarge { .. } => "split it into several policies",
            Fault::TooMany => "move what belongs to another bundle to a directory of its own",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Shown(&self.path);
        match self.fault {
            Fault::Io(fault) => write!(f, "cannot read `{path}`: {fault}"),
            Fault::NotAFile(Kind::Directory) => write!(f, "expected a file, got a directory: `{path}`"),
            Fault::NotAFile(Kind::Special) => write!(f, "expected a file, got a pipe, socket or device: `{path}`"),
            Fault::Extension => write!(f, "expected a name that ends in `.yaml`, got `{path}`"),
            Fault::Name => write!(f, "expected a name in UTF-8, got `{path}`"),
            Fault::TooLarge { bytes } => {
                let max = crate::domain::limits::FILE_BYTES_MAX;
                write!(f, "`{path}` has {bytes} bytes, at most {max} are allowed")
            }
            Fault::TooMany => write!(f, "a bundle holds at most {BUNDLE_FILES_MAX} files, `{path}` is one too many"),
        }
    }
}

/// A path as people are told of it: in one line, whatever its name is made of. A line break in it
/// would pass for another line of the log.
pub(super) struct Shown<'a>(pub(super) &'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.0.to_string_lossy()).fmt(f)
    }
}

impl From<&io::Error> for Fault {
    fn from(error: &io::Error) -> Self {
        Self::Io(IoFault { kind: error.kind(), code: error.raw_os_error() })
    }
}

impl fmt::Display for IoFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => io::Error::from_raw_os_error(code).fmt(f),
            None => self.kind.fmt(f),
        }
    }
}
