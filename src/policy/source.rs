//! The text of one file, and where in it things are.

use crate::policy::bundle::BundleFile;
use crate::policy::diagnostic::{Diagnostic, Place, Severity};

/// A range of bytes in one of several files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span {
    /// Which file, by its place among the sources.
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
    /// Where it was written.
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
    pub fn place(&self, span: Span) -> Place {
        let source = self.0.iter().find(|source| source.file == span.file);
        source.map_or_else(Place::default, |source| source.place(span))
    }

    /// The text of a file; empty where there is none.
    #[must_use]
    pub fn text(&self, file: u16) -> &'a str {
        self.0.iter().find(|source| source.file == file).map_or("", |source| source.text)
    }
}

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
        let problem = |message: &str, at: usize, help: &str| Diagnostic {
            severity: Severity::Error,
            code: "not-text",
            message: message.to_owned(),
            place: Some(Place { file: file.path.clone(), line: 1, column: 1, start: at, end: at }),
            help: Some(help.to_owned()),
        };
        let text = std::str::from_utf8(&file.bytes).map_err(|error| {
            problem(
                &format!("the file is not UTF-8: byte {} is wrong", error.valid_up_to()),
                0,
                "save the file as UTF-8",
            )
        })?;
        let source = Self::new(&file.path, text, number);
        if text.starts_with('\u{feff}') {
            return Err(problem(
                "the file starts with a byte order mark",
                0,
                "save the file as UTF-8 without a byte order mark",
            ));
        }
        let control = |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
        if let Some((at, character)) = text.char_indices().find(|&(_, character)| control(character)) {
            let message = format!("the file holds the control character U+{:04X}", u32::from(character));
            let place = source.place(source.span(at, at + character.len_utf8()));
            return Err(Diagnostic {
                severity: Severity::Error,
                code: "not-text",
                message,
                place: Some(place),
                help: Some("remove it: a policy is plain text".to_owned()),
            });
        }
        Ok(source)
    }

    /// A text under a path.
    #[must_use]
    pub fn new(path: &'a str, text: &'a str, file: u16) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path, text, file, line_starts }
    }

    /// The span of these bytes.
    #[must_use]
    pub fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    /// The place of a span, for a report.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        let start = self.boundary(span.start as usize);
        let end = self.boundary(span.end as usize).max(start);
        let line = self.line_starts.partition_point(|&line_start| line_start <= start);
        let line_start = line.checked_sub(1).and_then(|line| self.line_starts.get(line)).copied().unwrap_or(0);
        let column = self.text.get(line_start..start).map_or(0, |before| before.chars().count());
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Place { file: self.path.to_owned(), line: number(line.max(1)), column: number(column + 1), start, end }
    }

    /// The byte of a line (from 1) and a column (from 0, in characters).
    #[must_use]
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let line_start =
            line.checked_sub(1).and_then(|line| self.line_starts.get(line)).copied().unwrap_or(self.text.len());
        let rest = self.text.get(line_start..).unwrap_or("");
        rest.char_indices().nth(column).map_or(self.text.len(), |(at, _)| line_start + at)
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
