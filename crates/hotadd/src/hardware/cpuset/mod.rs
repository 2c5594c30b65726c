//! [`Cpuset`]: a cgroup of version 2 whose processors change only by consent. Needs root, or a delegated cgroup.

mod backend;
mod door;
mod error;
#[cfg(test)]
mod fake;
mod group;
mod kernel;
mod look;
mod options;
mod place;
mod state;
#[cfg(test)]
mod tests;

use std::io::PipeWriter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use self::backend::ThreadsOf;
use self::group::Group;
use self::kernel::{Errno, Kernel, Linux};
use self::look::{Look, only};
use self::state::State;
use super::file::POSSIBLE;
use super::holding::Mask;
use crate::CpuList;

pub use self::door::Door;
pub use self::error::CpusetError;
pub use self::options::{CpusetKind, CpusetOptions};
pub(super) use self::place::own_groups;

/// A cpuset: the processors that the processes of a cgroup may run on. Starting a processor adds it to `cpuset.cpus`, stopping
/// a processor removes it.
///
/// Unlike affinity masks, a cpuset is enforced by the kernel: a program in it cannot widen it without write access to the cgroup.
/// The cpuset is made in a cgroup to which this process may write, as root or by delegation, or an existing cgroup is adopted. It
/// needs cgroups of version 2 with the cpuset controller.
///
/// ```no_run
/// use std::process::Command;
/// use std::sync::Arc;
/// use hotadd::hardware::{Cpuset, CpusetOptions};
/// use hotadd::{HardwareId, Partition};
///
/// let options = CpusetOptions::new().start_on("0".parse()?);
/// let cpuset = Arc::new(Cpuset::create("/sys/fs/cgroup", "workers", &options)?);
/// let partition = Partition::from_hardware(Arc::clone(&cpuset) as _)?;
/// let mut server = Command::new("./server").spawn()?;
/// cpuset.take_in(server.id())?;
/// partition.add(HardwareId(1))?; // once all parties have agreed, the server may run there
/// server.wait()?;
/// cpuset.close()?; // the cgroup is gone again
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Holding
/// Linux 6.12 does not change the mask of a thread that is moved into a cpuset with the same processors as before. Such a thread
/// then runs on every processor that comes online, whatever the cpuset contains. So the mask of every thread in the cpuset is set
/// once (H1), and all masks are read when something changes and every 250 ms ([`CpusetOptions::poll`]). A processor that the
/// cgroup above gains has appeared (H2).
///
/// # What counts
/// The list of effective processors, `cpuset.cpus.effective`, is authoritative. It is read after each write, when the
/// kernel reports an event, when another process writes to the cpuset, and every 250 ms. A write that fails is a failed
/// start with the kernel's errno (A4). If the processor is not effective after a write, or the cpuset partition is invalid,
/// the write is reverted. This is a failed start with the kernel's reason.
///
/// # What it does not do
/// - It does not prevent processes with write access to the cgroup, or to one above, from changing it. It reports the change
///   (X2, Q3).
/// - It does not hold a process that was moved out of the cgroup.
/// - It does not let a processor that went offline come back by itself: the processor is removed from the list.
/// - If all of its processors are gone, the kernel runs its threads wherever those of the cgroup above run. These processors
///   then count as joined without agreement (Q3).
/// - It reports an invalid cpuset partition with the kernel's reason, and does not make it valid again.
/// - Linux before 6.2 gives every thread in it the whole cpuset as its mask at each change. Masks that were set after the last
///   check are lost.
#[derive(Debug)]
pub struct Cpuset {
    kernel: Box<dyn Kernel>,
    poll: Duration,
    possible: CpuList,
    /// Held through every change and every check, so that hotadd's own changes are not taken for those of other processes.
    state: Mutex<State>,
    /// Closed when this is dropped, which ends the watcher.
    watched: OnceLock<PipeWriter>,
    path: PathBuf,
    /// `None` in tests.
    group: Mutex<Option<Group>>,
}

