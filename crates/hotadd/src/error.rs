//! [`Error`]: why a request to a partition failed. It names the party, the clause and the status.

use std::fmt;
use std::path::PathBuf;

use hotadd_core::{
    Errno, HardwareId, NotAddable, NotRemovable, PlatformError, Processor, Status, Veto,
};

#[cfg(not(hotadd_loom))]
use crate::hardware::AffinityError;
use crate::hardware::NotAdmitted;
use crate::member::PartyInfo;
use crate::missing::Missing;

/// The kind of change: add or remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Added.
    Add,
    /// Removed.
    Remove,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "add",
            Self::Remove => "remove",
        })
    }
}

/// Why a request to a partition failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A party refused (A3, R4, X1). The parties that had agreed have been told.
    #[error("{party} refused to {action} {processor}: {veto}")]
    Vetoed {
        /// The refused change.
        action: Action,
        /// The processor that the party was asked about.
        processor: Processor,
        /// The party that refused.
        party: PartyInfo,
        /// Its status and reason.
        veto: Veto,
    },
    /// All parties agreed, but the platform failed (A4, X1). All parties have been told.
    #[error("all parties agreed, but the platform failed to {action} {processor}: {error}")]
    Platform {
        /// The failed change.
        action: Action,
        /// The processor.
        processor: Processor,
        /// The platform's error.
        error: PlatformError,
    },
    /// An atomic batch failed halfway, and the platform failed to stop a processor that it had started (A9). This processor and
    /// those named before it joined, with the consent of all parties. Those named after it did not join.
    #[error(
        "{processor} joined although its batch failed, because the platform could not stop it again: {error}"
    )]
    Stuck {
        /// The processor that the platform failed to stop.
        processor: Processor,
        /// The platform's error.
        error: PlatformError,
    },
    /// A party that the operator named is missing; no party was asked (L4, A3).
    #[error("{} is missing, and processor {id} is not added without it: {}", .missing.party, .missing.reason)]
    Missing {
        /// The processor that was to be added.
        id: HardwareId,
        /// The missing party, since when it is missing, and why.
        missing: Missing,
    },
    /// Another process switched the processor while the parties were being asked about it, so it was not started (Q4). The
    /// parties that had agreed have been told. The add may be requested again.
    #[error("{processor} was not added: {reason}")]
    Touched {
        /// The processor that was to be added.
        processor: Processor,
        /// What was detected.
        reason: String,
    },
    /// The processor cannot be added at all; no party was asked (A8).
    #[error("processor {id} cannot be added: {reason}")]
    NotAddable {
        /// The processor.
        id: HardwareId,
        /// The corresponding status.
        status: Status,
        /// The reason.
        reason: String,
    },
    /// A driver refused an active processor while it was registering, and is not registered (R4).
    #[error("{party} refused {processor}, which is active already, and is not registered: {veto}")]
    NotJoining {
        /// The refused processor.
        processor: Processor,
        /// The party that tried to register.
        party: PartyInfo,
        /// Its status and reason.
        veto: Veto,
    },
    /// A [`PerProcessor`](crate::PerProcessor) could not make its spare value, and is not registered.
    #[error("{name} cannot make its spare value, and is not registered: {veto}")]
    NoSpare {
        /// The name of the table.
        name: String,
        /// The status and reason.
        veto: Veto,
    },
    /// The processor cannot be removed; no party was asked (X1).
    #[error("processor {id} cannot be removed: {reason}")]
    NotRemovable {
        /// The processor.
        id: HardwareId,
        /// The reason.
        reason: String,
    },
    /// The request came from inside a callback of the same partition (D3). Make it from another thread, or after the callback.
    #[error(
        "{0} from inside a callback of this partition would deadlock; use another thread, or wait until the callback returns"
    )]
    InsideCallback(&'static str),
    /// The system could not create a thread (R7). Nothing was done; the request may be repeated.
    #[error("no thread could be started for {what}: {errno}")]
    NoThread {
        /// The task of the thread.
        what: &'static str,
        /// The system's error.
        errno: Errno,
    },
    /// The partition has the maximum number of parties (R7).
    #[error("the partition has reached its limit of {0} registered drivers")]
    TooManyParties(usize),
    /// The name cannot be shown (R7): it is empty, longer than 64 bytes, or contains control or invisible characters. See
    /// [`text::is_name`](crate::text::is_name).
    #[error("{:?} is not a valid driver name: a name has 1 to 64 bytes, all printable, without spaces at \
     either end", crate::text::clean(.0))]
    BadName(String),
    /// The party is no longer registered (D2): it crashed and was deregistered then.
    #[error("{0} is already deregistered")]
    NotRegistered(PartyInfo),
    /// The driver crashed, or its connection was closed, while it was being registered. It is not registered (L3).
    #[error("{0} crashed while it was being registered")]
    Crashed(PartyInfo),
    /// A partition in another process has reached one of its limits (R7).
    #[error("{0}")]
    Limit(String),
    /// The partition in another process does not permit the request. No party was asked, and nothing was done (A8).
    #[error("not allowed: {0}")]
    Denied(String),
    /// There is no partition of another process at this address.
    #[error("no partition can be reached at {}: {reason}", .path.display())]
    Unreachable {
        /// The address that was tried.
        path: PathBuf,
        /// The reason, and what to do.
        reason: String,
    },
    /// The connection to a partition in another process was lost, or does not exist now. It is not known whether the request was
    /// carried out. [`Partition::active`](crate::Partition::active) shows it after the connection is restored.
    #[error(
        "the connection to the partition is lost; the request may or may not have been carried out"
    )]
    Disconnected,
    /// A partition in another process sent a message that violates the protocol, or that this version does not know.
    #[error("the partition does not follow the protocol: {0}")]
    Protocol(String),
    /// The partition cannot be made on this hardware.
    #[error("the hardware cannot tell which processors run: {0}")]
    Hardware(PlatformError),
    /// The partition cannot be made on the affinity masks of this process.
    #[cfg(not(hotadd_loom))]
    #[error(transparent)]
    Affinity(#[from] AffinityError),
}

