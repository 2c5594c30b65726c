//! What the rest of this backend asks of the kernel, as a trait so that tests can refuse, hot-plug and fork at will.

use std::path::Path;
use std::thread;

use hotadd_core::HardwareId;

use crate::CpuList;
use crate::hardware::file::{POSSIBLE, errno, read};
use crate::hardware::holding::{Linux, Mask, Processes};

/// The kernel's own error.
pub(super) type Errno = rustix::io::Errno;

/// Asks and tells the kernel.
pub(super) trait Kernel: Processes {
    /// The processors that there can ever be.
    fn possible(&self) -> Result<Mask, Errno>;

    /// The processors that the kernel would let this process use and that run, whatever its masks are now.
    fn permitted(&self) -> Result<Mask, Errno>;

    /// The same, found out on this very thread, whose mask is another one for a moment.
    fn permitted_here(&self) -> Result<Mask, Errno>;

    /// Whether this processor is known to be off.
    fn is_off(&self, id: HardwareId) -> bool;
}

impl Kernel for Linux {
    fn possible(&self) -> Result<Mask, Errno> {
        let list: CpuList = read(Path::new(POSSIBLE))?.parse().map_err(|_| Errno::IO)?;
        Ok(Mask::of(list.ids().iter().copied()))
    }

    fn permitted(&self) -> Result<Mask, Errno> {
        // A thread of its own, so that nobody's mask is touched.
        thread::scope(|scope| {
            let named = thread::Builder::new().name("hotadd-probe".into());
            let thread =
                named.spawn_scoped(scope, || self.permitted_here()).map_err(|e| errno(&e))?;
            thread.join().unwrap_or(Err(Errno::IO))
        })
    }

    fn permitted_here(&self) -> Result<Mask, Errno> {
        // Nothing in /proc or /sys says it on every kernel, and what they say may be a container's picture of it (H4). But the
        // kernel cuts a mask to what it permits, so a thread that asks for everything can read it off. What is offline, the
        // kernel leaves out of what it reads.
        let before = Mask::current()?;
        Mask::full().adopt()?;
        let permitted = Mask::current();
        // A probing thread, joined or not, can still be listed for a moment, and must not then look like one that reaches
        // outside of the set.
        before.adopt()?;
        permitted
    }

    fn is_off(&self, id: HardwareId) -> bool {
        // Of each processor by itself: the lists of all may be a container's picture.
        read(Path::new(&format!("/sys/devices/system/cpu/cpu{id}/online")))
            .is_ok_and(|text| text.trim() == "0")
    }
}
