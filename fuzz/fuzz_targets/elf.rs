//! A native driver's file, up to the point where the system's linker loads it. Nothing is loaded.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = hotadd_nt::fuzzing::native(bytes);
});
