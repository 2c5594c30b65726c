//! The kernel operations that the rest of this backend needs, as a trait so that tests can refuse, hot-plug and fork
//! at will.

use std::path::Path;

use hotadd_core::HardwareId;

use crate::CpuList;
use crate::hardware::file::{POSSIBLE, read};
use crate::hardware::holding::{Linux, Mask, Processes, probe};

/// The kernel's error.
pub(super) type Errno = rustix::io::Errno;

/// The kernel operations.
pub(super) trait Kernel: Processes {
    /// The possible processors.
    fn possible(&self) -> Result<Mask, Errno>;

    /// The online processors that the kernel permits this process to use, whatever its current masks are.
    fn permitted(&self) -> Result<Mask, Errno>;

    /// The same, determined on the calling thread, whose mask changes for a moment. Called on the watcher only.
    fn permitted_here(&self) -> Result<Mask, Errno>;

    /// Whether this processor is known to be offline.
    fn is_off(&self, id: HardwareId) -> bool;
}

impl Kernel for Linux {
    fn possible(&self) -> Result<Mask, Errno> {
        let list: CpuList = read(Path::new(POSSIBLE))?.parse().map_err(|_| Errno::IO)?;
        Ok(Mask::of(list.ids().iter().copied()))
    }

    fn permitted(&self) -> Result<Mask, Errno> {
        probe::permitted()
    }

    fn permitted_here(&self) -> Result<Mask, Errno> {
        probe::permitted_here()
    }

    fn is_off(&self, id: HardwareId) -> bool {
        // This reads each processor's own file: a container may show other contents for the lists of all.
        read(Path::new(&format!("/sys/devices/system/cpu/cpu{id}/online")))
            .is_ok_and(|text| text.trim() == "0")
    }
}