impl Cpuset {
    /// Governs an existing cgroup and the processes in it. It keeps the processors that it has, and gets others only by
    /// consent: an empty `cpuset.cpus` is filled with the effective processors.
    ///
    /// Dropping this value does not change the cgroup.
    ///
    /// # Errors
    /// If this is not a cgroup of version 2 with the cpuset controller, or the options cannot be satisfied. Nothing is then
    /// changed.
    pub fn adopt(group: impl AsRef<Path>, options: &CpusetOptions) -> Result<Self, CpusetError> {
        Self::of(Group::find(group.as_ref())?, options, false)
    }

    /// Creates a cgroup in `parent`, with the processors that the options select. Enables the cpuset controller there
    /// if necessary. If the parent cgroup itself has processes, the new cgroup is made `threaded`.
    ///
    /// Dropping this value, or [`close`](Self::close), removes the cgroup if it has no processes. A process that ends should call
    /// `close`: if the partition's watcher is just looking at the hardware, the watcher drops it, and the process may end before.
    ///
    /// # Errors
    /// If the cgroup cannot be made; the error says what prevents it and what to do. Nothing is then changed.
    pub fn create(
        parent: impl AsRef<Path>,
        name: &str,
        options: &CpusetOptions,
    ) -> Result<Self, CpusetError> {
        Self::of(Group::make(parent.as_ref(), name)?, options, true)
    }

    /// The cgroups in which this process can [create](Self::create) cpusets for the processes that it starts, the best
    /// first: its own cgroup, and for root also the topmost. Never empty. Changes nothing.
    ///
    /// # Errors
    /// [`CpusetError::NoPlace`] with the reason, if there is none.
    pub fn places() -> Result<Vec<PathBuf>, CpusetError> {
        place::places()
    }

    /// Removes cgroups in `parent` whose names begin with `prefix` and whose makers were killed, if they are empty and no process
    /// holds them. Returns their paths.
    pub fn sweep(parent: impl AsRef<Path>, prefix: &str) -> Vec<PathBuf> {
        group::sweep(parent.as_ref(), prefix)
    }

    /// The path of the cgroup.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A [`Door`], by which a process that is about to be started enters the cgroup: call [`Door::enter`] between `fork` and
    /// `exec`.
    ///
    /// # Errors
    /// If this process may not move processes there.
    pub fn door(&self) -> Result<Door, CpusetError> {
        Ok(Door(Arc::new(group::open_procs(&self.path)?), Mask::full()))
    }

    /// Moves a process with all of its threads into the cgroup, and holds them from then on. Children that it already has are not
    /// moved.
    ///
    /// # Errors
    /// The kernel's error: the process does not exist, or may not be moved.
    pub fn take_in(&self, process: u32) -> Result<(), CpusetError> {
        let procs = self.path.join("cgroup.procs");
        super::file::write(&procs, process.to_string().as_bytes()).map_err(|errno| {
            let doing = format!("move process {process} into {}", self.path.display());
            CpusetError::Kernel { doing, errno: raw(errno) }
        })?;
        self.keep(&mut self.lock(), false);
        Ok(())
    }

    /// Removes the cgroup if it was made by [`create`](Self::create) and is empty. Disables the controller again if it was
    /// enabled for this cgroup and no other cgroup can use it. An adopted cgroup stays. A second call does nothing.
    ///
    /// # Errors
    /// If processes are left in the cgroup; the error names them. The cgroup then stays, also when this value is dropped.
    pub fn close(&self) -> Result<(), CpusetError> {
        let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        group.as_mut().map_or(Ok(()), Group::remove)
    }

    fn of(group: Group, options: &CpusetOptions, fresh: bool) -> Result<Self, CpusetError> {
        let path = group.path().to_owned();
        let Some(kernel) = Linux::new(&path) else {
            let why = "it has no parent".to_owned();
            return Err(CpusetError::Unsuitable { path, why });
        };
        let cpuset = Self::on(Box::new(kernel), &path, options, fresh)?;
        *cpuset.group.lock().unwrap_or_else(PoisonError::into_inner) = Some(group);
        Ok(cpuset)
    }

