//! Q4: the partition goes on looking while a transaction is under way, and what that means to those who are asked (X4).

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hotadd::{Error, EventKind, HardwareId, State, Status};

use crate::recorder::{World, finishes};

use State::{AddComplete, AddStart, RemoveStart};

/// A driver that takes its time: it says when it is asked, and answers when it is let go.
struct Slow {
    asked: Receiver<()>,
    go: Option<Sender<()>>,
}

impl Slow {
    fn join(world: &World, state: State, id: u32) -> (Self, hotadd::Registration) {
        let (says, asked) = channel();
        let (go, waits) = channel::<()>();
        let slow = world.driver("slow").hears_removal().when(state, id, move || {
            let _ = says.send(());
            // Until the other end is dropped. A test that fails drops its registration first, which waits for this callback.
            let _ = waits.recv_timeout(Duration::from_secs(30));
        });
        (Self { asked, go: Some(go) }, slow.join())
    }

    fn wait(&self) {
        self.asked.recv().expect("it is asked");
    }

    fn let_go(&mut self) {
        self.go.take();
    }
}

#[test]
fn q4_one_that_leaves_while_a_driver_thinks_is_out_of_the_set_at_once() {
    let world = World::new(3, 1);
    let (mut slow, _slow) = Slow::join(&world, AddStart, 3);
    world.watch();
    let adding = thread::spawn({
        let world = world.clone();
        move || world.add(3)
    });
    slow.wait();
    world.hardware.vanish(HardwareId(1));
    assert_eq!(world.active(), [0, 2], "the driver has not answered yet");
    let events = world.events.lock().unwrap().clone();
    assert_eq!(events.last().unwrap(), "left 1 (X2) surprise", "and it was said");
    slow.let_go();
    adding.join().unwrap().expect("nobody touched the one that was asked about");
    assert_eq!(world.active(), [0, 2, 3], "the add does not bring the other one back");
    world.journal.expect(
        "a driver is told in its turn",
        &["slow AddStart 3", "slow AddComplete 3", "slow RemoveComplete 1 surprise"],
    );
}

#[test]
fn q4_one_that_is_switched_while_everybody_is_asked_about_it_does_not_join_silently() {
    // On; on and off; twice on and off.
    for (switches, stays) in [(1, true), (2, false), (4, false)] {
        let world = World::new(1, 1);
        let (mut slow, _slow) = Slow::join(&world, AddStart, 1);
        world.watch();
        let adding = thread::spawn({
            let world = world.clone();
            move || world.add(1)
        });
        slow.wait();
        for n in 0..switches {
            if n % 2 == 0 {
                world.hardware.intrude(HardwareId(1));
            } else {
                world.hardware.vanish(HardwareId(1));
            }
        }
        assert_eq!(world.active(), [0], "it does not join while everybody is being asked");
        let events = world.events.lock().unwrap().clone();
        assert!(events.contains(&"breach 1 (Q4)".to_owned()), "at once: {events:?}");
        slow.let_go();
        let error = adding.join().unwrap().unwrap_err();
        let Error::Touched { processor, .. } = &error else { panic!("{error}") };
        assert_eq!((processor.id, error.clause()), (HardwareId(1), "Q4"));
        world.journal.expect(
            "who had agreed is told that it came to nothing",
            &["slow AddStart 1", "slow AddFailure 1 STATUS_RETRY"],
        );
        let events = std::mem::take(&mut *world.events.lock().unwrap());
        let breaches = events.iter().filter(|event| event.starts_with("breach")).count();
        assert_eq!(breaches, 1, "once, and not as one about which nobody was asked: {events:?}");
        if stays {
            assert_eq!(world.active(), [0, 1], "it runs");
            let set = world.partition.active();
            assert!(!set.is_agreed(set.by_id(HardwareId(1)).unwrap().index), "not as agreed (Q3)");
        } else {
            assert_eq!(world.active(), [0]);
            world.add(1).expect("it may be asked for again");
        }
    }
}

#[test]
fn q4_a_replay_names_one_that_leaves_meanwhile_and_its_end_follows() {
    let world = World::new(3, 0);
    let hardware = Arc::clone(&world.hardware);
    let late = world.driver("late").hears_removal();
    let late = late.when(AddStart, 0, move || hardware.vanish(HardwareId(2)));
    let _late = late.try_join().unwrap();
    world.journal.expect(
        "in pairs (X4)",
        &[
            "late AddStart 0",
            "late AddStart 1",
            "late AddStart 2",
            "late AddComplete 0",
            "late AddComplete 1",
            "late AddComplete 2",
            "late RemoveComplete 2 surprise",
        ],
    );
}

