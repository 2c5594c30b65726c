//! L4: a party that the operator named, and that is missing, refuses every add by its name.

use std::sync::{Arc, Mutex};

use hotadd::{Error, HardwareId, Notice, RequiredParty, State, Status, Veto};

use crate::recorder::World;

use State::{AddComplete, AddStart};

fn refused_for(world: &World, id: u32) -> (String, Status, String) {
    let error = world.add(id).unwrap_err();
    assert_eq!(error.clause(), "L4", "{error}");
    let Error::Missing { missing, .. } = &error else { panic!("{error}") };
    (error.party().unwrap().name.clone(), error.status(), missing.reason.clone())
}

#[test]
fn l4_who_is_required_and_has_not_come_refuses_at_once_by_its_name() {
    let world = World::new(1, 2);
    let _a = world.driver("a").join();
    let pool = world.partition.require("pool").unwrap();
    let (name, status, reason) = refused_for(&world, 1);
    assert_eq!((&*name, status), ("pool", Status::DEVICE_NOT_READY));
    assert_eq!(reason, "it has not registered yet");
    world.journal.expect("nobody else was asked", &[]);
    let ids = [1, 2].map(HardwareId);
    for (_, result) in world.partition.add_batch(&ids, hotadd::Batch::Atomic) {
        assert_eq!(result.unwrap_err().party().unwrap().name, "pool");
    }
    let rehearsal = world.partition.rehearse(HardwareId(1)).unwrap();
    let answers: Vec<_> =
        rehearsal.answers.iter().map(|a| (&*a.party.name, a.answer.is_ok())).collect();
    assert_eq!(answers, [("pool", false), ("a", true)], "A10: it is one answer among others");
    drop(pool);
    world.add(1).expect("nobody requires it any more");
}

#[test]
fn l4_what_could_not_be_added_anyway_is_refused_for_that_a8() {
    let world = World::new(1, 1);
    let _pool = world.partition.require("pool").unwrap();
    assert_eq!(world.add(7).unwrap_err().clause(), "A8");
}

/// Crashes when it is told this.
fn crashes(world: &World, required: &RequiredParty, state: State) -> hotadd::Registration {
    let attempt = required.attempt();
    let driver = move |notice: &Notice| match notice.state() == state {
        true => Err(Veto::crash(Status::IO_TIMEOUT, "no answer in 5 s")),
        false => Ok(()),
    };
    let party = world.partition.registration("pool").without_replay().required(required);
    let registration = party.register(driver).unwrap();
    assert!(attempt.succeeded());
    registration
}

#[test]
fn l4_who_crashed_once_is_missing_from_then_on_whoever_observes() {
    for (state, joins) in [(AddStart, false), (AddComplete, true)] {
        for observed in [false, true] {
            let world = World::new(1, 2);
            if observed {
                world.watch();
            }
            let pool = world.partition.require("pool").unwrap();
            let registration = crashes(&world, &pool, state);
            let first = world.add(1);
            assert_eq!(first.is_ok(), joins, "{first:?}");
            assert!(!registration.is_registered());
            let missing = pool.missing().expect("it has crashed");
            assert_eq!(missing.reason, "no answer in 5 s");
            assert_eq!(world.partition.missing().unwrap(), [missing]);
            let again = refused_for(&world, 2);
            assert_eq!(again, ("pool".into(), Status::IO_TIMEOUT, "no answer in 5 s".into()));
            let attempt = pool.attempt();
            let back = world.driver("pool").try_join().unwrap();
            assert!(attempt.succeeded(), "it has registered again");
            world.add(2).expect("it was asked and agreed");
            assert_eq!(world.partition.missing().unwrap(), []);
            drop(back);
        }
    }
}

