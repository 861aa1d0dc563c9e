//! Between messages and the core: by hand, with every field destructured, so that a new field
//! stops the build. Nothing here decides anything.

pub(crate) mod answer;
pub(crate) mod bounds;
pub(crate) mod bundle;
pub(crate) mod candidate;
pub(crate) mod decision;
pub(crate) mod decode;
pub(crate) mod evidence;
pub(crate) mod explanation;
mod fields;
pub(crate) mod hex;
pub(crate) mod path;
pub(crate) mod plain;
pub(crate) mod request;
pub(crate) mod status;
pub(crate) mod words;
pub(crate) mod writer;

#[cfg(test)]
pub(crate) mod samples;
