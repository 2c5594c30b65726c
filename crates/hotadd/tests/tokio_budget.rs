//! `tokio::Budget`: permits follow the set, and no permit that is held is revoked.
#![cfg(not(hotadd_loom))]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hotadd::hardware::Simulated;
use hotadd::tokio::Budget;
use hotadd::{HardwareId, Partition};
use tokio::runtime::Builder;

const LONG: Duration = Duration::from_secs(60);

fn partition(active: u32, spare: u32) -> (Arc<Simulated>, Partition) {
    let hardware = Simulated::new(active, spare).unwrap();
    let partition = Partition::simulated(&hardware).unwrap();
    (hardware, partition)
}

fn sizes(budget: &Budget) -> (usize, usize) {
    (budget.size(), budget.available())
}

#[test]
fn a5_permits_follow_the_set() {
    let (hardware, partition) = partition(2, 1);
    let budget = Budget::new(&partition, "budget", 3).unwrap();
    assert_eq!(sizes(&budget), (6, 6));
    partition.add(HardwareId(2)).unwrap();
    assert_eq!(sizes(&budget), (9, 9));
    partition.remove(HardwareId(1)).unwrap();
    assert_eq!(sizes(&budget), (6, 6));
    hardware.vanish(HardwareId(2));
    assert_eq!(sizes(&budget), (3, 3));
    partition.rehearse(HardwareId(1)).unwrap();
    assert_eq!(sizes(&budget), (3, 3), "a rehearsal changes nothing (A10)");
}

#[test]
fn a_permit_that_is_held_is_not_revoked_and_withdrawn_when_it_is_returned() {
    let (_, partition) = partition(2, 0);
    let budget = Budget::new(&partition, "budget", 2).unwrap();
    let mut held: Vec<_> = (0..3).map(|_| budget.try_acquire().unwrap()).collect();
    partition.remove(HardwareId(1)).unwrap();
    assert_eq!(sizes(&budget), (2, 0), "three are held, and two exist");
    assert!(budget.try_acquire().is_none());
    held.pop();
    assert_eq!(sizes(&budget), (2, 0), "the one that is too many is withdrawn");
    held.pop();
    assert_eq!(sizes(&budget), (2, 1));

    held.push(budget.try_acquire().unwrap());
    partition.add(HardwareId(1)).unwrap();
    let more: Vec<_> = (0..2).map(|_| budget.try_acquire().unwrap()).collect();
    partition.remove(HardwareId(1)).unwrap();
    partition.add(HardwareId(1)).unwrap();
    assert_eq!(sizes(&budget), (4, 0), "all four are held, and none is too many any more");
    drop((held, more));
    assert_eq!(sizes(&budget), (4, 4));
}

#[test]
fn a_limit_bounds_the_permits() {
    let (_, partition) = partition(1, 2);
    let budget = Budget::with_limit(&partition, "budget", 2, 3).unwrap();
    assert_eq!(sizes(&budget), (2, 2));
    partition.add(HardwareId(1)).unwrap();
    partition.add(HardwareId(2)).unwrap();
    assert_eq!(sizes(&budget), (3, 3));
    partition.remove(HardwareId(1)).unwrap();
    assert_eq!(sizes(&budget), (3, 3), "the limit counts, not the set");
    assert_eq!(Budget::with_limit(&partition, "none", 0, 0).unwrap().size(), 1, "never none");
}

#[test]
fn a5_a_waiting_task_goes_on_when_a_processor_joins() {
    let (_, partition) = partition(1, 1);
    let budget = Arc::new(Budget::new(&partition, "budget", 1).unwrap());
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let held = budget.try_acquire().unwrap();
    let waiting = Arc::clone(&budget);
    let task = runtime.spawn(async move { waiting.acquire().await });
    // Runs the task until it waits.
    runtime.block_on(tokio::task::yield_now());
    assert!(!task.is_finished());
    partition.add(HardwareId(1)).unwrap();
    let second = runtime.block_on(async { tokio::time::timeout(LONG, task).await });
    let second = second.expect("the task goes on").unwrap();
    assert_eq!(sizes(&budget), (2, 0));
    drop((held, second));
}

#[test]
fn never_more_tasks_run_than_the_largest_set_allows_and_no_permit_is_lost() {
    let (_, partition) = partition(1, 3);
    let budget = Arc::new(Budget::new(&partition, "budget", 1).unwrap());
    let runtime = Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (budget, running) = (Arc::clone(&budget), Arc::clone(&running));
            let most = Arc::clone(&most);
            runtime.spawn(async move {
                for _ in 0..5_000 {
                    let permit = budget.acquire().await;
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                }
            })
        })
        .collect();
    let mut changes = 0;
    while changes < 100 || tasks.iter().any(|task| !task.is_finished()) {
        let id = HardwareId(1 + changes % 2);
        // Processor 3 never joins, so at most three permits exist.
        if changes % 4 < 2 {
            partition.add(id).unwrap()
        } else {
            partition.remove(id).unwrap()
        };
        changes += 1;
    }
    tasks.into_iter().for_each(|task| runtime.block_on(task).unwrap());
    let most = most.load(Ordering::SeqCst);
    assert!((1..=3).contains(&most), "{most} tasks ran at once");
    let count = partition.count() as usize;
    assert_eq!(sizes(&budget), (count, count), "after {changes} changes");
}
