//! [`CannotBegin`]: why a run cannot begin, and whose fault that is.

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotBegin {
    /// What was asked for makes no sense: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// It does, but the system will not: exit status 1.
    #[error("{0}")]
    System(String),
}
