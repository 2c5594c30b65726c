//! What a partition sends to who is connected: replies, signals, and calls of agents.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = hotadd::fuzzing::partition(bytes);
});