#[test]
fn d1_an_observer_on_the_thread_that_looks_may_deregister_the_driver_that_is_being_called() {
    let world = World::new(2, 1);
    let (mut slow, registration) = Slow::join(&world, AddStart, 2);
    let go = Mutex::new(slow.go.take());
    let slot = Arc::new(Mutex::new(Some(registration)));
    let taken = Arc::clone(&slot);
    let (says, ended) = channel();
    let observe = world.partition.observe(move |event| {
        if event.kind == EventKind::Left
            && let Some(registration) = taken.lock().unwrap().take()
        {
            // The driver returns some time after this has begun to wait for it.
            let go = go.lock().unwrap().take();
            thread::spawn(move || drop(go));
            says.send(registration.deregister()).unwrap();
        }
    });
    observe.unwrap().detach();
    let adding = thread::spawn({
        let world = world.clone();
        move || world.add(2)
    });
    slow.wait();
    let hardware = Arc::clone(&world.hardware);
    finishes("looking", move || hardware.vanish(HardwareId(1)));
    assert_eq!(ended.recv().unwrap(), Ok(()));
    adding.join().unwrap().expect("nobody refused");
    world.journal.expect("not called again, not even with the outcome (D3)", &["slow AddStart 2"]);
    assert_eq!(world.active(), [0, 2]);
}

#[test]
fn d3_an_observer_on_the_thread_that_looks_is_refused_what_would_wait_for_itself() {
    let world = World::new(2, 2);
    let (mut slow, _slow) = Slow::join(&world, AddStart, 2);
    let partition = world.partition.clone();
    let (says, heard) = channel();
    let observe = world.partition.observe(move |event| {
        if event.kind == EventKind::Left {
            let adding = partition.add(HardwareId(3)).unwrap_err().status();
            says.send((adding, partition.observers().unwrap_err().status())).unwrap();
        }
    });
    observe.unwrap().detach();
    let adding = thread::spawn({
        let world = world.clone();
        move || world.add(2)
    });
    slow.wait();
    let hardware = Arc::clone(&world.hardware);
    finishes("looking", move || hardware.vanish(HardwareId(1)));
    let refused = heard.recv().unwrap();
    assert_eq!(refused, (Status::POSSIBLE_DEADLOCK, Status::POSSIBLE_DEADLOCK));
    slow.let_go();
    adding.join().unwrap().unwrap();
    world
        .journal
        .expect("", &["slow AddStart 2", "slow AddComplete 2", "slow RemoveComplete 1 surprise"]);
}

#[test]
fn q4_the_set_and_what_runs_are_one_whatever_somebody_switches_in_the_middle_of_adds() {
    let world = World::new(2, 6);
    let _a = world.driver("a").hears_removal().try_join().unwrap();
    world.watch();
    let meddling = thread::spawn({
        let hardware = Arc::clone(&world.hardware);
        move || {
            for n in 0..3_000_u32 {
                let id = HardwareId(1 + n * 5 % 7);
                if n % 3 == 0 { hardware.intrude(id) } else { hardware.vanish(id) }
            }
        }
    });
    for n in 0..1_000_u32 {
        let _ = world.add(1 + n * 2 % 7);
        let _ = world.remove(1 + n * 3 % 7);
    }
    meddling.join().unwrap();
    // One more look, with nobody about.
    world.hardware.vanish(HardwareId(7));
    let running: Vec<u32> = (0..8).filter(|id| !world.spare().contains(id)).collect();
    let mut active = world.active();
    active.sort_unstable();
    assert_eq!(active, running);
    let mut last = std::collections::BTreeMap::new();
    for entry in world.journal.entries() {
        let (state, id) = (entry.notice.state(), entry.id());
        let before = last.insert(id, state);
        let follows = match state {
            AddComplete | State::AddFailure => before == Some(AddStart),
            RemoveStart => matches!(before, Some(AddComplete | State::RemoveFailure | RemoveStart)),
            State::RemoveComplete if entry.notice.is_surprise() => {
                matches!(before, Some(AddComplete | State::RemoveFailure))
            }
            State::RemoveComplete | State::RemoveFailure => before == Some(RemoveStart),
            AddStart => !matches!(before, Some(AddComplete | State::RemoveFailure)),
        };
        assert!(follows, "{entry} after {before:?} (X4)");
    }
}

#[test]
fn q4_one_that_goes_between_its_start_and_its_joining_is_found_before_anybody_is_told_more() {
    let world = World::new(1, 2);
    let hardware = Arc::clone(&world.hardware);
    // The platform's event comes between the start and the set that has the processor.
    let observe = world.partition.observe(move |event| {
        if event.kind == EventKind::Started {
            hardware.vanish(HardwareId(1));
        }
    });
    observe.unwrap().detach();
    let hardware = Arc::clone(&world.hardware);
    let back = move || hardware.intrude(HardwareId(1));
    let _a = world.driver("a").hears_removal().when(AddComplete, 1, back).join();
    world.add(1).expect("everybody agreed, and it was started");
    let set = world.partition.active();
    assert_eq!(world.active(), [0, 1]);
    assert!(
        !set.is_agreed(set.by_id(HardwareId(1)).unwrap().index),
        "it was away, and somebody has brought it back (Q3)"
    );
    world.journal.expect(
        "in pairs (X4)",
        &["a AddStart 1", "a AddComplete 1", "a RemoveComplete 1 surprise"],
    );
}
