//! X: removing (X1), vanishing (X2) and coming back (X3).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hotadd::{Action, Driver, Errno, Error, HardwareId, Notice, State, Status, Veto};

use crate::recorder::{Entry, World};

use State::{AddStart, RemoveComplete, RemoveStart};

#[test]
fn x1_a_removal_asks_last_first_stops_and_tells() {
    let world = World::new(3, 0);
    let _all = ["a", "b"].map(|name| world.driver(name).hears_removal().join());
    let change = world.remove(1).unwrap();
    for entry in world.journal.entries() {
        let left = entry.notice.state() == RemoveComplete;
        assert_eq!((entry.seen.active, entry.seen.running), (!left, !left), "{entry}");
        assert_eq!(entry.seen.count.0, if left { 2 } else { 3 }, "{entry}: the mirror of A5");
        assert!(entry.seen.named, "{entry}: its names hold (X3)");
    }
    world.journal.expect(
        "who was asked last about an add is asked first about a removal",
        &["b RemoveStart 1", "a RemoveStart 1", "b RemoveComplete 1", "a RemoveComplete 1"],
    );
    assert_eq!((change.processor.id.0, world.active()), (1, vec![0, 2]));
}

#[test]
fn x1_a_veto_of_a_removal_keeps_the_processor_and_tells_those_who_agreed() {
    let world = World::new(2, 0);
    let _never = world.driver("never asked").hears_removal().join();
    let veto = world.driver("vetoer").hears_removal();
    let _vetoer = veto.vetoes(RemoveStart, 1, Status::DEVICE_BUSY).join();
    let _agrees = world.driver("agrees").hears_removal().join();
    let error = world.remove(1).unwrap_err();
    world.journal.expect(
        "RemoveFailure to those who agreed only",
        &[
            "agrees RemoveStart 1",
            "vetoer RemoveStart 1",
            "agrees RemoveFailure 1 STATUS_DEVICE_BUSY",
        ],
    );
    assert!(
        matches!(&error, Error::Vetoed { action: Action::Remove, party, .. } if party.name == "vetoer")
    );
    assert_eq!((error.status(), error.clause()), (Status::DEVICE_BUSY, "X1"));
    assert_eq!((world.active(), world.spare()), (vec![0, 1], vec![]), "it was not stopped");
}

#[test]
fn x1_a_failed_stop_is_told_to_all_who_agreed() {
    let world = World::new(2, 0);
    let _all = ["a", "b"].map(|name| world.driver(name).hears_removal().join());
    world.hardware.fail_stop(HardwareId(1), Errno::EBUSY);
    let error = world.remove(1).unwrap_err();
    assert_eq!((error.errno(), error.clause()), (Some(Errno::EBUSY), "X1"));
    world.journal.expect(
        "with the platform's status",
        &[
            "b RemoveStart 1",
            "a RemoveStart 1",
            "a RemoveFailure 1 STATUS_DEVICE_BUSY",
            "b RemoveFailure 1 STATUS_DEVICE_BUSY",
        ],
    );
    assert_eq!(world.active(), [0, 1]);
}

#[test]
fn x1_a_driver_that_did_not_ask_for_removals_hears_of_none() {
    let world = World::new(4, 0);
    let _deaf = world.driver("deaf").join();
    world.remove(1).unwrap();
    world.hardware.vanish(HardwareId(2));
    world.hardware.fail_stop(HardwareId(3), Errno::EBUSY);
    world.remove(3).unwrap_err();
    world.journal.expect("no state that it does not know", &[]);
    assert_eq!(world.active(), [0, 3]);
}

/// A driver that handles all states in one function, as a C callback does, and knows three of them.
struct Foreign(Arc<AtomicBool>);

