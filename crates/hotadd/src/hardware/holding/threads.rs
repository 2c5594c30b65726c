//! What holding asks of the kernel, as traits so that tests can refuse, hot-plug and fork at will.

use std::collections::HashSet;
use std::fmt::Debug;

use rustix::io::Errno;
use rustix::process::Pid;

use super::mask::Mask;
use super::stat::Stat;

/// Reads and sets the masks of threads. A process or thread that has ended is `ESRCH`.
pub(in crate::hardware) trait Masks: Debug + Send + Sync {
    /// A process or a single thread.
    fn stat(&self, pid: Pid) -> Result<Stat, Errno>;

    /// A thread's mask, less the processors that are offline.
    fn mask(&self, thread: Pid) -> Result<Mask, Errno>;

    /// Sets a thread's mask. The kernel may cut it without saying so.
    fn set_mask(&self, thread: Pid, mask: &Mask) -> Result<(), Errno>;

    /// Whose thread it is, for reports.
    fn owner(&self, thread: Pid) -> Option<Owner>;

    /// What time it is by the clock of [`Stat::born`].
    fn ticks(&self) -> u64;

    /// Whether this kernel overwrites masks that threads have set, when processors come and go (Linux before 6.2).
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
    /// The process table, but for the details of these.
    fn processes(&self, but: &HashSet<Pid>) -> Result<Table, Errno>;

    /// The threads of a process. One that ends meanwhile can make the kernel's list skip another.
    fn threads(&self, process: Pid) -> Result<Vec<Pid>, Errno>;
}

/// What was read of the process table.
#[derive(Debug, Default)]
pub(in crate::hardware) struct Table {
    /// Every process that we can see, but for those that were not asked for.
    pub(in crate::hardware) found: Vec<Stat>,
    /// Those that were not asked for and are there.
    pub(in crate::hardware) passed: HashSet<Pid>,
    /// A process ended before it was read.
    pub(in crate::hardware) missed: bool,
}

/// Where the threads of a partition are found.
pub(in crate::hardware) trait Population {
    /// Visits every thread once. An error of a visit ends the sweep, but for `ESRCH`: that thread has ended.
    fn sweep(&mut self, visit: &mut dyn FnMut(Pid) -> Result<(), Errno>) -> Result<Swept, Errno>;
}

/// How well a sweep went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::hardware) struct Swept {
    /// The process table contradicted itself; some threads may be missing.
    pub(in crate::hardware) torn: bool,
    /// Some process or thread, ours or not, ended before it was visited.
    pub(in crate::hardware) missed: bool,
}
