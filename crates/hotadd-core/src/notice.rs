//! [`Notice`]: what a driver is told in one call.

use core::fmt;

use crate::errno::Errno;
use crate::processor::Processor;
use crate::set::Epoch;
use crate::status::Status;

/// The six states of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// A processor is about to be started: prepare for it, or veto (A1, A2).
    AddStart,
    /// The processor has joined (A5).
    AddComplete,
    /// The processor did not join, although this driver had agreed: undo what was prepared (A3, A4).
    AddFailure,
    /// A processor is about to be stopped: move off it, or veto (X1).
    RemoveStart,
    /// The processor has left (X1), possibly without a remove ([`Notice::is_surprise`], X2).
    RemoveComplete,
    /// The processor stays, although this driver had agreed to its removal (X1).
    RemoveFailure,
}

impl State {
    /// All six, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::AddStart,
        Self::AddComplete,
        Self::AddFailure,
        Self::RemoveStart,
        Self::RemoveComplete,
        Self::RemoveFailure,
    ];

    /// Whether a driver may veto in this state.
    #[must_use]
    pub const fn may_veto(self) -> bool {
        matches!(self, Self::AddStart | Self::RemoveStart)
    }

    /// Whether this is one of the three removal states, which a driver opts into (X1).
    #[must_use]
    pub const fn is_removal(self) -> bool {
        matches!(self, Self::RemoveStart | Self::RemoveComplete | Self::RemoveFailure)
    }

    /// The name: `AddStart`, `AddComplete` and so on.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddStart => "AddStart",
            Self::AddComplete => "AddComplete",
            Self::AddFailure => "AddFailure",
            Self::RemoveStart => "RemoveStart",
            Self::RemoveComplete => "RemoveComplete",
            Self::RemoveFailure => "RemoveFailure",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a driver is told in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Notice {
    pub(crate) state: State,
    pub(crate) surprise: bool,
    pub(crate) replay: bool,
    pub(crate) processor: Processor,
    pub(crate) status: Status,
    pub(crate) errno: Option<Errno>,
    pub(crate) epoch: Epoch,
}

impl Notice {
    /// Makes a notice as a partition would send it, for a driver's own unit tests: `status` is
    /// [`Status::SUCCESS`], the epoch is 1.
    #[must_use]
    pub const fn new(state: State, processor: Processor) -> Self {
        Self {
            state,
            surprise: false,
            replay: false,
            processor,
            status: Status::SUCCESS,
            errno: None,
            epoch: Epoch(1),
        }
    }

    /// The same notice with the reason of a failure, as received from a partition in another process.
    #[must_use]
    pub const fn with_failure(mut self, status: Status, errno: Option<Errno>) -> Self {
        self.status = status;
        self.errno = errno;
        self
    }

    /// The same notice at another epoch.
    #[must_use]
    pub const fn at_epoch(mut self, epoch: Epoch) -> Self {
        self.epoch = epoch;
        self
    }

    /// The same notice for a processor that left without a remove (X2).
    #[must_use]
    pub const fn as_surprise(mut self) -> Self {
        self.surprise = true;
        self
    }

    /// The same notice as part of a replay (R3).
    #[must_use]
    pub const fn as_replay(mut self) -> Self {
        self.replay = true;
        self
    }

    /// The state of this notice.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The processor concerned.
    #[must_use]
    pub const fn processor(&self) -> Processor {
        self.processor
    }

    /// Why the processor did not join or leave, in AddFailure and RemoveFailure: the veto's status (A3),
    /// the platform's (A4), or `STATUS_CANCELLED` after a rehearsal (A10). Otherwise `STATUS_SUCCESS`.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The platform's own error, if the platform failed (A4).
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// The epoch of the active set in force during this call (Q2).
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether the processor left without a remove (X2). True only in RemoveComplete.
    #[must_use]
    pub const fn is_surprise(&self) -> bool {
        self.surprise
    }

    /// Whether this notice is part of a replay, about a processor that is already active (Q5, R3). A veto then refuses the
    /// registration of this driver, not the processor (R4). True only in AddStart, AddComplete and AddFailure. The value is
    /// the same in all calls about one processor.
    ///
    /// A partition in another process sends it too. The Windows interface has no field for it: a driver that is called through
    /// that interface gets false.
    #[must_use]
    pub const fn is_replay(&self) -> bool {
        self.replay
    }
}
