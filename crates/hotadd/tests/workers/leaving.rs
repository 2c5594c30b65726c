//! Processors that leave: the queue is finished, and no job is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use hotadd::{Driver, Error, HardwareId, Notice, Rejection, Removal, Status, Veto, Workers};

use crate::{LONG, id, index, occupy, partition, report, threads, wait_until};

#[test]
fn x1_a_removal_waits_until_the_worker_has_finished_its_jobs() {
    let (_, partition) = partition(2, 0);
    let workers = Workers::builder(&partition, "drained").drain_limit(LONG).start().unwrap();
    let release = occupy(&workers, 1);
    let ran = Arc::new(AtomicU32::new(0));
    let count = || {
        let ran = Arc::clone(&ran);
        move || {
            ran.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut accepted = 0;
    std::thread::scope(|scope| {
        let removal = scope.spawn(|| partition.remove(HardwareId(1)));
        // Jobs are accepted until RemoveStart.
        let why = loop {
            match workers.submit_to(index(1), count()) {
                Ok(()) => accepted += 1,
                Err(rejected) => break rejected.why(),
            }
            std::thread::yield_now();
        };
        assert_eq!(why, Rejection::Leaving { index: index(1) });
        workers.submit(count()).unwrap();
        assert_eq!(partition.count(), 2, "the removal waits");
        drop(release);
        removal.join().unwrap().unwrap();
    });
    workers.wait_until_idle().unwrap();
    assert_eq!(ran.load(Ordering::Relaxed), accepted + 1, "each job has run once");
    let gone = workers.submit_to(index(1), || ()).unwrap_err();
    assert_eq!(gone.why(), Rejection::NotActive { index: index(1) });
    wait_until("its thread ends", || threads("drained") == ["drained/0"]);
}

#[test]
fn x1_a_job_that_takes_too_long_keeps_the_processor() {
    let (_, partition) = partition(2, 0);
    let limit = Duration::from_millis(1);
    let workers = Workers::builder(&partition, "long").drain_limit(limit).start().unwrap();
    let release = occupy(&workers, 1);
    let (sender, told) = channel();
    workers.submit_to(index(1), report(&sender)).unwrap();
    let error = partition.remove(HardwareId(1)).unwrap_err();
    assert_eq!((error.status(), error.clause()), (Status::DEVICE_BUSY, "X1"));
    assert_eq!(
        error.reason(),
        "its worker did not finish its jobs within 1ms (1 are still waiting); try again when they are finished"
    );
    workers.submit_to(index(1), report(&sender)).expect("the worker goes on");
    drop(release);
    assert_eq!((id(&told), id(&told)), (HardwareId(1), HardwareId(1)));
}

/// Refuses every removal. At a lower level it is asked after the workers (X1).
struct Keeps;

impl Driver for Keeps {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        Ok(())
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for Keeps {
    fn remove_start(&mut self, _: &Notice) -> Result<(), Veto> {
        Err(Status::DEVICE_BUSY.into())
    }
}

#[test]
fn x1_a_worker_goes_on_when_another_party_refuses_the_removal() {
    let (_, partition) = partition(2, 0);
    let workers = Workers::new(&partition, "kept").unwrap();
    let keeps = partition.registration("keeps").level(-1).register(Keeps).unwrap();
    let (sender, told) = channel();
    for _ in 0..20 {
        let error = partition.remove(HardwareId(1)).unwrap_err();
        assert!(
            matches!(error, Error::Vetoed { ref party, .. } if party.name == "keeps"),
            "{error}"
        );
        workers.submit_to(index(1), report(&sender)).unwrap();
        assert_eq!(id(&told), HardwareId(1));
    }
    drop(keeps);
    partition.remove(HardwareId(1)).unwrap();
}

#[test]
fn x2_the_jobs_of_a_processor_that_vanished_are_run_by_others() {
    let (hardware, partition) = partition(2, 0);
    let workers = Workers::new(&partition, "vanished").unwrap();
    let release = occupy(&workers, 1);
    let (sender, told) = channel();
    for _ in 0..3 {
        workers.submit_to(index(1), report(&sender)).unwrap();
    }
    hardware.vanish(HardwareId(1));
    assert_eq!([id(&told), id(&told), id(&told)], [HardwareId(0); 3]);
    let gone = workers.submit_to(index(1), || ()).unwrap_err();
    assert_eq!(gone.why(), Rejection::NotActive { index: index(1) });

    // It returns while its former worker is still busy.
    partition.add(HardwareId(1)).unwrap();
    workers.submit_to(index(1), report(&sender)).unwrap();
    assert_eq!(id(&told), HardwareId(1));
    drop(release);
    workers.wait_until_idle().unwrap();
    wait_until("the former worker ends", || threads("vanished") == ["vanished/0", "vanished/1"]);
}

#[test]
fn x3_a_processor_that_returns_has_a_worker_again() {
    let (_, partition) = partition(2, 0);
    let workers = Workers::new(&partition, "returns").unwrap();
    let (sender, told) = channel();
    for _ in 0..20 {
        partition.remove(HardwareId(1)).unwrap();
        workers.submit_to(index(1), || ()).unwrap_err();
        partition.add(HardwareId(1)).unwrap();
        workers.submit_to(index(1), report(&sender)).unwrap();
        assert_eq!(id(&told), HardwareId(1));
    }
}
