//! Sources of bundles.
//!
//! Each source gives a [`Bundle`] and knows nothing of what is in it, of the engine, or of what becomes of what it found.

pub mod directory;
pub mod embedded;
mod error;
pub mod scan;
pub mod watch;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use crate::policy::bundle::Bundle;

pub use crate::source::directory::Directory;
pub use crate::source::embedded::Embedded;
pub use crate::source::error::{SourceError, SourceProblem};

/// A place that bundles come from. A new kind implements this, in a file of its own.
pub trait Source: Debug + Send + Sync + 'static {
    /// Reads the bundle that it holds now. May wait: not for a thread that serves requests.
    fn read(&self) -> Result<Bundle, SourceError>;

    /// Calls `changed` once at the beginning, for whatever happened before the watch began, and after each change.
    /// Ends at once where nothing ever changes.
    fn watch(&self, changed: Box<dyn FnMut() + Send>) -> Watching;

    /// Names the place, for people.
    fn location(&self) -> String;
}

/// A watch on a source; it ends when it is dropped.
pub type Watching = Pin<Box<dyn Future<Output = ()> + Send>>;
