//! A file of udev rules, as the doctor parses and follows them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| hotadd_doctor::fuzzing::rules(file));
