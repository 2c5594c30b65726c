//! [`AffinityError`]: why a partition of affinity masks cannot be made.

use hotadd_core::Errno;

use crate::CpuList;

/// Why a partition of affinity masks cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AffinityError {
    /// The list of processors to start on has nothing in it.
    #[error("the list of processors to start on is empty; name at least one")]
    Empty,
    /// Some of the processors to start on do not run.
    #[error("not online: {ids}; this process may use {allowed}")]
    NotOnline {
        /// Those that are not.
        ids: CpuList,
        /// Those that the process may use and that are online.
        allowed: CpuList,
    },
    /// Some of the processors to start on are not ours to use.
    #[error("outside the set that this process may use: {ids}; it may use {allowed}")]
    NotAllowed {
        /// Those that are outside.
        ids: CpuList,
        /// Those that the process may use and that are online.
        allowed: CpuList,
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

impl AffinityError {
    /// The kernel's answer, where it was the kernel that refused.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}
