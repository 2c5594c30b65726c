//! [`Affinity`]: a partition made of affinity masks. It governs a tree of processes and needs no privileges.

mod backend;
mod error;
#[cfg(test)]
mod fake;
mod kernel;
mod mask;
mod repair;
mod settle;
mod stat;
#[cfg(test)]
mod tests;
mod tree;
mod watch;

use std::io::{self, PipeWriter};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use hotadd_core::{HardwareId, Status};
use rustix::process::Pid;

use self::kernel::{Errno, Kernel, Linux};
use self::repair::State;
use self::settle::{Plan, Whose, change};
use super::NotAdmitted;
use crate::CpuList;

pub use self::error::AffinityError;
pub use self::mask::Mask;
pub use self::tree::Tree;

/// Processors as affinity masks grant them: the partition is a tree of processes, and each of its threads has the
/// partition's mask. Starting a processor adds it to all of these masks, stopping one takes it away.
///
/// The processors themselves are online all along; what changes is who may run there. Nothing here needs a privilege.
///
/// # What it does not do
/// - A thread that has set a mask of its own is left alone: it is in nobody's partition. Stopping a processor on which
///   such a thread may run fails with `EBUSY`, because the processor would go on working. A thread that has set exactly
///   the partition's mask looks like all others and is treated so.
/// - Workers that the kernel makes for a program (those of `io_uring`) choose their processors themselves.
/// - It holds nobody by force: any program may widen its own mask. [`Cpuset`](super::Cpuset) is for that.
/// - It reaches processors 0 to 1,023, and a kernel made for at most 1,024.
/// - A process that changes its user id can refuse us; then nothing changes for anybody (`EPERM`, A4).
/// - Before Linux 6.2, in a cgroup with the cpuset controller, a hot-plug of any processor resets all masks. That is
///   put right and reported, but for some milliseconds the partition's threads may have run anywhere.
/// - A thread in the making during a change may be found a second later only; that too is reported.
#[derive(Debug)]
pub struct Affinity {
    kernel: Box<dyn Kernel>,
    /// What we were confined to by somebody's `taskset`; `None` when to nothing.
    ceiling: Option<Mask>,
    possible: Mask,
    /// Held through every change and every probe, so that none of our own threads is taken for the program's.
    state: Mutex<State>,
    /// Closed with this, which ends the watcher.
    watched: OnceLock<PipeWriter>,
}

impl Affinity {
    /// A partition of the processes in `tree`.
    ///
    /// It starts with the processors `start_on`; every thread of the tree that may run elsewhere is narrowed to them at
    /// once. Without `start_on` it starts with the calling thread's mask, and sets none. If the calling thread was
    /// itself confined (by `taskset`, say), that mask bounds the partition for good.
    ///
    /// # Errors
    /// If a processor to start on is not online or not ours, or the kernel refuses; nothing is then changed.
    pub fn new(tree: Tree, start_on: Option<&CpuList>) -> Result<Self, AffinityError> {
        let (root, caller) = (rustix::process::getpid(), rustix::thread::gettid());
        Self::on(Box::new(Linux), root, caller, tree, start_on)
    }

    fn on(
        kernel: Box<dyn Kernel>,
        root: Pid,
        caller: Pid,
        tree: Tree,
        start_on: Option<&CpuList>,
    ) -> Result<Self, AffinityError> {
        let fails = |doing| move |e| AffinityError::Kernel { doing, errno: raw(e) };
        let possible = kernel.possible().map_err(fails("read which processors there can be"))?;
        let online = kernel.online().map_err(fails("read which processors are online"))?;
        let own = kernel.mask(caller).map_err(fails("read this thread's affinity mask"))?;
        let permitted = kernel.permitted().map_err(fails("find out the allowed processors"))?;
        kernel.stat(root).map_err(fails("find this process in /proc"))?;
        let full = permitted.and(&online);
        let allowed = full.and(&own);
        let mut set = allowed;
        if let Some(list) = start_on {
            let outside =
                |mask: &Mask| list.ids().iter().copied().filter(|id| !mask.contains(*id)).collect();
            let (off, barred): (CpuList, CpuList) = (outside(&online), outside(&allowed));
            match () {
                () if list.is_empty() => return Err(AffinityError::Empty),
                () if !off.is_empty() => {
                    return Err(AffinityError::NotOnline { ids: off, online: online.list() });
                }
                () if !barred.is_empty() => {
                    return Err(AffinityError::NotAllowed { ids: barred, allowed: allowed.list() });
                }
                () => set = Mask::of(list.ids().iter().copied()),
            }
        }
        let mut state = State::new(root, tree, set, full);
        if start_on.is_some() {
            let plan = Plan::new(Whose::Outside, set);
            change(&*kernel, &mut state.members, plan, own)
                .map_err(fails("narrow the masks of all threads"))?;
            state.expect_late(own);
        }
        let ceiling = (own != full).then_some(own);
        Ok(Self { kernel, ceiling, possible, state: Mutex::new(state), watched: OnceLock::new() })
    }

