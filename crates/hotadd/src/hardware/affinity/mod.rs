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
use super::holding::{Arrivals, Hold, Linux, Means, Members, TreeOf};
use crate::CpuList;

pub use self::error::AffinityError;
pub use super::holding::{Mask, Tree};

/// Processors as affinity masks grant them: the partition is a tree of processes, and each of its threads has the
/// partition's mask. Starting a processor adds it to all of these masks, stopping one takes it away.
///
/// The processors themselves are online all along; what changes is who may run there. Nothing here needs a privilege.
///
/// # Holding
/// From the moment it exists it holds the threads to its processors (H1): the mask of every thread is set, also where it has
/// all that there are, so that none reaches by itself what becomes available later. All masks are looked through when a
/// processor comes or goes, and every 250 ms ([`poll_every`](Self::poll_every)). One that reaches outside of the set is put
/// back and reported, with the thread and the masks, and what it asked for counts as a request (H3).
///
/// When it is dropped, its threads may run anywhere again.
///
/// # What it does not do
/// - A mask that is smaller than the set is the thread's own, and stays as it is; the thread does not get what joins later.
///   Stopping a processor on which such a thread may run fails with `EBUSY`, because the processor would go on working. A
///   thread that has set exactly the partition's mask looks like all others and is treated so.
/// - Workers that the kernel makes for a program (those of `io_uring`) choose their processors themselves.
/// - A program, or somebody else, may widen its masks; until the next look it runs there.
///   [`Cpuset`](super::Cpuset) does not let it.
/// - It reaches processors 0 to 1,023, and a kernel made for at most 1,024.
/// - A process that changes its user id can refuse us; then nothing changes for anybody (`EPERM`, A4).
/// - Before Linux 6.2, in a cgroup with the cpuset controller, a hot-plug of any processor resets all masks. That is
///   put right and reported, but for some milliseconds the partition's threads may have run anywhere.
/// - A thread in the making during a change may be found at the next look only; that too is reported.
#[derive(Debug)]
pub struct Affinity {
    kernel: Box<dyn Kernel>,
    possible: Mask,
    poll: Duration,
    /// Held through every change and every probe, so that none of our own threads is taken for the program's.
    state: Mutex<State>,
    /// Closed with this, which ends the watcher.
    watched: OnceLock<PipeWriter>,
    spawner: Spawner,
}

impl Affinity {
    /// A partition of the processes in `tree`, held to its processors from now on (H1).
    ///
    /// It starts with the processors `start_on`, or else with all that the threads of this process may run on together; a
    /// thread of the tree that may run elsewhere is narrowed at once. If this process was itself confined (by `taskset`, say),
    /// that bounds the partition until somebody widens one of its masks.
    ///
    /// # Errors
    /// If a processor to start on is not online or not ours, or the kernel refuses; nothing is then changed.
    pub fn new(tree: Tree, start_on: Option<&CpuList>) -> Result<Self, AffinityError> {
        Self::on(Box::new(Linux), rustix::process::getpid(), tree, start_on)
    }

    /// The processors that a partition of this process's could start on: those that its threads may run on together, by their
    /// own masks (H4). Sets none.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn available() -> Result<CpuList, AffinityError> {
        let (_, _, allowed) = reach(&Linux, rustix::process::getpid())?;
        Ok(allowed.list())
    }

    /// How many processors there can ever be.
    pub(in crate::hardware) fn possible_count() -> Result<u32, AffinityError> {
        Ok(Linux.possible().map_err(fails("read", POSSIBLE))?.count())
    }

    /// How long a change may go unnoticed that the kernel tells nobody of, such as that of a mask; 250 ms if this is not called. At
    /// least 10 ms. Each look reads the mask of every thread: about 1 ms for 1,000 threads.
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
        let (full, own, allowed) = reach(&*kernel, root)?;
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

    /// The processors that the partition may have and that are online now. From any thread; waits for a change under
    /// way.
    #[must_use]
    pub fn allowed(&self) -> CpuList {
        let state = self.lock();
        state.allowed(&self.kernel.permitted().unwrap_or(state.seen)).list()
    }

    /// The processors that the partition has. From any thread; waits for a change under way.
    #[must_use]
    pub fn set(&self) -> CpuList {
        self.lock().hold.set().list()
    }

    /// The partition's mask, for a thread or process to adopt. From any thread; waits for a change under way.
    ///
    /// It is a copy: a process that adopts one taken before a change is not noticed. [`spawn`](Self::spawn) has no such
    /// gap.
    #[must_use]
    pub fn mask(&self) -> Mask {
        self.lock().hold.set()
    }

    /// Starts a command with the partition's mask, whatever the mask of the calling thread. From any thread; waits for
    /// a change under way, and a change waits for it.
    ///
    /// The child is made by a thread that lives as long as this does: then comes a parent-death signal that the child asks for.
    ///
    /// # Errors
    /// The command's own, or the kernel's.
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

    /// Reads all masks, puts back the wrong ones, and returns whether the partition has something to hear. `hotplug`: a processor
    /// has just come or gone.
    fn look(&self, hotplug: bool) -> bool {
        let mut state = self.lock();
        let full = self.kernel.permitted_here().unwrap_or(state.seen);
        state.look(&*self.kernel, full, hotplug);
        state.is_due()
    }
}

/// Its threads may run anywhere again, within the mask that this process was begun with.
impl Drop for Affinity {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.release(&*self.kernel);
    }
}

/// What the kernel permits; what the threads of this process have; and what they may have of it.
fn reach(kernel: &dyn Kernel, root: Pid) -> Result<(Mask, Mask, Mask), AffinityError> {
    let permitted = kernel.permitted().map_err(fails("find out", "the permitted processors"))?;
    let task = format!("/proc/{root}/task");
    let threads = kernel.threads(root).map_err(fails("read", &task))?;
    let mut own = Mask::none();
    for thread in threads {
        match kernel.mask(thread) {
            Ok(mask) => own = own.or(&mask),
            Err(Errno::SRCH) => {}
            Err(errno) => return Err(fails("read", "a thread's affinity mask")(errno)),
        }
    }
    Ok((permitted, own, permitted.and(&own)))
}

fn fails<'a>(verb: &'a str, what: &'a str) -> impl Fn(Errno) -> AffinityError + 'a {
    move |e| AffinityError::Kernel { doing: format!("{verb} {what}"), errno: raw(e) }
}

fn raw(errno: Errno) -> hotadd_core::Errno {
    hotadd_core::Errno::from_raw(errno.raw_os_error())
}
