//! [`AffinityError`]: why a partition of affinity masks cannot be made.

use hotadd_core::Errno;

use crate::CpuList;

/// Why a partition of affinity masks cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AffinityError {
    /// The list of processors to start on is empty.
    #[error("the list of processors to start on is empty; name at least one")]
    Empty,
    /// Some of the processors to start on are not online.
    #[error("not online: {ids}; this process may use {allowed}")]
    NotOnline {
        /// The processors that are not online.
        ids: CpuList,
        /// The processors that the process may use and that are online.
        allowed: CpuList,
    },
    /// This process may not use some of the processors to start on.
    #[error("outside the set that this process may use: {ids}; it may use {allowed}")]
    NotAllowed {
        /// The processors that it may not use.
        ids: CpuList,
        /// The processors that the process may use and that are online.
        allowed: CpuList,
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

impl AffinityError {
    /// The kernel's error, if the kernel refused.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}
