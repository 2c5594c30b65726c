//! What the fuzz targets call. Built with `--cfg fuzzing` alone, and no part of what this crate promises.

use hotadd_core::HardwareId;

use crate::hardware::uevent_of;
#[cfg(feature = "dbus")]
pub use crate::remote::fuzzing::partition;

/// A message of the kernel. Returns the processor that it is about.
#[must_use]
pub fn uevent(message: &[u8]) -> Option<HardwareId> {
    uevent_of(message)
}
