//! The fields of admins' requests: each is read strictly, and all that is wrong is said at once.

use crate::api::errors::Failure;
use crate::domain::request::FieldViolation;
use crate::policy::bundle::Digest;
use crate::server::admin::failure::AdminFailure;
use crate::server::admin::limits::REASON_BYTES_MAX;

/// Every live request is put to the candidate.
pub(crate) const SAMPLE_ALL: u16 = 1_000;

/// The fields of one request, as they are read.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    violations: Vec<FieldViolation>,
}

impl Fields {
    /// A digest; `None` where the field is empty, or wrong.
    pub(crate) fn digest(&mut self, field: &str, text: &str) -> Option<Digest> {
        if text.is_empty() { None } else { self.mandatory_digest(field, text) }
    }

    /// A digest that must be there.
    pub(crate) fn mandatory_digest(&mut self, field: &str, text: &str) -> Option<Digest> {
        let digest = text.parse();
        if let Err(expected) = &digest {
            let problem = if text.is_empty() { "is mandatory".to_owned() } else { format!("{expected}") };
            self.violations.push(FieldViolation::new(field, problem));
        }
        digest.ok()
    }

    /// Reason of a change; `None` where the field is empty, or wrong.
    pub(crate) fn reason(&mut self, text: String) -> Option<String> {
        if REASON_BYTES_MAX < text.len() {
            let problem = format!("must have at most {REASON_BYTES_MAX} bytes, got {}", text.len());
            self.violations.push(FieldViolation::new("reason", problem));
            return None;
        }
        (!text.is_empty()).then_some(text)
    }

    /// A share of a thousand; zero means all of them.
    pub(crate) fn sample(&mut self, field: &str, per_thousand: u32) -> Option<u16> {
        match u16::try_from(per_thousand) {
            Ok(0) => Some(SAMPLE_ALL),
            Ok(share) if share <= SAMPLE_ALL => Some(share),
            Ok(_) | Err(_) => {
                let problem = format!("must be at most {SAMPLE_ALL}, got {per_thousand}");
                self.violations.push(FieldViolation::new(field, problem));
                None
            }
        }
    }

    /// Adds violations found elsewhere in the request.
    pub(crate) fn add_all(&mut self, violations: Vec<FieldViolation>) {
        self.violations.extend(violations);
    }

    /// Fails if any field is bad.
    pub(crate) fn done(self) -> Result<(), AdminFailure> {
        if self.violations.is_empty() { Ok(()) } else { Err(Failure::BadRequest(self.violations).into()) }
    }

    /// The value of a mandatory field, if all fields are good.
    pub(crate) fn done_with<T>(self, mandatory: Option<T>) -> Result<T, AdminFailure> {
        self.done()?;
        // A mandatory field without a value is a violation.
        mandatory.ok_or(AdminFailure::Call(Failure::Bug))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_field_is_named() {
        let mut fields = Fields::default();
        assert_eq!(fields.mandatory_digest("digest", ""), None);
        assert_eq!(fields.digest("expected_digest", "blake3:12"), None);
        assert_eq!(fields.reason("x".repeat(257)), None);
        assert_eq!(fields.sample("sample_per_thousand", 1_001), None);
        let Err(AdminFailure::Call(Failure::BadRequest(violations))) = fields.done() else { panic!("a bad request") };
        let named: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(named, ["digest", "expected_digest", "reason", "sample_per_thousand"]);
    }

    #[test]
    fn empty_fields_say_nothing() {
        let mut fields = Fields::default();
        assert_eq!(fields.digest("digest", ""), None);
        assert_eq!(fields.reason(String::new()), None);
        assert_eq!(fields.sample("sample_per_thousand", 0), Some(1_000));
        assert_eq!(fields.done(), Ok(()));
    }
}
