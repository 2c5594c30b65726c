//! [`Mask`]: an affinity mask, a plain value of 128 bytes.

use std::fmt;

use hotadd_core::HardwareId;
use rustix::process::Pid;
use rustix::thread::CpuSet;

use crate::CpuList;

/// The number of processors that one mask can contain: ids 0 to 1,023, the width of the kernel interface's
/// `cpu_set_t`.
pub(in crate::hardware) const WIDTH: u32 = 1024;

/// An affinity mask: the processors on which a thread may run. A plain value, cheap to copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mask(pub(in crate::hardware) CpuSet);

impl Mask {
    /// Sets the calling thread's own mask to this one.
    ///
    /// Async-signal-safe: one system call, no allocation and no lock. So it may be called between `fork` and `exec`.
    ///
    /// # Errors
    /// The kernel's error, `EINVAL` if none of the processors is online and allowed.
    pub fn adopt(&self) -> rustix::io::Result<()> {
        rustix::thread::sched_setaffinity(None, &self.0)
    }

    /// The calling thread's own mask.
    pub(in crate::hardware) fn current() -> rustix::io::Result<Self> {
        rustix::thread::sched_getaffinity(None).map(Self)
    }

    /// The mask of a thread.
    pub(crate) fn of_thread(thread: Pid) -> rustix::io::Result<Self> {
        rustix::thread::sched_getaffinity(Some(thread)).map(Self)
    }

    /// Every processor that a mask can contain.
    pub(in crate::hardware) fn full() -> Self {
        Self::of((0..WIDTH).map(HardwareId))
    }

    /// The empty mask. No thread can have it.
    pub(in crate::hardware) fn none() -> Self {
        Self(CpuSet::new())
    }

    pub(in crate::hardware) fn count(&self) -> u32 {
        self.0.count()
    }

    /// The mask of these processors. An id that no mask can contain is left out.
    pub(crate) fn of(ids: impl IntoIterator<Item = HardwareId>) -> Self {
        let mut set = CpuSet::new();
        for HardwareId(id) in ids {
            if id < WIDTH {
                set.set(id as usize);
            }
        }
        Self(set)
    }

    pub(crate) fn contains(&self, HardwareId(id): HardwareId) -> bool {
        id < WIDTH && self.0.is_set(id as usize)
    }

    pub(in crate::hardware) fn is_empty(&self) -> bool {
        self.0.count() == 0
    }

    pub(in crate::hardware) fn ids(&self) -> impl Iterator<Item = HardwareId> + '_ {
        // Most ids are low, and counting is cheap, so the search ends at the last one.
        let all = (0..WIDTH).map(HardwareId).filter(|id| self.contains(*id));
        all.take(self.count() as usize)
    }

    pub(in crate::hardware) fn list(&self) -> CpuList {
        self.ids().collect()
    }

    pub(in crate::hardware) fn and(&self, other: &Self) -> Self {
        Self::of(self.ids().filter(|id| other.contains(*id)))
    }

    pub(in crate::hardware) fn or(&self, other: &Self) -> Self {
        Self::of(self.ids().chain(other.ids()))
    }

    pub(in crate::hardware) fn without(&self, other: &Self) -> Self {
        Self::of(self.ids().filter(|id| !other.contains(*id)))
    }

    pub(in crate::hardware) fn with(mut self, HardwareId(id): HardwareId) -> Self {
        if id < WIDTH {
            self.0.set(id as usize);
        }
        self
    }

    pub(in crate::hardware) fn is_within(&self, other: &Self) -> bool {
        self.without(other).is_empty()
    }
}

/// As a cpulist: `0-3,8`.
impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list().fmt(f)
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({self})")
    }
}
