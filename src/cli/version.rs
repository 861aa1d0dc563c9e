//! `version`: which program this is.

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::output::answer;

/// Print the version of the program
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  requite version\n\nExit codes:\n  0  it was printed")]
pub(super) struct Version {}

impl Version {
    pub(super) fn run(self) -> Exit {
        answer(concat!("requite ", env!("CARGO_PKG_VERSION")), Exit::Done)
    }
}
