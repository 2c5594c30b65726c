//! The kernel operations that holding needs, as traits so that tests can refuse, hot-plug and fork at will.

use std::collections::HashSet;
use std::fmt::Debug;

use rustix::io::Errno;
use rustix::process::Pid;

use super::mask::Mask;
use super::stat::Stat;

/// Reads and sets the masks of threads. For a process or thread that has ended the error is `ESRCH`.
pub(in crate::hardware) trait Masks: Debug + Send + Sync {
    /// The state of a process or of a single thread.
    fn stat(&self, pid: Pid) -> Result<Stat, Errno>;

    /// A thread's mask without the processors that are offline.
    fn mask(&self, thread: Pid) -> Result<Mask, Errno>;

    /// Sets a thread's mask. The kernel may limit the mask without an error.
    fn set_mask(&self, thread: Pid, mask: &Mask) -> Result<(), Errno>;

    /// The process of a thread, for reports.
    fn owner(&self, thread: Pid) -> Option<Owner>;

    /// The current time by the clock of [`Stat::born`].
    fn ticks(&self) -> u64;

    /// Whether this kernel overwrites the masks that threads have set when processors come and go (Linux before 6.2).
    fn overwrites(&self) -> bool;
}

/// The process that a thread belongs to, and the thread's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hardware) struct Owner {
    pub(in crate::hardware) process: Pid,
    pub(in crate::hardware) name: String,
}

/// Lists processes and their threads.
pub(in crate::hardware) trait Processes: Masks {
    /// The process table, without the details of the processes in `but`.
    fn processes(&self, but: &HashSet<Pid>) -> Result<Table, Errno>;

    /// The threads of a process. If a thread ends meanwhile, the kernel's list may skip another.
    fn threads(&self, process: Pid) -> Result<Vec<Pid>, Errno>;
}

/// The part of the process table that was read.
#[derive(Debug, Default)]
pub(in crate::hardware) struct Table {
    /// Every visible process, except those in `but`.
    pub(in crate::hardware) found: Vec<Stat>,
    /// The processes in `but` that still exist.
    pub(in crate::hardware) passed: HashSet<Pid>,
    /// A process ended before it was read.
    pub(in crate::hardware) missed: bool,
}

/// The source of a partition's threads.
pub(in crate::hardware) trait Population {
    /// Visits every thread once. An error of a visit ends the sweep, except `ESRCH`: that thread has ended.
    fn sweep(&mut self, visit: &mut dyn FnMut(Pid) -> Result<(), Errno>) -> Result<Swept, Errno>;
}

/// How complete a sweep was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::hardware) struct Swept {
    /// The process table was inconsistent; some threads may be missing.
    pub(in crate::hardware) torn: bool,
    /// A process or thread, in the tree or not, ended before it was visited.
    pub(in crate::hardware) missed: bool,
}
