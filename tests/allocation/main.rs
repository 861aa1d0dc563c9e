//! What the heap gives, as it is counted.
//!
//! A program of its own, because the counter stands in for its allocator.
#![cfg(test)]

mod decisions;
mod hostile_bundles;

#[path = "../support/mod.rs"]
mod support;
