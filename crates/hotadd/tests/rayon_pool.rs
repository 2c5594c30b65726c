//! `rayon::Pool`: new work goes to a pool of the right size, and the former one finishes its work.
#![cfg(not(hotadd_loom))]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

#[path = "../examples/rayon.rs"]
mod example;

use std::env;
use std::fs;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use hotadd::hardware::{Affinity, Simulated, Tree};
use hotadd::rayon::Pool;
use hotadd::{Batch, CpuList, Errno, HardwareId, Notice, Partition, State, Status, Workers};
use hotadd_testing::Need;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

const LONG: Duration = Duration::from_secs(60);

fn partition(active: u32, spare: u32) -> (Arc<Simulated>, Partition) {
    let hardware = Simulated::new(active, spare).unwrap();
    let partition = Partition::simulated(&hardware).unwrap();
    (hardware, partition)
}

/// The names and masks of this process's threads that begin with this.
fn threads(prefix: &str) -> Vec<(String, CpuList)> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let statuses = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let mut threads: Vec<_> = statuses
        .filter_map(|status| {
            let field = |key| Some(status.lines().find_map(|l| l.strip_prefix(key))?.trim());
            Some((field("Name:")?.to_owned(), field("Cpus_allowed_list:")?.parse().ok()?))
        })
        .filter(|(name, _): &(String, _)| name.starts_with(prefix))
        .collect();
    threads.sort_by(|a, b| a.0.cmp(&b.0));
    threads
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LONG, "not in time: {what}");
        // The pause only leaves the processor to those that are waited for.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Checks that the pool has as many threads as it says: they meet.
fn meet(pool: &Pool, size: usize) {
    assert_eq!(pool.size(), size);
    let barrier = Barrier::new(size);
    let met = pool.current().broadcast(|_| barrier.wait());
    assert_eq!(met.len(), size);
}

#[test]
fn a5_the_pool_has_a_thread_for_each_active_processor() {
    let (hardware, partition) = partition(2, 3);
    let pool = Pool::new(&partition, "follows").unwrap();
    meet(&pool, 2);
    partition.add(HardwareId(2)).unwrap();
    meet(&pool, 3);
    partition.remove(HardwareId(1)).unwrap();
    meet(&pool, 2);
    hardware.vanish(HardwareId(2));
    meet(&pool, 1);
    let results =
        partition.add_batch(&[HardwareId(2), HardwareId(3), HardwareId(4)], Batch::Atomic);
    assert!(results.iter().all(|(_, result)| result.is_ok()), "{results:?}");
    meet(&pool, 4);
    assert_eq!(pool.last_error(), None);
    assert_eq!(pool.install(|| (1..=1000_u64).into_par_iter().sum::<u64>()), 500_500);
    wait_until("the former pools have ended", || {
        let names: Vec<_> = threads("follows").into_iter().map(|(name, _)| name).collect();
        names == ["follows/0", "follows/1", "follows/2", "follows/3"]
    });
    drop(pool);
    wait_until("the threads end", || threads("follows").is_empty());
}

#[test]
fn queries_inside_add_complete_see_the_new_pool() {
    let (_, partition) = partition(1, 1);
    let pool = Arc::new(Pool::new(&partition, "first").unwrap());
    let (sender, sizes) = channel();
    let seen = Arc::clone(&pool);
    let driver = move |notice: &Notice| {
        if !notice.is_replay() {
            sender.send((notice.state(), seen.size())).unwrap();
        }
        Ok(())
    };
    let _registration = partition.register("second", driver).unwrap();
    partition.add(HardwareId(1)).unwrap();
    let seen: Vec<_> = sizes.try_iter().collect();
    assert_eq!(seen, [(State::AddStart, 1), (State::AddComplete, 2)]);
}

#[test]
fn work_that_has_begun_is_finished_in_the_former_pool() {
    let (_, partition) = partition(1, 1);
    let pool = Pool::new(&partition, "drains").unwrap();
    let (go, goes) = channel::<()>();
    let (sender, told) = channel();
    let begun = sender.clone();
    pool.spawn(move || {
        let _ = begun.send(rayon::current_num_threads());
        let _ = goes.recv();
        // Work of this work stays in its pool.
        rayon::spawn(move || {
            let _ = sender.send(rayon::current_num_threads());
        });
    });
    assert_eq!(told.recv_timeout(LONG), Ok(1));
    partition.add(HardwareId(1)).unwrap();
    assert_eq!(pool.install(rayon::current_num_threads), 2, "new work does not wait for the old");
    // A thread sets its name itself, after it was created.
    wait_until("one thread of the former pool, two of the new one", || {
        threads("drains").len() == 3
    });
    drop(go);
    assert_eq!(told.recv_timeout(LONG), Ok(1));
    wait_until("the former pool ends", || threads("drains").len() == 2);
}