#[test]
fn l4_one_that_panics_is_missing_like_one_that_crashed_otherwise() {
    let world = World::new(1, 1);
    let pool = world.partition.require("pool").unwrap();
    let attempt = pool.attempt();
    let party = world.partition.registration("pool").without_replay().required(&pool);
    let _registration = party.register(|_: &Notice| panic!("on purpose")).unwrap();
    assert!(attempt.succeeded());
    assert_eq!(world.add(1).unwrap_err().clause(), "A3", "the panic is a veto (L3)");
    assert_eq!(refused_for(&world, 1).2, "it panicked: on purpose");
}

#[test]
fn l4_who_goes_missing_after_it_has_agreed_refuses_all_the_same() {
    let world = World::new(1, 1);
    let pool = world.partition.require("pool").unwrap();
    assert!(pool.attempt().succeeded());
    let _first = world.driver("first").join();
    let lost = pool.clone();
    let _second = world
        .driver("second")
        .when(AddStart, 1, move || lost.is_missing(Status::PIPE_BROKEN, "its process ended"))
        .join();
    let (name, status, _) = refused_for(&world, 1);
    assert_eq!((&*name, status), ("pool", Status::PIPE_BROKEN));
    world.journal.expect(
        "who agreed is told with its status",
        &[
            "first AddStart 1",
            "second AddStart 1",
            "second AddFailure 1 STATUS_PIPE_BROKEN",
            "first AddFailure 1 STATUS_PIPE_BROKEN",
        ],
    );
    assert_eq!(world.active(), [0]);
}

#[test]
fn l4_an_attempt_counts_only_if_it_was_not_lost_again_meanwhile() {
    let world = World::new(1, 1);
    let pool = world.partition.require("pool").unwrap();
    let attempt = pool.attempt();
    pool.is_missing(Status::SUCCESS, "its process ended");
    assert!(!attempt.succeeded());
    let (_, status, reason) = refused_for(&world, 1);
    assert_eq!((status, &*reason), (Status::UNSUCCESSFUL, "its process ended"), "always an error");
}

#[test]
fn l4_observers_hear_who_is_missing_and_who_is_back_once() {
    let world = World::new(1, 1);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let observe = world.partition.observe(move |event| {
        let party = event.party.as_ref().map(|party| party.name.clone());
        hears.lock().unwrap().push((event.kind.name(), party, event.reason.clone()));
    });
    observe.unwrap().detach();
    let pool = world.partition.require("pool").unwrap();
    assert!(pool.attempt().succeeded(), "for the first time: no news");
    pool.is_missing(Status::PIPE_BROKEN, "its process ended");
    let since = pool.missing().unwrap().since;
    pool.is_missing(Status::PIPE_BROKEN, "it could not be started again");
    assert_eq!(pool.missing().unwrap().since, since, "since the first time");
    assert!(pool.attempt().succeeded());
    let events = std::mem::take(&mut *heard.lock().unwrap());
    let pool = Some("pool".to_owned());
    let why = Some("its process ended".to_owned());
    assert_eq!(events, [("missing", pool.clone(), why), ("present", pool, None)]);
}

#[test]
fn l4_strangers_that_go_are_simply_gone() {
    let world = World::new(1, 1);
    let _pool = world.partition.require("pool").unwrap().attempt().succeeded();
    let stranger = world.partition.registration("pool").without_replay();
    let crash = |_: &Notice| Err(Veto::crash(Status::IO_TIMEOUT, "late"));
    let _stranger = stranger.register(crash).unwrap();
    world.add(1).unwrap_err();
    world.add(1).expect("of the same name, and nobody's");
}

#[test]
fn l4_a_refusal_for_a_missing_party_leaves_nothing_behind_q3() {
    let world = World::new(1, 1);
    let _pool = world.partition.require("pool").unwrap();
    refused_for(&world, 1);
    world.watch();
    world.hardware.intrude(HardwareId(1));
    assert_eq!(world.active(), [0, 1], "nobody is being asked about it");
    world.expect_events(
        "as one that nobody was asked about",
        &["breach 1 (Q3)", "joined 1 (Q3) unagreed"],
    );
}
