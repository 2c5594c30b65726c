//! [`Event`]: one event of a partition, for displays, logs and histories.

use std::time::Duration;

use hotadd_core::{Epoch, Errno, HardwareId, Processor, State, Status};

use crate::member::PartyInfo;

/// The kind of an event. [`EventKind::name`] gives its name in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A party registered, and its replay is complete.
    Registered,
    /// A party is about to be called. The next event of this party gives the outcome.
    Calling,
    /// A party was asked about an add and agreed.
    AddStart,
    /// A party was asked about an add and refused.
    Veto,
    /// The platform started the processor.
    Started,
    /// The platform failed to start the processor.
    StartFailed,
    /// A party was told that the processor joined.
    AddComplete,
    /// A party was told that the processor did not join.
    AddFailure,
    /// The processor is active, and all parties were told.
    Joined,
    /// The processor was not added.
    Refused,
    /// A party was asked about a removal and agreed.
    RemoveStart,
    /// A party was asked about a removal and refused.
    RemoveVeto,
    /// The platform stopped the processor.
    Stopped,
    /// The platform failed to stop the processor.
    StopFailed,
    /// A party was told that the processor left.
    RemoveComplete,
    /// A party was told that the processor stays.
    RemoveFailure,
    /// The processor is no longer active, and all parties were told.
    Left,
    /// The processor was not removed.
    RemoveRefused,
    /// A processor has appeared and can be added (H2). The partition's [`Follow`](crate::Follow) policy decides whether the
    /// parties are asked now.
    Appeared,
    /// A driver, the platform or another process broke the contract.
    Breach,
    /// A party is no longer registered.
    Deregistered,
    /// A party that the operator named is missing. No processor joins without it (L4).
    Missing,
    /// A party that was missing is registered again (L4).
    Present,
}

impl EventKind {
    /// The kind as events are written, such as `add-start`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Calling => "calling",
            Self::AddStart => "add-start",
            Self::Veto => "veto",
            Self::Started => "started",
            Self::StartFailed => "start-failed",
            Self::AddComplete => "add-complete",
            Self::AddFailure => "add-failure",
            Self::Joined => "joined",
            Self::Refused => "refused",
            Self::RemoveStart => "remove-start",
            Self::RemoveVeto => "remove-veto",
            Self::Stopped => "stopped",
            Self::StopFailed => "stop-failed",
            Self::RemoveComplete => "remove-complete",
            Self::RemoveFailure => "remove-failure",
            Self::Left => "left",
            Self::RemoveRefused => "remove-refused",
            Self::Appeared => "appeared",
            Self::Breach => "breach",
            Self::Deregistered => "deregistered",
            Self::Missing => "missing",
            Self::Present => "present",
        }
    }
}

/// The reason for calls: the same notices are sent for different reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Occasion {
    /// A processor is being added or removed, or was.
    #[default]
    Change,
    /// A party registers and is told of the processors that are already active (R3).
    Replay,
    /// All parties are asked, and nothing is started (A10).
    Rehearsal,
}

/// One event. Fields that do not apply are `None`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The reason for the call.
    pub occasion: Occasion,
    /// The state that the party is called with.
    pub state: Option<State>,
    /// The party concerned.
    pub party: Option<PartyInfo>,
    /// The processor concerned.
    pub processor: Option<Processor>,
    /// The hardware id of the processor. Also set if the processor has no index: because it was refused before any party was asked
    /// (A8), or because another process brought it in during an add (Q3).
    pub id: Option<HardwareId>,
    /// The status that was answered, passed to a party, or the result.
    pub status: Option<Status>,
    /// The platform's own error.
    pub errno: Option<Errno>,
    /// The reason, in a sentence.
    pub reason: Option<String>,
    /// The clause of the contract that was broken or applied.
    pub clause: Option<&'static str>,
    /// Whether a processor left without a remove (X2).
    pub surprise: bool,
    /// Whether every driver was asked before the processor joined (Q3).
    pub agreed: bool,
    /// The epoch of the current active set.
    pub epoch: Epoch,
    /// How long the call, the platform's operation or the whole transaction took.
    pub took: Option<Duration>,
}

impl Event {
    pub(crate) const fn new(kind: EventKind, epoch: Epoch) -> Self {
        Self {
            kind,
            occasion: Occasion::Change,
            state: None,
            party: None,
            processor: None,
            id: None,
            status: None,
            errno: None,
            reason: None,
            clause: None,
            surprise: false,
            agreed: true,
            epoch,
            took: None,
        }
    }

    pub(crate) const fn concerns(&mut self, processor: Processor) {
        self.processor = Some(processor);
        self.id = Some(processor.id);
    }
}
