//! The reader of requests as JSON: a text to a request or a report.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::request_json(data));
