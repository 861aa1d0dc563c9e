//! The request that a verb works on: a file or standard input, bounded.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

/// Longest request that is read. The server takes less; this only keeps memory bounded.
const REQUEST_BYTES_MAX: u64 = 1024 * 1024;

/// Where a request comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Input {
    Stdin,
    File(PathBuf),
}

/// How a decision is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs: the response message in its JSON form
    Json,
}

/// Why a request cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("cannot read the request from {from}")]
    Io { from: Input, source: io::Error },
    #[error("the request in {from} has more than {REQUEST_BYTES_MAX} bytes")]
    TooLarge { from: Input },
    #[error("the request in {from} is not UTF-8 text")]
    NotText { from: Input },
}

impl FromStr for Input {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdin } else { Self::File(text.into()) })
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => write!(f, "`{}`", path.display()),
        }
    }
}

impl Input {
    /// Reads all of it, as text.
    pub(super) fn read(&self) -> Result<String, InputError> {
        let bytes = match self {
            Self::Stdin => bounded(io::stdin().lock()),
            Self::File(path) => File::open(path).and_then(bounded),
        };
        let bytes = bytes.map_err(|source| InputError::Io { from: self.clone(), source })?;
        if bytes.len() as u64 > REQUEST_BYTES_MAX {
            return Err(InputError::TooLarge { from: self.clone() });
        }
        String::from_utf8(bytes).map_err(|_| InputError::NotText { from: self.clone() })
    }
}

fn bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(REQUEST_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
