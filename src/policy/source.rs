//! The text of one file, and where in it things are.

use crate::policy::bundle::BundleFile;
use crate::policy::diagnostic::{Diagnostic, Severity, SourceLocation};

/// A range of bytes in one of several files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span {
    /// File, by its place among the sources.
    pub file: u16,
    /// First byte.
    pub start: u32,
    /// First byte after it.
    pub end: u32,
}

/// A value and where it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Place in the source.
    pub span: Span,
}

/// A file whose text can be pointed into.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The file's path within the bundle.
    pub path: &'a str,
    /// The file's text.
    pub text: &'a str,
    /// Its place among the sources.
    pub file: u16,
    line_starts: Vec<usize>,
    /// Of each line, whether every character in it is one byte.
    narrow_lines: Vec<bool>,
    /// Number of characters before each block of [`BLOCK_BYTES`]: a place in a very long
    /// line is found without counting from its beginning.
    characters_before: Vec<usize>,
}

/// All files that are read together, so that a span of any of them can be shown.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a>(Vec<Source<'a>>);

impl<'a> Sources<'a> {
    /// These sources; each stands at the place that it was opened for.
    #[must_use]
    pub fn new(sources: Vec<Source<'a>>) -> Self {
        Self(sources)
    }

    /// The sources.
    pub fn iter(&self) -> impl Iterator<Item = &Source<'a>> {
        self.0.iter()
    }

    /// The place of a span, for a report.
    #[must_use]
    pub fn place(&self, span: Span) -> SourceLocation {
        let source = self.0.iter().find(|source| source.file == span.file);
        source.map_or_else(SourceLocation::default, |source| source.place(span))
    }

    /// The text of a file; empty where there is none.
    #[must_use]
    pub fn text(&self, file: u16) -> &'a str {
        self.0.iter().find(|source| source.file == file).map_or("", |source| source.text)
    }
}

/// Bytes between two counts of characters.
const BLOCK_BYTES: usize = 64;

impl Span {
    /// From byte offsets.
    #[must_use]
    pub fn new(file: u16, start: usize, end: usize) -> Self {
        // Files are bounded far below 4 GiB.
        let offset = |value| u32::try_from(value).unwrap_or(u32::MAX);
        Self { file, start: offset(start), end: offset(end) }
    }

    /// The bytes from the beginning of this span to the end of the other.
    #[must_use]
    pub const fn to(self, other: Self) -> Self {
        Self { file: self.file, start: self.start, end: other.end }
    }
}

impl<T> Located<T> {
    /// Another value at the same place.
    pub fn with<U>(&self, value: U) -> Located<U> {
        Located { value, span: self.span }
    }
}

impl<'a> Source<'a> {
    /// The text of a file of a bundle; a diagnostic where it is not text.
    pub fn open(file: &'a BundleFile, number: u16) -> Result<Self, Diagnostic> {
        let problem = |message: &str, place: SourceLocation, help: &str| {
            Diagnostic::new(Severity::Error, "not-text", message, Some(place), help)
        };
        let text = std::str::from_utf8(&file.bytes).map_err(|error| {
            // What stands before the wrong byte is text, so the place is known.
            let good = file.bytes.get(..error.valid_up_to()).unwrap_or(&[]);
            let good = Self::new(&file.path, std::str::from_utf8(good).unwrap_or(""), number);
            let place = good.place(good.span(good.text.len(), good.text.len()));
            problem("the file is not UTF-8 from here on", place, "save the file as UTF-8")
        })?;
        let source = Self::new(&file.path, text, number);
        if text.starts_with('\u{feff}') {
            return Err(problem(
                "the file starts with a byte order mark",
                source.place(Span::default()),
                "save the file as UTF-8 without a byte order mark",
            ));
        }
        let lone = |&(at, _): &(usize, &str)| text.as_bytes().get(at + 1) != Some(&b'\n');
        if let Some((at, _)) = text.match_indices('\r').find(lone) {
            return Err(problem(
                "a line ends with a carriage return alone",
                source.place(source.span(at, at)),
                "save the file with the line ends of Unix or Windows",
            ));
        }
        let control = |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
        if let Some((at, character)) = text.char_indices().find(|&(_, character)| control(character)) {
            let message = format!("the file holds the control character U+{:04X}", u32::from(character));
            let place = source.place(source.span(at, at + character.len_utf8()));
            return Err(problem(&message, place, "remove it: a policy is plain text"));
        }
        Ok(source)
    }

