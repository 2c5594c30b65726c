//! The rules that a step can break, and the sights that a check must have come by, or it proves nothing.

use std::sync::atomic::{AtomicU32, Ordering};

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wrong {
    /// A driver is told AddStart of what it has not been told an outcome of.
    StartOnStart,
    /// A driver is told AddStart of what it has (R5).
    ToldTwice,
    /// A driver is told an outcome of what it did not agree to, or a second one.
    OutcomeOfNothing,
    /// A driver is told the outcome of a live add as one of a replay, or the other way round (Q5).
    MixedReplay,
    /// A driver hears of the end of what it did not hear the beginning of (X4).
    EndOfNothing,
    /// A driver that wants no replay is told one (R2).
    Replayed,
    /// A driver is told that a processor joined that never ran.
    FalseComplete,
    /// A driver is told that the connection kept a processor out that is active.
    FalseFailure,
    /// A driver is told that a processor has left that is active.
    FalseLeave,
    /// A driver that hears nothing of removals is told of one (X1).
    UnwantedRemoval,
    /// A processor is started although somebody who is registered has not agreed (A1).
    StartedUnasked,
    /// A processor is started while a named party is missing (L4).
    StartedMissing,
    /// Somebody is asked about an add while a named party is missing (L4).
    AskedMissing,
    /// A driver that is given up is left with something open.
    LeftOpen,
    /// An agent takes for a breach what the partition sends.
    Breach,
}

/// Something that happens in some run of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Sight {
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
    /// A processor leaves without asking, while nobody is being asked and while somebody is.
    Vanished,
    VanishedMeanwhile,
    /// One that everybody was asked to let go of is gone before it is stopped.
    GoneBeforeStop,
    /// A processor joins without agreement, while nobody is being asked and while somebody is.
    Intruded,
    IntrudedMeanwhile,
    /// Somebody switches on the processor that is being asked about, and so it is not started.
    Touched,
    /// An intruder has no index until an add is over.
    Waits,
    /// An add is refused at once because a named party is missing.
    RefusedMissing,
    /// A named party goes missing when all have agreed, and the processor is not started.
    ObjectedMissing,
    /// A processor is added when a named party was missing and has come back.
    AddedAgain,
}

/// The sights that were come by. Not part of the state: they are of the check as a whole.
#[derive(Debug, Default)]
pub(crate) struct Sights(AtomicU32);

impl Sights {
    pub(crate) fn see(&self, sight: Sight) {
        // Relaxed: read when all threads have been joined.
        self.0.fetch_or(1 << sight as u32, Ordering::Relaxed);
    }

    pub(crate) fn has(&self, sight: Sight) -> bool {
        self.0.load(Ordering::Relaxed) & (1 << sight as u32) != 0
    }
}