#[test]
fn a3_a_failed_add_leaves_the_pool_and_its_threads_as_they_were() {
    let (hardware, partition) = partition(1, 1);
    let pool = Pool::new(&partition, "unchanged").unwrap();
    hardware.fail_start(HardwareId(1), Errno::EIO);
    partition.add(HardwareId(1)).unwrap_err();
    hardware.heal(HardwareId(1));
    partition.rehearse(HardwareId(1)).unwrap();
    meet(&pool, 1);
    wait_until("what was prepared has ended", || threads("unchanged").len() == 1);
}

#[test]
fn a3_a_processor_for_which_no_threads_can_be_made_does_not_join() {
    let (_, partition) = partition(2, 1);
    let mut built = 0;
    // No address space is as large as the stacks of the second pool.
    let options = move || {
        built += 1;
        let stack = if built == 1 { 1 << 20 } else { 1 << 50 };
        ThreadPoolBuilder::new().stack_size(stack)
    };
    let pool = Pool::with_builder(&partition, "refuses", options).unwrap();
    let error = partition.add(HardwareId(2)).unwrap_err();
    assert_ne!(error.status(), Status::UNSUCCESSFUL);
    let reason = error.reason();
    assert!(reason.starts_with("a pool of 3 threads could not be built: "), "{reason}");
    meet(&pool, 2);

    partition.remove(HardwareId(1)).expect("a removal needs no threads");
    meet(&pool, 2);
    let error = pool.last_error().unwrap();
    let says = "a pool of 1 threads could not be built, and the one of 2 threads stays: ";
    assert!(error.starts_with(says), "{error}");
}

/// Starts this test again in a process of its own, because a partition governs the whole process.
fn in_a_child(role: &str) -> String {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["run_in_a_child", "--exact", "--nocapture", "--test-threads=1"]);
    let output = child.env("HOTADD_TEST_ROLE", role).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "in the role {role}: {text}");
    text.into_owned()
}

/// The entry of the processes that other tests start. Run directly, it does nothing.
#[test]
fn run_in_a_child() {
    match env::var("HOTADD_TEST_ROLE").as_deref() {
        Ok("masks") => masks(),
        Ok("example") => example::main().unwrap(),
        _ => println!("no role"),
    }
}

#[test]
fn h3_the_threads_of_a_new_pool_may_run_on_the_new_processor_whoever_adds_it() {
    if Need::TwoProcessors.is_met("the masks of a pool's threads") {
        assert!(in_a_child("masks").contains("all masks are right"));
    }
}

fn masks() {
    let available = Affinity::available().unwrap();
    let (first, second) = (available.ids()[0], available.ids()[1]);
    let both: CpuList = [first, second].into_iter().collect();
    let start: CpuList = [first].into_iter().collect();
    let affinity = Affinity::new(Tree::Current, Some(&start)).unwrap();
    let partition = Partition::from_hardware(Arc::new(affinity)).unwrap();
    let pool = Pool::new(&partition, "masks").unwrap();
    let right = |size, mask: &CpuList| {
        meet(&pool, size);
        wait_until("the former pool ends", || threads("masks").len() == size);
        let threads = threads("masks");
        assert!(threads.iter().all(|(_, own)| own == mask), "not all {mask}: {threads:?}");
    };
    right(1, &start);
    partition.add(second).unwrap();
    right(2, &both);
    partition.remove(second).unwrap();
    right(1, &start);

    // A worker is pinned to the first processor, and so are the threads that it creates itself.
    let workers = Arc::new(Workers::new(&partition, "worker").unwrap());
    let (adds, (sender, added)) = (partition.clone(), channel());
    workers.submit(move || sender.send(adds.add(second)).unwrap()).unwrap();
    added.recv_timeout(LONG).unwrap().unwrap();
    right(2, &both);
    let (of, (sender, made)) = (partition.clone(), channel());
    let make = move || sender.send(Pool::new(&of, "narrow")).unwrap();
    let pinned = partition.active().iter().find(|one| one.id == first).unwrap().index;
    workers.submit_to(pinned, make).unwrap();
    let narrow = made.recv_timeout(LONG).unwrap().unwrap();
    assert_eq!(narrow.size(), 1, "made by a pinned thread: {:?}", narrow.parallelism());
    println!("all masks are right");
}

#[test]
fn the_example_uses_both_processors_and_then_one() {
    if !Need::TwoProcessors.is_met("the example of a rayon pool") {
        return;
    }
    let available = Affinity::available().unwrap();
    let (first, second) = (available.ids()[0], available.ids()[1]);
    let both: CpuList = [first, second].into_iter().collect();
    let text = in_a_child("example");
    let printed: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let line = line.trim_start_matches("test run_in_a_child ... ");
            let wanted = ["threads: ", "processor "].iter().any(|begin| line.starts_with(begin));
            wanted.then(|| line.split(": ").take(2).collect::<Vec<_>>().join(": "))
        })
        .collect();
    let expected = [
        format!("threads: 1, worked on processors {first}"),
        format!("processor {second} joined"),
        format!("threads: 2, worked on processors {both}"),
        format!("processor {second} left"),
        format!("threads: 1, worked on processors {first}"),
    ];
    assert_eq!(printed, expected, "{text}");
}
