//! Texts from elsewhere as terminals and logs may show them: what a terminal would obey, what would
//! pass for another line, and what changes the order of characters or hides is written visibly.

use std::fmt::{self, Display, Write as _};

/// A text on one line: `\u{1b}` for the character that commands a terminal, `\n` for a line break.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, |_| false)
    }
}

/// A text of several lines: as [`Printable`], but its line breaks are kept.
#[derive(Clone, Copy, Debug)]
pub struct PrintableLines<'a>(pub &'a str);

impl Display for PrintableLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, |character| character == '\n')
    }
}

fn write(f: &mut fmt::Formatter<'_>, text: &str, kept: impl Fn(char) -> bool) -> fmt::Result {
    let mut plain_from = 0;
    for (at, character) in text.char_indices().filter(|(_, character)| !kept(*character) && is_hidden(*character)) {
        f.write_str(text.get(plain_from..at).unwrap_or_default())?;
        match character {
            '\n' | '\r' | '\t' => write!(f, "{}", character.escape_default())?,
            _ => write!(f, "{}", character.escape_unicode())?,
        }
        plain_from = at + character.len_utf8();
    }
    f.write_str(text.get(plain_from..).unwrap_or_default())
}

/// Writes a character of a text on one line.
pub fn write_character(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    if is_hidden(character) { Printable(character.encode_utf8(&mut [0; 4])).fmt(f) } else { f.write_char(character) }
}

/// Returns true if a character is not seen as itself: control characters, line and paragraph separators, marks that
/// turn the direction of writing, characters without a width, and tags.
///
/// U+200C and U+200D are none of them: Persian and emoji need them, and all they do is to join or part their neighbours.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Returns true if a text shows nothing: white space, hidden characters, and those that only change or join their neighbours.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|character| {
        character.is_whitespace()
            || is_hidden(character)
            // The joiner of letters, the blank of Braille, the two joiners and the selectors of a variant.
            || matches!(character, '\u{34f}' | '\u{2800}' | '\u{200c}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_commands_a_terminal_or_forges_a_line() {
        let hostile = "a\u{1b}[2J\u{7}b\r\nc\td\u{9b}1m\u{202e}e\u{200b}\u{2066}f\u{2028}g";
        let shown = Printable(hostile).to_string();
        assert_eq!(
            shown, r"a\u{1b}[2J\u{7}b\r\nc\td\u{9b}1m\u{202e}e\u{200b}\u{2066}f\u{2028}g",
            "every hidden character is seen"
        );
        assert_eq!(PrintableLines("a\n\tb\u{1b}c\r\n").to_string(), "a\n\\tb\\u{1b}c\\r\n");
    }

    #[test]
    fn what_people_write_is_shown_as_it_is() {
        for text in ["o-1", "订单 1", "naïve café", "سفارش", "می\u{200c}خواهم", "👩\u{200d}👧", "a\\b`\"'", ""]
        {
            assert_eq!(Printable(text).to_string(), text);
        }
    }

    #[test]
    fn what_shows_nothing_is_blank() {
        for text in ["", " \t\n", "\u{200b}\u{feff}", "\u{2800}", "\u{3000}\u{3164}", "\u{200d}\u{fe0f}", "\u{34f}"] {
            assert!(is_blank(text), "{text:?}");
        }
        for text in [".", "0", " 订 ", "می\u{200c}خواهم", "\u{2801}", "👩\u{200d}👧"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
