//! Between messages and the core: by hand, with every field destructured, so that a new field
//! stops the build. Nothing here decides anything.

pub(crate) mod bundle;
pub(crate) mod candidate;
pub(crate) mod decision;
pub(crate) mod evidence;
pub(crate) mod explanation;
pub(crate) mod hex;
pub(crate) mod history;
pub(crate) mod identity;
pub(crate) mod request;
pub(crate) mod scalars;
pub(crate) mod status;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod samples;
