//! [`Door`]: lets a process that is about to execute a command enter a cpuset.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;

use crate::hardware::Mask;

/// Lets a process enter a cpuset. Cheap to clone. It does not keep the cpuset alive.
#[derive(Clone, Debug)]
pub struct Door(pub(super) Arc<OwnedFd>, pub(super) Mask);

impl Door {
    /// Moves the calling process into the cpuset, with all of its threads. Gives the calling thread all processors of the cpuset,
    /// whatever its mask was (H1). Processes that it starts from then on begin there.
    ///
    /// Async-signal-safe: two system calls, no allocation and no lock. So it may be called between `fork` and `exec`.
    ///
    /// # Errors
    /// The kernel's error; `ENODEV` if the cgroup has been removed.
    pub fn enter(&self) -> rustix::io::Result<()> {
        match rustix::io::write(&self.0, b"0") {
            // All processors: the kernel limits the mask to those of the cpuset, now and at each change. If the mask is not
            // set, it may stay as it was.
            Ok(1) => self.1.adopt(),
            Ok(_) => Err(Errno::IO),
            Err(errno) => Err(errno),
        }
    }
}
