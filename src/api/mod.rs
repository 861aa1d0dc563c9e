//! The API as both sides of a connection know it: messages, their JSON form, their bounds, and the statuses of calls
//! that end without an answer. Nothing here opens a socket or knows what is in force.

pub mod bounds;
pub mod decode;
pub(crate) mod descriptors;
pub mod errors;
pub mod json;
pub mod limits;
pub mod path;
pub mod pb;

#[cfg(test)]
pub(crate) mod samples;
