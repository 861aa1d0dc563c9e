//! The source of the policies that a verb works on, by its flags.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::source::{Directory, Embedded, Source};

/// Flags that name the source. A new kind of source is chosen here.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// The directory of the policies; without it, the ones that come with the program
    #[arg(long, value_name = "DIR", env = "REQUITE_POLICIES")]
    policies: Option<PathBuf>,
}

impl SourceArgs {
    /// The source that the flags name.
    pub(super) fn source(self) -> Arc<dyn Source> {
        match self.policies {
            Some(path) => Arc::new(Directory::new(path)),
            None => Arc::new(Embedded),
        }
    }
}
