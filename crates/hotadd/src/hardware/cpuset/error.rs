//! [`CpusetError`]: why there is no cpuset to govern.

use std::path::PathBuf;

use hotadd_core::Errno;

use super::CpusetKind;
use crate::CpuList;

/// Why there is no cpuset to govern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CpusetError {
    /// The list of processors to start on has nothing in it.
    #[error("the list of processors to start on is empty; name at least one")]
    Empty,
    /// Some of the processors to start on are not to be had.
    #[error("the cpuset {} may not have {ids}; it may have {allowed}", .path.display())]
    NotAllowed {
        /// The cgroup.
        path: PathBuf,
        /// Those that it may not have.
        ids: CpuList,
        /// Those that are online, in the cgroup above, and nobody's own.
        allowed: CpuList,
    },
    /// No cpuset can be made or governed there.
    #[error("{} is of no use: {why}", .path.display())]
    Unsuitable {
        /// The cgroup, or what was taken for one.
        path: PathBuf,
        /// What is in the way, and what to do.
        why: String,
    },
    /// This process has no cgroup in which it could make a cpuset.
    #[error("{0}")]
    NoPlace(String),
    /// The kernel took the settings and makes no such partition of them. They were taken back.
    #[error("the cpuset {} cannot be {kind}: {reason}", .path.display())]
    Invalid {
        /// The cgroup.
        path: PathBuf,
        /// What it was to be.
        kind: CpusetKind,
        /// The kernel's reason, or which processors it has instead.
        reason: String,
    },
    /// The kernel refused something.
    #[error("cannot {doing}: {errno}")]
    Kernel {
        /// What was tried, as in "cannot …".
        doing: String,
        /// The kernel's answer.
        errno: Errno,
    },
}

impl CpusetError {
    /// The kernel's answer, where it was the kernel that refused.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}
