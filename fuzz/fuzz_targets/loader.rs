//! Any bytes are inspected, and loaded if they look like a driver. No code of them runs.
#![no_main]

use hotadd_nt::pe::{inspect, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if inspect(bytes).is_ok() {
        drop(load(bytes, "fuzzed.sys", false));
    }
});