impl Error {
    /// The corresponding status. Always an error: a value that is not an error, such as 0 from a partition in another process,
    /// becomes [`Status::UNSUCCESSFUL`].
    #[must_use]
    pub fn status(&self) -> Status {
        self.given_status().as_error()
    }

    fn given_status(&self) -> Status {
        match self {
            Self::Vetoed { veto, .. }
            | Self::NotJoining { veto, .. }
            | Self::NoSpare { veto, .. } => veto.status(),
            Self::Platform { error, .. } | Self::Stuck { error, .. } | Self::Hardware(error) => {
                error.status
            }
            Self::NotAddable { status, .. } => *status,
            Self::Missing { missing, .. } => missing.status,
            Self::Touched { .. } => Status::RETRY,
            Self::NotRemovable { .. } => Status::INVALID_DEVICE_STATE,
            Self::InsideCallback(_) => Status::POSSIBLE_DEADLOCK,
            Self::NoThread { errno, .. } => Status::from_errno(*errno),
            Self::TooManyParties(_) | Self::Limit(_) => Status::QUOTA_EXCEEDED,
            Self::Denied(_) => Status::ACCESS_DENIED,
            Self::Unreachable { .. } => Status::OBJECT_NAME_NOT_FOUND,
            Self::Disconnected => Status::CONNECTION_RESET,
            Self::Protocol(_) => Status::INVALID_NETWORK_RESPONSE,
            Self::BadName(_) => Status::INVALID_PARAMETER,
            Self::NotRegistered(_) => Status::INVALID_HANDLE,
            Self::Crashed(_) => Status::DRIVER_INTERNAL_ERROR,
            #[cfg(not(hotadd_loom))]
            Self::Affinity(error) => {
                error.errno().map_or(Status::INVALID_PARAMETER, Status::from_errno)
            }
        }
    }

