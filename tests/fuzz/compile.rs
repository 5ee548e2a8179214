//! `make fuzz`: any bytes, as manifests.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| penstock_tests::fuzz::compile(data));
