//! D: deregistering, from outside of callbacks (D1, D2), and what a driver's own drop may do.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hotadd::{Error, HardwareId, Notice, Registration, State, Status, Veto};

use crate::recorder::{World, finishes};

use State::{AddComplete, AddFailure, AddStart, RemoveStart};

/// How long a driver stays in its call to give a deregistering that does not wait the time to show it.
const PATIENCE: Duration = Duration::from_millis(50);

#[test]
fn d1_deregistering_from_another_thread_waits_for_the_callback_to_return() {
    for state in [AddStart, AddComplete, AddFailure, RemoveStart] {
        let world = World::new(2, 1);
        let (entered, inside) = channel();
        let (gone, deregistered) = channel::<()>();
        let id = if state == RemoveStart { 1 } else { 2 };
        if state == AddFailure {
            world.hardware.fail_start(HardwareId(2), hotadd::Errno::EIO);
        }
        let (verdict, waited) = channel();
        let deregistered = Mutex::new(deregistered);
        let registration = world.driver("slow").hears_removal().when(state, id, move || {
            entered.send(()).expect("the test listens");
            let early = deregistered.lock().unwrap().recv_timeout(PATIENCE);
            verdict.send(early == Err(RecvTimeoutError::Timeout)).expect("the test listens");
        });
        let registration = registration.join();
        let changing = thread::spawn({
            let world = world.clone();
            move || if state == RemoveStart { world.remove(1) } else { world.add(2) }
        });
        inside.recv().expect("the driver is called");
        finishes("deregistering", move || drop(registration));
        let _ = gone.send(());
        assert_eq!(waited.recv(), Ok(true), "{state}: deregistered while the callback was running");
        let _ = changing.join().unwrap();
    }
}

#[test]
fn d1_once_deregistering_has_returned_the_driver_is_dropped_and_never_called_again() {
    let world = World::new(1, 2);
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let registration = world.driver("a").script(move |_| {
        let _ = &held;
        Ok(())
    });
    let registration = registration.join();
    world.add(1).unwrap();
    world.journal.take();
    registration.deregister().unwrap();
    assert_eq!(Arc::strong_count(&alive), 1, "the driver has been dropped");
    world.add(2).unwrap();
    world.remove(2).unwrap();
    world.journal.expect("and is not called", &[]);
}

#[test]
fn d1_dropping_a_registration_in_a_race_with_adds_leaves_no_call_behind() {
    for _ in 0..20 {
        let world = World::new(1, 16);
        let registration = world.driver("a").join();
        let (one_more, added) = channel();
        let adding = thread::spawn({
            let world = world.clone();
            move || {
                for id in 1..=16 {
                    world.add(id).expect("nobody refuses");
                    let _ = one_more.send(());
                }
            }
        });
        added.recv().expect("the race is on");
        drop(registration);
        let then = world.journal.of("a").len();
        adding.join().unwrap();
        assert_eq!(world.journal.of("a").len(), then, "called after deregistering had returned");
        let states: Vec<_> = world.journal.of("a").iter().map(|e| e.notice.state()).collect();
        let whole = states.chunks(2).all(|pair| pair == [AddStart, AddComplete]);
        assert!(whole, "no add was cut in half from outside: {states:?}");
    }
}

#[test]
fn d2_deregistering_one_that_crashed_is_reported_and_changes_nothing() {
    let world = World::new(1, 1);
    let crashed = world.driver("crasher").when(AddStart, 1, || panic!("on purpose")).join();
    let _other = world.driver("other").join();
    world.add(1).unwrap_err();
    assert!(!crashed.is_registered());
    let error = crashed.deregister().unwrap_err();
    assert!(matches!(&error, Error::NotRegistered(party) if party.name == "crasher"), "{error}");
    assert_eq!((error.status(), error.clause()), (Status::INVALID_HANDLE, "D2"));
    world.journal.take();
    world.add(1).unwrap();
    assert_eq!(world.journal.of("other").len(), 2, "nobody else was taken out in its place");
}

#[test]
fn d2_registrations_of_two_partitions_do_not_meddle_with_each_other() {
    let (one, two) = (World::new(1, 1), World::new(1, 1));
    let first = one.driver("x").join();
    let second = two.driver("x").join();
    assert_eq!(first.party().id, second.party().id, "numbers are a partition's own");
    drop(first);
    two.add(1).unwrap();
    assert_eq!(
        two.journal.of("x").len(),
        2,
        "the same number in another partition is another party"
    );
}

/// A driver that keeps other registrations, and so deregisters them when it is dropped.
struct Keeper {
    kept: Vec<Registration>,
    refuses: Option<State>,
    crashes: bool,
}

impl hotadd::Driver for Keeper {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        assert!(!self.crashes, "on purpose");
        if self.refuses == Some(AddStart) { Err(Veto::from("no")) } else { Ok(()) }
    }
}

fn keeper(kept: Vec<Registration>) -> Keeper {
    Keeper { kept, refuses: None, crashes: false }
}

#[test]
fn d3_a_driver_whose_drop_deregisters_others_may_be_deregistered() {
    let world = World::new(1, 1);
    let kept = vec![world.driver("a").join(), world.driver("b").join()];
    let deeper = world.partition.register("inner keeper", keeper(kept)).unwrap();
    let outer = world.partition.register("outer keeper", keeper(vec![deeper])).unwrap();
    finishes("deregistering a driver that keeps others", move || drop(outer));
    world.add(1).unwrap();
    world.journal.expect("all of them are gone", &[]);
}

#[test]
fn d3_a_driver_whose_drop_deregisters_others_may_be_refused_or_crash() {
    for (refuses, crashes) in [(Some(AddStart), false), (None, true)] {
        let world = World::new(1, 1);
        let kept = vec![world.driver("a").join()];
        let keeper = Keeper { kept, refuses, crashes };
        let partition = world.partition.clone();
        let result = finishes("refusing a driver that keeps others", move || {
            partition.register("keeper", keeper).map(drop)
        });
        result.expect_err("it refused, or crashed");
        world.add(1).unwrap();
        world.journal.expect("what it kept went with it", &[]);
    }
}

#[test]
fn d3_a_driver_whose_drop_deregisters_others_may_crash_in_an_add() {
    let world = World::new(1, 1);
    let kept = vec![world.driver("a").join()];
    let keeper = Keeper { kept, refuses: None, crashes: true };
    let registration =
        world.partition.registration("keeper").without_replay().register(keeper).unwrap();
    let adding = world.clone();
    finishes("the add", move || adding.add(1)).expect_err("a crash is a veto (L3)");
    assert!(!registration.is_registered());
    assert!(registration.deregister().is_err());
    world.journal.take();
    world.add(1).expect("the partition goes on");
    world.journal.expect("and a was deregistered with its keeper", &[]);
}

#[test]
fn d3_a_keeper_with_nothing_refused_keeps_what_it_has() {
    let world = World::new(1, 1);
    let keeper = keeper(vec![world.driver("a").join()]);
    assert!(keeper.kept[0].is_registered());
    let _keeper = world.partition.register("keeper", keeper).unwrap();
    world.add(1).unwrap();
    assert_eq!(world.journal.of("a").len(), 2);
}
