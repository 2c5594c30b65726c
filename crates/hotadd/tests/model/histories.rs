//! Generators of histories.

use hotadd::{Batch, Errno, HardwareId, State, Status};
use proptest::prelude::*;
use proptest::{collection::vec, option, sample::select};

use crate::history::{
    Deed, History, Machine, Moment, PADDING, Reentry, Removal, Rule, SLOTS, Script, Step, When,
    World,
};

/// The ids that a history uses. Sparse, and beyond the first group's 64.
const IDS: [HardwareId; 8] = {
    const fn id(id: u32) -> HardwareId {
        HardwareId(id)
    }
    [id(0), id(1), id(3), id(4), id(7), id(12), id(64), id(200)]
};

pub(crate) fn history() -> impl Strategy<Value = History> {
    let steps =
        (drivers(), vec(step(), 1..=45)).prop_map(|(drivers, steps)| [drivers, steps].concat());
    (world(), steps).prop_map(|(world, steps)| History { world, steps })
}

/// Drivers that register first, mostly at one level and asked at once, so that there are long runs. Some of
/// them act in the same call.
fn drivers() -> impl Strategy<Value = Vec<Step>> {
    let occasion = prop_oneof![
        2 => id().prop_map(|id| (State::AddStart, When::Processor(id))),
        2 => Just((State::RemoveStart, When::Always)),
        2 => Just((State::RemoveFailure, When::Always)),
        1 => select(&State::ALL[1..]).prop_map(|state| (state, When::Always)),
    ];
    let deed = prop_oneof![
        3 => deed(),
        1 => status().prop_map(Deed::Answer),
        1 => status().prop_map(Deed::Crash),
        1 => Just(Deed::Panic),
    ];
    let mates = vec((driver(), option::weighted(0.4, deed)), 3..=SLOTS);
    let drivers = (occasion, mates).prop_map(|((state, when), mates)| {
        let register = |(slot, (mut driver, deed)): (usize, (Script, Option<Deed>))| {
            let rule = deed.map(|deed| Rule { moment: Moment::Notify, state, when, deed });
            driver.rules.extend(rule);
            Step::Register(slot, driver)
        };
        mates.into_iter().enumerate().map(register).collect()
    });
    prop_oneof![1 => Just(Vec::new()), 1 => drivers]
}

fn driver() -> impl Strategy<Value = Script> {
    let level = prop_oneof![9 => Just(0), 1 => Just(1)];
    let flags = (prop::bool::weighted(0.9), prop::bool::weighted(0.1));
    let rules = vec(rule(select(&State::ALL[..])), 0..4);
    (level, flags, rules).prop_map(|(level, (at_once, replay), rules)| Script {
        level,
        at_once,
        replay,
        removal: Removal::Heard,
        bad_drop: false,
        rules,
    })
}

fn world() -> impl Strategy<Value = World> {
    let padding = prop_oneof![9 => Just(0), 1 => 60..64_u32];
    let observed = prop::bool::weighted(0.3);
    (observed, padding, IDS.map(machine)).prop_map(|(observed, padding, machines)| {
        let mut processors: Vec<Machine> = machines.into_iter().flatten().collect();
        if padding == 0 && !processors.iter().any(|m| m.running) {
            // A partition needs a processor. This one has its own id, so that no id is used twice.
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

/// A processor that exists or not. Spare ones are more frequent, because most steps add.
fn machine(id: HardwareId) -> impl Strategy<Value = Option<Machine>> {
    let fault = || option::weighted(0.25, errno());
    let machine = (prop::bool::weighted(0.35), fault(), fault());
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
    // Otherwise nearly every atomic batch would be refused at once.
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
    let replay = prop::bool::weighted(0.85);
    let removal = prop_oneof![
        12 => Just(Removal::Unheard),
        20 => Just(Removal::Heard),
        1 => Just(Removal::Panic),
    ];
    let bad_drop = prop::bool::weighted(0.05);
    let at_once = prop::bool::weighted(0.6);
    (level, at_once, replay, removal, bad_drop, vec(rule(state()), 0..5)).prop_map(
        |(level, at_once, replay, removal, bad_drop, rules)| Script {
            level,
            at_once,
            replay,
            removal,
            bad_drop,
            rules,
        },
    )
}

fn rule(state: impl Strategy<Value = State>) -> impl Strategy<Value = Rule> {
    let moment = prop_oneof![5 => Just(Moment::Notify), 1 => Just(Moment::Begin)];
    (moment, state, when(), deed()).prop_map(|(moment, state, when, deed)| Rule {
        moment,
        state,
        when,
        deed,
    })
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
        2 => status().prop_map(Deed::Crash),
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

/// Errors, a warning (which is a veto too), and a status without a name.
fn status() -> impl Strategy<Value = Status> {
    select(vec![
        Status::UNSUCCESSFUL,
        Status::INSUFFICIENT_RESOURCES,
        Status::DEVICE_BUSY,
        Status::from_raw(0xE000_0042),
    ])
}
