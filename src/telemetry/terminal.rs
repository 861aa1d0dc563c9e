//! Abilities of a stream beside text: colours and movements of the cursor, where a terminal shows them.

use std::ffi::OsString;
use std::io::IsTerminal;

/// True where the stream is a terminal that obeys commands. `TERM=dumb`, or no `TERM` at all, is one that does not.
#[must_use]
pub fn obeys(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && term_obeys(std::env::var_os("TERM"))
}

/// True where the stream is such a terminal, and `NO_COLOR` is not set or empty.
#[must_use]
pub fn shows_colour(stream: &impl IsTerminal) -> bool {
    obeys(stream) && is_colour_wanted(std::env::var_os("NO_COLOR"))
}

fn term_obeys(term: Option<OsString>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

fn is_colour_wanted(no_color: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumb_terminals_obey_nothing_and_no_color_counts_unless_it_is_empty() {
        let text = |text: &str| Some(OsString::from(text));
        assert_eq!([None, text(""), text("dumb"), text("xterm")].map(term_obeys), [false, false, false, true]);
        assert_eq!([None, text(""), text("1"), text("0")].map(is_colour_wanted), [true, true, false, false]);
    }

    #[test]
    fn a_file_is_no_terminal() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!obeys(&file) && !shows_colour(&file));
    }
}
