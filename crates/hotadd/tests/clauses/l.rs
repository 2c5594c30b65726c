//! L3: a driver that panics, wherever it can, takes neither the host nor the partition nor another driver with it.

use std::panic::panic_any;
use std::sync::{Arc, Mutex};

use hotadd::{Driver, Errno, Error, HardwareId, Notice, Removal, State, Status, Veto};

use crate::recorder::{World, finishes};

use State::{AddComplete, AddFailure, AddStart, RemoveComplete, RemoveFailure, RemoveStart};

#[test]
fn l3_a_panic_in_add_start_is_a_veto_and_deregisters_the_driver() {
    for observed in [false, true] {
        let world = World::new(1, 1);
        if observed {
            world.watch();
        }
        let _a = world.driver("a").join();
        let crasher = world.driver("crasher").when(AddStart, 1, || panic!("on purpose")).join();
        let _z = world.driver("z").join();
        let error = world.add(1).unwrap_err();
        world.journal.expect(
            "a is told, z was not asked, the crasher hears nothing more",
            &["a AddStart 1", "crasher AddStart 1", "a AddFailure 1 STATUS_DRIVER_INTERNAL_ERROR"],
        );
        assert_eq!(error.party().unwrap().name, "crasher");
        assert!(error.to_string().contains("on purpose"), "the panic is the reason: {error}");
        assert!(!crasher.is_registered());
        world.add(1).expect("the partition goes on without it");
        assert!(world.journal.of("crasher").is_empty());
    }
}

#[test]
fn l3_a_panic_in_any_later_state_deregisters_the_driver_and_the_others_are_told() {
    for state in [AddComplete, AddFailure, RemoveComplete, RemoveFailure] {
        let world = World::new(2, 1);
        let _a = world.driver("a").hears_removal().join();
        let id = if matches!(state, AddComplete | AddFailure) { 2 } else { 1 };
        let crash = world.driver("crasher").hears_removal();
        let crasher = crash.when(state, id, || panic_any(17)).join();
        let _z = world.driver("z").hears_removal().join();
        world.hardware.fail_start(HardwareId(2), Errno::EIO);
        world.hardware.fail_stop(HardwareId(1), Errno::EBUSY);
        if matches!(state, AddComplete | RemoveComplete) {
            world.hardware.heal(HardwareId(id));
        }
        let result = if id == 2 { world.add(2) } else { world.remove(1) };
        assert_eq!(result.is_ok(), matches!(state, AddComplete | RemoveComplete), "{state}");
        for other in ["a", "z"] {
            let last = world.journal.of(other).pop().expect("it was called");
            assert_eq!(last.notice.state(), state, "{other} is told all the same");
        }
        assert!(!crasher.is_registered(), "{state}");
        assert!(matches!(crasher.deregister(), Err(Error::NotRegistered(_))));
    }
}

#[test]
fn l3_a_panic_in_remove_start_keeps_the_processor_in() {
    let world = World::new(2, 0);
    let crash = world.driver("crasher").hears_removal();
    let _crasher = crash.when(RemoveStart, 1, || panic!("on purpose")).join();
    let error = world.remove(1).unwrap_err();
    assert_eq!(error.status(), Status::DRIVER_INTERNAL_ERROR);
    assert_eq!(world.active(), [0, 1]);
    world.remove(1).expect("nobody is left to object");
}

#[test]
fn l3_a_panic_in_a_replay_registers_nothing() {
    for state in [AddStart, AddComplete] {
        let world = World::new(3, 1);
        let crash = world.driver("crasher").when(state, 1, || panic!("on purpose"));
        let error = crash.try_join().unwrap_err();
        assert_eq!(error.status(), Status::DRIVER_INTERNAL_ERROR, "{state}: {error}");
        assert_eq!(error.party().unwrap().name, "crasher");
        let heard = world.journal.take();
        let expected = format!("crasher {state} 1");
        assert_eq!(heard.last(), Some(&expected), "nothing after the crash");
        world.add(3).unwrap();
        world.journal.expect("it is not registered", &[]);
    }
}

