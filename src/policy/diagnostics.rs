//! The sink of diagnostics while files are read and checked, with the words that are near to a wrong one.

use crate::policy::diagnostic::{Diagnostic, Noted, Precedent, Severity};
use crate::policy::slip::is_of_quotes;
use crate::policy::source::{Sources, Span};
use crate::policy::tree::Node;

/// Collects what is wrong while a file is read or checked.
#[derive(Debug)]
pub struct Diagnostics<'s, 't> {
    /// The files.
    pub sources: &'s Sources<'t>,
    /// Diagnostics so far.
    pub diagnostics: Vec<Diagnostic>,
    /// Number of diagnostics of each severity.
    noted: Noted,
    /// Precedent of the bundle.
    precedent: Precedent,
    /// Number of known words that may still be compared with wrong ones.
    comparisons_left: usize,
}

/// Advice on a word that begins with a typographic quote, whatever else is wrong with it.
const STRAIGHT_QUOTES: &str =
    "the quotes around it are typographic ones and so part of it: write straight ones, `\"…\"`";

/// Number of known words compared with wrong ones, before suggestions stop: enough for two
/// hundred mistakes, which is what is shown, with the largest vocabulary. Without it, a long table
/// with a wrong word in each row takes minutes.
const COMPARISONS_MAX: usize = 1_000_000;

impl<'s, 't> Diagnostics<'s, 't> {
    /// A reader of these files of a new bundle, with nothing wrong yet.
    #[must_use]
    pub fn new(sources: &'s Sources<'t>) -> Self {
        Self::of(sources, Precedent::New)
    }

    /// A reader of these files of a bundle of this precedent, with nothing wrong yet.
    #[must_use]
    pub fn of(sources: &'s Sources<'t>, precedent: Precedent) -> Self {
        let (diagnostics, noted) = (Vec::new(), Noted::default());
        Self { sources, diagnostics, noted, precedent, comparisons_left: COMPARISONS_MAX }
    }

    /// Reports an error.
    pub fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Error, code, span, message.into(), help.into());
    }

    /// Reports what earlier versions of the program took. `None` where that refuses the bundle; otherwise the check goes
    /// on with what it meant to them.
    pub fn stricter_error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<()> {
        self.push(Severity::StricterError, code, span, message.into(), help.into());
        (!Severity::StricterError.refuses(self.precedent)).then_some(())
    }

    /// Reports something worth a look.
    pub fn warning(&mut self, code: &'static str, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Warning, code, span, message.into(), help.into());
    }

    fn push(&mut self, severity: Severity, code: &'static str, span: Span, message: String, help: String) {
        if !self.noted.note(severity) {
            return;
        }
        let help = if is_of_quotes(&message) { STRAIGHT_QUOTES.to_owned() } else { help };
        self.diagnostics.push(Diagnostic::new(severity, code, message, Some(self.sources.place(span)), help));
    }

    /// Returns `true` if no more errors are noted: what is still to be read would only take time.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.noted.is_full(self.precedent)
    }

    /// Number of mistakes so far that refuse the bundle.
    #[must_use]
    pub fn refusals(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity.refuses(self.precedent)).count()
    }

    /// The known word nearest to a wrong one, if one is near enough to be meant; `None` also where so many were
    /// looked for that another one would not be shown.
    pub fn suggestion<'w>(&mut self, wrong: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
        if self.comparisons_left == 0 {
            return None;
        }
        let known: Vec<&str> = known.into_iter().collect();
        self.comparisons_left = self.comparisons_left.saturating_sub(known.len());
        if self.comparisons_left == 0 { None } else { nearest(wrong, known) }
    }

    /// Reports that a value is not of the expected form.
    pub fn expected(&mut self, node: &Node, what: &str) {
        self.error("wrong-type", node.span, format!("expected {what}, got {}", node.describe()), "");
    }
}

/// The known word nearest to a wrong one, if one is near enough.
#[must_use]
pub fn nearest<'w>(wrong: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let length = wrong.chars().count();
    known
        .into_iter()
        .filter_map(|word| {
            let characters = word.chars().count();
            let near = 1 + characters / 4;
            // Words are at least as far apart as their lengths, which is found out far sooner.
            if near < length.abs_diff(characters) {
                return None;
            }
            let distance = strsim::damerau_levenshtein(wrong, word);
            (distance <= near).then_some((distance, word))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, word)| word)
}

/// "`a`, `b`, `c`".
#[must_use]
pub fn quoted_list(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{}`", word.as_ref())).collect();
    quoted.join(", ")
}
