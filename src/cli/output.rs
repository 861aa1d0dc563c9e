//! Words for people and answers for pipes.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::cli::exit::Exit;
use crate::domain::printable::PrintableLines;
use crate::policy::diagnostic::Colour;
use crate::source::SourceError;
use crate::telemetry::terminal::shows_colour;

/// Answer of a verb.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// JSON: written as it is, since every character of it is data.
    Json(String),
    /// Lines for people: written so that no character of them commands a terminal.
    Text(String),
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A text without anything that commands a terminal, but for the colours that we give it ourselves.
fn printed(text: &str, colour: Colour) -> String {
    let pieces = match colour {
        Colour::On => text.split_inclusive('m'),
        Colour::Off => return PrintableLines(text).to_string(),
    };
    pieces.fold(String::with_capacity(text.len()), |mut page, piece| {
        let (before, code) = colour_code(piece).unwrap_or((piece, ""));
        page.push_str(&PrintableLines(before).to_string());
        page.push_str(code);
        page
    })
}

/// Parts the code of a colour from the text that it ends: `\u{1b}[1m`.
fn colour_code(text: &str) -> Option<(&str, &str)> {
    let (before, code) = text.split_at(text.rfind('\u{1b}')?);
    let digits = code.strip_prefix("\u{1b}[")?.strip_suffix('m')?;
    digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b';').then_some((before, code))
}

/// Returns true if reports on standard error may be coloured.
pub(super) fn colour_of_reports() -> Colour {
    colour_of(&io::stderr())
}

/// Returns true if output to a stream may be coloured.
pub(super) fn colour_of(stream: &impl IsTerminal) -> Colour {
    if shows_colour(stream) { Colour::On } else { Colour::Off }
}

/// Writes a verb's answer to standard output. Whoever stops reading has what they wanted.
pub(super) fn answer(answer: impl Into<Answer>, exit: Exit) -> Exit {
    let text = match answer.into() {
        Answer::Json(text) => text,
        Answer::Text(text) => printed(&text, colour_of(&io::stdout())),
    };
    let mut out = io::stdout().lock();
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(newline.as_bytes())).and_then(|()| out.flush()) {
        Ok(()) => exit,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit,
        Err(error) => {
            say(&format!("error: cannot write the answer: {error}"));
            Exit::Unexpected
        }
    }
}

/// Writes a line for people to standard error. If even that cannot be written, there is nobody
/// to tell.
pub(super) fn say(text: &str) {
    let mut err = io::stderr().lock();
    let colour = colour_of(&err);
    let _ = writeln!(err, "{}", printed(text.trim_end_matches('\n'), colour));
}

/// Longest wait for whoever reads the last words of a server.
const LAST_WORDS_MAX: Duration = Duration::from_millis(500);

/// Writes the last line of a process that has served, which nobody may be reading: whoever asked it to
/// end must not wait for them.
pub(super) fn say_and_end(text: String) {
    let (done, said) = mpsc::channel();
    let write = move || {
        say(&text);
        // Nobody waits any more, or the process is about to end.
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(write).is_ok() {
        let _ = said.recv_timeout(LAST_WORDS_MAX);
    }
}

/// An error with everything that led to it, on one line. What an error says of its own cause is
/// heard once.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        if !texts.last().is_some_and(|last| last.ends_with(&text)) {
            texts.push(text);
        }
        next = source.source();
    }
    texts.join(": ")
}

/// Says why policies cannot be read, each problem with what to do about it.
pub(super) fn say_unreadable(error: &SourceError) -> Exit {
    say(&unreadable(error));
    Exit::PolicyInvalid
}

/// Report on policies that cannot be read: each problem with advice.
pub(super) fn unreadable(error: &SourceError) -> String {
    let lines = error.lines().into_iter().map(|(problem, help)| format!("error: {problem}\n  help: {help}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_colours_reach_a_terminal() {
        let text = "\u{1b}[1mm\u{1b}[0m a\u{1b}[2Jm\n\u{1b}]0;m\u{7}\u{202e}b";
        assert_eq!(printed(text, Colour::On), "\u{1b}[1mm\u{1b}[0m a\\u{1b}[2Jm\n\\u{1b}]0;m\\u{7}\\u{202e}b");
        assert_eq!(printed(text, Colour::Off), "\\u{1b}[1mm\\u{1b}[0m a\\u{1b}[2Jm\n\\u{1b}]0;m\\u{7}\\u{202e}b");
    }
}