    fn on(
        kernel: Box<dyn Kernel>,
        path: &Path,
        options: &CpusetOptions,
        fresh: bool,
    ) -> Result<Self, CpusetError> {
        let fails = |errno| CpusetError::Kernel {
            doing: format!("read the cpuset {}", path.display()),
            errno: raw(errno),
        };
        let possible = kernel.possible().map_err(|errno| CpusetError::Kernel {
            doing: format!("read {POSSIBLE}"),
            errno: raw(errno),
        })?;
        let before = Look::at(&*kernel).map_err(fails)?;
        let cpuset = Self {
            poll: options.poll,
            possible,
            state: Mutex::new(State::new(before.clone(), u64::MAX)),
            watched: OnceLock::new(),
            path: path.to_owned(),
            group: Mutex::new(None),
            kernel,
        };
        let began = cpuset.begin(options, &before, fresh).inspect_err(|_| {
            if !fresh {
                let _ = cpuset.take_back(&before);
            }
        })?;
        let mut state = State::new(began, cpuset.sequence());
        let held = state.hold.begin(cpuset.kernel.masks(), &mut ThreadsOf(&*cpuset.kernel));
        held.map_err(|errno| cpuset.fails("hold the threads of", errno)).inspect_err(|_| {
            if !fresh {
                let _ = cpuset.take_back(&before);
            }
        })?;
        cpuset.reach(&mut state);
        // The initial state is not reported.
        state.arrivals.take();
        *cpuset.lock() = state;
        Ok(cpuset)
    }

    /// Gives the cgroup its initial processors and its kind.
    fn begin(
        &self,
        options: &CpusetOptions,
        before: &Look,
        fresh: bool,
    ) -> Result<Look, CpusetError> {
        let fails = |errno| self.fails("read", errno);
        let allowed = allowed(&*self.kernel).map_err(fails)?;
        let below = self.kernel.below().map_err(fails)?;
        let below = |id| below.iter().any(|holder| holder.cpus.contains(id));
        let has = |id| before.effective.contains(id);
        let to = match &options.start {
            Some(list) if list.is_empty() => return Err(CpusetError::Empty),
            Some(list) => {
                let ids = only(list, |id| !allowed.contains(id) && (fresh || !has(id)));
                if !ids.is_empty() {
                    return Err(CpusetError::NotAllowed { path: self.path.clone(), ids, allowed });
                }
                list.clone()
            }
            None if fresh => allowed.ids().iter().copied().take(1).collect(),
            // A processor that is written and not effective would come later without any party being asked.
            None => only(before.base(), |id| has(id) || below(id)),
        };
        let kind = options.kind.unwrap_or(before.standing.kind);
        if to != before.cpus {
            self.kernel.write_cpus(&to).map_err(|errno| self.fails("write to", errno))?;
        }
        if kind != before.standing.kind {
            self.kernel
                .write_kind(kind)
                .map_err(|errno| self.fails("change the kind of", errno))?;
        }
        let after = Look::at(&*self.kernel).map_err(fails)?;
        let missing = only(&to, |id| !after.effective.contains(id) && !below(id));
        let strange = only(&after.effective, |id| !to.contains(id));
        let reason = match after.standing.complaint() {
            Some(reason) => reason,
            None if missing.is_empty() && strange.is_empty() && !to.is_empty() => return Ok(after),
            None => format!(
                "the kernel gives it {} where {to} was asked for; another cgroup may have the others exclusively",
                after.effective
            ),
        };
        Err(CpusetError::Invalid { path: self.path.clone(), kind, reason })
    }

    fn fails(&self, verb: &str, errno: Errno) -> CpusetError {
        let doing = format!("{verb} the cpuset {}", self.path.display());
        CpusetError::Kernel { doing, errno: raw(errno) }
    }

    /// The path of its file, for messages.
    fn shown(&self) -> String {
        self.path.join("cpuset.cpus").display().to_string()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the last uevent so far. If it is not available, later events are ignored: an event about a processor
    /// might be old.
    fn sequence(&self) -> u64 {
        self.kernel.sequence().unwrap_or(u64::MAX)
    }
}

/// The processors that a cpuset may take: online, in the cgroup above, and not exclusive to another cgroup.
fn allowed(kernel: &dyn Kernel) -> Result<CpuList, Errno> {
    // A processor that is effective there is online.
    let beside = kernel.beside()?;
    let free = |id| !beside.iter().any(|holder| holder.cpus.contains(id));
    Ok(only(&kernel.above()?, free))
}

fn raw(errno: Errno) -> hotadd_core::Errno {
    hotadd_core::Errno::from_raw(errno.raw_os_error())
}
