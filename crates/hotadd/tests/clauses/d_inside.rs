//! D3: what a callback may do to the partition that calls it, and what is refused instead of hanging.

use std::sync::{Arc, Mutex};

use hotadd::{Batch, Errno, Error, HardwareId, Notice, Registration, State, Status};

use crate::recorder::{World, finishes};

use State::{AddComplete, AddFailure, AddStart, RemoveComplete, RemoveStart};

/// Where a test leaves registrations for callbacks to take.
type Slot = Arc<Mutex<Vec<Registration>>>;

fn empty(slot: &Slot) {
    // Out of the lock first: what is dropped may come back here.
    let all = std::mem::take(&mut *slot.lock().expect("nobody panics here"));
    drop(all);
}

fn add(world: &World, id: u32) -> Result<hotadd::Change, Error> {
    let world = world.clone();
    finishes("an add whose callbacks deregister", move || world.add(id))
}

#[test]
fn d3_a_driver_may_deregister_itself_in_its_own_add_start_and_hears_no_more() {
    let world = World::new(1, 2);
    let slot = Slot::default();
    let _a = world.driver("a").join();
    let own = Arc::clone(&slot);
    let leaver = world.driver("leaver").when(AddStart, 1, move || empty(&own)).join();
    slot.lock().unwrap().push(leaver);
    add(&world, 1).expect("it agreed, and left");
    world.journal.expect(
        "not even the outcome of the add in progress",
        &["a AddStart 1", "leaver AddStart 1", "a AddComplete 1"],
    );
    add(&world, 2).unwrap();
    assert!(world.journal.of("leaver").is_empty());
}

#[test]
fn d3_a_driver_may_deregister_another_in_any_state_and_it_is_not_called_again() {
    // Who deregisters, when, and what is heard from then on.
    let cases: [(State, bool, &[&str]); 3] = [
        (
            AddStart,
            false,
            &["actor AddStart 1", "z AddStart 1", "actor AddComplete 1", "z AddComplete 1"],
        ),
        (
            AddComplete,
            false,
            &[
                "actor AddStart 1",
                "victim AddStart 1",
                "z AddStart 1",
                "actor AddComplete 1",
                "z AddComplete 1",
            ],
        ),
        (
            AddFailure,
            true,
            &[
                "actor AddStart 1",
                "victim AddStart 1",
                "z AddStart 1",
                "z AddFailure 1 STATUS_IO_DEVICE_ERROR",
                "victim AddFailure 1 STATUS_IO_DEVICE_ERROR",
                "actor AddFailure 1 STATUS_IO_DEVICE_ERROR",
            ],
        ),
    ];
    for (state, fails, heard) in cases {
        let world = World::new(1, 1);
        let slot = Slot::default();
        let take = Arc::clone(&slot);
        let _actor = world.driver("actor").when(state, 1, move || empty(&take)).join();
        let victim = world.driver("victim").join();
        slot.lock().unwrap().push(victim);
        let _z = world.driver("z").join();
        if fails {
            world.hardware.fail_start(HardwareId(1), Errno::EIO);
        }
        let _ = add(&world, 1);
        world.journal.expect(&format!("deregistered in {state}"), heard);
        world.hardware.heal(HardwareId(1));
        let _ = add(&world, 1);
        assert!(world.journal.of("victim").is_empty(), "{state}: it is gone for good");
    }
}

#[test]
fn d3_who_agreed_and_is_deregistered_before_a_veto_is_not_told_of_the_failure() {
    let world = World::new(1, 1);
    let slot = Slot::default();
    let victim = world.driver("victim").join();
    slot.lock().unwrap().push(victim);
    let take = Arc::clone(&slot);
    let _actor = world.driver("actor").when(AddStart, 1, move || empty(&take)).join();
    let _vetoer = world.driver("vetoer").vetoes(AddStart, 1, Status::NO_MEMORY).join();
    add(&world, 1).unwrap_err();
    world.journal.expect(
        "whoever deregisters it takes over what it had prepared",
        &[
            "victim AddStart 1",
            "actor AddStart 1",
            "vetoer AddStart 1",
            "actor AddFailure 1 STATUS_NO_MEMORY",
        ],
    );
}

