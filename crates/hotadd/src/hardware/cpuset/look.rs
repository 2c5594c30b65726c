//! [`Look`]: the state of the cpuset as the kernel shows it at one moment.

use hotadd_core::HardwareId;

use super::kernel::{Errno, Kernel, Standing};
use crate::CpuList;

/// The files as they were read at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// The written list.
    pub(super) cpus: CpuList,
    /// The effective processors.
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

    /// Whether none of the written processors is available, or the list is empty. Then its threads run wherever those of
    /// the cgroup above run.
    pub(super) fn is_adrift(&self) -> bool {
        !self.cpus.ids().iter().any(|id| self.effective.contains(*id))
    }

    /// The list on which a change is based.
    pub(super) fn base(&self) -> &CpuList {
        if self.is_adrift() { &self.effective } else { &self.cpus }
    }
}

/// The processors of a list for which the condition holds.
pub(super) fn only(list: &CpuList, mut wanted: impl FnMut(HardwareId) -> bool) -> CpuList {
    list.ids().iter().copied().filter(|id| wanted(*id)).collect()
}

/// A list and one more processor.
pub(super) fn with(list: &CpuList, id: HardwareId) -> CpuList {
    list.ids().iter().copied().chain([id]).collect()
}
