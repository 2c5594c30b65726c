//! The rules that a step can violate, and the events that a check must reach. A check that does not reach
//! them proves nothing.

use std::sync::atomic::{AtomicU32, Ordering};

/// A violated rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Violation {
    /// A driver is told AddStart before it was told the outcome of the previous Start.
    StartOnStart,
    /// A driver is told AddStart of a processor that it has already (R5).
    ToldTwice,
    /// A driver is told an outcome of a Start that it did not agree to, or a second outcome.
    OutcomeOfNothing,
    /// The outcome of a live add is told as a replay, or the other way round (Q5).
    MixedReplay,
    /// A driver is told the end of something that it was not told the beginning of (X4).
    EndOfNothing,
    /// A driver that wants no replay is told one (R2).
    Replayed,
    /// A driver is told AddComplete for a processor that never ran.
    FalseComplete,
    /// A driver is told that a lost connection kept a processor out, while that processor is active.
    FalseFailure,
    /// A driver is told that a processor has left, while that processor is active.
    FalseLeave,
    /// A driver that does not hear removals is told of one (X1).
    UnwantedRemoval,
    /// A processor is started before every registered party has agreed (A1).
    StartedUnasked,
    /// A processor is started while a named party is missing (L4).
    StartedMissing,
    /// A party is asked about an add while a named party is missing (L4).
    AskedMissing,
    /// An agent gives up and leaves its driver with an open Start.
    LeftOpen,
    /// An agent reports a breach although the partition is correct.
    Breach,
}

/// Something that happens in some run of the model. A check names those that it must reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Event {
    /// An add joins.
    Joined,
    /// A driver vetoes an add.
    Vetoed,
    /// A lost connection vetoes an add.
    VetoedByLoss,
    /// The time limit vetoes an add.
    VetoedByTimeout,
    /// An answer comes after its time limit.
    LateAnswer,
    /// A driver is owed AddComplete.
    OwedComplete,
    /// A driver is owed AddFailure.
    OwedFailure,
    /// A driver is owed a surprise.
    OwedSurprise,
    /// A driver is owed the outcome of a removal.
    OwedRemoval,
    /// A notice is kept from a driver that has been told.
    Kept,
    /// A partition restarts and a driver has something open.
    RestartedOpen,
    /// A partition restarts in the middle of an add whose processor runs already.
    RestartedStarted,
    /// Registering is refused.
    Refused,
    /// A call overtakes the reply to Register.
    Overtaken,
    /// A party is deregistered before the reply to Register arrives.
    GoneBeforeReply,
    /// An agent gives up with something open.
    GaveUpOpen,
    /// The platform fails, and those who agreed are told.
    PlatformFailed,
    /// A processor leaves as agreed.
    Left,
    /// A processor vanishes outside of a transaction, or (`Meanwhile`) during one.
    Vanished,
    VanishedMeanwhile,
    /// A processor vanishes after all agreed to its removal and before it is stopped.
    GoneBeforeStop,
    /// A processor joins without agreement outside of a transaction, or (`Meanwhile`) during one.
    Intruded,
    IntrudedMeanwhile,
    /// A processor is switched on by hand while the parties are asked about it, and so the partition does not
    /// start it.
    Touched,
    /// An intruder has no index until an add is over.
    Waits,
    /// An add is refused at once because a named party is missing.
    RefusedMissing,
    /// A named party goes missing after all have agreed, and the processor is not started.
    ObjectedMissing,
    /// A processor is added after a named party was missing and came back.
    AddedAgain,
}

/// The events that were reached. They are not part of the state, because they belong to the check as a whole.
#[derive(Debug, Default)]
pub(crate) struct Events(AtomicU32);

impl Events {
    pub(crate) fn record(&self, event: Event) {
        // Relaxed: read when all threads have been joined.
        self.0.fetch_or(1 << event as u32, Ordering::Relaxed);
    }

    pub(crate) fn has(&self, event: Event) -> bool {
        self.0.load(Ordering::Relaxed) & (1 << event as u32) != 0
    }
}
