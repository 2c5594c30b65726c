//! The kernel's description of this process's cgroups and of the mounts, and a quota. The names of cgroups and mount points are
//! chosen by others.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&[u8], &[u8], &str)| {
    let (mounts, own, quota) = texts;
    assert!(hotadd::fuzzing::cgroups(mounts, own), "a folder is outside of its mount point");
    if let Some((time, period)) = hotadd::fuzzing::cpu_max(quota) {
        assert!(time > 0 && period > 0, "{time} in {period} is not a quota");
    }
});
