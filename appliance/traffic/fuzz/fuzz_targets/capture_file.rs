//! One capture file: see `traffic_fuzz::capture_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| traffic_fuzz::capture_file(data));
