//! Exit codes of verbs, for the shell.

use std::process::ExitCode;

/// Exit code of a verb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// It worked.
    Done = 0,
    /// Something unexpected happened.
    Unexpected = 1,
    /// The command line, or the request it names, is wrong.
    Usage = 2,
    /// The policies are invalid or cannot be read.
    PolicyInvalid = 3,
    /// The policies are valid, but a case does not come out as expected.
    CasesFailed = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
