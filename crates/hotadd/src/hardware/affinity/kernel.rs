//! The kernel operations that the rest of this backend needs, as a trait so that tests can refuse, hot-plug and fork
//! at will.

use std::path::Path;
use std::thread;

use hotadd_core::HardwareId;

use crate::CpuList;
use crate::hardware::file::{POSSIBLE, errno, read};
use crate::hardware::holding::{Linux, Mask, Processes};

/// The kernel's error.
pub(super) type Errno = rustix::io::Errno;

/// The kernel operations.
pub(super) trait Kernel: Processes {
    /// The possible processors.
    fn possible(&self) -> Result<Mask, Errno>;

    /// The online processors that the kernel permits this process to use, whatever its current masks are.
    fn permitted(&self) -> Result<Mask, Errno>;

    /// The same, determined on the calling thread, whose mask changes for a moment.
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
        // This uses a thread of its own, so that no existing thread's mask is changed.
        thread::scope(|scope| {
            let named = thread::Builder::new().name("hotadd-probe".into());
            let thread =
                named.spawn_scoped(scope, || self.permitted_here()).map_err(|e| errno(&e))?;
            thread.join().unwrap_or(Err(Errno::IO))
        })
    }

    fn permitted_here(&self) -> Result<Mask, Errno> {
        // No file in /proc or /sys gives this on every kernel, and a container may show other contents (H4). But the kernel
        // limits a mask to what it permits, so a thread that asks for all processors can read the permitted ones back. The
        // kernel omits offline processors from what it reads.
        let before = Mask::current()?;
        Mask::full().adopt()?;
        let permitted = Mask::current();
        // A probing thread, joined or not, can still be listed for a moment. It must not then look like a thread that
        // reaches outside of the set.
        before.adopt()?;
        permitted
    }

    fn is_off(&self, id: HardwareId) -> bool {
        // This reads each processor's own file: a container may show other contents for the lists of all.
        read(Path::new(&format!("/sys/devices/system/cpu/cpu{id}/online")))
            .is_ok_and(|text| text.trim() == "0")
    }
}
