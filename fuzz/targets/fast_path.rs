//! The fast path against the slow one.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::fast_path(data));
