//! Replays: what a party that registers with ADD_EXISTING hears (R2 to R4).

use hotadd_core::{State, Status};

use crate::rig::Rig;

use State::{AddComplete, AddFailure, AddStart};

#[test]
fn r3_a_replay_asks_about_every_active_processor_ascending_then_completes_ascending() {
    let mut rig = Rig::with_ids(&[9, 4, 7], 8);
    let doll = rig.doll("new", 0, false);
    assert!(rig.replay(doll).is_agreed());
    rig.expect(
        "ascending by index, which is not ascending by hardware id",
        &[
            "new AddStart 9",
            "new AddStart 4",
            "new AddStart 7",
            "new AddComplete 9",
            "new AddComplete 4",
            "new AddComplete 7",
        ],
    );
    assert_eq!(rig.registry.parties().len(), 1);
}

#[test]
fn r3_a_replay_speaks_of_active_processors_only() {
    let mut rig = Rig::new(4);
    rig.remove(1);
    rig.journal.clear();
    let doll = rig.doll("new", 0, false);
    rig.replay(doll);
    rig.expect(
        "1 has left",
        &[
            "new AddStart 0",
            "new AddStart 2",
            "new AddStart 3",
            "new AddComplete 0",
            "new AddComplete 2",
            "new AddComplete 3",
        ],
    );
}

#[test]
fn r4_a_replay_that_fails_in_the_middle_undoes_ascending_and_not_the_one_refused() {
    let mut rig = Rig::new(4);
    rig.veto("new", AddStart, 2, Status::INSUFFICIENT_RESOURCES);
    let doll = rig.doll("new", 0, false);
    let done = rig.replay(doll);
    rig.expect(
        "no AddStart after the error; AddFailure for 0 and 1 in this order, none for 2 or 3",
        &[
            "new AddStart 0",
            "new AddStart 1",
            "new AddStart 2",
            "new AddFailure 0 STATUS_INSUFFICIENT_RESOURCES",
            "new AddFailure 1 STATUS_INSUFFICIENT_RESOURCES",
        ],
    );
    assert!(!done.is_agreed());
    assert_eq!(done.refusals()[0].processor.id.0, 2);
    assert!(rig.registry.parties().is_empty(), "the registration does not exist");
    assert_eq!(rig.active(), [0, 1, 2, 3], "the active set is untouched");
}

#[test]
fn r4_a_replay_refused_at_the_first_or_the_last_processor_keeps_to_the_rule() {
    for (refused, told) in [(0, vec![]), (2, vec![0, 1])] {
        let mut rig = Rig::new(3);
        rig.veto("new", AddStart, refused, Status::NO_MEMORY);
        let doll = rig.doll("new", 0, false);
        rig.replay(doll);
        let failures: Vec<_> =
            told.iter().map(|n| format!("new AddFailure {n} STATUS_NO_MEMORY")).collect();
        let heard = rig.journal.split_off(refused as usize + 1);
        assert_eq!(heard, failures, "after the refusal of processor {refused}");
    }
}

#[test]
fn r4_what_is_answered_to_add_failure_does_not_stop_the_undoing() {
    let mut rig = Rig::new(3);
    rig.veto("new", AddStart, 2, Status::NO_MEMORY);
    rig.veto("new", AddFailure, 0, Status::ACCESS_DENIED);
    let doll = rig.doll("new", 0, false);
    let done = rig.replay(doll);
    assert_eq!(rig.journal.last().unwrap(), "new AddFailure 1 STATUS_NO_MEMORY");
    assert_eq!(done.refusals().len(), 1);
}

#[test]
fn l3_a_party_that_crashes_in_its_replay_hears_nothing_more() {
    for (state, lines) in [
        (AddStart, &["new AddStart 0", "new AddStart 1", "new crashed"][..]),
        (
            AddComplete,
            &[
                "new AddStart 0",
                "new AddStart 1",
                "new AddStart 2",
                "new AddComplete 0",
                "new AddComplete 1",
                "new crashed",
            ],
        ),
    ] {
        let mut rig = Rig::new(3);
        rig.crashes.insert(("new", state, 1));
        let doll = rig.doll("new", 0, false);
        let done = rig.replay(doll);
        rig.expect("a crash ends it, undoing included", lines);
        assert_eq!(done.is_agreed(), state == AddComplete, "a crash in AddStart is a veto");
        assert!(rig.registry.parties().is_empty());
    }
}

#[test]
fn l3_a_party_that_crashes_while_its_replay_is_undone_hears_nothing_more() {
    let mut rig = Rig::new(3);
    rig.veto("new", AddStart, 2, Status::NO_MEMORY);
    rig.crashes.insert(("new", AddFailure, 0));
    let doll = rig.doll("new", 0, false);
    rig.replay(doll);
    assert_eq!(rig.journal.last().unwrap(), "new crashed");
}

#[test]
fn q5_the_calls_of_a_registration_can_be_told_from_all_others() {
    let mut rig = Rig::new(2);
    let doll = rig.doll("new", 0, true);
    rig.replay(doll);
    assert_eq!(std::mem::take(&mut rig.replays), [true; 4], "AddStart and AddComplete of both");
    rig.veto("other", AddStart, 1, Status::INSUFFICIENT_RESOURCES);
    let other = rig.doll("other", 0, true);
    rig.replay(other);
    assert_eq!(std::mem::take(&mut rig.replays), [true; 3], "AddStart, AddStart, AddFailure (R4)");
    rig.add(&[2]);
    rig.rehearse(3);
    rig.remove(2);
    assert_eq!(rig.replays, [false; 6], "an add, a rehearsal and a removal are none");
}
