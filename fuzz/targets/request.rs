//! The request reader: bytes to a decision or a refusal.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::request(data));
