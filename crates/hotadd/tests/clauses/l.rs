//! L3: a driver that panics, wherever it can, takes neither the host nor the partition nor another driver with it.

use std::sync::{Arc, Mutex};

use hotadd::{Driver, Error, Notice, Removal, State, Veto};

use crate::recorder::{World, finishes};

use State::AddStart;

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