impl Driver for Foreign {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        unreachable!("`notify` handles all states")
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.0.fetch_or(notice.state().is_removal(), Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn x1_a_driver_of_three_states_is_not_even_called_with_a_fourth() {
    let world = World::new(4, 0);
    let surprised = Arc::new(AtomicBool::new(false));
    let foreign = Foreign(Arc::clone(&surprised));
    let _foreign = world.partition.register("foreign", foreign).unwrap();
    world.remove(1).unwrap();
    world.hardware.vanish(HardwareId(2));
    world.hardware.fail_stop(HardwareId(3), Errno::EBUSY);
    world.remove(3).unwrap_err();
    assert!(!surprised.load(Ordering::Relaxed), "it saw a state that Windows does not define");
}

#[test]
fn x1_a_processor_that_is_not_active_cannot_be_removed() {
    let world = World::new(2, 1);
    let _a = world.driver("a").hears_removal().join();
    for id in [2, 77] {
        let error = world.remove(id).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("processor {id} cannot be removed: it is not active")
        );
    }
    world.remove(1).unwrap();
    world.journal.take();
    let error = world.remove(0).unwrap_err();
    assert_eq!(
        (error.status(), error.clause()),
        (Status::INVALID_DEVICE_STATE, "X1"),
        "the last one"
    );
    world.journal.expect("nobody was asked", &[]);
}

#[test]
fn x2_a_vanished_processor_is_dropped_first_and_reported_at_once_as_surprise() {
    let world = World::new(3, 0);
    let _all = ["a", "b"].map(|name| world.driver(name).hears_removal().join());
    world.hardware.vanish(HardwareId(1));
    for entry in world.journal.entries() {
        assert!(!entry.seen.active, "{entry}: the active set drops it first");
        assert_eq!(entry.seen.epoch.0, entry.notice.epoch(), "{entry}");
    }
    world.journal.expect(
        "before vanish returns; nobody is asked about what has happened",
        &["b RemoveComplete 1 surprise", "a RemoveComplete 1 surprise"],
    );
    assert_eq!((world.active(), world.partition.epoch().0), (vec![0, 2], 2));
}

#[test]
fn x2_a_processor_that_vanishes_inside_a_callback_is_reported_after_the_transaction() {
    let world = World::new(2, 1);
    let hardware = Arc::clone(&world.hardware);
    let pull = world.driver("a").hears_removal();
    let _a = pull.when(AddStart, 2, move || hardware.vanish(HardwareId(1))).join();
    world.add(2).unwrap();
    world.journal.expect(
        "the add runs to its end, and the report is there when it returns",
        &["a AddStart 2", "a AddComplete 2", "a RemoveComplete 1 surprise"],
    );
    assert_eq!(world.active(), [0, 2]);
}

#[test]
fn x2_the_very_processor_that_was_added_may_vanish_in_its_add_complete() {
    let world = World::new(1, 1);
    let hardware = Arc::clone(&world.hardware);
    let pull = world.driver("a").hears_removal();
    let _a = pull.when(State::AddComplete, 1, move || hardware.vanish(HardwareId(1))).join();
    let _b = world.driver("b").hears_removal().join();
    world.add(1).expect("it had joined");
    world.journal.expect(
        "everybody hears the add to its end first",
        &[
            "a AddStart 1",
            "b AddStart 1",
            "a AddComplete 1",
            "b AddComplete 1",
            "b RemoveComplete 1 surprise",
            "a RemoveComplete 1 surprise",
        ],
    );
    assert_eq!(world.active(), [0]);
}

#[test]
fn x2_vanishing_in_answer_to_a_vanishing_comes_to_an_end() {
    let world = World::new(4, 0);
    let hardware = Arc::clone(&world.hardware);
    let chain = world.driver("chain").hears_removal().script(move |notice| {
        if notice.state() == RemoveComplete && notice.processor().id.0 > 1 {
            hardware.vanish(HardwareId(notice.processor().id.0 - 1));
        }
        Ok(())
    });
    let _chain = chain.join();
    world.hardware.vanish(HardwareId(3));
    let heard: Vec<_> = world.journal.entries().iter().map(Entry::id).collect();
    assert_eq!(heard, [3, 2, 1], "each is reported once the report before it is over");
}

#[test]
fn x3_a_processor_that_comes_back_keeps_its_index() {
    let world = World::new(3, 2);
    let index = |id| world.partition.active().by_id(HardwareId(id)).map(|p| p.index.get());
    world.remove(1).unwrap();
    world.add(3).unwrap();
    assert_eq!(index(3), Some(3), "the index of one that left is not given to another");
    assert_eq!(world.add(1).unwrap().processor.index.get(), 1);
    world.hardware.vanish(HardwareId(2));
    world.hardware.intrude(HardwareId(2));
    assert_eq!(index(2), Some(2), "whichever way it went and came");
    assert_eq!(world.active(), [0, 1, 2, 3]);
}
