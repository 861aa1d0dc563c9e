//! Where bundles come from.
//!
//! Each source gives a [`Bundle`](crate::policy::bundle::Bundle) and knows nothing of what is in
//! it, of the engine, or of what becomes of what it found.

pub mod activations;
pub mod archive;
pub mod checksummed;
pub mod directory;
pub mod embedded;
pub mod record;
pub mod scan;
pub mod state;
pub mod watch;
