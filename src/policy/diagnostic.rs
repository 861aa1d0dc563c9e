//! What is wrong with a bundle: code, message, place, help; and how that is shown.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::policy::bundle::Bundle;

/// One mistake, or one thing worth a look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of mistake it is; stable, for searching and for machines.
    pub code: &'static str,
    /// What is wrong and what was expected; lower case, no full stop.
    pub message: String,
    /// Where it is; `None` for what concerns the bundle as a whole.
    pub place: Option<Place>,
    /// What to do about it.
    pub help: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The bundle is rejected.
    Error,
    /// The bundle is admitted, but the author should look.
    Warning,
}

/// A place in a file of the bundle.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Place {
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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for Diagnostic {
    /// On one line, for logs: `policies.yaml:3:5: error[unknown-key]: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}[{}]: {}", self.code, self.message)?;
        match &self.help {
            Some(help) => write!(f, " (help: {help})"),
            None => Ok(()),
        }
    }
}

/// Whether the report goes to a terminal that shows colours.
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
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let text = diagnostic.place.as_ref().and_then(|place| {
        let text = std::str::from_utf8(&bundle.file(&place.file)?.bytes).ok()?;
        // Whoever made the place looked at the same text; a place outside is shown without a snippet.
        (text.get(place.start..place.end).is_some()).then_some((place, text))
    });
    let mut group = match text {
        Some((place, text)) => Group::with_title(title).element(
            Snippet::source(text)
                .path(place.file.as_str())
                .fold(true)
                .annotation(AnnotationKind::Primary.span(place.start..place.end)),
        ),
        None => match &diagnostic.place {
            Some(place) => Group::with_title(title).element(annotate_snippets::Origin::path(place.to_string())),
            None => Group::with_title(title),
        },
    };
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let plural = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    match (count(Severity::Error), count(Severity::Warning)) {
        (errors, 0) => plural(errors, "error"),
        (errors, warnings) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    }
}
