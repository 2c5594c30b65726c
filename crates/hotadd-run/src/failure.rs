//! [`CannotBegin`]: why a run cannot begin.

use std::fmt;

/// Why a run cannot begin.
#[derive(Debug)]
pub struct CannotBegin {
    /// The exit status: 2 if the request is not valid, 1 if the system cannot fulfil it, 126 or 127 if the command cannot be run,
    /// 128 + the number of a signal.
    pub code: u8,
    /// The reason, for a person.
    pub reason: String,
}

impl CannotBegin {
    /// The request is not valid.
    pub(crate) const fn usage(reason: String) -> Self {
        Self { code: 2, reason }
    }

    /// The request is valid, but the system cannot fulfil it.
    pub(crate) fn system(reason: impl fmt::Display) -> Self {
        Self { code: 1, reason: reason.to_string() }
    }

    /// The same, with what failed.
    pub(crate) fn by<E: fmt::Display>(what: &str) -> impl Fn(E) -> Self {
        move |error| Self::system(format!("{what}: {error}"))
    }
}
