//! A: batches (A9) and rehearsals (A10).

use hotadd::{Batch, Errno, Error, HardwareId, State, Status};

use crate::recorder::World;

use State::{AddFailure, AddStart};

fn ids(ids: &[u32]) -> Vec<HardwareId> {
    ids.iter().copied().map(HardwareId).collect()
}

#[test]
fn a9_in_a_plain_batch_one_refusal_does_not_stop_the_others() {
    let world = World::new(1, 4);
    let _a = world.driver("a").vetoes(AddStart, 2, Status::NO_MEMORY).join();
    world.hardware.fail_start(HardwareId(3), Errno::EIO);
    let results = world.partition.add_batch(&ids(&[1, 2, 3, 4, 4]), Batch::Each);
    let told: Vec<_> =
        results.iter().map(|(id, r)| (id.0, r.as_ref().err().map(Error::status))).collect();
    assert_eq!(
        told,
        [
            (1, None),
            (2, Some(Status::NO_MEMORY)),
            (3, Some(Status::IO_DEVICE_ERROR)),
            (4, None),
            (4, Some(Status::DEVICE_ALREADY_ATTACHED)),
        ],
        "what became of each, in the order given"
    );
    assert_eq!(world.active(), [0, 1, 4]);
    assert_eq!(world.partition.epoch().0, 3, "each is a transaction of its own");
}

#[test]
fn a9_an_atomic_batch_starts_none_until_all_drivers_agreed_to_all() {
    let world = World::new(1, 3);
    let _all = ["a", "b"].map(|name| world.driver(name).join());
    let results = world.partition.add_batch(&ids(&[3, 1, 2]), Batch::Atomic);
    assert!(results.iter().all(|(_, r)| r.is_ok()), "{results:?}");
    let entries = world.journal.entries();
    let (asked, told) = entries.split_at(6);
    assert!(asked.iter().all(|e| e.notice.state() == AddStart && !e.seen.running), "{asked:?}");
    assert!(told.iter().all(|e| e.seen.running && e.seen.count.0 == 4), "{told:?}");
    assert_eq!(world.partition.epoch().0, 2, "one change");
    assert_eq!(world.active(), [0, 3, 1, 2], "indexes in the order named");
}

#[test]
fn a9_a_veto_in_an_atomic_batch_keeps_all_out_and_every_result_names_the_vetoer() {
    let world = World::new(1, 3);
    let _a = world.driver("a").join();
    let _b = world.driver("b").vetoes(AddStart, 2, Status::NO_MEMORY).join();
    let results = world.partition.add_batch(&ids(&[1, 2, 3]), Batch::Atomic);
    world.journal.expect(
        "unwound in reverse over processors and parties; 3 was never asked about",
        &[
            "a AddStart 1",
            "b AddStart 1",
            "a AddStart 2",
            "b AddStart 2",
            "a AddFailure 2 STATUS_NO_MEMORY",
            "b AddFailure 1 STATUS_NO_MEMORY",
            "a AddFailure 1 STATUS_NO_MEMORY",
        ],
    );
    for (id, result) in results {
        let error = result.unwrap_err();
        assert_eq!(error.party().unwrap().name, "b", "processor {id}");
        assert_eq!(error.id(), Some(HardwareId(2)), "the result of {id} names the one refused");
    }
    assert_eq!((world.active(), world.partition.epoch().0), (vec![0], 1));
}

