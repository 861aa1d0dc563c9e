//! Diagnostics of a bundle: code, message, place, help; and their display.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::domain::count::counted;
use crate::domain::limits::{DIAGNOSTICS_COLLECTED_MAX, DIAGNOSTICS_MAX, MESSAGE_CHARS_MAX, QUOTE_CHARS_MAX};
use crate::domain::printable::{Printable, PrintableLines};
use crate::policy::bundle::Bundle;
use crate::policy::excerpt::{Excerpt, excerpt};

/// One mistake, or one thing worth a look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Severity of the mistake.
    pub severity: Severity,
    /// Kind of mistake; stable, for searching and for machines.
    pub code: &'static str,
    /// The mistake and what was expected; lower case, no full stop.
    pub message: String,
    /// Place of the mistake; `None` for what concerns the bundle as a whole.
    pub place: Option<SourceLocation>,
    /// Advice on how to correct it.
    pub help: Option<String>,
}

/// Severity of a diagnostic, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The bundle is rejected.
    Error,
    /// A stricter check refuses what earlier versions of the program took: a new bundle is rejected. One that has been
    /// in force is not, and means what it meant then.
    StricterError,
    /// The bundle is admitted, but the author should look.
    Warning,
}

/// Earlier use of a bundle: has it been in force, as far as is remembered? Stricter checks never stop a server, so it
/// decides what refuses the bundle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Precedent {
    /// It is new.
    #[default]
    New,
    /// A state directory, or this run, has had it in force.
    InForce,
}

impl Severity {
    /// Returns `true` for an error, `false` for a warning.
    #[must_use]
    pub const fn is_error(self) -> bool {
        match self {
            Self::Error | Self::StricterError => true,
            Self::Warning => false,
        }
    }

    /// Returns `true` if it refuses a bundle of this precedent.
    #[must_use]
    pub const fn refuses(self, precedent: Precedent) -> bool {
        match (self, precedent) {
            (Self::Error, _) | (Self::StricterError, Precedent::New) => true,
            (Self::StricterError, Precedent::InForce) | (Self::Warning, _) => false,
        }
    }
}

/// Number of diagnostics of each severity that are noted. Each has room of its own, so that none crowds out what refuses a
/// bundle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Noted {
    errors: usize,
    stricter_errors: usize,
    warnings: usize,
}

impl Noted {
    /// Notes one more; whether there is room for it: a hostile file must not fill the memory with its mistakes, and far
    /// fewer are shown anyway.
    pub const fn note(&mut self, severity: Severity) -> bool {
        let noted = match severity {
            Severity::Error => &mut self.errors,
            Severity::StricterError => &mut self.stricter_errors,
            Severity::Warning => &mut self.warnings,
        };
        let fits = *noted < DIAGNOSTICS_COLLECTED_MAX;
        *noted = noted.saturating_add(1);
        fits
    }

    /// Returns `true` if there is no room for more diagnostics that refuse a bundle of this precedent.
    #[must_use]
    pub const fn is_full(&self, precedent: Precedent) -> bool {
        DIAGNOSTICS_COLLECTED_MAX <= self.errors
            || (Severity::StricterError.refuses(precedent) && DIAGNOSTICS_COLLECTED_MAX <= self.stricter_errors)
    }
}

/// Note below a mistake of a stricter check.
pub const STRICTER_NOTE: &str =
    "earlier versions took this: policies that a state directory has had in force are served as before";

/// A place in a file of the bundle.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SourceLocation {
    /// The file's path within the bundle.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// First byte in the file.
    pub start: usize,
    /// First byte after it.
    pub end: usize,
}

impl Diagnostic {
    /// A diagnostic whose quotations are short, however long the author's words are; without help where `help` is empty.
    #[must_use]
    pub fn new(
        severity: Severity,
        code: &'static str,
        message: impl Into<String>,
        place: Option<SourceLocation>,
        help: impl Into<String>,
    ) -> Self {
        let help = shorten(help.into());
        Self { severity, code, message: shorten(message.into()), place, help: (!help.is_empty()).then_some(help) }
    }
}

