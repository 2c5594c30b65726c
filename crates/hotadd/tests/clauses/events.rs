//! What observers hear, in order: a join, a veto, a failed start, breaches, intruders and surprises.

use hotadd::{HardwareId, State, Status};

use crate::recorder::World;

use State::{AddStart, RemoveStart};

#[test]
fn a5_observers_hear_a_join_in_the_order_in_which_it_happens() {
    let world = World::new(1, 1);
    let _a = world.driver("a").join();
    let _b = world.driver("b").join();
    world.watch();
    world.add(1).unwrap();
    world.expect_events(
        "asked, started, told, and only then joined",
        &[
            "calling a 1",
            "add-start a 1",
            "calling b 1",
            "add-start b 1",
            "started 1",
            "calling a 1",
            "add-complete a 1",
            "calling b 1",
            "add-complete b 1",
            "joined 1",
        ],
    );
}

#[test]
fn a10_a_rehearsal_is_marked_as_one_and_joins_nothing() {
    let world = World::new(1, 1);
    let _a = world.driver("a").join();
    let _b = world.driver("b").vetoes(AddStart, 1, Status::NO_MEMORY).join();
    world.watch();
    world.partition.rehearse(HardwareId(1)).unwrap();
    world.expect_events(
        "nobody may take it for a change",
        &[
            "calling a 1 rehearsal",
            "add-start a 1 rehearsal",
            "calling b 1 rehearsal",
            "veto b 1 rehearsal",
            "calling a 1 rehearsal",
            "add-failure a 1 rehearsal",
        ],
    );
}

#[test]
fn a10_a_rehearsal_of_a_removal_is_marked_as_one_and_nothing_leaves() {
    let world = World::new(2, 0);
    let _a = world.driver("a").hears_removal().join();
    let _b = world.driver("b").hears_removal().vetoes(RemoveStart, 1, Status::DEVICE_BUSY).join();
    let _unasked = world.driver("unasked").join();
    world.watch();
    let rehearsal = world.partition.rehearse_removal(HardwareId(1)).unwrap();
    assert!(!rehearsal.is_agreed());
    assert_eq!(world.partition.active().count(), 2);
    world.expect_events(
        "in the order of a removal; nobody may take it for one",
        &[
            "calling b 1 rehearsal",
            "remove-veto b 1 rehearsal",
            "calling a 1 rehearsal",
            "remove-start a 1 rehearsal",
            "calling a 1 rehearsal",
            "remove-failure a 1 rehearsal",
        ],
    );
}

#[test]
fn r3_observers_hear_a_replay_and_then_the_registration() {
    let world = World::new(1, 0);
    world.watch();
    let registration = world.driver("a").try_join().unwrap();
    drop(registration);
    world.expect_events(
        "the replay is marked; coming and going are events of their own",
        &[
            "calling a 0 replay",
            "add-start a 0 replay",
            "calling a 0 replay",
            "add-complete a 0 replay",
            "registered a",
            "deregistered a",
        ],
    );
}

#[test]
fn r4_observers_hear_a_refused_registering() {
    let world = World::new(2, 0);
    world.watch();
    world.driver("a").vetoes(AddStart, 1, Status::NO_MEMORY).try_join().unwrap_err();
    let events = world.events.lock().unwrap();
    assert_eq!(events[3], "veto a 1 replay");
    assert_eq!(events[5], "add-failure a 0 replay");
    assert!(events[6].starts_with("refused a 1"), "{events:#?}");
    assert!(!events.iter().any(|l| l.starts_with("registered")), "{events:#?}");
}

#[test]
fn l3_a_crash_is_a_veto_then_a_breach_and_ends_with_deregistering() {
    let world = World::new(1, 1);
    let _a = world.driver("a").join();
    let _crasher = world.driver("crasher").when(AddStart, 1, || panic!("on purpose")).join();
    world.watch();
    world.add(1).unwrap_err();
    world.expect_events(
        "each with the party's name and the processor's",
        &[
            "calling a 1",
            "add-start a 1",
            "calling crasher 1",
            "veto crasher 1",
            "breach crasher 1 (L3)",
            "calling a 1",
            "add-failure a 1",
            "refused crasher 1 (A3)",
            "deregistered crasher",
        ],
    );
}

#[test]
fn d3_observers_hear_of_a_departure_when_the_transaction_is_over() {
    let world = World::new(1, 1);
    let slot = std::sync::Arc::new(std::sync::Mutex::new(None));
    let take = std::sync::Arc::clone(&slot);
    let leave = world.driver("leaver").when(AddStart, 1, move || {
        let registration = take.lock().unwrap().take();
        drop(registration);
    });
    let leaver = leave.join();
    *slot.lock().unwrap() = Some(leaver);
    world.watch();
    world.add(1).unwrap();
    world.expect_events(
        "after the join",
        &["calling leaver 1", "add-start leaver 1", "started 1", "joined 1", "deregistered leaver"],
    );
}

#[test]
fn a8_one_that_is_plugged_in_is_said_to_appear_once_and_joins_only_when_it_is_added() {
    let world = World::new(1, 1);
    let _a = world.driver("a").join();
    world.hardware.unplug(HardwareId(1));
    world.watch();
    let refused = world.add(1).unwrap_err();
    assert_eq!(refused.to_string(), "processor 1 cannot be added: it is not plugged in");
    world.hardware.plug(HardwareId(1));
    world.hardware.plug(HardwareId(1));
    world.expect_events(
        "the refusal at the door, then its appearance, once; nobody is asked",
        &["refused 1 (A8)", "appeared 1"],
    );
    world.add(1).unwrap();
    world.hardware.unplug(HardwareId(1));
    assert_eq!(world.partition.count(), 1, "X2: one that is pulled out while it runs vanishes");
}
