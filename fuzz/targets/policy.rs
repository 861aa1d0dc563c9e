//! Policies: a bundle to plans or diagnostics, and decisions by the plans.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::policy(data));
