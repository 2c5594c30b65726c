//! [`Door`]: the way into a cpuset for a process that is about to execute a command.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;

/// The way into a cpuset. Cheap to clone. It does not keep the cpuset.
#[derive(Clone, Debug)]
pub struct Door(pub(super) Arc<OwnedFd>);

impl Door {
    /// Moves the calling process into the cpuset, with all of its threads. What it starts from then on begins there.
    ///
    /// Async-signal-safe: one system call, no allocation and no lock. So it may be called between `fork` and `exec`.
    ///
    /// # Errors
    /// The kernel's, `ENODEV` if the cgroup has been removed.
    pub fn enter(&self) -> rustix::io::Result<()> {
        match rustix::io::write(&self.0, b"0") {
            Ok(1) => Ok(()),
            Ok(_) => Err(Errno::IO),
            Err(errno) => Err(errno),
        }
    }
}
