//! Reasons why a source gives no bundle, whatever kind of source it is.

use std::fmt;
use std::time::Duration;

use crate::policy::bundle::BundleError;

/// Reasons why a source gives no bundle.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SourceError {
    /// There are parts that cannot be read or do not belong there; every one of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Problems(Vec<SourceProblem>),
    /// A part changed while it was read, again and again; its name is printable.
    #[error("`{0}` changed while it was read")]
    Unstable(String),
    /// The source does not answer.
    #[error("reading the policies takes longer than {0:?}")]
    Hanging(Duration),
    /// The files together are not a bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// One part of a source that gives nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceProblem {
    /// The problem and the part that has it, printable.
    pub problem: String,
    /// Advice to whoever runs the source.
    pub help: &'static str,
    /// True if another attempt may succeed without anyone changing the source.
    pub is_transient: bool,
}

impl fmt::Display for SourceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl SourceError {
    /// Returns true if another attempt may succeed without anyone changing the source.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Problems(problems) => problems.iter().any(|problem| problem.is_transient),
            Self::Unstable(_) | Self::Hanging(_) => true,
            Self::Bundle(_) => false,
        }
    }

    /// Each problem on its own, with advice.
    #[must_use]
    pub fn lines(&self) -> Vec<(String, &'static str)> {
        match self {
            Self::Problems(problems) => {
                problems.iter().map(|problem| (problem.problem.clone(), problem.help)).collect()
            }
            Self::Unstable(_) => vec![(self.to_string(), "wait until whatever writes it has finished")],
            Self::Hanging(_) => vec![(self.to_string(), "check whatever holds them, such as the file system")],
            Self::Bundle(_) => vec![(self.to_string(), "a bundle is a tree of `.yaml` files")],
        }
    }
}
