//! Histories: what one test case does to a partition, all of it data, so that a failing case can shrink.

use hotadd::{Batch, Errno, HardwareId, State, Status};

/// Drivers that may be registered at the same time.
pub(crate) const SLOTS: usize = 6;

/// The first id of the processors that run from the start and are never changed.
pub(crate) const PADDING: u32 = 1000;

#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) world: World,
    pub(crate) steps: Vec<Step>,
}

/// The hardware at the beginning.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Whether the partition is observed, which makes every call take another path.
    pub(crate) observed: bool,
    /// The number of additional running processors, so that later indexes cross from the first group into the second.
    pub(crate) padding: u32,
    pub(crate) processors: Vec<Machine>,
}

/// One simulated processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    pub(crate) id: HardwareId,
    pub(crate) running: bool,
    pub(crate) fail_start: Option<Errno>,
    pub(crate) fail_stop: Option<Errno>,
}

impl World {
    pub(crate) fn machines(&self) -> impl Iterator<Item = Machine> {
        let padding = (PADDING..PADDING + self.padding).map(|id| Machine {
            id: HardwareId(id),
            running: true,
            fail_start: None,
            fail_stop: None,
        });
        self.processors.iter().copied().chain(padding)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The driver in this slot is deregistered first.
    Register(usize, Script),
    Deregister(usize),
    Add(HardwareId),
    Batch(Batch, Vec<HardwareId>),
    /// An atomic batch of those of these processors that are not active at that time.
    Spare(Vec<HardwareId>),
    Rehearse(HardwareId),
    Remove(HardwareId),
    FailStart(HardwareId, Errno),
    FailStop(HardwareId, Errno),
    Heal(HardwareId),
    Vanish(HardwareId),
    Intrude(HardwareId),
}

/// How a driver registers and behaves.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) level: i32,
    pub(crate) at_once: bool,
    pub(crate) replay: bool,
    pub(crate) removal: Removal,
    /// Whether it panics when it is dropped (L3).
    pub(crate) bad_drop: bool,
    pub(crate) rules: Vec<Rule>,
}

/// Its answer to whether it wants removal notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Unheard,
    Heard,
    /// It panics (L3).
    Panic,
}

/// A rule: at this moment of this state, under this condition, do this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) moment: Moment,
    pub(crate) state: State,
    pub(crate) when: When,
    pub(crate) deed: Deed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// When it begins, together with others of its level.
    Begin,
    /// When it is asked or told.
    Notify,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Always,
    /// For this processor.
    Processor(HardwareId),
    /// While at least this many processors are active.
    Active(usize),
    /// On this call of all that the driver gets, from 1. A begin belongs to the call that follows.
    Call(u32),
}

/// What a driver does in a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    /// Answers with this status, which ends the call. A veto where one counts, otherwise a breach (A6).
    Answer(Status),
    /// Answers like a crashed party, which ends the call (L3).
    Crash(Status),
    /// Panics, which ends the call (L3).
    Panic,
    /// Deregisters the driver in this slot (D3).
    Deregister(usize),
    /// Deregisters itself (D3).
    Leave,
    /// Changes what runs without asking the partition (X2, Q3).
    Vanish(HardwareId),
    Intrude(HardwareId),
    /// Tries something that is refused inside a callback (D3).
    Reenter(Reentry),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reentry {
    Add,
    Batch,
    Rehearse,
    Remove,
    Register,
}

impl Script {
    /// The driver's actions in a call, in order. `call` counts its calls from 1.
    pub(crate) fn deeds(
        &self,
        moment: Moment,
        state: State,
        id: HardwareId,
        active: usize,
        call: u32,
    ) -> Vec<Deed> {
        let holds = move |when: When| match when {
            When::Always => true,
            When::Processor(wanted) => wanted == id,
            When::Active(least) => active >= least,
            When::Call(wanted) => wanted == call,
        };
        let rules = self.rules.iter().filter(|r| (r.moment, r.state) == (moment, state));
        rules.filter(|r| holds(r.when)).map(|r| r.deed).collect()
    }
}
