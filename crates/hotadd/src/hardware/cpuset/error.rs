//! [`CpusetError`]: why a cpuset cannot be made or governed.

use std::path::PathBuf;

use hotadd_core::Errno;

use super::CpusetKind;
use crate::CpuList;

/// Why a cpuset cannot be made or governed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CpusetError {
    /// The list of processors to start on is empty.
    #[error("the list of processors to start on is empty; name at least one")]
    Empty,
    /// Some of the processors to start on are not available.
    #[error("the cpuset {} cannot have {ids}; it can have {allowed}", .path.display())]
    NotAllowed {
        /// The cgroup.
        path: PathBuf,
        /// The processors that it may not have.
        ids: CpuList,
        /// The processors that it may have: online, in the cgroup above, and not exclusive to another cgroup.
        allowed: CpuList,
    },
    /// No cpuset can be made or governed there.
    #[error("{} cannot be used: {why}", .path.display())]
    Unsuitable {
        /// The path of the cgroup, which may not be one.
        path: PathBuf,
        /// What prevents it, and what to do.
        why: String,
    },
    /// This process has no cgroup in which it could make a cpuset.
    #[error("{0}")]
    NoPlace(String),
    /// The kernel accepted the settings, but the cpuset partition is not valid. The settings were reverted.
    #[error("the cpuset {} cannot be {kind}: {reason}", .path.display())]
    Invalid {
        /// The cgroup.
        path: PathBuf,
        /// The requested kind.
        kind: CpusetKind,
        /// The kernel's reason, or the processors that the cpuset has instead.
        reason: String,
    },
    /// The kernel refused an operation.
    #[error("cannot {doing}: {errno}")]
    Kernel {
        /// The operation, as in "cannot …".
        doing: String,
        /// The kernel's error.
        errno: Errno,
    },
}

impl CpusetError {
    /// The kernel's error, if the kernel refused.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}
