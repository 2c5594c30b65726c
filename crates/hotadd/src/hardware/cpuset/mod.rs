//! [`Cpuset`]: a cgroup of version 2 whose processors grow and shrink by consent. Needs root, or a delegated cgroup.

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
/// one takes it out.
///
/// Unlike affinity masks a cpuset holds by force: no program in it can widen it without the privilege to write to the cgroup. It
/// is made in a cgroup that this process may write to, as root or where one was delegated to it; or one that is there is
/// adopted. It takes cgroups of version 2 with the cpuset controller.
///
/// ```no_run
/// use std::process::Command;
/// use std::sync::Arc;
/// use hotadd::hardware::{Cpuset, CpusetOptions};
/// use hotadd::{HardwareId, Partition};
///
/// let options = CpusetOptions::new().start_on("0".parse()?);
/// let cpuset = Arc::new(Cpuset::create("/sys/fs/cgroup", "workers", &options)?);
/// let partition = Partition::over(Arc::clone(&cpuset) as _)?;
/// let mut server = Command::new("./server").spawn()?;
/// cpuset.take_in(server.id())?;
/// partition.add(HardwareId(1))?; // once everybody has agreed, the server may run there
/// server.wait()?;
/// cpuset.close()?; // the cgroup is gone again
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Holding
/// Linux 6.12 keeps the mask of a thread that moves into a cpuset with the same processors as before. Such a thread then runs on
/// every processor that comes online, whatever the cpuset has. So the mask of every thread in the cpuset is set once (H1), and all
/// masks are read when something changes and every 250 ms ([`CpusetOptions::poll`]). A processor that the cgroup above gains has
/// appeared (H2).
///
/// # What counts
/// What is effective, `cpuset.cpus.effective`: after each write it is read back, and whenever the kernel says that something
/// happened, another process wrote to the cpuset, or a quarter of a second has passed. A write that fails is a failed start with the
/// kernel's errno (A4). One after which the processor is not effective, or the partition invalid, is taken back, and is a failed
/// start with the kernel's own reason.
///
/// # What it does not do
/// - It does not keep those who may write to the cgroup, or to one above, from doing so. It reports that (X2, Q3).
/// - What has left the cgroup, by being moved, is in nobody's partition.
/// - A processor that went offline is taken out of the list: it does not come back without being asked for.
/// - If all of its processors are gone, the kernel runs its threads wherever those of the cgroup above run. These processors
///   then count as joined without agreement (Q3).
/// - An invalid partition is reported with the kernel's reason, and not made valid again.
/// - Linux before 6.2 gives every thread in it the whole cpuset as its mask with each change. Masks that they had set are lost.
#[derive(Debug)]
pub struct Cpuset {
    kernel: Box<dyn Kernel>,
    poll: Duration,
    possible: CpuList,
    /// Held through every change and every look, so that none of our own doing is taken for somebody else's.
    state: Mutex<State>,
    /// Closed with this, which ends the watcher.
    watched: OnceLock<PipeWriter>,
    path: PathBuf,
    /// In tests there is none.
    group: Mutex<Option<Group>>,
}

impl Cpuset {
    /// Governs a cgroup that is there, with the processes that are in it. What it has, and more than that it does not have later
    /// unless by consent: an empty `cpuset.cpus` is filled with what is effective.
    ///
    /// When this is dropped it is left as it is.
    ///
    /// # Errors
    /// If it is no cgroup of version 2 with the cpuset controller, or what the options ask for cannot be; nothing is then
    /// changed.
    pub fn adopt(group: impl AsRef<Path>, options: &CpusetOptions) -> Result<Self, CpusetError> {
        Self::of(Group::find(group.as_ref())?, options, false)
    }

    /// Makes a cgroup in another one, with the processors that the options say. The cpuset controller is enabled there if it is
    /// not. If the cgroup above has processes itself, this one is made `threaded`.
    ///
    /// When this is dropped, or by [`close`](Self::close), the cgroup is removed if nobody is in it, and left otherwise.
    ///
    /// # Errors
    /// If there can be none: what is in the way, and what to do. Nothing is then changed.
    pub fn create(
        parent: impl AsRef<Path>,
        name: &str,
        options: &CpusetOptions,
    ) -> Result<Self, CpusetError> {
        Self::of(Group::make(parent.as_ref(), name)?, options, true)
    }

