//! What is compared: the calls of drivers, and the results of the caller.

use hotadd::{Action, Errno, HardwareId, State, Status};

use crate::history::Reentry;
use crate::reference::Processor;

/// Something that happened inside a transaction, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A driver began to work, together with others of its level.
    Begin {
        party: usize,
        told: Told,
        view: View,
    },
    Call {
        party: usize,
        told: Told,
        view: View,
    },
    /// A driver deregistered what is in a slot: `None` if the slot is empty.
    Deregistered {
        party: usize,
        slot: usize,
        was: Option<bool>,
    },
    /// A driver tried something that is refused inside a callback.
    Refused {
        party: usize,
        reentry: Reentry,
        status: Status,
    },
}

/// What a driver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) state: State,
    pub(crate) processor: Processor,
    pub(crate) status: Status,
    pub(crate) errno: Option<Errno>,
    pub(crate) surprise: bool,
}

impl Told {
    pub(crate) fn new(state: State, processor: Processor) -> Self {
        Self { state, processor, status: Status::SUCCESS, errno: None, surprise: false }
    }
}

/// What a driver sees of the active set during the call (A5, Q1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) epoch: u64,
    pub(crate) count: usize,
    /// Whether the processor that it is told of is active.
    pub(crate) active: bool,
    /// Whether the processor's names translate into one another.
    pub(crate) named: bool,
}

/// The result of a step, the calls that it made, and the kinds of events in them.
pub(crate) type Course = (Outcome, Vec<Entry>, Vec<String>);

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Registered(Result<(), Failure>),
    /// `None` if nobody held a registration, otherwise whether it still was one.
    Deregistered(Option<bool>),
    /// For each requested processor.
    Changed(Vec<(HardwareId, Changed)>),
    Rehearsed(Result<Vec<Answer>, Failure>),
}

/// The processor, and the epoch at which it joined or left.
pub(crate) type Changed = Result<(Processor, u64), Failure>;

/// A party and its answer.
pub(crate) type Answer = (usize, Result<(), Status>);

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Vetoed {
        action: Action,
        processor: Processor,
        party: usize,
        status: Status,
    },
    Platform {
        action: Action,
        processor: Processor,
        errno: Errno,
    },
    /// The processor was switched by others while the parties were asked (Q4).
    Touched {
        processor: Processor,
    },
    Stuck {
        processor: Processor,
        errno: Errno,
    },
    /// The model lists every fault, because the contract does not say which of several is reported.
    NotAddable(Vec<(HardwareId, Status)>),
    /// The processor is not active, or the only active one.
    NotRemovable(HardwareId),
    Crashed {
        party: usize,
    },
    /// An error that the model does not know.
    Other(String),
}
