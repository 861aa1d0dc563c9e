//! The form of values in log lines: nothing that a terminal obeys, that forges a line or turns the direction of writing
//! gets into the log, whoever wrote the value.

use std::borrow::Cow;
use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::domain::printable::{Printable, is_hidden};

/// The field that is the text of a line.
const MESSAGE: &str = "message";

/// Fields of text logs: the message, and `name=value` for the others. Each value stands on the line
/// of its event, with hidden characters written visibly.
#[derive(Clone, Copy, Debug)]
pub(super) struct PrintableFields;

impl<'w> FormatFields<'w> for PrintableFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut written = Fields { writer, separator: "", result: Ok(()) };
        fields.record(&mut written);
        written.result
    }
}

/// Fields that are being written.
struct Fields<'w> {
    writer: Writer<'w>,
    separator: &'static str,
    result: fmt::Result,
}

impl Fields<'_> {
    fn write(&mut self, name: &str, value: &dyn Debug) -> fmt::Result {
        self.writer.write_str(std::mem::replace(&mut self.separator, " "))?;
        if name != MESSAGE {
            match self.writer.has_ansi_escapes() {
                true => write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m")?,
                false => write!(self.writer, "{name}=")?,
            }
        }
        write!(PrintableWriter(&mut self.writer), "{value:?}")
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            MESSAGE => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.result.is_ok() {
            let name = field.name();
            self.result = self.write(name.strip_prefix("r#").unwrap_or(name), value);
        }
    }
}

/// Passes texts on with their hidden characters written visibly.
struct PrintableWriter<'w, W>(&'w mut W);

impl<W: Write> Write for PrintableWriter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write!(self.0, "{}", Printable(text))
    }
}

/// A line of JSON with its hidden characters as escapes of JSON; they can stand in its texts alone. The
/// line break at its end stays.
pub(super) fn printable_json(line: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(line) else { return Cow::Borrowed(line) };
    let object = text.strip_suffix('\n').unwrap_or(text);
    if object.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !object.contains(is_hidden) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(2 * text.len());
    for character in object.chars() {
        if is_hidden(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    if object.len() < text.len() {
        escaped.push('\n');
    }
    Cow::Owned(escaped.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_escapes_of_json_and_mean_the_same() {
        let value = serde_json::json!({ "a": "订单\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{e0041}\n" });
        let line = format!("{value}\n");
        let printable = printable_json(line.as_bytes());
        let text = std::str::from_utf8(&printable).unwrap();
        assert!(!text.trim_end().contains(is_hidden) && text.contains("订单") && text.ends_with('\n'), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(text).unwrap(), value);
        assert!(matches!(printable_json(b"{\"a\":\"b\"}\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn pieces_of_a_value_are_escaped_whoever_formats_them() {
        let mut text = String::new();
        for piece in ["a\u{1b}\nb", "\u{202e}"] {
            PrintableWriter(&mut text).write_str(piece).unwrap();
        }
        write!(PrintableWriter(&mut text), "{:?}", "c\u{7}".to_owned()).unwrap();
        assert!(!text.contains(is_hidden) && text.starts_with("a\\u{1b}\\nb\\u{202e}\"c\\u{7}"), "{text:?}");
    }
}
