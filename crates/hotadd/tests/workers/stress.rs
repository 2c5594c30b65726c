//! Many threads submit while processors join, leave and vanish.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::thread;

use hotadd::{HardwareId, Rejection, Workers};

use crate::{index, partition, threads, wait_until};

const SUBMITTERS: usize = 4;
const JOBS: usize = 5_000;
const PROCESSORS: u32 = 6;

#[test]
fn no_job_is_lost_and_none_runs_twice_while_processors_come_and_go() {
    let (hardware, partition) = partition(2, PROCESSORS - 2);
    let workers = Workers::new(&partition, "stress").unwrap();
    let ran: Arc<[AtomicU8]> = (0..SUBMITTERS * JOBS).map(|_| AtomicU8::new(0)).collect();
    let rejected = AtomicU32::new(0);
    let submitted = AtomicBool::new(false);
    let mut changes = 0;
    thread::scope(|scope| {
        let submitters: Vec<_> = (0..SUBMITTERS)
            .map(|submitter| {
                let (workers, ran, rejected) = (&workers, &ran, &rejected);
                scope.spawn(move || {
                    for n in submitter * JOBS..(submitter + 1) * JOBS {
                        let ran = Arc::clone(ran);
                        let job = move || {
                            ran[n].fetch_add(1, Ordering::Relaxed);
                        };
                        if n % 2 == 0 {
                            workers.submit(job).unwrap();
                            continue;
                        }
                        #[expect(clippy::cast_possible_truncation, reason = "a small number")]
                        let at = index(n as u32 % PROCESSORS);
                        if let Err(refused) = workers.submit_to(at, job) {
                            assert!(!matches!(refused.why(), Rejection::Full { .. }));
                            rejected.fetch_add(1, Ordering::Relaxed);
                            workers.submit(refused.into_job()).unwrap();
                        }
                    }
                })
            })
            .collect();
        let churn = || {
            // Processor 0 stays: a partition has at least one. A change that is refused is not a failure of this test.
            for round in 0_u32.. {
                if submitted.load(Ordering::Relaxed) && round > 200 {
                    return round;
                }
                let id = HardwareId(1 + round % (PROCESSORS - 1));
                match round % 7 {
                    0 | 1 => hardware.vanish(id),
                    2 | 3 => drop(partition.remove(id)),
                    _ => drop(partition.add(id)),
                }
            }
            unreachable!("the rounds do not end before the submitters")
        };
        let churn = scope.spawn(churn);
        submitters.into_iter().for_each(|submitter| submitter.join().unwrap());
        submitted.store(true, Ordering::Relaxed);
        changes = churn.join().unwrap();
    });
    workers.wait_until_idle().unwrap();
    let wrong: Vec<_> =
        ran.iter().enumerate().filter(|(_, ran)| ran.load(Ordering::Relaxed) != 1).collect();
    assert!(wrong.is_empty(), "jobs that did not run exactly once: {wrong:?}");
    assert_eq!(workers.pending(), 0);
    println!("{changes} changes, {} jobs rejected by a processor", rejected.into_inner());
    wait_until("only the workers of active processors are left", || {
        threads("stress/").len() == partition.count() as usize
    });
}
