//! One frame: see `traffic_fuzz::decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| traffic_fuzz::decode(data));
