//! Words for people and answers for pipes.

use std::error::Error;
use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::cli::exit::Exit;
use crate::source::directory::ReadError;

/// Writes a verb's answer to standard output. Whoever stops reading has what they wanted.
pub(super) fn answer(text: &str, exit: Exit) -> Exit {
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
    let _ = writeln!(err, "{}", text.trim_end_matches('\n'));
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
pub(super) fn say_unreadable(error: &ReadError) -> Exit {
    say(&unreadable(error));
    Exit::PolicyInvalid
}

/// Why policies cannot be read, each problem with what to do about it.
pub(super) fn unreadable(error: &ReadError) -> String {
    let lines = error.lines().into_iter().map(|(problem, help)| format!("error: {problem}\n  help: {help}"));
    lines.collect::<Vec<_>>().join("\n")
}
