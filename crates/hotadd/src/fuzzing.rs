//! What the fuzz targets call. Built with `--cfg fuzzing` alone, and no part of what this crate promises.

use hotadd_core::HardwareId;

use crate::cgroups::{self, Hierarchy};
use crate::hardware::uevent_of;
#[cfg(feature = "dbus")]
pub use crate::remote::fuzzing::partition;

/// A message of the kernel. Returns the processor that it is about.
#[must_use]
pub fn uevent(message: &[u8]) -> Option<HardwareId> {
    uevent_of(message)
}

/// The texts of `/proc/self/mountinfo` and `/proc/self/cgroup`. Returns whether each folder is below its mount point.
#[must_use]
pub fn cgroups(mounts: &[u8], own: &[u8]) -> bool {
    let all =
        [Hierarchy::V1("cpu"), Hierarchy::V2].map(|version| cgroups::shown(mounts, own, version));
    all.iter().flatten().flatten().all(|shown| {
        shown.own.starts_with(&shown.top) && shown.folders().last() == Some(&*shown.top)
    })
}

/// The contents of `cpu.max`. Returns time and period of the quota, if there is one.
pub use crate::parallelism::cpu_max;
