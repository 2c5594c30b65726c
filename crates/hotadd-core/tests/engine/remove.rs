//! Removing, vanishing and intruding (X1, X2, Q3).

use hotadd_core::{Errno, HardwareId, NotRemovable, State, Status, Transaction};

use crate::rig::{Rig, ids};

use State::RemoveStart;

#[test]
fn x1_removing_asks_in_mirror_order_stops_publishes_and_tells() {
    let mut rig = Rig::new(3).with(&["a", "b"]);
    rig.join("top", 7, true);
    assert!(rig.remove(1).is_agreed());
    rig.expect(
        "who agreed last to an add is asked first about a removal",
        &[
            "top RemoveStart 1",
            "b RemoveStart 1",
            "a RemoveStart 1",
            "stop 1",
            "publish e2: 0 2",
            "top RemoveComplete 1",
            "b RemoveComplete 1",
            "a RemoveComplete 1",
        ],
    );
}

#[test]
fn x1_a_veto_of_a_removal_is_told_to_those_who_agreed_in_reverse_of_asking() {
    let mut rig = Rig::new(2).with(&["never called", "vetoer", "b", "a"]);
    rig.veto("vetoer", RemoveStart, 1, Status::DEVICE_BUSY);
    let done = rig.remove(1);
    rig.expect(
        "nothing is stopped or published; the vetoer hears nothing",
        &[
            "a RemoveStart 1",
            "b RemoveStart 1",
            "vetoer RemoveStart 1",
            "b RemoveFailure 1 STATUS_DEVICE_BUSY",
            "a RemoveFailure 1 STATUS_DEVICE_BUSY",
        ],
    );
    assert_eq!(done.refusals()[0].position, 1, "the position in the registry, not in the asking");
    assert_eq!((rig.active(), rig.set.epoch().0), (vec![0, 1], 1));
}

#[test]
fn x1_a_failed_stop_is_told_to_all_who_agreed_and_the_processor_stays() {
    let mut rig = Rig::new(2).with(&["a", "b"]);
    rig.fail_stop.insert(1, Errno::EBUSY);
    let done = rig.remove(1);
    rig.expect(
        "RemoveFailure in reverse of asking",
        &[
            "b RemoveStart 1",
            "a RemoveStart 1",
            "stop 1 fails",
            "a RemoveFailure 1 STATUS_DEVICE_BUSY EBUSY (16)",
            "b RemoveFailure 1 STATUS_DEVICE_BUSY EBUSY (16)",
        ],
    );
    assert!(done.changed().is_empty());
    assert_eq!(rig.active(), [0, 1]);
}

#[test]
fn x1_who_did_not_ask_for_removal_notices_hears_none() {
    let mut rig = Rig::new(3).with(&["hears"]);
    rig.join("deaf", 0, false);
    rig.remove(2);
    rig.fail_stop.insert(1, Errno::EBUSY);
    rig.remove(1);
    rig.vanish(&[1]);
    assert!(rig.journal.iter().any(|l| l.starts_with("hears RemoveFailure")));
    let heard: Vec<_> = rig.journal.iter().filter(|l| l.starts_with("deaf")).collect();
    assert!(heard.is_empty(), "a party that did not ask was told {heard:?}");
}

#[test]
fn x1_a_processor_that_is_not_active_cannot_be_removed() {
    let mut rig = Rig::new(2);
    rig.remove(1);
    for id in [1, 5].map(HardwareId) {
        assert_eq!(Transaction::remove(&rig.set, id).unwrap_err(), NotRemovable::NotActive(id));
    }
    let only = HardwareId(0);
    assert_eq!(Transaction::remove(&rig.set, only).unwrap_err(), NotRemovable::Last(only));
}

#[test]
fn x2_a_vanished_processor_leaves_the_set_first_and_is_told_as_surprise() {
    let mut rig = Rig::new(4).with(&["a", "b"]);
    rig.vanish(&[3, 1]);
    rig.expect(
        "the set first, no RemoveStart, nothing stopped",
        &[
            "publish e2: 0 2",
            "b RemoveComplete 3 surprise",
            "a RemoveComplete 3 surprise",
            "b RemoveComplete 1 surprise",
            "a RemoveComplete 1 surprise",
        ],
    );
}

