//! The messages of a partition to its clients: replies, signals, and calls of agents.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = hotadd::fuzzing::partition(bytes);
});