/// A message with each quotation in backticks cut to [`QUOTE_CHARS_MAX`], and the whole to [`MESSAGE_CHARS_MAX`].
fn shorten(message: String) -> String {
    if message.len() <= QUOTE_CHARS_MAX {
        return message;
    }
    let mut short = String::new();
    for (place, part) in message.split('`').enumerate() {
        if place != 0 {
            short.push('`');
        }
        let is_quotation = place % 2 == 1;
        short.push_str(&cut(part, if is_quotation { QUOTE_CHARS_MAX } else { MESSAGE_CHARS_MAX }));
        if MESSAGE_CHARS_MAX < short.len() {
            break;
        }
    }
    cut(&short, MESSAGE_CHARS_MAX)
}

/// A text with `…` in place of what is beyond so many characters, the end kept.
fn cut(text: &str, chars_max: usize) -> String {
    if text.len() <= chars_max || text.chars().nth(chars_max).is_none() {
        return text.to_owned();
    }
    let tail_chars = chars_max / 4;
    let boundary = |(at, _): (usize, char)| at;
    let head = text.char_indices().nth(chars_max - tail_chars - 1).map_or(0, boundary);
    let tail = text.char_indices().rev().nth(tail_chars.saturating_sub(1)).map_or(text.len(), boundary);
    format!("{}…{}", text.get(..head).unwrap_or(""), text.get(tail..).unwrap_or(""))
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", Printable(&self.file), self.line, self.column)
    }
}

impl fmt::Display for Diagnostic {
    /// On one line, for logs: `policies.yaml:3:5: error[unknown-key]: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        let severity = match self.severity {
            Severity::Error | Severity::StricterError => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}[{}]: {}", self.code, Printable(&self.message))?;
        match &self.help {
            Some(help) => write!(f, " (help: {})", Printable(help)),
            None => Ok(()),
        }
    }
}

/// By place. Of very many, the errors before the warnings, the first ones, and at the end how many
/// more there are: an error where one of these is.
#[must_use]
pub fn sorted(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let by_place = |a: &Diagnostic, b: &Diagnostic| a.place.cmp(&b.place).then_with(|| a.code.cmp(b.code));
    diagnostics.sort_by(by_place);
    diagnostics.dedup();
    if DIAGNOSTICS_MAX < diagnostics.len() {
        diagnostics.sort_by_key(|diagnostic| diagnostic.severity);
        let left_out = diagnostics.split_off(DIAGNOSTICS_MAX);
        diagnostics.sort_by(by_place);
        diagnostics.push(more(&left_out));
    }
    diagnostics
}

/// Diagnostic in place of those that are not shown.
fn more(left_out: &[Diagnostic]) -> Diagnostic {
    let severity = left_out.iter().map(|diagnostic| diagnostic.severity).min().unwrap_or(Severity::Warning);
    let what = match severity {
        Severity::Error | Severity::StricterError => "more mistake",
        Severity::Warning => "more warning",
    };
    let are = if left_out.len() == 1 { "is" } else { "are" };
    let message = format!("there {are} {}", counted(left_out.len(), what));
    Diagnostic::new(severity, "too-many-mistakes", message, None, "fix those above first")
}

/// Use of colours: does the report go to a terminal that shows them?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// The whole report for people: each mistake with the line it is on, and a count at the end.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], bundle: &Bundle, colour: Colour) -> String {
    let renderer = match colour {
        Colour::On => Renderer::styled(),
        Colour::Off => Renderer::plain(),
    };
    let mut report = String::new();
    for diagnostic in diagnostics {
        report.push_str(&render_one(diagnostic, bundle, &renderer));
        report.push_str("\n\n");
    }
    report.push_str(&summary(diagnostics));
    report.push('\n');
    report
}

