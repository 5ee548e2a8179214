//! `make fuzz`: any operations, on a flow table.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| penstock_tests::fuzz::flows(data));
