//! Policies: a bundle to plans or diagnostics, and decisions by the plans.
#![no_main]

#[path = "bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::policy(data));
