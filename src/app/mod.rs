//! Composition: configuration, run, shutdown.
//!
//! Everything that waits is started and ended here. What is decided, read or served is not known
//! here, only that it is.

mod background;
pub mod config;
mod descriptors;
pub mod run;
pub mod signals;
