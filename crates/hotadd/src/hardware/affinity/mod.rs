//! [`Affinity`]: a partition made of affinity masks. It governs a tree of processes and needs no privileges.

mod backend;
mod error;
#[cfg(test)]
mod fake;
mod kernel;
mod spawner;
mod state;
#[cfg(test)]
mod tests;

use std::io::{self, PipeWriter};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hotadd_core::{HardwareId, Status};
use rustix::process::Pid;

use self::kernel::{Errno, Kernel};
use self::spawner::Spawner;
use self::state::State;
use super::NotAdmitted;
use super::file::POSSIBLE;
use super::holding::{Arrivals, Hold, Linux, Means, Members, TreeOf, probe};
use crate::CpuList;

pub use self::error::AffinityError;
pub use super::holding::{Mask, Tree};

/// Processors by affinity masks. The partition is a tree of processes, and each of its threads has the partition's mask.
/// Starting a processor adds it to all of these masks, stopping a processor removes it.
///
/// A start or a stop does not switch a processor on or off; it only changes where the threads may run. This needs no privilege.
///
/// # Holding
/// The partition holds the threads to its processors from the moment it exists (H1). It sets the mask of every thread, even if
/// the mask contains all processors, so that no thread gets a later processor by itself. It reads all masks when a processor
/// comes or goes, and every 250 ms ([`poll_every`](Self::poll_every)). A mask that reaches outside of the set is put back and
/// reported, with the thread and the masks. The mask that was asked for counts as a request (H3).
///
/// When this is dropped, its threads may run anywhere again.
///
/// # What it does not do
/// - It does not change a mask that is smaller than the set. Such a mask belongs to the thread, and the thread does not get
///   processors that join later. Stopping a processor on which such a thread may run fails with `EBUSY`, because the processor
///   would continue to work. A thread that has set exactly the partition's mask is treated like all others.
/// - It does not hold workers that the kernel makes for a program (those of `io_uring`), which choose their processors
///   themselves.
/// - It does not prevent a program or another process from widening masks. Until the next check the threads run there.
///   [`Cpuset`](super::Cpuset) prevents it.
/// - It supports only processors 0 to 1,023, and kernels built for at most 1,024.
/// - It cannot always change a process that has changed its user id. If the kernel refuses, no mask changes (`EPERM`, A4).
/// - Before Linux 6.2, in a cgroup with the cpuset controller, a hot-plug of any processor resets all masks. This is
///   repaired and reported, but the partition's threads may have run anywhere for some milliseconds.
/// - A thread that is being created during a change may be found only by the next check. This is reported too.
#[derive(Debug)]
pub struct Affinity {
    kernel: Box<dyn Kernel>,
    possible: Mask,
    poll: Duration,
    /// Held through every change and every check, so that hotadd's own threads are not taken for the program's.
    state: Mutex<State>,
    /// Closed when this is dropped, which ends the watcher.
    watched: OnceLock<PipeWriter>,
    spawner: Spawner,
}

impl Affinity {
    /// Makes a partition of the processes in `tree`, which is held to its processors from now on (H1).
    ///
    /// It starts with the processors `start_on`, or by default with all that the threads of this process may run on. The
    /// mask of a thread in the tree that may run elsewhere is narrowed at once. If this process was itself confined (by
    /// `taskset`, for example), that bounds the partition until the mask of one of its threads is widened.
    ///
    /// # Errors
    /// If a processor in `start_on` is not online or not available to this process, or the kernel refuses. Nothing is then
    /// changed.
    pub fn new(tree: Tree, start_on: Option<&CpuList>) -> Result<Self, AffinityError> {
        Self::on(Box::new(Linux), rustix::process::getpid(), tree, start_on)
    }

    /// The processors on which a partition of this process could start: all that its threads may run on, by their own masks (H4).
    /// Sets no mask.
    ///
    /// # Errors
    /// If the kernel does not give this information.
    pub fn available() -> Result<CpuList, AffinityError> {
        let (_, _, allowed) = processors(&Linux, rustix::process::getpid())?;
        Ok(allowed.list())
    }

    /// The maximum number of different processors.
    pub(in crate::hardware) fn possible_count() -> Result<u32, AffinityError> {
        Ok(Linux.possible().map_err(fails("read", POSSIBLE))?.count())
    }