fn render_one(diagnostic: &Diagnostic, bundle: &Bundle, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error | Severity::StricterError => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(PrintableLines(&diagnostic.message).to_string()).id(diagnostic.code);
    let text = diagnostic.place.as_ref().and_then(|place| {
        let text = std::str::from_utf8(&bundle.file(&place.file)?.bytes).ok()?;
        // Whoever made the place looked at the same text; a place outside is shown without an excerpt.
        Some((place, excerpt(text, place.line, place.start..place.end)?))
    });
    let mut group = match &text {
        Some((place, Excerpt::Lines { text, line, span })) => Group::with_title(title).element(
            Snippet::source(*text)
                .path(Printable(&place.file).to_string())
                .line_start(*line)
                .fold(true)
                .annotation(AnnotationKind::Primary.span(span.clone())),
        ),
        Some((place, Excerpt::LongLine { around })) => Group::with_title(title)
            .element(annotate_snippets::Origin::path(place.to_string()))
            .element(Level::NOTE.message(format!("in a very long line, here: {around}"))),
        None => match &diagnostic.place {
            Some(place) => Group::with_title(title).element(annotate_snippets::Origin::path(place.to_string())),
            None => Group::with_title(title),
        },
    };
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(PrintableLines(help).to_string()));
    }
    if diagnostic.severity == Severity::StricterError {
        group = group.element(Level::NOTE.message(STRICTER_NOTE));
    }
    renderer.render(&[group])
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity.is_error()).count();
    match (errors, diagnostics.len() - errors) {
        (errors, 0) => counted(errors, "error"),
        (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(severity: Severity, start: usize) -> Diagnostic {
        let place = SourceLocation { file: "shop.policy.yaml".into(), start, ..SourceLocation::default() };
        Diagnostic { severity, code: "unknown-word", message: String::new(), place: Some(place), help: None }
    }

    /// So many warnings, and below them so many errors, as they are shown.
    fn shown(warnings: usize, errors: usize) -> Vec<Diagnostic> {
        let errors = (warnings..warnings + errors).map(|start| at(Severity::Error, start));
        sorted((0..warnings).map(|start| at(Severity::Warning, start)).chain(errors).collect())
    }

    fn count(shown: &[Diagnostic], severity: Severity) -> usize {
        shown.iter().filter(|diagnostic| diagnostic.severity == severity && diagnostic.place.is_some()).count()
    }

    #[test]
    fn no_more_are_shown_than_fit_and_the_rest_is_counted() {
        assert_eq!(shown(DIAGNOSTICS_MAX, 0).len(), DIAGNOSTICS_MAX);
        for (warnings, errors, severity, rest) in [
            (DIAGNOSTICS_MAX + 1, 0, Severity::Warning, "there is 1 more warning"),
            (DIAGNOSTICS_MAX, 7, Severity::Warning, "there are 7 more warnings"),
            (0, DIAGNOSTICS_MAX + 2, Severity::Error, "there are 2 more mistakes"),
            (3, DIAGNOSTICS_MAX + 2, Severity::Error, "there are 5 more mistakes"),
        ] {
            let shown = shown(warnings, errors);
            assert_eq!(shown.len(), DIAGNOSTICS_MAX + 1);
            let last = shown.last().unwrap();
            assert_eq!((last.code, last.severity, last.message.as_str()), ("too-many-mistakes", severity, rest));
        }
    }

    #[test]
    fn a_long_quotation_is_cut_and_what_is_said_of_it_is_not() {
        let long =
            Diagnostic::new(Severity::Error, "x", format!("`{}` is not a slug", "界".repeat(1_000_000)), None, "");
        assert!(long.message.ends_with("界` is not a slug") && long.message.contains("界…界"), "{}", long.message);
        assert!(long.message.chars().count() <= QUOTE_CHARS_MAX + "`` is not a slug".len());
        let many = format!("known are {}", "`a word`, ".repeat(100_000));
        let many = Diagnostic::new(Severity::Error, "x", "m", None, many);
        assert!(many.help.unwrap().chars().count() <= MESSAGE_CHARS_MAX);
    }

    #[test]
    fn an_error_is_shown_before_any_warning_is_and_each_stands_at_its_place() {
        let shown = shown(10 * DIAGNOSTICS_MAX, 3);
        assert_eq!((count(&shown, Severity::Error), count(&shown, Severity::Warning)), (3, DIAGNOSTICS_MAX - 3));
        assert!(shown[..DIAGNOSTICS_MAX].is_sorted_by(|a, b| a.place < b.place));
    }
}
