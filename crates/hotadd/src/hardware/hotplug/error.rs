//! [`HotplugError`]: why the machine's processors cannot be governed.

use hotadd_core::Errno;

/// Why the machine's processors cannot be governed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HotplugError {
    /// The kernel does not tell which processors there are, or says what cannot be.
    #[error("cannot read which processors are {list}: {errno}")]
    Unreadable {
        /// `possible`, `present` or `online`.
        list: &'static str,
        /// The kernel's answer, `EIO` if it makes no sense.
        errno: Errno,
    },
}

impl HotplugError {
    /// The kernel's answer.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::Unreadable { errno, .. } => *errno,
        }
    }
}
