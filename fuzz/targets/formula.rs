//! Formulas: text to operations, and what they come to.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::formula(data));
