//! R: registering.

use std::sync::{Arc, Barrier};
use std::thread;

use hotadd::{Error, Notice, Partition, State, Status, Veto};

use crate::recorder::{Entry, World, finishes};

use State::{AddComplete, AddStart};

#[test]
fn r1_registering_gives_a_handle_or_a_status_that_says_why() {
    let world = World::new(2, 1);
    let registration = world.driver("good").try_join().expect("a handle");
    assert!(registration.is_registered());
    assert_eq!(registration.party().name, "good");

    let error = world.driver("bad").vetoes(AddStart, 1, Status::NO_MEMORY).try_join().unwrap_err();
    assert_eq!(error.status(), Status::NO_MEMORY, "{error}");
    assert_eq!(error.party().unwrap().name, "bad");
}

#[test]
fn r4_the_refused_driver_is_dropped_by_the_time_registering_returns() {
    let world = World::new(1, 0);
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let refused = world.partition.register("refuses", move |_: &Notice| {
        let _ = &held;
        Err(Veto::from("no"))
    });
    assert!(refused.is_err());
    assert_eq!(Arc::strong_count(&alive), 1, "nobody keeps the driver that is not registered");
}

#[test]
fn r5_registering_while_adding_misses_no_processor_and_tells_of_none_twice() {
    for round in 0..8 {
        let world = World::new(1, 48);
        let start = Arc::new(Barrier::new(5));
        let registering = (0..4).map(|nth| {
            let (world, start) = (world.clone(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                world.driver(&format!("driver {nth}")).try_join().expect("nobody refuses")
            })
        });
        let registering: Vec<_> = registering.collect();
        start.wait();
        for id in 1..=48 {
            world.add(id).expect("nobody refuses");
        }
        let _kept: Vec<_> = registering.into_iter().map(|t| t.join().unwrap()).collect();
        for nth in 0..4 {
            for state in [AddStart, AddComplete] {
                let heard = world.journal.of(&format!("driver {nth}"));
                let heard: Vec<_> =
                    heard.iter().filter(|e| e.notice.state() == state).map(Entry::id).collect();
                let all: Vec<_> = (0..=48).collect();
                assert_eq!(heard, all, "round {round}, driver {nth}: {state} of each exactly once");
            }
        }
    }
}

#[test]
fn r5_registering_waits_for_an_add_in_progress_and_replays_what_joined() {
    let world = World::new(1, 1);
    let meeting = Arc::new(Barrier::new(2));
    let wait = Arc::clone(&meeting);
    let slow = world.driver("slow").when(AddStart, 1, move || {
        wait.wait();
    });
    let _slow = slow.join();
    let late = {
        let world = world.clone();
        thread::spawn(move || world.driver("late").try_join().unwrap())
    };
    let adding = {
        let world = world.clone();
        thread::spawn(move || world.add(1).unwrap())
    };
    meeting.wait();
    let (_change, _late) = finishes("the add", move || (adding.join(), late.join()));
    let heard: Vec<_> = world.journal.of("late").iter().map(ToString::to_string).collect();
    let starts = |id| heard.iter().filter(|l| **l == format!("late AddStart {id}")).count();
    let completes = |id| heard.iter().filter(|l| **l == format!("late AddComplete {id}")).count();
    for id in [0, 1] {
        assert_eq!((starts(id), completes(id)), (1, 1), "processor {id}: {heard:?}");
    }
}

fn agrees(_: &Notice) -> Result<(), Veto> {
    Ok(())
}

#[test]
fn r6_the_same_function_registered_twice_is_two_registrations() {
    let world = World::new(1, 1);
    let first = world.partition.register("same", agrees).unwrap();
    let second = world.partition.register("same", agrees).unwrap();
    assert_ne!(first.party().id, second.party().id);
    first.deregister().unwrap();
    assert!(second.is_registered(), "each is its own");

    let _twice = [world.driver("twin").join(), world.driver("twin").join()];
    world.add(1).unwrap();
    assert_eq!(world.journal.of("twin").len(), 4, "both are called, each twice");
}

#[test]
fn r7_a_name_that_cannot_be_shown_registers_nothing() {
    let world = World::new(1, 0);
    for name in ["", "with\nnewline", "\u{1b}[31m", &"x".repeat(65)] {
        let error = world.driver(name).try_join().unwrap_err();
        assert!(matches!(error, Error::BadName(_)), "{name:?}: {error}");
        assert_eq!((error.status(), error.clause()), (Status::INVALID_PARAMETER, "R7"));
    }
    world.journal.expect("nobody was told anything", &[]);
    assert!(world.driver(&"x".repeat(64)).try_join().is_ok(), "64 bytes are allowed");
}

#[test]
fn r7_a_full_partition_registers_nobody_more_and_says_so() {
    const LIMIT: usize = 65_536;
    let world = World::new(1, 0);
    let agree = |_: &Notice| Ok(());
    let register =
        |partition: &Partition| partition.registration("x").without_replay().register(agree);
    let mut all: Vec<_> = (0..LIMIT).map(|_| register(&world.partition).unwrap()).collect();
    let error = world.driver("one too many").try_join().unwrap_err();
    assert_eq!(error, Error::TooManyParties(LIMIT));
    assert_eq!(error.status(), Status::QUOTA_EXCEEDED);
    world.journal.expect("it was told nothing before it was refused", &[]);
    drop(all.pop());
    assert!(world.driver("fits again").try_join().is_ok());
    // From the end, where taking out is cheap.
    while all.pop().is_some() {}
}