    /// The processors that the partition may have and that are online now. From any thread; waits for a change under
    /// way.
    #[must_use]
    pub fn allowed(&self) -> CpuList {
        let state = self.lock();
        self.within_ceiling(&self.full().unwrap_or(state.seen)).list()
    }

    /// The processors that the partition has. From any thread; waits for a change under way.
    #[must_use]
    pub fn set(&self) -> CpuList {
        self.lock().set.list()
    }

    /// The partition's mask, for a thread or process to adopt. From any thread; waits for a change under way.
    ///
    /// It is a copy: a process that adopts one taken before a change is not noticed. [`spawn`](Self::spawn) has no such
    /// gap.
    #[must_use]
    pub fn mask(&self) -> Mask {
        self.lock().set
    }

    /// Starts a command with the partition's mask, whatever the mask of the calling thread. From any thread; waits for
    /// a change under way, and a change waits for it.
    ///
    /// The child is made by a thread that ends at once: a parent-death signal that the child asks for would come
    /// at once too.
    ///
    /// # Errors
    /// The command's own, or the kernel's.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let state = self.lock();
        let mask = state.set;
        thread::scope(|scope| {
            let spawn = move || {
                mask.adopt()?;
                command.spawn()
            };
            let thread =
                thread::Builder::new().name("hotadd-spawn".into()).spawn_scoped(scope, spawn)?;
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the spawning thread panicked")))
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the kernel permits and has online now. Only with the state locked.
    fn full(&self) -> Result<Mask, Errno> {
        Ok(self.kernel.permitted()?.and(&self.kernel.online()?))
    }

    fn within_ceiling(&self, full: &Mask) -> Mask {
        self.ceiling.map_or(*full, |ceiling| full.and(&ceiling))
    }

    fn check(&self, id: HardwareId, full: &Mask) -> Result<(), NotAdmitted> {
        let allowed = self.within_ceiling(full);
        let (status, reason) = if allowed.contains(id) {
            return Ok(());
        } else if !self.possible.contains(id) {
            let reason = format!("there is no such processor; this machine has {}", self.possible);
            (Status::NO_SUCH_DEVICE, reason)
        } else if self.kernel.online().is_ok_and(|online| !online.contains(id)) {
            (Status::DEVICE_OFF_LINE, "it is not online".into())
        } else {
            (Status::ACCESS_DENIED, format!("it is outside this process's allowed set {allowed}"))
        };
        Err(NotAdmitted { status, reason })
    }

    /// Gives all threads the mask `to`. On an error all is as before.
    fn change(
        &self,
        state: &mut State,
        to: Mask,
        leaving: Option<HardwareId>,
    ) -> Result<(), Errno> {
        let old = state.set;
        // If all processors had vanished, the kernel has given the threads whatever there was.
        let from = if old.is_empty() { state.seen } else { old };
        let plan = Plan { leaving, ..Plan::new(Whose::Wearing(vec![from]), to) };
        let result = change(&*self.kernel, &mut state.members, plan, from);
        if result.is_ok() {
            state.changed(to);
        }
        state.expect_late(if result.is_ok() { from } else { to });
        result.map(drop)
    }

    /// For the watcher: whether the partition should look, given whether it heard of a hot-plug.
    fn is_due(&self, hotplug: bool) -> bool {
        let mut state = self.lock();
        state.stirred |= hotplug;
        let full = self.full().unwrap_or(state.seen);
        state.is_due(&full)
    }
}

fn raw(errno: Errno) -> hotadd_core::Errno {
    hotadd_core::Errno::from_raw(errno.raw_os_error())
}
