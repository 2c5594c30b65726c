//! [`CannotBegin`]: why a run cannot start, and whether the request or the system is the cause.

/// Why a run cannot start.
#[derive(Debug)]
pub(crate) enum CannotBegin {
    /// The request is not valid: exit status 2.
    Usage(String),
    /// The request is valid, but the system cannot fulfil it: exit status 1.
    System(String),
}
