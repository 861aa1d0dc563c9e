//! From text to plan: read, check, compile; and what to say when that fails.

pub mod bundle;
pub mod calendar;
pub mod check;
pub mod compile;
pub mod diagnostic;
pub mod diagnostics;
pub mod diff;
pub mod document;
mod excerpt;
pub mod explanations;
pub mod format;
pub mod formula;
pub mod literal;
pub mod load;
pub mod merge;
pub mod read;
pub mod reference;
pub mod schema;
pub mod slip;
pub mod source;
pub mod tree;
pub mod unknown;
pub mod versions;
