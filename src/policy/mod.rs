//! From text to plan: read, check, compile; and what to say when that fails.

pub mod bundle;
pub mod diagnostic;
