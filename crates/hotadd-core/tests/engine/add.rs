//! Adding: one processor (A1 to A6), atomic batches (A9) and rehearsals (A10).

use hotadd_core::{Errno, State, Status, Transaction};

use crate::rig::{Rig, ids};

use State::{AddComplete, AddFailure, AddStart};

#[test]
fn a1_everybody_agrees_before_the_processor_starts_and_hears_of_it_after_it_is_published() {
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
fn a1_lower_levels_agree_first_and_unwind_last_whenever_they_registered() {
    let mut rig = Rig::new(1);
    for (name, level) in [("late", 5), ("middle", 0), ("first", -3), ("middle too", 0)] {
        rig.join(name, level, true);
    }
    rig.fail_start.insert(1, Errno::EIO);
    rig.add(&[1]);
    rig.expect(
        "levels ascend, and registration order holds within one",
        &[
            "publish e1: 0 +1",
            "first AddStart 1",
            "middle AddStart 1",
            "middle too AddStart 1",
            "late AddStart 1",
            "start 1 fails",
            "late AddFailure 1 STATUS_IO_DEVICE_ERROR EIO (5)",
            "middle too AddFailure 1 STATUS_IO_DEVICE_ERROR EIO (5)",
            "middle AddFailure 1 STATUS_IO_DEVICE_ERROR EIO (5)",
            "first AddFailure 1 STATUS_IO_DEVICE_ERROR EIO (5)",
            "publish e1: 0",
        ],
    );
}

#[test]
fn a3_after_a_veto_exactly_those_who_agreed_hear_add_failure_last_first() {
    let mut rig = Rig::new(1).with(&["a", "b", "vetoer", "never called"]);
    rig.veto("vetoer", AddStart, 1, Status::NO_MEMORY);
    let done = rig.add(&[1]);
    rig.expect(
        "no start; the vetoer and those behind it hear nothing",
        &[
            "publish e1: 0 +1",
            "a AddStart 1",
            "b AddStart 1",
            "vetoer AddStart 1",
            "b AddFailure 1 STATUS_NO_MEMORY",
            "a AddFailure 1 STATUS_NO_MEMORY",
            "publish e1: 0",
        ],
    );
    assert!(!done.is_agreed());
    assert_eq!(done.refusals().len(), 1);
    assert_eq!(done.refusals()[0].position, 2, "the result blames the one that vetoed (A11)");
    assert!(done.changed().is_empty(), "nothing joined");
}

#[test]
fn a3_a_veto_of_the_very_first_party_tells_nobody_anything() {
    let mut rig = Rig::new(1).with(&["vetoer", "b"]);
    rig.veto("vetoer", AddStart, 1, Status::NO_MEMORY);
    rig.add(&[1]);
    rig.expect("nobody had agreed", &["publish e1: 0 +1", "vetoer AddStart 1", "publish e1: 0"]);
}

#[test]
fn a4_a_failed_start_is_told_to_everybody_and_never_tried_again() {
    let mut rig = Rig::new(1).with(&["a", "b"]);
    rig.fail_start.insert(1, Errno::ENODEV);
    let done = rig.add(&[1]);
    assert_eq!(rig.journal.iter().filter(|l| l.starts_with("start")).count(), 1, "no retry");
    let (processor, error) = done.platform_error().expect("the platform failed");
    assert_eq!((processor.id.0, error.errno), (1, Some(Errno::ENODEV)));
    assert_eq!(rig.active(), [0]);
    assert_eq!(rig.set.by_id(ids(&[1])[0]), None, "its names are withdrawn");
}

#[test]
fn a6_what_is_answered_to_complete_and_failure_changes_nothing() {
    let mut rig = Rig::new(1).with(&["a", "b"]);
    rig.veto("a", AddComplete, 1, Status::NO_MEMORY);
    let done = rig.add(&[1]);
    assert!(done.is_agreed(), "an answer to AddComplete is no veto");
    assert_eq!(rig.active(), [0, 1]);
    assert_eq!(rig.journal.last().unwrap(), "b AddComplete 1", "and those behind are told too");
    rig.journal.clear();

    rig.veto("b", AddStart, 2, Status::CANCELLED);
    rig.veto("a", AddFailure, 2, Status::NO_MEMORY);
    let done = rig.add(&[2]);
    assert_eq!(done.refusals().len(), 1, "an answer to AddFailure is no second veto");
    assert_eq!(done.refusals()[0].veto.status(), Status::CANCELLED, "and does not replace it");
}

#[test]
fn a9_an_atomic_batch_starts_nothing_until_all_have_agreed_to_all() {
    let mut rig = Rig::new(1).with(&["a", "b"]);
    rig.add(&[5, 3]);
    rig.expect(
        "every AddStart of both comes before the first start, and one set holds both",
        &[
            "publish e1: 0 +5 +3",
            "a AddStart 5",
            "b AddStart 5",
            "a AddStart 3",
            "b AddStart 3",
            "start 5",
            "start 3",
            "publish e2: 0 5 3",
            "a AddComplete 5",
            "b AddComplete 5",
            "a AddComplete 3",
            "b AddComplete 3",
        ],
    );
}

#[test]
fn a9_a_veto_late_in_an_atomic_batch_unwinds_every_agreement_in_reverse() {
    let mut rig = Rig::new(1).with(&["a", "b"]);
    rig.veto("b", AddStart, 2, Status::NO_MEMORY);
    rig.add(&[1, 2, 3]);
    rig.expect(
        "b agreed to 1 and vetoed 2: it hears of 1 only; nobody was asked about 3",
        &[
            "publish e1: 0 +1 +2 +3",
            "a AddStart 1",
            "b AddStart 1",
            "a AddStart 2",
            "b AddStart 2",
            "a AddFailure 2 STATUS_NO_MEMORY",
            "b AddFailure 1 STATUS_NO_MEMORY",
            "a AddFailure 1 STATUS_NO_MEMORY",
            "publish e1: 0",
        ],
    );
}

#[test]
fn a9_when_an_atomic_batch_fails_to_start_what_ran_is_stopped_last_first() {
    let mut rig = Rig::new(1).with(&["a"]);
    rig.fail_start.insert(3, Errno::EIO);
    let done = rig.add(&[1, 2, 3]);
    rig.expect(
        "stopped in reverse, then unwound in reverse; none joined",
        &[
            "publish e1: 0 +1 +2 +3",
            "a AddStart 1",
            "a AddStart 2",
            "a AddStart 3",
            "start 1",
            "start 2",
            "start 3 fails",
            "stop 2",
            "stop 1",
            "a AddFailure 3 STATUS_IO_DEVICE_ERROR EIO (5)",
            "a AddFailure 2 STATUS_IO_DEVICE_ERROR EIO (5)",
            "a AddFailure 1 STATUS_IO_DEVICE_ERROR EIO (5)",
            "publish e1: 0",
        ],
    );
    assert_eq!(done.stuck(), None);
    assert!(done.changed().is_empty());
}

#[test]
fn a9_what_the_platform_will_not_take_back_joins_and_only_the_rest_is_unwound() {
    let mut rig = Rig::new(1).with(&["a", "b"]);
    rig.fail_start.insert(4, Errno::EIO);
    rig.fail_stop.insert(2, Errno::EBUSY);
    let done = rig.add(&[1, 2, 3, 4]);
    rig.journal.drain(..9); // the agreement, as above
    rig.expect(
        "3 is stopped, 2 will not; so 1 and 2 run and are told so, 3 and 4 are unwound",
        &[
            "start 1",
            "start 2",
            "start 3",
            "start 4 fails",
            "stop 3",
            "stop 2 fails",
            "publish e2: 0 1 2 +3 +4",
            "a AddComplete 1",
            "b AddComplete 1",
            "a AddComplete 2",
            "b AddComplete 2",
            "b AddFailure 4 STATUS_IO_DEVICE_ERROR EIO (5)",
            "a AddFailure 4 STATUS_IO_DEVICE_ERROR EIO (5)",
            "b AddFailure 3 STATUS_IO_DEVICE_ERROR EIO (5)",
            "a AddFailure 3 STATUS_IO_DEVICE_ERROR EIO (5)",
            "publish e2: 0 1 2",
        ],
    );
    let (processor, error) = done.stuck().expect("2 is stuck");
    assert_eq!((processor.id.0, error.errno), (2, Some(Errno::EBUSY)));
    assert_eq!(done.changed().iter().map(|p| p.id.0).collect::<Vec<_>>(), [1, 2]);
    assert!(!done.is_agreed(), "a batch that failed did not succeed, stuck or not");
}

#[test]
fn a9_an_empty_batch_asks_nobody_and_changes_nothing() {
    let mut rig = Rig::new(1).with(&["a"]);
    let done = rig.add(&[]);
    assert!(done.is_agreed());
    assert!(!rig.journal.iter().any(|l| l.starts_with('a')), "{:?}", rig.journal);
    assert_eq!(rig.set.epoch().0, 1);
}

#[test]
fn a10_a_rehearsal_asks_everybody_starts_nothing_and_unwinds_those_who_agreed() {
    let mut rig = Rig::new(1).with(&["a", "b", "c", "d"]);
    rig.veto("b", AddStart, 1, Status::NO_MEMORY);
    rig.veto("d", AddStart, 1, Status::ACCESS_DENIED);
    let done = rig.rehearse(1);
    rig.expect(
        "it does not stop at b, and neither b nor d hears AddFailure",
        &[
            "publish e1: 0 +1",
            "a AddStart 1",
            "b AddStart 1",
            "c AddStart 1",
            "d AddStart 1",
            "c AddFailure 1 STATUS_CANCELLED",
            "a AddFailure 1 STATUS_CANCELLED",
            "publish e1: 0",
        ],
    );
    let refused: Vec<_> = done.refusals().iter().map(|r| (r.position, r.veto.status())).collect();
    assert_eq!(refused, [(1, Status::NO_MEMORY), (3, Status::ACCESS_DENIED)]);
}

#[test]
fn a10_a_rehearsal_that_all_agree_to_still_cancels() {
    let mut rig = Rig::new(1).with(&["a", "b"]);
    assert!(rig.rehearse(1).is_agreed());
    rig.expect(
        "AddFailure with STATUS_CANCELLED, last first",
        &[
            "publish e1: 0 +1",
            "a AddStart 1",
            "b AddStart 1",
            "b AddFailure 1 STATUS_CANCELLED",
            "a AddFailure 1 STATUS_CANCELLED",
            "publish e1: 0",
        ],
    );
    assert_eq!(rig.active(), [0]);
}

#[test]
fn a_step_asked_for_again_is_the_same_step_and_wrong_answers_do_nothing() {
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
