//! [`CannotBegin`]: why a run cannot begin, and whose fault that is.

/// Why a run cannot begin.
#[derive(Debug)]
pub(crate) enum CannotBegin {
    /// What was asked for makes no sense: exit status 2.
    Usage(String),
    /// It does, but the system will not: exit status 1.
    System(String),
}
