//! Inputs of verbs: an address, and a request from a file or standard input, bounded.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;

use crate::api::json::{JsonError, JsonMistake, request_from_json};
use crate::api::pb;
use crate::cli::durations::duration_within;
use crate::cli::exit::Exit;
use crate::cli::output::{chain, say};
use crate::domain::printable::{Printable, is_hidden};

/// Longest request that is read. The server takes less, but JSON is some times as long as what is sent; this only keeps
/// memory bounded.
pub(super) const REQUEST_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Longest batch that is read, for the same reason.
pub(super) const BATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The shortest wait for an answer.
const PATIENCE_MIN: Duration = Duration::from_millis(1);

/// The longest wait for an answer.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// Most of a line of a request that is shown around a mistake, in characters: a request may be one
/// long line.
const EXCERPT_CHARACTERS_MAX: usize = 80;

/// Source of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Input {
    Stdin,
    File(PathBuf),
}

/// Format of a decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs: JSON; a message of the API in the JSON form of proto3
    Json,
}

/// Error of reading a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("cannot read the request from {from}")]
    Io { from: Input, source: io::Error },
    #[error("the request in {from} has more than {bytes_max} bytes")]
    TooLarge { from: Input, bytes_max: u64 },
    #[error("the request in {from} is not UTF-8 text")]
    NotText { from: Input },
}

impl InputError {
    /// Advice on the error.
    fn help(&self) -> &'static str {
        match self {
            Self::Io { source, .. } if matches!(source.kind(), io::ErrorKind::IsADirectory) => {
                "name the file of one request"
            }
            Self::Io { .. } => "check that it exists and that this user may read it; `-` is standard input",
            Self::TooLarge { bytes_max: REQUEST_BYTES_MAX, .. } => {
                "a request is one order and one claim: leave out what is not about them"
            }
            Self::TooLarge { .. } => "send it in several batches",
            Self::NotText { .. } => "write it as UTF-8",
        }
    }
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
    /// Reads all of it, as text of so many bytes at most.
    pub(super) fn read(&self, bytes_max: u64) -> Result<String, InputError> {
        let bytes = match self {
            Self::Stdin => bounded(io::stdin().lock(), bytes_max),
            Self::File(path) => File::open(path).and_then(|file| bounded(file, bytes_max)),
        };
        let bytes = bytes.map_err(|source| InputError::Io { from: self.clone(), source })?;
        if bytes.len() as u64 > bytes_max {
            return Err(InputError::TooLarge { from: self.clone(), bytes_max });
        }
        String::from_utf8(bytes).map_err(|_| InputError::NotText { from: self.clone() })
    }
}

/// The request of a verb; where there is none, everything has been said.
pub(super) fn request(from: &Input) -> Result<pb::EvaluateRefundRequest, Exit> {
    message(from, REQUEST_BYTES_MAX, request_from_json)
}

/// A message of at most so many bytes of JSON; where there is none, everything has been said.
pub(super) fn message<M>(
    from: &Input,
    bytes_max: u64,
    read: impl FnOnce(&str) -> Result<M, JsonError>,
) -> Result<M, Exit> {
    let said = |message: String| {
        say(&format!("error: {message}"));
        Exit::Usage
    };
    let text = from.read(bytes_max).map_err(|error| said(format!("{}\n  help: {}", chain(&error), error.help())))?;
    read(&text).map_err(|error| said(unreadable(from, &text, &error)))
}

/// Report on a text that is no request: every mistake with its position.
fn unreadable(from: &Input, text: &str, error: &JsonError) -> String {
    if text.trim().is_empty() {
        return format!("{from} holds no request: it is empty");
    }
    let mistakes = error.mistakes.iter().map(|mistake| shown(text, mistake)).collect::<String>();
    let further = if error.further == 0 { String::new() } else { format!("\n  and {} more mistakes", error.further) };
    format!("{from} holds no request:{mistakes}{further}")
}

fn shown(text: &str, mistake: &JsonMistake) -> String {
    let JsonMistake { line, column, field, problem, help } = mistake;
    let separator = if field.is_empty() { "" } else { ": " };
    let place = line.checked_sub(1).and_then(|line| text.lines().nth(line));
    let place = place.map(|row| format!("\n  --> line {line}, column {column}{}", excerpt(row, *line, *column)));
    let help = if help.is_empty() { String::new() } else { format!("\n  help: {}", Printable(help)) };
    format!("\n  {}{separator}{}{}{help}", Printable(field), Printable(problem), place.unwrap_or_default())
}

/// The line with a mark under the column, as far as it is near to it. Columns count bytes.
fn excerpt(row: &str, line: usize, column: usize) -> String {
    let place = row.char_indices().take_while(|(at, _)| *at + 1 < column).count();
    let first = place.saturating_sub(EXCERPT_CHARACTERS_MAX / 2);
    let shown: String = row.chars().skip(first).take(EXCERPT_CHARACTERS_MAX).map(visible).collect();
    let margin = " ".repeat(line.to_string().len());
    format!("\n{margin} |\n{line} | {shown}\n{margin} | {}^", " ".repeat(place - first))
}

/// A tab is as wide as one column here; what cannot be seen must not move the mark.
fn visible(character: char) -> char {
    if is_hidden(character) { ' ' } else { character }
}

/// Reads the longest wait for an answer.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    duration_within(text, PATIENCE_MIN, PATIENCE_MAX)
}

/// Address to write instead of a URL; nothing where it is none.
pub(super) fn scheme_help(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let bare = rest.split(['/', '?', '#']).next().unwrap_or_default();
    Some(match address(bare) {
        Ok(bare) => format!("`{scheme}://` is not part of an address here: write `{bare}`"),
        Err(_) => format!("`{scheme}://` is not part of an address here: write HOST:PORT, such as `127.0.0.1:50051`"),
    })
}

/// An address as written. Only the form is checked: the host may be a name that is looked up when listening.
pub(super) fn address(text: &str) -> Result<String, String> {
    if let Some(help) = scheme_help(text) {
        return Err(help);
    }
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(_)) => Ok(text.to_owned()),
        Some(Err(_)) | None => Err("expected HOST:PORT, such as `127.0.0.1:50051` or `[::1]:0`".to_owned()),
    }
}

fn bounded(reader: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
