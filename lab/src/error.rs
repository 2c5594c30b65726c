//! Errors, by their place: on this machine, with QEMU, or in the guest.

use std::io;

/// Why there is no guest, or why it did not fulfil a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This machine cannot run guests. Tests that need one are skipped.
    #[error("no guest can be started here: {0}")]
    Unavailable(String),
    /// The guest ended, or did not answer in time. It cannot be used any more.
    #[error("the guest {what}; the end of its console:\n{console}")]
    Lost {
        /// What happened to it.
        what: String,
        /// The end of its console.
        console: String,
    },
    /// The guest's kernel, or a program in the guest, refused a request.
    #[error("in the guest, {what}: {source}")]
    Refused {
        /// The request.
        what: String,
        /// The error there.
        source: io::Error,
    },
    /// QEMU refused a command.
    #[error("QEMU refused {command}: {reason}")]
    Qemu {
        /// The command.
        command: String,
        /// QEMU's description of the error.
        reason: String,
    },
    /// Something did not happen in the guest within the time limit.
    #[error("not within {limit:?}: {what}; the end of the guest's console:\n{console}")]
    Late {
        /// What was waited for.
        what: String,
        /// The time limit.
        limit: std::time::Duration,
        /// The end of the guest's console.
        console: String,
    },
    /// Something failed on this machine.
    #[error("{what}: {source}")]
    Here {
        /// What was attempted.
        what: String,
        /// The error.
        source: io::Error,
    },
}

impl Error {
    /// The error number with which the guest's kernel refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    pub(crate) fn here(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Here { what, source }
    }
}
