//! `make fuzz`: any frames, through the packet path.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| penstock_tests::fuzz::process(data));
