//! `make fuzz`: any bytes, to every parser.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| penstock_tests::fuzz::parse(data));
