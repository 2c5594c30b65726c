//! A message of the kernel about a device.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    if let Some(id) = hotadd::fuzzing::uevent(message) {
        assert!(id.0 < 65_536, "{id} is not a processor");
    }
});
