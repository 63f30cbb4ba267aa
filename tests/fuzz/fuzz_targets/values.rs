#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hallpass_fuzz::fuzz::values(bytes));
