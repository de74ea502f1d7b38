//! Frames to feature vectors: see `traffic_fuzz::extractor`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| traffic_fuzz::extractor(data));