#[test]
fn a9_a_start_that_fails_in_an_atomic_batch_takes_the_others_back() {
    let world = World::new(1, 3);
    let _a = world.driver("a").join();
    world.hardware.fail_start(HardwareId(3), Errno::EIO);
    let results = world.partition.add_batch(&ids(&[1, 2, 3]), Batch::Atomic);
    assert!(results.iter().all(|(_, r)| r.as_ref().unwrap_err().errno() == Some(Errno::EIO)));
    assert_eq!(world.spare(), [1, 2, 3], "1 and 2 were stopped again");
    let failed = world.journal.entries().into_iter().filter(|e| e.notice.state() == AddFailure);
    assert_eq!(failed.map(|e| e.id()).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(world.active(), [0]);
}

#[test]
fn a9_what_the_platform_will_not_take_back_is_counted_and_reported_as_stuck() {
    let world = World::new(1, 3);
    let _a = world.driver("a").join();
    world.watch();
    world.hardware.fail_start(HardwareId(3), Errno::EIO);
    world.hardware.fail_stop(HardwareId(1), Errno::EBUSY);
    let results = world.partition.add_batch(&ids(&[1, 2, 3]), Batch::Atomic);
    let errors: Vec<_> = results.into_iter().map(|(_, r)| r.unwrap_err()).collect();
    assert!(matches!(&errors[0], Error::Stuck { processor, .. } if processor.id.0 == 1));
    assert!(matches!(&errors[1], Error::Platform { processor, .. } if processor.id.0 == 3));
    assert!(matches!(&errors[2], Error::Platform { processor, .. } if processor.id.0 == 3));
    assert_eq!(world.active(), [0, 1], "it runs, everybody agreed to it, so it is counted");
    let breach = "breach (A9)".to_owned();
    assert!(
        world.events.lock().unwrap().contains(&breach),
        "and reported: the batch was not atomic"
    );
    world.journal.expect(
        "1 completes; 3 and 2 are unwound",
        &[
            "a AddStart 1",
            "a AddStart 2",
            "a AddStart 3",
            "a AddComplete 1",
            "a AddFailure 3 STATUS_IO_DEVICE_ERROR",
            "a AddFailure 2 STATUS_IO_DEVICE_ERROR",
        ],
    );
}

#[test]
fn a9_an_atomic_batch_with_one_that_cannot_be_asks_nobody() {
    let world = World::new(1, 2);
    let _a = world.driver("a").join();
    for (batch, status) in [
        (&[1, 77][..], Status::NO_SUCH_DEVICE),
        (&[1, 0], Status::DEVICE_ALREADY_ATTACHED),
        (&[1, 1], Status::INVALID_PARAMETER),
    ] {
        let results = world.partition.add_batch(&ids(batch), Batch::Atomic);
        assert_eq!(results.len(), batch.len());
        assert!(results.iter().all(|(_, r)| r.as_ref().unwrap_err().status() == status));
    }
    world.journal.expect("nobody was asked (A8)", &[]);
    assert!(world.partition.add_batch(&[], Batch::Atomic).is_empty());
    assert!(world.partition.add_batch(&[], Batch::Each).is_empty());
}

#[test]
fn a10_a_rehearsal_asks_everybody_starts_nothing_and_reports_every_answer() {
    let world = World::new(1, 1);
    let _a = world.driver("a").join();
    let _b = world.driver("b").vetoes(AddStart, 1, Status::NO_MEMORY).join();
    let _c = world.driver("c").join();
    let _d = world.driver("d").vetoes(AddStart, 1, Status::DISK_FULL).join();
    let rehearsal = world.partition.rehearse(HardwareId(1)).unwrap();
    assert!(world.journal.entries().iter().all(|e| e.seen.named && !e.seen.active));
    world.journal.expect(
        "no stop at the first veto; who agreed is cancelled, last first",
        &[
            "a AddStart 1",
            "b AddStart 1",
            "c AddStart 1",
            "d AddStart 1",
            "c AddFailure 1 STATUS_CANCELLED",
            "a AddFailure 1 STATUS_CANCELLED",
        ],
    );
    let answers = rehearsal.answers.iter();
    let answers: Vec<_> = answers
        .map(|a| (&*a.party.name, a.answer.as_ref().err().map(hotadd::Veto::status)))
        .collect();
    let (full, memory) = (Some(Status::DISK_FULL), Some(Status::NO_MEMORY));
    assert_eq!(answers, [("a", None), ("b", memory), ("c", None), ("d", full)]);
    assert!(!rehearsal.is_agreed());
    assert_eq!((world.active(), world.partition.epoch().0), (vec![0], 1));
    assert_eq!(world.spare(), [1], "nothing was started");
}

#[test]
fn a10_a_rehearsal_that_all_agree_to_promises_no_more_than_that() {
    let world = World::new(1, 1);
    let _a = world.driver("a").join();
    assert!(world.partition.rehearse(HardwareId(1)).unwrap().is_agreed());
    world.journal.expect("", &["a AddStart 1", "a AddFailure 1 STATUS_CANCELLED"]);
    assert_eq!(world.active(), [0]);
    world.add(1).expect("and it leaves nothing behind");
}

#[test]
fn a10_a_rehearsal_of_what_cannot_be_asks_nobody() {
    let world = World::new(2, 1);
    let _a = world.driver("a").join();
    for (id, status) in [(1, Status::DEVICE_ALREADY_ATTACHED), (77, Status::NO_SUCH_DEVICE)] {
        let error = world.partition.rehearse(HardwareId(id)).unwrap_err();
        assert_eq!((error.status(), error.clause()), (status, "A8"));
    }
    world.journal.expect("nobody was asked", &[]);
}
