//! Histories: what one test case does to a partition, all of it data, so that a failing case shrinks.

use hotadd::{Batch, Errno, HardwareId, State, Status};
use proptest::prelude::*;
use proptest::{collection::vec, option, sample::select};

/// Drivers that may be registered at the same time.
pub(crate) const SLOTS: usize = 6;

/// The ids that a history speaks of. Sparse, and beyond the first group's 64.
const IDS: [HardwareId; 8] = {
    const fn id(id: u32) -> HardwareId {
        HardwareId(id)
    }
    [id(0), id(1), id(3), id(4), id(7), id(12), id(64), id(200)]
};

/// Where the ids begin of processors that run from the start and are never touched.
const PADDING: u32 = 1000;

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

/// In this state, if this holds, it does this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    state: State,
    when: When,
    deed: Deed,
}

#[derive(Clone, Copy, Debug)]
enum When {
    Always,
    /// For this processor.
    Processor(HardwareId),
    /// While so many processors, or more, are active.
    Active(usize),
    /// On this call of all that the driver gets, from 1.
    Call(u32),
}

/// What a driver does in a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    /// Answers with this, which ends the call. A veto where one counts, a breach elsewhere (A6).
    Answer(Status),
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
        let rules = self.rules.iter().filter(move |r| r.state == state && holds(r.when));
        rules.map(|r| r.deed).collect()
    }
}

pub(crate) fn history() -> impl Strategy<Value = History> {
    (world(), vec(step(), 1..=45)).prop_map(|(world, steps)| History { world, steps })
}

fn world() -> impl Strategy<Value = World> {
    let padding = prop_oneof![9 => Just(0), 1 => 60..64_u32];
    let observed = prop::bool::weighted(0.3);
    (observed, padding, IDS.map(machine)).prop_map(|(observed, padding, machines)| {
        let mut processors: Vec<Machine> = machines.into_iter().flatten().collect();
        if padding == 0 && !processors.iter().any(|m| m.running) {
            // There is no partition without a processor. Its own id, so that nothing is named twice.
            processors.push(Machine {
                id: HardwareId(PADDING),
                running: true,
                fail_start: None,
                fail_stop: None,
            });
        }
        World { observed, padding, processors }
    })
}

/// A processor that is there or not. Spare ones are more frequent, because most steps add.
fn machine(id: HardwareId) -> impl Strategy<Value = Option<Machine>> {
    let fault = || option::weighted(0.25, errno());
    let machine = (prop::bool::weighted(0.2), fault(), fault());
    option::weighted(
        0.9,
        machine.prop_map(move |(running, fail_start, fail_stop)| Machine {
            id,
            running,
            fail_start,
            fail_stop,
        }),
    )
}

fn step() -> impl Strategy<Value = Step> {
    let several = || vec(id(), 0..6);
    // Or nearly every atomic batch would be refused at the door.
    let distinct = proptest::sample::subsequence(IDS.to_vec(), 2..=8).prop_shuffle();
    prop_oneof![
        12 => (0..SLOTS, script()).prop_map(|(slot, script)| Step::Register(slot, script)),
        3 => (0..SLOTS).prop_map(Step::Deregister),
        10 => id().prop_map(Step::Add),
        2 => several().prop_map(|ids| Step::Batch(Batch::Each, ids)),
        1 => several().prop_map(|ids| Step::Batch(Batch::Atomic, ids)),
        5 => distinct.prop_map(Step::Spare),
        3 => id().prop_map(Step::Rehearse),
        10 => id().prop_map(Step::Remove),
        1 => (id(), errno()).prop_map(|(id, errno)| Step::FailStart(id, errno)),
        1 => (id(), errno()).prop_map(|(id, errno)| Step::FailStop(id, errno)),
        2 => id().prop_map(Step::Heal),
        2 => id().prop_map(Step::Vanish),
        2 => id().prop_map(Step::Intrude),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    let level = prop_oneof![3 => Just(0), 1 => -1..=1_i32, 1 => any::<i32>()];
    let replay = prop::bool::weighted(0.7);
    let removal = prop_oneof![
        12 => Just(Removal::Unheard),
        20 => Just(Removal::Heard),
        1 => Just(Removal::Panic),
    ];
    let bad_drop = prop::bool::weighted(0.05);
    (level, replay, removal, bad_drop, vec(rule(), 0..5)).prop_map(
        |(level, replay, removal, bad_drop, rules)| Script {
            level,
            replay,
            removal,
            bad_drop,
            rules,
        },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    (state(), when(), deed()).prop_map(|(state, when, deed)| Rule { state, when, deed })
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        4 => Just(State::AddStart),
        2 => Just(State::RemoveStart),
        4 => select(&State::ALL[..]),
    ]
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        1 => Just(When::Always),
        4 => id().prop_map(When::Processor),
        2 => (0..8_usize).prop_map(When::Active),
        3 => (1..10_u32).prop_map(When::Call),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => status().prop_map(Deed::Answer),
        2 => Just(Deed::Panic),
        2 => (0..SLOTS).prop_map(Deed::Deregister),
        1 => Just(Deed::Leave),
        1 => id().prop_map(Deed::Vanish),
        1 => id().prop_map(Deed::Intrude),
        1 => reentry().prop_map(Deed::Reenter),
    ]
}

fn reentry() -> impl Strategy<Value = Reentry> {
    select(vec![
        Reentry::Add,
        Reentry::Batch,
        Reentry::Rehearse,
        Reentry::Remove,
        Reentry::Register,
    ])
}

fn id() -> impl Strategy<Value = HardwareId> {
    select(&IDS[..])
}

fn errno() -> impl Strategy<Value = Errno> {
    select(vec![Errno::EIO, Errno::EBUSY, Errno::ENOMEM])
}

/// Errors, a warning, which vetoes too, and one without a name.
fn status() -> impl Strategy<Value = Status> {
    select(vec![
        Status::UNSUCCESSFUL,
        Status::INSUFFICIENT_RESOURCES,
        Status::DEVICE_BUSY,
        Status::from_raw(0xE000_0042),
    ])
}
