//! The usual request for a decision, read from its bytes and answered in bytes, without the messages between.
//!
//! What is unusual goes over `server::wire`, which decides alike: a request that is not read here is decoded and read
//! there. Tests hold both ways against each other.

pub(crate) mod answer;
mod fields;
mod keys;
pub(crate) mod numbers;
pub(crate) mod request;
pub(crate) mod writer;