#[test]
fn d3_a_driver_may_deregister_itself_and_veto() {
    let world = World::new(1, 1);
    let slot = Slot::default();
    let take = Arc::clone(&slot);
    let leaver = world.driver("leaver").script(move |notice| {
        if notice.state() == AddStart && notice.processor().id.0 == 1 {
            empty(&take);
            return Err("I leave, and you stay out".into());
        }
        Ok(())
    });
    let leaver = leaver.join();
    slot.lock().unwrap().push(leaver);
    let error = add(&world, 1).unwrap_err();
    assert_eq!(error.party().unwrap().name, "leaver", "{error}");
    add(&world, 1).expect("it is gone");
}

#[test]
fn d3_deregistering_works_in_removals_and_surprises_too() {
    for state in [RemoveStart, RemoveComplete] {
        let world = World::new(3, 0);
        let slot = Slot::default();
        let victim = world.driver("victim").hears_removal().join();
        let take = Arc::clone(&slot);
        let act = world.driver("actor").hears_removal().when(state, 2, move || empty(&take));
        let _actor = act.join();
        slot.lock().unwrap().push(victim);
        let world_too = world.clone();
        finishes("the removal", move || match state {
            RemoveStart => drop(world_too.remove(2).unwrap()),
            _ => world_too.hardware.vanish(HardwareId(2)),
        });
        assert!(world.journal.of("victim").is_empty(), "{state}: {:?}", world.journal.take());
    }
}

#[test]
fn d3_a_replay_may_deregister_others() {
    let world = World::new(2, 1);
    let slot = Slot::default();
    let victim = world.driver("victim").join();
    slot.lock().unwrap().push(victim);
    let take = Arc::clone(&slot);
    let newcomer = world.driver("new").when(AddStart, 0, move || empty(&take));
    let _new = newcomer.try_join().expect("it is itself registered");
    assert_eq!(world.journal.take().len(), 4, "its own replay goes on");
    add(&world, 2).unwrap();
    assert!(world.journal.of("victim").is_empty());
}

#[test]
fn d3_a_deregistered_driver_is_dropped_when_the_add_is_over() {
    let world = World::new(1, 1);
    let alive = Arc::new(());
    let (held, slot) = (Arc::clone(&alive), Slot::default());
    let take = Arc::clone(&slot);
    let leaver = world.driver("leaver").script(move |notice| {
        let _ = &held;
        if notice.processor().id.0 == 1 {
            empty(&take);
        }
        Ok(())
    });
    let leaver = leaver.join();
    slot.lock().unwrap().push(leaver);
    add(&world, 1).unwrap();
    assert_eq!(Arc::strong_count(&alive), 1, "the add is over, and the driver is still there");
}

