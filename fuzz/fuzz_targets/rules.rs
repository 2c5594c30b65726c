//! A file of udev's rules, as the doctor reads and follows them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| hotadd_doctor::fuzzing::rules(file));
