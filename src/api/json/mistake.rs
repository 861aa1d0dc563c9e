//! Mistakes in a JSON text: where, in which field, what was expected, what to write.

use std::fmt;

use crate::domain::limits::VIOLATIONS_MAX;
use crate::domain::printable::Printable;

/// One mistake in a JSON text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JsonMistake {
    /// The line, counted from one; zero where the problem has no place.
    pub line: usize,
    /// The column in bytes, counted from one; zero where the problem has no place.
    pub column: usize,
    /// The field as it is named in the proto files, such as `order.lines[0].paid`; empty where it is
    /// about the message itself, or about the form of the text.
    pub field: String,
    /// The mistake, and what was expected.
    pub problem: String,
    /// The text to write instead; empty where the problem says it.
    pub help: String,
}

/// Error for a text that is no message: its mistakes in the order of the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JsonError {
    /// The mistakes, at most [`VIOLATIONS_MAX`].
    pub mistakes: Vec<JsonMistake>,
    /// The number of those beyond.
    pub further: usize,
}

impl JsonError {
    /// One problem that has no place in the text.
    #[must_use]
    pub fn without_place(problem: &str) -> Self {
        let problem = problem.to_owned();
        Self::one(JsonMistake { line: 0, column: 0, field: String::new(), problem, help: String::new() })
    }

    /// One mistake.
    #[must_use]
    pub fn one(mistake: JsonMistake) -> Self {
        Self { mistakes: vec![mistake], further: 0 }
    }

    /// Notes another mistake. Only the first [`VIOLATIONS_MAX`] are kept, and only those are worded.
    pub(super) fn add(&mut self, mistake: impl FnOnce() -> JsonMistake) {
        if self.mistakes.len() < VIOLATIONS_MAX {
            self.mistakes.push(mistake());
        } else {
            self.further = self.further.saturating_add(1);
        }
    }
}

impl fmt::Display for JsonMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, field, problem, help } = self;
        if 0 < *line {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !field.is_empty() {
            write!(f, "{}: ", Printable(field))?;
        }
        write!(f, "{}", Printable(problem))?;
        if help.is_empty() { Ok(()) } else { write!(f, "; {}", Printable(help)) }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, mistake) in self.mistakes.iter().enumerate() {
            let separator = if place == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        if 0 < self.further { write!(f, "\n{} more mistakes", self.further) } else { Ok(()) }
    }
}

impl std::error::Error for JsonError {}