#[test]
fn x2_who_vanishes_twice_or_was_never_there_is_counted_once_or_not_at_all() {
    let mut rig = Rig::new(3).with(&["a"]);
    rig.vanish(&[2, 7, 2]);
    rig.expect("told once", &["publish e2: 0 1", "a RemoveComplete 2 surprise"]);
    assert_eq!(rig.set.count(), 2, "and counted out once");

    assert!(rig.set.lose(&ids(&[2, 7])).is_none(), "nothing happened, and no epoch is spent");
}

#[test]
fn q3_an_intruder_is_counted_but_not_passed_off_as_agreed() {
    let mut rig = Rig::new(1).with(&["a"]);
    let (set, intruder) = rig.set.intrude(HardwareId(6)).unwrap();
    rig.set = set;
    assert_eq!((rig.active(), rig.set.epoch().0), (vec![0, 6], 2));
    let index = intruder.index;
    assert!(rig.set.contains(index));
    assert!(!rig.set.is_agreed(index), "nobody agreed to it");

    rig.remove(6);
    rig.add(&[6]);
    assert!(rig.set.is_agreed(index), "once it was asked for, it is agreed like any other");
}

#[test]
fn x4_who_was_not_told_that_a_processor_joined_is_not_told_that_it_leaves() {
    let mut rig = Rig::new(4).with(&["told"]);
    let mut late = rig.doll("late", 0, true);
    late.unheard = vec![1, 2, 3];
    rig.registry.insert(late);
    rig.remove(1);
    rig.fail_stop.insert(2, Errno::EBUSY);
    rig.remove(2);
    rig.vanish(&[3]);
    assert!(rig.journal.iter().any(|line| line.starts_with("told RemoveFailure")));
    let heard: Vec<_> = rig.journal.iter().filter(|line| line.starts_with("late")).collect();
    assert!(heard.is_empty(), "neither asked nor told, and it was {heard:?}");
}

#[test]
fn q4_one_that_vanishes_while_everybody_is_asked_to_let_go_of_it_is_counted_out_once() {
    let mut rig = Rig::new(3).with(&["a"]);
    let transaction = Transaction::remove(&rig.set, HardwareId(1)).unwrap();
    rig.set = rig.set.lose(&ids(&[1])).unwrap().0;
    assert!(rig.run(transaction).is_agreed());
    let told = ["a RemoveStart 1", "stop 1", "publish e2: 0 2", "a RemoveComplete 1"];
    rig.expect("the set stays as it is, and what was begun is ended (X4)", &told);
    assert_eq!((rig.set.count(), rig.set.epoch().0), (2, 2));
}

#[test]
fn q4_what_is_lost_while_an_add_comes_to_nothing_stays_lost() {
    let mut rig = Rig::new(3).with(&["a"]);
    rig.veto("a", State::AddStart, 3, Status::NO_MEMORY);
    let mut transaction = Transaction::add(&rig.set, &ids(&[3])).unwrap();
    rig.set = transaction.publish(&rig.set);
    rig.set = rig.set.lose(&ids(&[1])).unwrap().0;
    rig.run(transaction);
    assert_eq!((rig.active(), rig.set.epoch().0), (vec![0, 2], 2));
    assert!(rig.set.proposed().is_empty(), "and its name is withdrawn");
}

#[test]
fn q4_what_left_or_came_during_a_transaction_is_not_undone_by_it() {
    let mut rig = Rig::new(4).with(&["a"]);
    let mut transaction = Transaction::add(&rig.set, &ids(&[4])).unwrap();
    rig.set = transaction.publish(&rig.set);
    // While everybody is being asked.
    rig.set = rig.set.lose(&ids(&[1, 2])).unwrap().0;
    rig.set = rig.set.intrude(HardwareId(2)).unwrap().0;
    assert_eq!(rig.set.by_id(HardwareId(4)).map(|p| p.index.get()), Some(4), "its name holds (A5)");
    rig.run(transaction);
    assert_eq!(rig.active(), [0, 2, 3, 4]);
    let index = |id| rig.set.by_id(HardwareId(id)).unwrap().index;
    assert!(!rig.set.is_agreed(index(2)) && rig.set.is_agreed(index(4)));
    assert_eq!(rig.set.epoch().0, 4, "one for each change");
}
