//! Requests as they arrive: in JSON, spoilt, hostile, and as large as they may be.
#![cfg(test)]

mod fuzz_corpus;
mod hostile_requests;
mod largest_request;
mod request_json;

#[path = "../../fuzz/targets/bodies.rs"]
mod bodies;
#[path = "../support/mod.rs"]
mod support;
