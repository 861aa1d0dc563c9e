//! Amounts, decimals, lengths of time and moments.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::money(data));
