#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| toom_tests::fuzz::log_field(data));
