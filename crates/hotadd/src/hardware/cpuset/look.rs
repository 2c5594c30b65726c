//! [`Look`]: the cpuset as the kernel shows it at one moment.

use hotadd_core::HardwareId;

use super::kernel::{Errno, Kernel, Standing};
use crate::CpuList;

/// What was read at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// What is written.
    pub(super) cpus: CpuList,
    /// What counts.
    pub(super) effective: CpuList,
    pub(super) standing: Standing,
}

impl Look {
    pub(super) fn at(kernel: &dyn Kernel) -> Result<Self, Errno> {
        Ok(Self {
            cpus: kernel.cpus()?,
            effective: kernel.effective()?,
            standing: kernel.standing()?,
        })
    }

    /// Whether none of what is written can be had, or nothing is written: then its threads run wherever those of the cgroup
    /// above do.
    pub(super) fn is_adrift(&self) -> bool {
        !self.cpus.ids().iter().any(|id| self.effective.contains(*id))
    }

    /// The list that a change begins from.
    pub(super) fn base(&self) -> &CpuList {
        if self.is_adrift() { &self.effective } else { &self.cpus }
    }
}

/// The processors of one list for which something holds.
pub(super) fn only(list: &CpuList, mut wanted: impl FnMut(HardwareId) -> bool) -> CpuList {
    list.ids().iter().copied().filter(|id| wanted(*id)).collect()
}

/// A list and one more.
pub(super) fn with(list: &CpuList, id: HardwareId) -> CpuList {
    list.ids().iter().copied().chain([id]).collect()
}
