//! The bad fields of one request, as they are found: a bounded list.

use std::fmt::Display;

use crate::domain::limits::VIOLATIONS_MAX;
use crate::domain::request::FieldViolation;

/// The bad fields of one request. Only the first [`VIOLATIONS_MAX`] are put into words; the rest is counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Violations {
    named: Vec<FieldViolation>,
    further: usize,
}

impl Violations {
    /// Notes what is wrong with a field. Neither is put into words where there are too many already,
    /// so both should be given unwritten, by `format_args!`.
    #[cold]
    pub fn add(&mut self, field: impl Display, problem: impl Display) {
        if self.named.len() < VIOLATIONS_MAX {
            self.named.push(FieldViolation::new(field.to_string(), problem.to_string()));
        } else {
            self.further = self.further.saturating_add(1);
        }
    }

    /// Returns true if there is no bad field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Number of bad fields, put into words or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.named.len().saturating_add(self.further)
    }

    /// The bad fields in the order in which they were found. Where there were too many, a last entry
    /// without a field says how many more there are.
    #[must_use]
    pub fn into_list(self) -> Vec<FieldViolation> {
        let Self { mut named, further } = self;
        if 0 < further {
            named.push(FieldViolation::new("", format!("{further} more fields are bad")));
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_are_named_and_the_rest_is_counted() {
        let mut violations = Violations::default();
        assert!(violations.is_empty());
        for place in 0..VIOLATIONS_MAX + 7 {
            violations.add(format_args!("order.lines[{place}]"), "is bad");
        }
        assert_eq!(violations.len(), VIOLATIONS_MAX + 7);
        let list = violations.into_list();
        assert_eq!(list.len(), VIOLATIONS_MAX + 1);
        assert_eq!(list.last(), Some(&FieldViolation::new("", "7 more fields are bad")));
    }
}