#[test]
fn l3_a_panic_in_a_rehearsal_is_one_answer_among_others() {
    let world = World::new(1, 1);
    let _a = world.driver("a").join();
    let _crasher = world.driver("crasher").when(AddStart, 1, || panic!("on purpose")).join();
    let _z = world.driver("z").join();
    let rehearsal = world.partition.rehearse(HardwareId(1)).unwrap();
    let answers = rehearsal.answers.iter().map(|a| (a.party.name.as_str(), a.answer.is_ok()));
    let expected = [("a", true), ("crasher", false), ("z", true)];
    assert_eq!(answers.collect::<Vec<_>>(), expected, "every party has an answer");
    assert!(world.add(1).is_ok(), "it is deregistered");
}

#[test]
fn l3_every_driver_may_crash_in_one_add_and_the_processor_still_has_an_answer() {
    let world = World::new(1, 1);
    let all = ["a", "b", "c"].map(|name| {
        world.driver(name).when(AddComplete, 1, move || panic!("{name} on purpose")).join()
    });
    world.add(1).expect("all had agreed");
    assert!(all.iter().all(|r| !r.is_registered()));
    assert_eq!(world.active(), [0, 1]);
}

/// A driver that panics where nobody calls it.
struct Brittle {
    in_drop: bool,
    in_removal: bool,
    in_start: bool,
}

impl Driver for Brittle {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        assert!(!self.in_start, "start, on purpose");
        Ok(())
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        assert!(!self.in_removal, "removal, on purpose");
        None
    }
}

impl Drop for Brittle {
    fn drop(&mut self) {
        assert!(!self.in_drop, "drop, on purpose");
    }
}

#[test]
fn l3_a_driver_that_panics_while_it_is_dropped_is_contained_and_reported() {
    let world = World::new(1, 1);
    world.watch();
    let brittle = || Brittle { in_drop: true, in_removal: false, in_start: true };
    let add = |_kept: &[hotadd::Registration]| world.add(1);

    let party = world.partition.registration("twice").without_replay();
    let kept = [party.clone().register(brittle()).unwrap(), party.register(brittle()).unwrap()];
    add(&kept).expect_err("the first crashed in its AddStart, and again while it was dropped");
    add(&kept).expect_err("the second did the same");
    add(&kept).expect("the partition goes on without both");
    let events = world.events.lock().unwrap();
    let breaches = events.iter().filter(|l| l.starts_with("breach twice") && l.contains("(L3)"));
    assert_eq!(breaches.count(), 4, "two crashes each: {events:#?}");
}

#[test]
fn l3_deregistering_a_driver_whose_drop_panics_does_not_panic() {
    let world = World::new(1, 1);
    let brittle = Brittle { in_drop: true, in_removal: false, in_start: false };
    let registration = world.partition.register("brittle", brittle).unwrap();
    registration.deregister().expect("it was registered, and is not any longer");
    world.add(1).unwrap();
}

#[test]
fn l3_a_driver_that_panics_when_asked_about_removals_is_not_registered() {
    let world = World::new(1, 1);
    let brittle = Brittle { in_drop: false, in_removal: true, in_start: false };
    let partition = world.partition.clone();
    let result = finishes("registering", move || partition.register("brittle", brittle).map(drop));
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::Crashed(party) if party.name == "brittle"), "{error}");
    world.add(1).unwrap();
}

#[test]
fn l3_an_observer_that_panics_is_dropped_and_blames_no_driver() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("drop, on purpose");
        }
    }
    let world = World::new(1, 2);
    let bomb = Bomb;
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let driver = world.driver("a").without_replay().join();
    let observe = world.partition.observe(move |_| {
        let _ = &bomb;
        *count.lock().unwrap() += 1;
        panic!("observing, on purpose");
    });
    observe.unwrap().detach();
    world.watch();
    world.add(1).expect("an observer has no say");
    world.add(2).unwrap();
    assert!(driver.is_registered(), "and it is not the driver that is taken for the culprit");
    let times = seen.lock().map_or_else(|e| *e.into_inner(), |n| *n);
    assert_eq!(times, 1, "it is not called again");
    assert!(world.events.lock().unwrap().len() > 4, "the other observer hears everything");
}
