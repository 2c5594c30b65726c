//! A script or a command line, as the doctor parses it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| hotadd_doctor::fuzzing::shell(text));