    /// The cgroups in which this process can [create](Self::create) cpusets for what it starts, the best first: its own, and as
    /// root the topmost. Never empty. Changes nothing.
    ///
    /// # Errors
    /// [`CpusetError::NoPlace`] if there is none, with the reason.
    pub fn places() -> Result<Vec<PathBuf>, CpusetError> {
        place::places()
    }

    /// Removes what is left in a cgroup of those that were made there under names that begin with `prefix`, and whose makers were
    /// killed: the empty ones that nobody holds. Gives their paths.
    pub fn sweep(parent: impl AsRef<Path>, prefix: &str) -> Vec<PathBuf> {
        group::sweep(parent.as_ref(), prefix)
    }

    /// Where the cgroup is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The way into it for processes about to be started, by [`Door::enter`] between `fork` and `exec`.
    ///
    /// # Errors
    /// If this process may not move any there.
    pub fn door(&self) -> Result<Door, CpusetError> {
        Ok(Door(Arc::new(group::open_procs(&self.path)?), Mask::full()))
    }

    /// Moves a process into it, with all of its threads, which are held to it from then on. Its children of before stay where they
    /// are.
    ///
    /// # Errors
    /// The kernel's: there is no such process, or it may not be moved.
    pub fn take_in(&self, process: u32) -> Result<(), CpusetError> {
        let procs = self.path.join("cgroup.procs");
        super::file::write(&procs, process.to_string().as_bytes()).map_err(|errno| {
            let doing = format!("move process {process} into {}", self.path.display());
            CpusetError::Kernel { doing, errno: raw(errno) }
        })?;
        self.keep(&mut self.lock(), false);
        Ok(())
    }

    /// Removes the cgroup if it was made and is empty, and has the controller disabled again where that was enabled for it and
    /// nobody else can use it. One that was adopted stays. Done already, it does nothing.
    ///
    /// # Errors
    /// If processes are left in it; with who. It then stays, as it does when this is dropped.
    pub fn close(&self) -> Result<(), CpusetError> {
        let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        group.as_mut().map_or(Ok(()), Group::remove)
    }

    fn of(group: Group, options: &CpusetOptions, fresh: bool) -> Result<Self, CpusetError> {
        let path = group.path().to_owned();
        let Some(kernel) = Linux::new(&path) else {
            let why = "nothing is above it".to_owned();
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
        // What is there at the beginning is no news.
        state.arrivals.take();
        *cpuset.lock() = state;
        Ok(cpuset)
    }

    /// Gives it the processors and the kind that it is to have.
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
            // What is written and not effective would come one day, and nobody be asked.
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
            None => format!("it was to have {to}, and has {}", after.effective),
        };
        Err(CpusetError::Invalid { path: self.path.clone(), kind, reason })
    }

    fn fails(&self, verb: &str, errno: Errno) -> CpusetError {
        let doing = format!("{verb} the cpuset {}", self.path.display());
        CpusetError::Kernel { doing, errno: raw(errno) }
    }

    /// Its file, for people.
    fn shown(&self) -> String {
        self.path.join("cpuset.cpus").display().to_string()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the last uevent so far. If it cannot be told, no later event counts: what one says of a processor would be
    /// taken for news that may be old.
    fn sequence(&self) -> u64 {
        self.kernel.sequence().unwrap_or(u64::MAX)
    }
}

/// Those that a cpuset may take: online, in the cgroup above, and nobody's own.
fn allowed(kernel: &dyn Kernel) -> Result<CpuList, Errno> {
    // What is effective there is online.
    let beside = kernel.beside()?;
    let free = |id| !beside.iter().any(|holder| holder.cpus.contains(id));
    Ok(only(&kernel.above()?, free))
}

fn raw(errno: Errno) -> hotadd_core::Errno {
    hotadd_core::Errno::from_raw(errno.raw_os_error())
}