    /// A text under a path.
    #[must_use]
    pub fn new(path: &'a str, text: &'a str, file: u16) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let narrow_lines = text.as_bytes().split(|&byte| byte == b'\n').map(<[u8]>::is_ascii).collect();
        let characters_before = text
            .as_bytes()
            .chunks(BLOCK_BYTES)
            .scan(0, |characters, block| {
                let before = *characters;
                *characters += starts_of_characters(block);
                Some(before)
            })
            .collect();
        Self { path, text, file, line_starts, narrow_lines, characters_before }
    }

    /// The span of these bytes.
    #[must_use]
    pub fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    /// The place of a span, for a report.
    #[must_use]
    pub fn place(&self, span: Span) -> SourceLocation {
        let start = self.boundary(span.start as usize);
        let end = self.boundary(span.end as usize).max(start);
        let line = self.line_starts.partition_point(|&line_start| line_start <= start);
        let line_start = line.checked_sub(1).and_then(|line| self.line_starts.get(line)).copied().unwrap_or(0);
        let column = self.characters_before(start) - self.characters_before(line_start);
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        SourceLocation { file: self.path.to_owned(), line: number(line.max(1)), column: number(column + 1), start, end }
    }

    /// The byte of a line (from 1) and a column (from 0, in characters).
    #[must_use]
    pub fn offset(&self, line: usize, column: usize) -> usize {
        self.offset_in_narrow_line(line, column).unwrap_or_else(|| self.offset_by_counting(line, column))
    }

    /// Nearly every line: where each character is one byte, the column is the distance.
    fn offset_in_narrow_line(&self, line: usize, column: usize) -> Option<usize> {
        let line = line.checked_sub(1)?;
        let end = self.line_starts.get(line + 1).copied().unwrap_or(self.text.len());
        let at = self.line_starts.get(line)?.saturating_add(column);
        (*self.narrow_lines.get(line)? && at < end).then_some(at)
    }

    fn offset_by_counting(&self, line: usize, column: usize) -> usize {
        let line_start =
            line.checked_sub(1).and_then(|line| self.line_starts.get(line)).copied().unwrap_or(self.text.len());
        let wanted = self.characters_before(line_start) + column;
        let block = self.characters_before.partition_point(|&before| before <= wanted).saturating_sub(1);
        let mut before = self.characters_before.get(block).copied().unwrap_or(0);
        for (at, &byte) in self.text.as_bytes().iter().enumerate().skip(block * BLOCK_BYTES) {
            if is_start_of_character(byte) {
                if before == wanted {
                    return at;
                }
                before += 1;
            }
        }
        self.text.len()
    }

    /// Number of characters that begin before a byte.
    fn characters_before(&self, byte: usize) -> usize {
        let block = (byte / BLOCK_BYTES).min(self.characters_before.len().saturating_sub(1));
        let before = self.characters_before.get(block).copied().unwrap_or(0);
        before + self.text.as_bytes().get(block * BLOCK_BYTES..byte).map_or(0, starts_of_characters)
    }

    /// The nearest start of a character, inside the text.
    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset = offset.saturating_sub(1);
        }
        offset
    }
}

/// In UTF-8 every byte of a character but its first looks like `10……`.
const fn is_start_of_character(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

fn starts_of_characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| is_start_of_character(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_leads_back_to_its_byte() {
        let text = format!("一: 1\n{}\n二: 2\n", "二b".repeat(200));
        let source = Source::new("p.yaml", &text, 0);
        for (byte, _) in text.char_indices() {
            let place = source.place(source.span(byte, byte));
            let before = text.get(..byte).unwrap();
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            assert_eq!(place.line as usize, before.matches('\n').count() + 1);
            assert_eq!(place.column as usize, before[line_start..].chars().count() + 1);
            assert_eq!(source.offset(place.line as usize, place.column as usize - 1), byte);
        }
        assert_eq!(source.offset(1, 4_000), text.len());
    }
}
