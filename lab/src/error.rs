//! What can go wrong, and where: on this machine, with QEMU, or in the guest.

use std::io;

/// Why there is no guest, or why it did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This machine cannot run guests. Tests that need one have nothing to say here.
    #[error("no guest can be had here: {0}")]
    Unavailable(String),
    /// The guest ended, or did not answer in time. It is of no more use.
    #[error("the guest {what}; the end of its console:\n{console}")]
    Lost {
        /// What became of it.
        what: String,
        /// What it last said.
        console: String,
    },
    /// The kernel of the guest, or a program in it, refused what it was asked.
    #[error("in the guest, {what}: {source}")]
    Refused {
        /// What was asked.
        what: String,
        /// The error there.
        source: io::Error,
    },
    /// QEMU refused what it was asked.
    #[error("QEMU refused {command}: {reason}")]
    Qemu {
        /// The command.
        command: String,
        /// Its description of what is wrong.
        reason: String,
    },
    /// A thing did not happen in the guest within its time.
    #[error("not within {limit:?}: {what}; the end of the guest's console:\n{console}")]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        limit: std::time::Duration,
        /// What the guest last said.
        console: String,
    },
    /// Something failed on this side.
    #[error("{what}: {source}")]
    Here {
        /// What was attempted.
        what: String,
        /// How it failed.
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
