//! [`Door`]: the way into a cpuset for a process that is about to execute a command.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;

use crate::hardware::Mask;

/// The way into a cpuset. Cheap to clone. It does not keep the cpuset.
#[derive(Clone, Debug)]
pub struct Door(pub(super) Arc<OwnedFd>, pub(super) Mask);

impl Door {
    /// Moves the calling process into the cpuset, with all of its threads, and gives the calling thread all that the cpuset has,
    /// whatever its mask was (H1). What it starts from then on begins there.
    ///
    /// Async-signal-safe: two system calls, no allocation and no lock. So it may be called between `fork` and `exec`.
    ///
    /// # Errors
    /// The kernel's, `ENODEV` if the cgroup has been removed.
    pub fn enter(&self) -> rustix::io::Result<()> {
        match rustix::io::write(&self.0, b"0") {
            // Everything, which the kernel cuts to what the cpuset has, now and whenever that changes. Without being set the mask
            // may stay as it was.
            Ok(1) => self.1.adopt(),
            Ok(_) => Err(Errno::IO),
            Err(errno) => Err(errno),
        }
    }
}
