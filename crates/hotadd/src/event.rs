//! [`Event`]: everything that happens in a partition, one by one, for boards, logs and histories.

use std::time::Duration;

use hotadd_core::{Epoch, Errno, HardwareId, Processor, State, Status};

use crate::member::PartyInfo;

/// What kind of thing happened. The name of each in JSON is [`EventKind::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A party registered, and has heard its replay.
    Registered,
    /// A party is about to be called. The next event of this party says how it went.
    Calling,
    /// A party was asked about an add, and agreed.
    AddStart,
    /// A party was asked about an add, and refused.
    Veto,
    /// The platform started the processor.
    Started,
    /// The platform failed to start the processor.
    StartFailed,
    /// A party was told that the processor joined.
    AddComplete,
    /// A party was told that the processor did not join.
    AddFailure,
    /// The processor is active, and everybody was told.
    Joined,
    /// The processor was not added.
    Refused,
    /// A party was asked about a removal, and agreed.
    RemoveStart,
    /// A party was asked about a removal, and refused.
    RemoveVeto,
    /// The platform stopped the processor.
    Stopped,
    /// The platform failed to stop the processor.
    StopFailed,
    /// A party was told that the processor left.
    RemoveComplete,
    /// A party was told that the processor stays.
    RemoveFailure,
    /// The processor is no longer active, and everybody was told.
    Left,
    /// The processor was not removed.
    RemoveRefused,
    /// A processor has appeared, and can be added (H2). Whether everybody is asked now is what the partition was told to
    /// [follow](crate::Follow).
    Appeared,
    /// Somebody broke the contract: a driver, the platform, or a hand from outside.
    Breach,
    /// A party is registered no longer.
    Deregistered,
    /// A party that the operator named is missing, and no processor joins without it (L4).
    Missing,
    /// One that was missing is there again (L4).
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

/// Why calls are made: the same notices go out for different reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Occasion {
    /// A processor is added or removed, or was.
    #[default]
    Change,
    /// A party registers and hears of the processors that are active already (R3).
    Replay,
    /// Everybody is asked, and nothing will be done (A10).
    Rehearsal,
}

/// One thing that happened. Fields that do not apply are `None`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Why.
    pub occasion: Occasion,
    /// The state that the party is called with.
    pub state: Option<State>,
    /// The party that it happened to.
    pub party: Option<PartyInfo>,
    /// The processor that it is about.
    pub processor: Option<Processor>,
    /// What the platform calls the processor, also where it has no index because it was refused at the door (A8).
    pub id: Option<HardwareId>,
    /// The status answered, told or concluded with.
    pub status: Option<Status>,
    /// The platform's own error.
    pub errno: Option<Errno>,
    /// Why, in a sentence.
    pub reason: Option<String>,
    /// The clause of the contract that was broken or applied.
    pub clause: Option<&'static str>,
    /// Whether a processor left without asking (X2).
    pub surprise: bool,
    /// Whether every driver was asked before the processor joined (Q3).
    pub agreed: bool,
    /// The epoch of the set in force.
    pub epoch: Epoch,
    /// How long the call, the platform or the whole transaction took.
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
