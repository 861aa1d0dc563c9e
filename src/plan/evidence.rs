//! Evidence as a plan sees it: kinds with their conditions, requirements written out.

use crate::domain::facts::FactId;
use crate::domain::time::Elapsed;
use crate::plan::vocabulary::Labels;

/// A kind of evidence, and what a piece of it must be like to count.
#[derive(Clone, PartialEq, Debug)]
pub struct EvidenceKind {
    /// Its name for people.
    pub label: Labels,
    /// Media types allowed; empty: any.
    pub media: Vec<MediaRange>,
    /// The largest size allowed, in bytes.
    pub max_bytes: Option<i64>,
    /// It must not be captured before this moment.
    pub captured_after: Option<FactId>,
    /// It must not be captured after this moment.
    pub captured_before: Option<FactId>,
    /// It must not be captured longer than this before the request.
    pub max_age: Option<Elapsed>,
    /// Fields that it must fill.
    pub fields: Vec<String>,
    /// Whether a piece must say what the conditions above are about.
    pub unstated: Unstated,
}

/// What becomes of a piece that does not say its media type or time of capture where there is a
/// condition on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unstated {
    /// It counts: only what is said is held against the condition.
    Accepted,
    /// It does not count.
    Rejected,
}

/// `image/png`, or all of a family: `image/*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MediaRange {
    /// One type.
    Type(String),
    /// Every type that begins so, up to and including the slash.
    Family(String),
}

/// What must be proved: any one of these sets of kinds does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    /// Its name in the policy.
    pub name: String,
    /// Sets of kinds, one bit each; none contains another; smallest first.
    pub alternatives: Vec<u64>,
}

impl MediaRange {
    /// Whether a media type is in the range. Parameters and case do not count.
    #[must_use]
    pub fn contains(&self, media_type: &str) -> bool {
        let essence = media_type.split(';').next().unwrap_or("").trim();
        match self {
            Self::Type(wanted) => essence.eq_ignore_ascii_case(wanted),
            Self::Family(prefix) => {
                essence.get(..prefix.len()).is_some_and(|family| family.eq_ignore_ascii_case(prefix))
            }
        }
    }
}
