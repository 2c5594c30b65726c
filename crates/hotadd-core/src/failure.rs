//! Why a change does not happen: a party refuses, the platform fails, or the request is not possible.

use alloc::string::String;
use core::fmt;

use crate::driver::Veto;
use crate::errno::Errno;
use crate::processor::{HardwareId, Processor};
use crate::status::Status;

/// The platform's failure to start or stop a processor (A4).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlatformError {
    /// The status that every driver is told.
    pub status: Status,
    /// The platform's own error, if it has one.
    pub errno: Option<Errno>,
    /// The platform's additional reason, in a sentence.
    pub reason: Option<String>,
}

impl PlatformError {
    /// What a notice has that tells of no failure.
    pub(crate) const NONE: Self = Self::new(Status::SUCCESS);

    /// A failure with this status. Every driver is told the status, or [`Status::UNSUCCESSFUL`] if it is not an error.
    #[must_use]
    pub const fn new(status: Status) -> Self {
        Self { status, errno: None, reason: None }
    }

    /// The same failure with the platform's own error.
    #[must_use]
    pub const fn with_errno(mut self, errno: Errno) -> Self {
        self.errno = Some(errno);
        self
    }

    /// The same failure with an additional reason, in a sentence.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

impl From<Errno> for PlatformError {
    fn from(errno: Errno) -> Self {
        Self { errno: Some(errno), ..Self::new(Status::from_errno(errno)) }
    }
}

/// The platform's own reason, if it has one: `EINVAL (22): another process owns it`.
impl fmt::Display for PlatformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            Some(errno) => errno.fmt(f)?,
            None => self.status.fmt(f)?,
        }
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

/// A refusal by the party at this position of the slice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The position in the slice that was handed to [`Transaction::call`](crate::Transaction::call).
    pub position: usize,
    /// The processor it was asked about.
    pub processor: Processor,
    /// Its status and reason.
    pub veto: Veto,
}

/// Why a removal is refused before any party is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotRemovable {
    /// The processor is not active.
    NotActive(HardwareId),
    /// The processor is the only active one, and a partition needs one to run on.
    Last(HardwareId),
}

impl NotRemovable {
    /// The processor that cannot be removed.
    #[must_use]
    pub const fn id(self) -> HardwareId {
        match self {
            Self::NotActive(id) | Self::Last(id) => id,
        }
    }
}

/// The end of the sentence "processor 3 cannot be removed: …".
impl fmt::Display for NotRemovable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotActive(_) => "it is not active",
            Self::Last(_) => "it is the only active processor",
        })
    }
}
