//! Jobs: where they run, how they fail, and how they are limited.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;

use hotadd::{HardwareId, Rejection, Workers, WorkersReport};

use crate::{id, index, occupy, partition, report, threads, wait_until};

#[test]
fn every_active_processor_has_one_worker_with_its_name() {
    let (_, partition) = partition(3, 1);
    let workers = Workers::new(&partition, "named").unwrap();
    wait_until("three threads have their names", || {
        threads("named") == ["named/0", "named/1", "named/2"]
    });
    let ran = workers.run_on_each(|processor| (processor, Workers::current())).unwrap();
    let ids: Vec<_> = ran.iter().map(|(processor, _)| processor.id.0).collect();
    assert_eq!(ids, [0, 1, 2], "ascending, each once");
    for (processor, (given, current)) in ran {
        assert_eq!((given, current), (processor, Some(processor)), "on the processor's own worker");
    }
    assert_eq!(workers.report(), WorkersReport::default(), "simulated processors are not pinned");
    drop(workers);
    // A thread that was waited for may be listed for a moment longer: the kernel reports its end first.
    wait_until("dropping has ended the threads", || threads("named").is_empty());
}

#[test]
fn a5_a_processor_that_joined_has_a_worker() {
    let (_, partition) = partition(1, 1);
    let workers = Workers::new(&partition, "joining").unwrap();
    let (sender, told) = channel();
    let rejected = workers.submit_to(index(1), report(&sender)).unwrap_err();
    assert_eq!(rejected.why(), Rejection::NotActive { index: index(1) });
    partition.add(HardwareId(1)).unwrap();
    workers.submit_to(index(1), rejected.into_job()).unwrap();
    assert_eq!(id(&told), HardwareId(1));
    let beyond = workers.submit_to(index(2000), || ()).unwrap_err();
    assert_eq!(beyond.why(), Rejection::NotActive { index: index(2000) });
}

#[test]
fn a10_a_rehearsal_leaves_no_thread() {
    let (_, partition) = partition(1, 1);
    let workers = Workers::new(&partition, "rehearsed").unwrap();
    partition.rehearse(HardwareId(1)).unwrap();
    wait_until("the thread ends", || threads("rehearsed") == ["rehearsed/0"]);
    assert!(workers.submit_to(index(1), || ()).is_err());
}

#[test]
fn a_job_for_any_processor_is_run_while_one_worker_is_busy() {
    let (_, partition) = partition(2, 0);
    let workers = Workers::new(&partition, "any").unwrap();
    for busy in [0, 1] {
        let release = occupy(&workers, busy);
        let (sender, told) = channel();
        // The worker of the other processor is asleep or about to be.
        for _ in 0..20 {
            workers.submit(report(&sender)).unwrap();
            assert_eq!(id(&told), HardwareId(1 - busy));
        }
        drop(release);
        workers.wait_until_idle().unwrap();
    }
}

#[test]
fn a_job_waits_for_no_worker_that_has_another_job_while_one_sleeps() {
    let (_, partition) = partition(2, 0);
    let workers = Workers::new(&partition, "chain").unwrap();
    for _ in 0..50 {
        workers.wait_until_idle().unwrap();
        // The worker that is woken for the second job may take the first one, which waits for the second.
        let (release, released) = channel::<()>();
        let wait = move || released.recv().unwrap();
        workers.submit_to(index(0), wait).unwrap();
        workers.submit(move || release.send(()).unwrap()).unwrap();
    }
    workers.wait_until_idle().unwrap();
}

#[test]
fn jobs_for_one_processor_run_in_the_order_of_submission() {
    let (_, partition) = partition(2, 0);
    let workers = Workers::new(&partition, "order").unwrap();
    let (sender, order) = channel();
    for n in 0..1000 {
        let sender = sender.clone();
        workers.submit_to(index(1), move || sender.send(n).unwrap()).unwrap();
    }
    drop(sender);
    assert!(order.into_iter().eq(0..1000));
}

#[test]
fn a_job_for_any_processor_is_not_starved_by_jobs_for_one() {
    let (_, partition) = partition(1, 0);
    let workers = Arc::new(Workers::new(&partition, "fair").unwrap());
    let (ran, runs) = channel();
    // Each job for the processor submits the next, until the job for any has run.
    fn again(workers: &Arc<Workers>, stop: Arc<AtomicU32>) {
        let next = Arc::clone(workers);
        let job = move || {
            if stop.load(Ordering::Relaxed) == 0 {
                again(&next, stop);
            }
        };
        workers.submit_to(index(0), job).unwrap();
    }
    let stop = Arc::new(AtomicU32::new(0));
    again(&workers, Arc::clone(&stop));
    workers.submit(move || ran.send(()).unwrap()).unwrap();
    runs.recv_timeout(crate::LONG).expect("the job for any processor runs");
    stop.store(1, Ordering::Relaxed);
    workers.wait_until_idle().unwrap();
}

#[test]
fn a_panic_is_contained_counted_and_reported() {
    let (_, partition) = partition(1, 0);
    let workers = Workers::new(&partition, "panics").unwrap();
    workers.submit(|| panic!("the first\u{1b}[31m message")).unwrap();
    workers.wait_until_idle().unwrap();
    workers.submit(|| std::panic::panic_any(7)).unwrap();
    let results = workers.run_on_each(|processor| assert_ne!(processor.id, HardwareId(0))).unwrap();
    assert_eq!(results, [], "a job that panicked has no result");
    workers.wait_until_idle().unwrap();
    let report = workers.report();
    assert_eq!(report.panicked, 3);
    let message = report.first_panic.unwrap();
    assert!(message.starts_with("the first") && !message.contains('\u{1b}'), "{message:?}");
    assert_eq!(workers.pending(), 0);
}

#[test]
fn r7_the_number_of_unfinished_jobs_is_limited() {
    let (_, partition) = partition(1, 0);
    let workers = Workers::builder(&partition, "limited").job_limit(2).start().unwrap();
    let release = occupy(&workers, 0);
    workers.submit(|| ()).unwrap();
    let full = Rejection::Full { limit: 2 };
    assert_eq!(workers.submit(|| ()).unwrap_err().why(), full);
    assert_eq!(workers.submit_to(index(0), || ()).unwrap_err().why(), full);
    assert_eq!(
        full.to_string(),
        "2 jobs are not finished, which is the limit; wait until some are"
    );
    drop(release);
    workers.wait_until_idle().unwrap();
    workers.submit(|| ()).unwrap();
}

#[test]
fn dropping_finishes_all_jobs() {
    let (_, partition) = partition(2, 0);
    let workers = Workers::new(&partition, "dropped").unwrap();
    let ran = Arc::new(AtomicU32::new(0));
    let release = [occupy(&workers, 0), occupy(&workers, 1)];
    for n in 0..100 {
        let ran = Arc::clone(&ran);
        let job = move || {
            ran.fetch_add(1, Ordering::Relaxed);
        };
        match n % 3 {
            0 => workers.submit(job).unwrap(),
            n => workers.submit_to(index(n - 1), job).unwrap(),
        }
    }
    drop(release);
    drop(workers);
    assert_eq!(ran.load(Ordering::Relaxed), 100);
}
