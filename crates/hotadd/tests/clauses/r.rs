//! R: registering.

use std::sync::{Arc, Barrier};
use std::thread;

use hotadd::{Error, HardwareId, Notice, Partition, State, Status, Veto};

use crate::recorder::{Entry, World, finishes};

use State::{AddComplete, AddFailure, AddStart};

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
fn r2_without_replay_a_driver_hears_only_of_processors_added_later() {
    let world = World::new(3, 1);
    let _later = world.driver("later").without_replay().try_join().unwrap();
    world.journal.expect("nothing of the three that are active", &[]);
    world.add(3).unwrap();
    world.journal.expect("of the fourth", &["later AddStart 3", "later AddComplete 3"]);
}

#[test]
fn r3_a_replay_is_over_when_registering_returns_starts_first_then_completes() {
    let world = World::new(3, 0);
    let _all = world.driver("all").try_join().unwrap();
    let here = thread::current().id();
    let entries = world.journal.entries();
    assert!(entries.iter().all(|e| e.thread == here), "on the thread that registers");
    assert!(entries.iter().all(|e| e.seen.active && e.seen.named), "they are active already");
    world.journal.expect(
        "AddStart for each, ascending, then AddComplete for each, ascending",
        &[
            "all AddStart 0",
            "all AddStart 1",
            "all AddStart 2",
            "all AddComplete 0",
            "all AddComplete 1",
            "all AddComplete 2",
        ],
    );
}

#[test]
fn r3_a_replay_calls_nobody_but_the_newcomer() {
    let world = World::new(2, 0);
    let _old = world.driver("old").join();
    let _new = world.driver("new").try_join().unwrap();
    assert!(world.journal.of("old").is_empty(), "{:?}", world.journal.take());
}

#[test]
fn r4_a_refused_replay_is_undone_ascending_and_nothing_is_registered() {
    let world = World::new(4, 1);
    let epoch = world.partition.epoch();
    let error = world.driver("new").vetoes(AddStart, 2, Status::DISK_FULL).try_join().unwrap_err();
    world.journal.expect(
        "no further AddStart; AddFailure to 0 and 1 with that error, none to 2",
        &[
            "new AddStart 0",
            "new AddStart 1",
            "new AddStart 2",
            "new AddFailure 0 STATUS_DISK_FULL",
            "new AddFailure 1 STATUS_DISK_FULL",
        ],
    );
    let Error::NotJoining { processor, party, veto } = &error else { panic!("{error:?}") };
    assert_eq!((processor.id, party.name.as_str()), (HardwareId(2), "new"));
    assert_eq!(veto.status(), Status::DISK_FULL);
    assert_eq!((world.active(), world.partition.epoch()), (vec![0, 1, 2, 3], epoch), "untouched");
    world.add(4).unwrap();
    world.journal.expect("the registration does not exist", &[]);
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

#[test]
fn r4_an_undoing_carries_the_error_of_the_processor_refused() {
    let world = World::new(2, 0);
    let _ = world.driver("new").vetoes(AddStart, 1, Status::from_raw(0xE123_4567)).try_join();
    let entries = world.journal.entries();
    let last = entries.last().unwrap();
    assert_eq!(last.notice.state(), AddFailure);
    assert_eq!(last.notice.status(), Status::from_raw(0xE123_4567), "a driver's own code survives");
}
