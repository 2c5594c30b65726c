//! Parties that leave, or crash, in the middle of a transaction (D1, D3, L3).

use hotadd_core::{State, Status};

use crate::rig::Rig;

use State::{AddComplete, AddFailure, AddStart, RemoveStart};

#[test]
fn d3_who_departs_in_the_middle_of_an_add_hears_not_even_its_outcome() {
    let mut rig = Rig::new(1).with(&["a", "b", "c"]);
    rig.departures.insert(("b", AddStart, 1), "a");
    rig.add(&[1]);
    rig.expect(
        "a agreed, left, and hears nothing more; the add goes on",
        &[
            "publish e1: 0 +1",
            "a AddStart 1",
            "b AddStart 1",
            "c AddStart 1",
            "start 1",
            "publish e2: 0 1",
            "b AddComplete 1",
            "c AddComplete 1",
        ],
    );
}

#[test]
fn d3_who_departs_before_its_turn_is_not_called_at_all() {
    let mut rig = Rig::new(1).with(&["a", "b", "c"]);
    rig.departures.insert(("a", AddStart, 1), "b");
    rig.veto("c", AddStart, 1, Status::NO_MEMORY);
    rig.add(&[1]);
    rig.expect(
        "neither asked nor told",
        &[
            "publish e1: 0 +1",
            "a AddStart 1",
            "c AddStart 1",
            "a AddFailure 1 STATUS_NO_MEMORY",
            "publish e1: 0",
        ],
    );
}

#[test]
fn d3_who_departs_while_others_are_unwound_or_told_is_passed_over() {
    let mut rig = Rig::new(1).with(&["a", "b", "c"]);
    rig.departures.insert(("b", AddFailure, 1), "a");
    rig.veto("c", AddStart, 1, Status::NO_MEMORY);
    rig.add(&[1]);
    assert!(!rig.journal.contains(&"a AddFailure 1 STATUS_NO_MEMORY".to_owned()));

    let mut rig = Rig::new(1).with(&["a", "b", "c"]);
    rig.departures.insert(("a", AddComplete, 1), "c");
    rig.add(&[1]);
    assert!(rig.journal.contains(&"b AddComplete 1".to_owned()));
    assert!(!rig.journal.contains(&"c AddComplete 1".to_owned()));
}

#[test]
fn d3_who_deregisters_itself_and_vetoes_has_still_vetoed() {
    let mut rig = Rig::new(1).with(&["a", "b"]);
    rig.departures.insert(("b", AddStart, 1), "b");
    rig.veto("b", AddStart, 1, Status::NO_MEMORY);
    let done = rig.add(&[1]);
    assert_eq!(done.refusals()[0].position, 1, "the answer was given as the call returned (A7)");
    assert_eq!(rig.active(), [0]);
}

#[test]
fn d3_who_departs_in_an_atomic_batch_hears_of_none_of_its_processors_again() {
    let mut rig = Rig::new(1).with(&["a", "b"]);
    rig.departures.insert(("b", AddStart, 1), "a");
    rig.veto("b", AddStart, 2, Status::NO_MEMORY);
    rig.add(&[1, 2]);
    rig.expect(
        "a is not asked about 2 and not told about 1",
        &[
            "publish e1: 0 +1 +2",
            "a AddStart 1",
            "b AddStart 1",
            "b AddStart 2",
            "b AddFailure 1 STATUS_NO_MEMORY",
            "publish e1: 0",
        ],
    );
}

#[test]
fn l3_a_crash_while_asked_is_a_veto_and_the_crashed_hears_nothing_more() {
    let mut rig = Rig::new(1).with(&["a", "b", "c"]);
    rig.crashes.insert(("b", AddStart, 2));
    let done = rig.add(&[1, 2]);
    rig.expect(
        "b agreed to 1 and crashed over 2: only a is told, of both",
        &[
            "publish e1: 0 +1 +2",
            "a AddStart 1",
            "b AddStart 1",
            "c AddStart 1",
            "a AddStart 2",
            "b AddStart 2",
            "b crashed",
            "a AddFailure 2 STATUS_DRIVER_INTERNAL_ERROR",
            "c AddFailure 1 STATUS_DRIVER_INTERNAL_ERROR",
            "a AddFailure 1 STATUS_DRIVER_INTERNAL_ERROR",
            "publish e1: 0",
        ],
    );
    assert_eq!(done.refusals()[0].position, 1);
    assert_eq!(rig.registry.parties().len(), 2, "it is deregistered");
}

#[test]
fn l3_a_crash_while_told_takes_nobody_with_it() {
    let mut rig = Rig::new(1).with(&["a", "b", "c"]);
    rig.crashes.insert(("b", AddComplete, 1));
    assert!(rig.add(&[1]).is_agreed(), "it is too late for a veto");
    assert_eq!(
        rig.journal[6..],
        ["a AddComplete 1", "b AddComplete 1", "b crashed", "c AddComplete 1"]
    );
    rig.journal.clear();

    rig.crashes.insert(("c", AddFailure, 2));
    rig.join("vetoer", 0, false);
    rig.veto("vetoer", AddStart, 2, Status::NO_MEMORY);
    rig.add(&[2]);
    let tail = &rig.journal[rig.journal.len() - 4..];
    assert_eq!(
        tail,
        [
            "c AddFailure 2 STATUS_NO_MEMORY",
            "c crashed",
            "a AddFailure 2 STATUS_NO_MEMORY",
            "publish e2: 0 1"
        ]
    );
}

#[test]
fn l3_a_crash_in_a_rehearsal_is_an_answer_and_the_rest_is_asked() {
    let mut rig = Rig::new(1).with(&["a", "b", "c"]);
    rig.crashes.insert(("b", AddStart, 1));
    let done = rig.rehearse(1);
    rig.expect(
        "everybody else is asked and cancelled as if b had vetoed",
        &[
            "publish e1: 0 +1",
            "a AddStart 1",
            "b AddStart 1",
            "b crashed",
            "c AddStart 1",
            "c AddFailure 1 STATUS_CANCELLED",
            "a AddFailure 1 STATUS_CANCELLED",
            "publish e1: 0",
        ],
    );
    assert_eq!(done.refusals().len(), 1);
}

#[test]
fn l3_a_crash_in_a_removal_blames_the_right_party() {
    let mut rig = Rig::new(2).with(&["a", "b", "c"]);
    rig.crashes.insert(("b", RemoveStart, 1));
    let done = rig.remove(1);
    rig.expect(
        "asked from the last: c agreed, b crashed, a was not asked",
        &[
            "c RemoveStart 1",
            "b RemoveStart 1",
            "b crashed",
            "c RemoveFailure 1 STATUS_DRIVER_INTERNAL_ERROR",
        ],
    );
    assert_eq!(done.refusals()[0].position, 1);
}