#[test]
fn d3_what_would_wait_for_itself_is_refused_with_possible_deadlock() {
    for state in [AddStart, AddComplete, AddFailure, RemoveStart] {
        let world = World::new(2, 3);
        let answers: Arc<Mutex<Vec<Result<(), Error>>>> = Arc::default();
        let (inside, noted) = (world.partition.clone(), Arc::clone(&answers));
        let id = if state == RemoveStart { 1 } else { 2 };
        let nosy = world.driver("nosy").hears_removal().when(state, id, move || {
            let batch = |how| {
                let mut results = inside.add_batch(&[HardwareId(3), HardwareId(4)], how);
                results.swap_remove(1).1.map(drop)
            };
            noted.lock().unwrap().extend([
                inside.add(HardwareId(3)).map(drop),
                inside.remove(HardwareId(0)).map(drop),
                inside.rehearse(HardwareId(3)).map(drop),
                inside.register("late", |_: &Notice| Ok(())).map(drop),
                inside
                    .registration("later")
                    .without_replay()
                    .register(|_: &Notice| Ok(()))
                    .map(drop),
                inside.observe(|_| ()).map(drop),
                batch(Batch::Each),
                batch(Batch::Atomic),
            ]);
            assert!(inside.count() >= 2, "queries work");
        });
        let _nosy = nosy.join();
        if state == AddFailure {
            world.hardware.fail_start(HardwareId(2), Errno::EIO);
        }
        let changing = world.clone();
        let _ = finishes("a request from inside a callback", move || match state {
            RemoveStart => changing.remove(1),
            _ => changing.add(2),
        });
        let answers = answers.lock().unwrap();
        assert_eq!(answers.len(), 8, "{state}: all were asked for");
        for (nth, answer) in answers.iter().enumerate() {
            let error = answer.as_ref().expect_err("it must be refused");
            assert!(matches!(error, Error::InsideCallback(_)), "{state}, request {nth}: {error}");
            assert_eq!((error.status(), error.clause()), (Status::POSSIBLE_DEADLOCK, "D3"));
        }
        let active = world.active();
        assert!(!active.contains(&3) && active.contains(&0), "{state}: nothing of it was done");
    }
}

#[test]
fn d3_a_callback_may_use_another_partition() {
    let (outer, inner) = (World::new(1, 1), World::new(1, 1));
    let within = inner.clone();
    let _chain = outer
        .driver("chain")
        .when(AddComplete, 1, move || {
            within.add(1).expect("nobody refuses");
        })
        .join();
    add(&outer, 1).unwrap();
    assert_eq!(inner.active(), [0, 1], "the rule is one partition's own");
}

#[test]
fn d3_two_who_deregister_each_other_are_both_gone() {
    let world = World::new(1, 2);
    let slot = Slot::default();
    let drivers = ["a", "b"].map(|name| {
        let take = Arc::clone(&slot);
        world.driver(name).when(AddStart, 1, move || empty(&take)).join()
    });
    slot.lock().unwrap().extend(drivers);
    add(&world, 1).unwrap();
    world.journal.expect("a took both out, itself included", &["a AddStart 1"]);
    add(&world, 2).unwrap();
    world.journal.expect("", &[]);
}

#[test]
fn d1_an_observer_that_deregisters_a_driver_about_to_be_called_keeps_it_from_being_called() {
    let world = World::new(1, 2);
    let slot = Slot::default();
    let take = Arc::clone(&slot);
    let observe = world.partition.observe(move |event| {
        let victim = event.party.as_ref().is_some_and(|p| p.name == "victim");
        if event.kind == hotadd::EventKind::Calling && victim {
            empty(&take);
        }
    });
    observe.unwrap().detach();
    let victim = world.driver("victim").without_replay().join();
    let _z = world.driver("z").without_replay().join();
    slot.lock().unwrap().push(victim);
    add(&world, 1).unwrap();
    world.journal.expect(
        "deregistering had returned, so the call must not be made",
        &["z AddStart 1", "z AddComplete 1"],
    );
}

#[test]
fn d3_an_observer_that_deregisters_the_next_at_every_departure_clears_them_all_at_once() {
    let world = World::new(1, 1);
    let slot = Slot::default();
    let take = Arc::clone(&slot);
    let observe = world.partition.observe(move |event| {
        if event.kind == hotadd::EventKind::Deregistered {
            let next = take.lock().unwrap().pop();
            drop(next);
        }
    });
    observe.unwrap().detach();
    let alive = Arc::new(());
    for name in ["a", "b", "c"] {
        let held = Arc::clone(&alive);
        let keep = move |_: &Notice| {
            let _ = &held;
            Ok(())
        };
        slot.lock().unwrap().push(world.partition.register(name, keep).unwrap());
    }
    let first = slot.lock().unwrap().pop();
    finishes("a chain of departures", move || drop(first));
    assert_eq!(Arc::strong_count(&alive), 1, "all are dropped before deregistering returns");
}
