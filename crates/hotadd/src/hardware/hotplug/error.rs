//! [`HotplugError`]: why the machine's processors cannot be governed.

use hotadd_core::Errno;

/// Why the machine's processors cannot be governed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HotplugError {
    /// The kernel does not give a list of processors, or gives an invalid one.
    #[error("cannot read the list of {list} processors: {errno}")]
    Unreadable {
        /// `possible`, `present` or `online`.
        list: &'static str,
        /// The kernel's error; `EIO` if the list is invalid.
        errno: Errno,
    },
}

impl HotplugError {
    /// The kernel's error.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::Unreadable { errno, .. } => *errno,
        }
    }
}