    /// Sets the interval of the checks that find changes without a kernel event, such as that of a mask. The default is 250
    /// ms, the minimum 10 ms. Each check reads the mask of every thread: about 1 ms for 1,000 threads.
    #[must_use]
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.poll = every.max(Duration::from_millis(10));
        self
    }

    fn on(
        kernel: Box<dyn Kernel>,
        root: Pid,
        tree: Tree,
        start_on: Option<&CpuList>,
    ) -> Result<Self, AffinityError> {
        let possible = kernel.possible().map_err(fails("read", POSSIBLE))?;
        let (full, own, allowed) = processors(&*kernel, root)?;
        let mut set = allowed;
        if let Some(list) = start_on {
            let outside = |id: &HardwareId| !allowed.contains(*id);
            let outside: Vec<_> = list.ids().iter().copied().filter(outside).collect();
            let known = possible.or(&full);
            let is_off = |id: &HardwareId| !known.contains(*id) || kernel.is_off(*id);
            let (off, barred): (Vec<_>, Vec<_>) = outside.into_iter().partition(is_off);
            let (off, barred): (CpuList, CpuList) =
                (off.into_iter().collect(), barred.into_iter().collect());
            match () {
                () if list.is_empty() => return Err(AffinityError::Empty),
                () if !off.is_empty() => {
                    return Err(AffinityError::NotOnline { ids: off, allowed: allowed.list() });
                }
                () if !barred.is_empty() => {
                    return Err(AffinityError::NotAllowed { ids: barred, allowed: allowed.list() });
                }
                () => set = Mask::of(list.ids().iter().copied()),
            }
        }
        let mut hold = Hold::new(set, Means::Mask);
        let mut members = Members::new(root, tree);
        hold.begin(&*kernel, &mut TreeOf { members: &mut members, kernel: &*kernel })
            .map_err(fails("set the masks of all threads under", "/proc"))?;
        let ceiling = (!full.is_within(&own)).then_some(own);
        let arrivals = Arrivals::new(allowed.ids());
        let state = State { hold, members, arrivals, ceiling, seen: full, lost: false };
        Ok(Self {
            kernel,
            possible: possible.or(&full),
            poll: Duration::from_millis(250),
            state: Mutex::new(state),
            watched: OnceLock::new(),
            spawner: Spawner::default(),
        })
    }

    /// The processors that the partition may have and that are online now. May be called from any thread; waits for a change in
    /// progress.
    #[must_use]
    pub fn allowed(&self) -> CpuList {
        let state = self.lock();
        state.allowed(&self.kernel.permitted().unwrap_or(state.seen)).list()
    }

    /// The processors that the partition has. May be called from any thread; waits for a change in progress.
    #[must_use]
    pub fn set(&self) -> CpuList {
        self.lock().hold.set().list()
    }

    /// The partition's mask, for a thread or process to adopt. May be called from any thread; waits for a change in progress.
    ///
    /// It is a copy: a change between the copy and its adoption is not noticed. [`spawn`](Self::spawn) does not have this gap.
    #[must_use]
    pub fn mask(&self) -> Mask {
        self.lock().hold.set()
    }

    /// Starts a command with the partition's mask, whatever the mask of the calling thread is. May be called from any
    /// thread. Waits for a change in progress, and a change waits for it.
    ///
    /// The child is started by a thread that lives as long as this value. A parent-death signal that the child requests is sent
    /// when that thread ends.
    ///
    /// # Errors
    /// The error of the command, or of the kernel.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let state = self.lock();
        self.spawner.spawn(command, state.hold.set())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, id: HardwareId, allowed: &Mask) -> Result<(), NotAdmitted> {
        let (status, reason) = if allowed.contains(id) {
            return Ok(());
        } else if !self.possible.contains(id) {
            let reason = format!("there is no such processor; this machine has {}", self.possible);
            (Status::NO_SUCH_DEVICE, reason)
        } else if self.kernel.is_off(id) {
            (Status::DEVICE_OFF_LINE, "it is not online".into())
        } else {
            (Status::ACCESS_DENIED, format!("it is outside this process's allowed set {allowed}"))
        };
        Err(NotAdmitted { status, reason })
    }

    /// Reads all masks, repairs the wrong ones, and returns whether there is something to report to the partition. `hotplug`: a
    /// processor has just come or gone.
    fn look(&self, hotplug: bool) -> bool {
        let mut state = self.lock();
        let full = self.kernel.permitted_here().unwrap_or(state.seen);
        state.look(&*self.kernel, full, hotplug);
        state.is_due()
    }
}

/// Lets the threads run anywhere again, within the mask with which this process was started.
impl Drop for Affinity {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.release(&*self.kernel);
    }
}

/// The processors that the kernel permits, those in the masks of this process's threads, and those that are in both.
fn processors(kernel: &dyn Kernel, root: Pid) -> Result<(Mask, Mask, Mask), AffinityError> {
    let permitted = kernel.permitted().map_err(fails("read", "the permitted processors"))?;
    let doing = format!("the affinity masks of the threads in /proc/{root}/task");
    let own = probe::reach(kernel, root).map_err(fails("read", &doing))?;
    Ok((permitted, own, permitted.and(&own)))
}

fn fails<'a>(verb: &'a str, what: &'a str) -> impl Fn(Errno) -> AffinityError + 'a {
    move |e| AffinityError::Kernel { doing: format!("{verb} {what}"), errno: raw(e) }
}

fn raw(errno: Errno) -> hotadd_core::Errno {
    hotadd_core::Errno::from_raw(errno.raw_os_error())
}
