//! Histories: what one test case does to a partition, all of it data, so that a failing case shrinks.

use hotadd::{Batch, Errno, HardwareId, State, Status};

/// Drivers that may be registered at the same time.
pub(crate) const SLOTS: usize = 6;

/// Where the ids begin of processors that run from the start and are never touched.
pub(crate) const PADDING: u32 = 1000;

#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) world: World,
    pub(crate) steps: Vec<Step>,
}

/// The hardware at the beginning.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Whether somebody observes, which has every call made another way.
    pub(crate) observed: bool,
    /// So many more run, so that the indexes given later cross from the first group into the second.
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
    /// Whoever is in this slot is deregistered first.
    Register(usize, Script),
    Deregister(usize),
    Add(HardwareId),
    Batch(Batch, Vec<HardwareId>),
    /// An atomic batch of those among these that are not active when it comes to it.
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

/// What it answers when asked whether it wants to hear of removals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Unheard,
    Heard,
    /// It panics (L3).
    Panic,
}

/// At this moment of this state, if this holds, it does this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) moment: Moment,
    pub(crate) state: State,
    pub(crate) when: When,
    pub(crate) deed: Deed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// When it is set to work, with others of its level.
    Begin,
    /// When it is asked or told.
    Notify,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Always,
    /// For this processor.
    Processor(HardwareId),
    /// While so many processors, or more, are active.
    Active(usize),
    /// On this call of all that the driver gets, from 1. Being begun with belongs to the call that follows.
    Call(u32),
}

/// What a driver does in a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    /// Answers with this, which ends the call. A veto where one counts, a breach elsewhere (A6).
    Answer(Status),
    /// Answers for a party that has crashed, which ends the call (L3).
    Crash(Status),
    /// Panics, which ends the call (L3).
    Panic,
    /// Deregisters whoever is in this slot (D3).
    Deregister(usize),
    /// Deregisters itself (D3).
    Leave,
    /// Changes what runs, behind the partition's back (X2, Q3).
    Vanish(HardwareId),
    Intrude(HardwareId),
    /// Tries what is refused inside a callback (D3).
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
    /// What the driver does in a call, in order. `call` counts its calls from 1.
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
