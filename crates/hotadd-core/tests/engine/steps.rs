//! The steps of a transaction, and changes of the set while it is in progress. What parties hear is in the table of
//! `crates/conformance`.

use hotadd_core::{HardwareId, State, Status, Transaction};

use crate::rig::{Rig, ids};

#[test]
fn a1_a5_an_add_proposes_asks_starts_publishes_and_tells_in_this_order() {
    let mut rig = Rig::new(2).with(&["a", "b"]);
    let done = rig.add(&[2]);
    assert!(done.is_agreed());
    rig.expect(
        "propose, ask in registration order, start, publish, tell in registration order",
        &[
            "publish e1: 0 1 +2",
            "a AddStart 2",
            "b AddStart 2",
            "start 2",
            "publish e2: 0 1 2",
            "a AddComplete 2",
            "b AddComplete 2",
        ],
    );
}

#[test]
fn d3_a_party_that_has_departed_is_passed_over_and_all_others_are_asked_and_told() {
    let mut rig = Rig::new(1).with(&["a", "b", "c"]);
    rig.registry.parties()[1].departed.set(true);
    rig.add(&[1]);
    let told = |state| [format!("a {state} 1"), format!("c {state} 1")];
    let calls: Vec<String> = rig.journal.drain(..).filter(|line| line.contains(" Add")).collect();
    assert_eq!(calls, [told(State::AddStart), told(State::AddComplete)].concat());
    rig.veto("c", State::AddStart, 2, Status::NO_MEMORY);
    rig.add(&[2]);
    let calls: Vec<String> = rig.journal.drain(..).filter(|line| line.contains(" Add")).collect();
    assert_eq!(calls, ["a AddStart 2", "c AddStart 2", "a AddFailure 2"]);
}

#[test]
fn a9_an_empty_batch_asks_no_party_and_changes_nothing() {
    let mut rig = Rig::new(1).with(&["a"]);
    let done = rig.add(&[]);
    assert!(done.is_agreed());
    assert!(!rig.journal.iter().any(|l| l.starts_with('a')), "{:?}", rig.journal);
    assert_eq!(rig.set.epoch().0, 1);
}

#[test]
fn a_repeated_step_is_the_same_and_an_answer_to_another_step_does_nothing() {
    let rig = Rig::new(1);
    let mut transaction = Transaction::add(&rig.set, &ids(&[1])).unwrap();
    let first = format!("{:?}", transaction.step());
    transaction.acted(Ok(()));
    assert_eq!(format!("{:?}", transaction.step()), first, "nothing was started yet");
    let set = transaction.publish(&rig.set);
    let ask = format!("{:?}", transaction.step());
    assert_eq!(transaction.publish(&set).epoch(), set.epoch());
    assert_eq!(format!("{:?}", transaction.step()), ask, "nothing was to be published");
}

#[test]
fn x2_a_vanished_processor_is_counted_out_once() {
    let mut rig = Rig::new(3).with(&["a"]);
    rig.vanish(&[2, 7, 2]);
    rig.expect("told once", &["publish e2: 0 1", "a RemoveComplete 2 surprise"]);
    assert_eq!(rig.set.count(), 2, "and counted out once");

    assert!(rig.set.lose(&ids(&[2, 7])).is_none(), "nothing happened, and no epoch is spent");
}

#[test]
fn q4_a_processor_that_vanishes_during_its_removal_is_counted_out_once() {
    let mut rig = Rig::new(3).with(&["a"]);
    let transaction = Transaction::remove(&rig.set, HardwareId(1)).unwrap();
    rig.set = rig.set.lose(&ids(&[1])).unwrap().0;
    assert!(rig.run(transaction).is_agreed());
    let told = ["a RemoveStart 1", "stop 1", "publish e2: 0 2", "a RemoveComplete 1"];
    rig.expect("the set is unchanged, and the removal is completed (X4)", &told);
    assert_eq!((rig.set.count(), rig.set.epoch().0), (2, 2));
}

#[test]
fn q4_a_failed_add_does_not_restore_a_processor_lost_meanwhile() {
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
fn q4_a_transaction_does_not_undo_changes_made_meanwhile() {
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
