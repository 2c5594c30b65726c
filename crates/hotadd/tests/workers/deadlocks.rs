//! Jobs that call the partition, and callbacks that use the workers (D3).

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hotadd::{
    Driver, HardwareId, Notice, Partition, Removal, State, Status, Veto, Workers, WouldDeadlock,
};

use crate::{LONG, index, occupy, partition, threads, wait_until};

/// Runs this as a job of one processor's worker, and returns its result.
fn run<R: Send + 'static>(
    workers: &Workers,
    n: u32,
    job: impl FnOnce(&Partition) -> R + Send + 'static,
    partition: &Partition,
) -> R {
    let (sender, result) = channel();
    let partition = partition.clone();
    workers.submit_to(index(n), move || sender.send(job(&partition)).unwrap()).unwrap();
    result.recv_timeout(LONG).expect("the job ends")
}

#[test]
fn d3_a_job_may_query_add_register_and_remove() {
    let (_, partition) = partition(2, 2);
    let workers = Workers::new(&partition, "jobs").unwrap();
    assert_eq!(run(&workers, 0, Partition::count, &partition), 2);
    run(&workers, 0, |p| p.add(HardwareId(2)), &partition).unwrap();
    run(&workers, 2, |p| p.add(HardwareId(3)), &partition).unwrap();
    run(&workers, 0, |p| p.register("by a job", |_: &Notice| Ok(())).map(drop), &partition)
        .unwrap();
    run(&workers, 0, |p| p.remove(HardwareId(3)), &partition).unwrap();
    assert_eq!(partition.count(), 3);
}

#[test]
fn d3_a_job_cannot_remove_its_own_processor() {
    let (_, partition) = partition(2, 0);
    let workers = Workers::builder(&partition, "own").drain_limit(LONG).start().unwrap();
    let error = run(&workers, 1, |p| p.remove(HardwareId(1)), &partition).unwrap_err();
    assert_eq!(error.status(), Status::POSSIBLE_DEADLOCK);
    assert!(error.reason().ends_with("request it on another thread"), "{}", error.reason());
    partition.remove(HardwareId(1)).expect("it goes on, and another thread may remove it");
}

#[test]
fn d3_a_job_that_adds_while_its_processor_is_removed_ends_after_the_limit() {
    let (_, partition) = partition(2, 1);
    let limit = Duration::from_millis(50);
    let workers = Workers::builder(&partition, "both").drain_limit(limit).start().unwrap();
    let (begun, begins) = channel();
    let (go, goes) = channel::<()>();
    let adding = partition.clone();
    let (sender, added) = channel();
    let job = move || {
        begun.send(()).unwrap();
        let _ = goes.recv();
        sender.send(adding.add(HardwareId(2))).unwrap();
    };
    workers.submit_to(index(1), job).unwrap();
    begins.recv_timeout(LONG).unwrap();
    // This party is asked first (X1). So the job adds while the workers are asked, and waits for the removal, which waits for the job.
    let first = partition.registration("first").level(1).register(First(Some(go)));
    let _first = first.unwrap();
    let removed = partition.remove(HardwareId(1));
    assert_eq!(removed.unwrap_err().status(), Status::DEVICE_BUSY);
    added.recv_timeout(LONG).expect("the job ends").unwrap();
}

/// Lets a job go on when it is asked about a removal.
struct First(Option<Sender<()>>);

impl Driver for First {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        Ok(())
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for First {
    fn remove_start(&mut self, _: &Notice) -> Result<(), Veto> {
        self.0.take();
        Ok(())
    }
}

#[test]
fn d3_a_busy_worker_delays_no_add() {
    let (_, partition) = partition(1, 1);
    let workers = Workers::new(&partition, "busy").unwrap();
    let release = occupy(&workers, 0);
    partition.add(HardwareId(1)).unwrap();
    assert_eq!(workers.pending(), 1, "the job still runs");
    drop(release);
}

#[test]
fn d3_waiting_inside_a_job_or_a_callback_is_refused() {
    let (_, partition) = partition(1, 1);
    let workers = Arc::new(Workers::new(&partition, "waits").unwrap());
    let inside = Arc::clone(&workers);
    let waits =
        move |_: &Partition| (inside.wait_until_idle(), inside.run_on_each(|_| ()).map(drop));
    let job = Err(WouldDeadlock::InsideJob);
    assert_eq!(run(&workers, 0, waits, &partition), (job, job));

    let (inside, (sender, told)) = (Arc::clone(&workers), channel());
    let driver = move |notice: &Notice| {
        if notice.state() == State::AddComplete && !notice.is_replay() {
            let refused = (inside.wait_until_idle(), inside.run_on_each(|_| ()).map(drop));
            sender.send(refused).unwrap();
            // Submitting does not wait.
            inside.submit(|| ()).unwrap();
            inside.submit_to(notice.processor().index, || ()).expect("it can run work (A5)");
        }
        Ok(())
    };
    let _registration = partition.register("waits too", driver).unwrap();
    partition.add(HardwareId(1)).unwrap();
    let callback = Err(WouldDeadlock::InsideCallback);
    assert_eq!(told.recv_timeout(LONG).unwrap(), (callback, callback));
    workers.wait_until_idle().unwrap();
}

#[test]
fn d3_the_workers_can_be_dropped_by_their_own_job() {
    let (_, partition) = partition(2, 0);
    let workers = Arc::new(Workers::new(&partition, "dropped job").unwrap());
    let (sender, told) = channel();
    let last = Arc::clone(&workers);
    let (go, goes) = channel::<()>();
    let job = move || {
        let _ = goes.recv();
        drop(last);
        sender.send(()).unwrap();
    };
    workers.submit_to(index(1), job).unwrap();
    let (ran, runs) = channel();
    workers.submit_to(index(1), move || ran.send(()).unwrap()).unwrap();
    drop(workers);
    drop(go);
    told.recv_timeout(LONG).expect("the drop returns");
    runs.recv_timeout(LONG).expect("the jobs behind it are run");
    wait_until("the threads end", || threads("dropped job").is_empty());
}

#[test]
fn d3_the_workers_can_be_dropped_inside_a_callback() {
    for during in [State::AddStart, State::AddComplete] {
        let (_, partition) = partition(1, 1);
        let workers = Workers::new(&partition, "dropped in").unwrap();
        // This job waits for the callback.
        let (adds, (sender, told)) = (partition.clone(), channel());
        let (go, goes) = channel::<()>();
        let job = move || {
            let _ = goes.recv();
            sender.send(adds.register("late", |_: &Notice| Ok(())).map(drop)).unwrap();
        };
        workers.submit(job).unwrap();
        let state = Mutex::new(Some((workers, go)));
        let driver = move |notice: &Notice| {
            if notice.state() == during && !notice.is_replay() {
                drop(state.lock().unwrap().take());
            }
            Ok(())
        };
        let _registration = partition.register("drops", driver).unwrap();
        partition.add(HardwareId(1)).unwrap();
        told.recv_timeout(LONG).expect("the job ends").unwrap();
        wait_until("the threads end", || threads("dropped in").is_empty());
    }
}
