#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| toom_fuzz::listing(data));