    /// The reason without the names of processor and party: the driver's own text, or the platform's.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Vetoed { veto, .. } | Self::NotJoining { veto, .. } => veto.reason().to_owned(),
            Self::Platform { action, error, .. } => {
                format!("all parties agreed, but the platform failed to {action} it: {error}")
            }
            Self::NotAddable { reason, .. }
            | Self::NotRemovable { reason, .. }
            | Self::Touched { reason, .. } => reason.clone(),
            Self::Missing { missing, .. } => format!("it is missing: {}", missing.reason),
            _ => self.to_string(),
        }
    }

    /// The platform's own error, if the platform failed.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Platform { error, .. } | Self::Stuck { error, .. } | Self::Hardware(error) => {
                error.errno
            }
            Self::NoThread { errno, .. } => Some(*errno),
            #[cfg(not(hotadd_loom))]
            Self::Affinity(error) => error.errno(),
            _ => None,
        }
    }

    /// The party that refused. A missing party (L4) has identity 0, which no registered party has.
    #[must_use]
    pub const fn party(&self) -> Option<&PartyInfo> {
        match self {
            Self::Missing { missing, .. } => Some(&missing.party),
            Self::Vetoed { party, .. }
            | Self::NotJoining { party, .. }
            | Self::NotRegistered(party)
            | Self::Crashed(party) => Some(party),
            _ => None,
        }
    }

    /// The clause of the contract that applies.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::Vetoed { action: Action::Add, .. } => "A3",
            Self::Platform { action: Action::Add, .. } => "A4",
            Self::Vetoed { .. } | Self::Platform { .. } | Self::NotRemovable { .. } => "X1",
            Self::Missing { .. } => "L4",
            Self::Touched { .. } => "Q4",
            Self::NotJoining { .. } | Self::NoSpare { .. } => "R4",
            Self::Stuck { .. } => "A9",
            Self::NotAddable { .. } | Self::Hardware(_) | Self::Denied(_) => "A8",
            #[cfg(not(hotadd_loom))]
            Self::Affinity(_) => "A8",
            Self::InsideCallback(_) => "D3",
            Self::TooManyParties(_) | Self::BadName(_) | Self::Limit(_) | Self::NoThread { .. } => {
                "R7"
            }
            Self::NotRegistered(_) => "D2",
            Self::Crashed(_)
            | Self::Unreachable { .. }
            | Self::Disconnected
            | Self::Protocol(_) => "L3",
        }
    }

    /// The hardware id of the processor concerned.
    #[must_use]
    pub const fn id(&self) -> Option<HardwareId> {
        match self {
            Self::Vetoed { processor, .. }
            | Self::NotJoining { processor, .. }
            | Self::Touched { processor, .. }
            | Self::Platform { processor, .. }
            | Self::Stuck { processor, .. } => Some(processor.id),
            Self::NotAddable { id, .. }
            | Self::NotRemovable { id, .. }
            | Self::Missing { id, .. } => Some(*id),
            _ => None,
        }
    }

    pub(crate) fn no_thread(what: &'static str, error: &std::io::Error) -> Self {
        // The error of a failed thread start is that of `pthread_create`. Without one, assume the best-known limit (EAGAIN).
        let errno = error.raw_os_error().map_or(Errno::EAGAIN, Errno::from_raw);
        Self::NoThread { what, errno }
    }

    /// The same refusal, for a driver that was registering.
    pub(crate) fn while_registering(self) -> Self {
        match self {
            Self::Vetoed { processor, party, veto, .. } => {
                Self::NotJoining { processor, party, veto }
            }
            other => other,
        }
    }

    pub(crate) fn not_addable(why: NotAddable) -> Self {
        Self::NotAddable { id: why.id(), status: why.status(), reason: why.to_string() }
    }

    pub(crate) fn not_admitted(id: HardwareId, why: NotAdmitted) -> Self {
        Self::NotAddable { id, status: why.status, reason: why.reason }
    }

    pub(crate) fn not_removable(why: NotRemovable) -> Self {
        Self::NotRemovable { id: why.id(), reason: why.to_string() }
    }
}
