//! The messages of a peer to a partition: its handshake, its calls and its answers; and messages over a bus.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = hotadd_service::fuzzing::peer(bytes);
    let _ = hotadd_service::fuzzing::bus(bytes);
});
