//! Packets and passing time against a naive flow table: see `traffic_fuzz::flow_table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| traffic_fuzz::flow_table(data));
