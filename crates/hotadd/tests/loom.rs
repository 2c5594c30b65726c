//! Every interleaving of two or three threads over one partition, as loom explores them.
//!
//! `RUSTC_WORKSPACE_WRAPPER=$PWD/.ci/loom-rustc cargo test -p hotadd --test loom`
//!
//! The drivers' records use std's atomics and locks, which loom does not see: they add no interleavings and
//! no order. The partition catches a panic in a driver (L3), so drivers count faults instead of asserting.
#![cfg(hotadd_loom)]

/// Private parts of the crate, from the same sources.
#[path = "../src/workers/sleepers.rs"]
mod sleepers;
#[path = "../src/sync.rs"]
#[expect(dead_code, unused_imports, reason = "what the sleepers do not need")]
mod sync;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotadd::hardware::Simulated;
use hotadd::{Driver, HardwareId, Notice, Partition, Registration, Removal, State, Veto};
use loom::cell::UnsafeCell;
use loom::thread;

/// One processor that runs and `spare` more.
fn partition(spare: u32) -> (Arc<Simulated>, Partition) {
    let hardware = Simulated::new(1, spare).expect("few processors");
    let partition = Partition::simulated(&hardware).expect("it can tell");
    (hardware, partition)
}

/// Explores, and prints the number of executions. The bound limits how often a thread is preempted where it
/// need not wait. According to loom's authors, 2 or 3 find nearly all errors.
fn explore(name: &str, preemptions: Option<usize>, execution: impl Fn() + Sync + Send + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        counter.fetch_add(1, SeqCst);
        execution();
    });
    println!("{name}: {} executions", executions.load(SeqCst));
}

/// Ignores poisoning, because the test has failed then already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a driver was told, and what must never happen.
#[derive(Default)]
struct Record {
    told: Mutex<Vec<(State, u32, bool)>>,
    faults: Mutex<Vec<&'static str>>,
    drops: AtomicUsize,
    /// Deregistering has returned.
    deregistered: AtomicBool,
    /// Plain memory without a lock, like a driver's own. Loom reports two unordered accesses.
    memory: Memory,
}

#[derive(Default)]
struct Memory(UnsafeCell<u32>);

// SAFETY: whether accesses are ordered is what loom checks at each of them.
unsafe impl Sync for Memory {}

impl Memory {
    fn touch(&self) {
        self.0.with_mut(|memory| {
            // SAFETY: loom fails the test if another access is not ordered with this one.
            unsafe { *memory += 1 };
        });
    }
}

impl Record {
    fn count(&self, state: State, id: u32) -> usize {
        lock(&self.told).iter().filter(|(s, i, _)| (*s, *i) == (state, id)).count()
    }

    fn fault(&self, fault: &'static str) {
        lock(&self.faults).push(fault);
    }

    fn check(&self) {
        assert_eq!(*lock(&self.faults), [""; 0]);
    }
}

/// A driver that records its calls.
struct Recorder {
    record: Arc<Record>,
    partition: Partition,
}

impl Driver for Recorder {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        unreachable!("notify handles every state")
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        let record = &self.record;
        if record.deregistered.load(SeqCst) || record.drops.load(SeqCst) > 0 {
            record.fault("called after it was deregistered (D1)");
        }
        record.memory.touch();
        thread::yield_now();
        let set = self.partition.active();
        if set.epoch() < notice.epoch() {
            record.fault("the notice speaks of a set that is not in force yet (A5, Q2)");
        }
        record.memory.touch();
        if record.deregistered.load(SeqCst) {
            record.fault("deregistered while it runs (D1)");
        }
        let told = (notice.state(), notice.processor().id.0, notice.is_surprise());
        lock(&record.told).push(told);
        Ok(())
    }
}

impl Removal for Recorder {
    fn remove_start(&mut self, _: &Notice) -> Result<(), Veto> {
        unreachable!("notify handles every state")
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.record.memory.touch();
        self.record.drops.fetch_add(1, SeqCst);
    }
}

fn register(partition: &Partition) -> (Arc<Record>, Registration) {
    let record = Arc::new(Record::default());
    let recorder = Recorder { record: Arc::clone(&record), partition: partition.clone() };
    let registration = partition.register("recorder", recorder).expect("it refuses nothing");
    (record, registration)
}

/// Q1, Q2.
#[test]
fn a_set_read_after_an_epoch_is_at_least_that_new() {
    explore("readers", Some(3), || {
        let (_, partition) = partition(2);
        let reader = thread::spawn({
            let partition = partition.clone();
            move || {
                let (mut word, mut seen) = (0, 0);
                for _ in 0..2 {
                    let epoch = partition.epoch();
                    let set = partition.active();
                    assert!(set.epoch() >= epoch, "the word is never ahead of the set");
                    // Each query by itself. The epoch may be older than a set that was read before it.
                    assert!(epoch.0 >= word && set.epoch().0 >= seen, "epochs only grow");
                    (word, seen) = (epoch.0, set.epoch().0);
                    // Every add here is one epoch and one processor, so these identify the set.
                    assert_eq!(u64::from(set.count()), seen);
                    assert_eq!(set.iter().count(), set.count() as usize);
                }
                let count = partition.count();
                assert!(partition.active().count() >= count, "nor is the count ahead");
            }
        });
        partition.add(HardwareId(1)).unwrap();
        partition.add(HardwareId(2)).unwrap();
        reader.join().unwrap();
        assert_eq!((partition.count(), partition.epoch().0), (3, 3));
    });
}

/// R5.
#[test]
fn a_registration_racing_an_add_is_told_of_every_processor_once() {
    explore("register against add", None, || {
        let (_, partition) = partition(1);
        let adder = thread::spawn({
            let partition = partition.clone();
            move || partition.add(HardwareId(1)).unwrap()
        });
        let (record, registration) = register(&partition);
        adder.join().unwrap();
        for id in [0, 1] {
            assert_eq!(record.count(State::AddStart, id), 1, "AddStart of {id}");
            assert_eq!(record.count(State::AddComplete, id), 1, "AddComplete of {id}");
        }
        assert_eq!(lock(&record.told).len(), 4);
        drop(registration);
        record.check();
    });
}

/// D1, D3.
#[test]
fn a_driver_is_not_called_after_deregistering_has_returned() {
    explore("deregister against add", None, || {
        let (_, partition) = partition(1);
        let (record, registration) = register(&partition);
        let adder = thread::spawn({
            let partition = partition.clone();
            move || partition.add(HardwareId(1)).unwrap()
        });
        drop(registration);
        record.deregistered.store(true, SeqCst);
        assert_eq!(record.drops.load(SeqCst), 1, "it is dropped before deregistering returns");
        // Ordered after every call, or loom reports it.
        record.memory.touch();
        adder.join().unwrap();
        let starts = record.count(State::AddStart, 1);
        assert_eq!(record.count(State::AddComplete, 1), starts, "the whole add or nothing of it");
        assert_eq!(record.drops.load(SeqCst), 1);
        record.check();
    });
}

/// D3: a driver deregisters another inside a callback, while a third thread adds.
#[test]
fn a_driver_deregistered_inside_a_callback_is_not_called_again() {
    explore("deregister inside", Some(3), || {
        let (_, partition) = partition(2);
        let (record, registration) = register(&partition);
        let mut held = Some(registration);
        let own = Arc::clone(&record);
        let first = partition.registration("first").level(-1).without_replay();
        let first = first.register(move |notice: &Notice| {
            if notice.state() == State::AddComplete && held.take().is_some() {
                own.deregistered.store(true, SeqCst);
            }
            Ok(())
        });
        let _first = first.unwrap();
        let adder = thread::spawn({
            let partition = partition.clone();
            move || partition.add(HardwareId(1)).unwrap()
        });
        partition.add(HardwareId(2)).unwrap();
        adder.join().unwrap();
        assert_eq!(record.count(State::AddStart, 1) + record.count(State::AddStart, 2), 1);
        assert_eq!(record.count(State::AddComplete, 1) + record.count(State::AddComplete, 2), 0);
        assert_eq!(record.drops.load(SeqCst), 1);
        record.memory.touch();
        record.check();
    });
}

/// A7.
#[test]
fn two_concurrent_adds_are_serialised() {
    explore("add against add", None, || {
        let (_, partition) = partition(2);
        let (record, registration) = register(&partition);
        let adder = thread::spawn({
            let partition = partition.clone();
            move || partition.add(HardwareId(1)).unwrap()
        });
        let two = partition.add(HardwareId(2)).unwrap();
        let one = adder.join().unwrap();
        assert_ne!(one.epoch, two.epoch);
        assert_ne!(one.processor.index, two.processor.index);
        assert_eq!(partition.epoch(), one.epoch.max(two.epoch));
        assert_eq!(partition.count(), 3);
        // The later add asks only after the earlier one has told everything.
        let told: Vec<u32> = lock(&record.told)[2..].iter().map(|(_, id, _)| *id).collect();
        assert!(told == [1, 1, 2, 2] || told == [2, 2, 1, 1], "{told:?}");
        drop(registration);
        record.check();
    });
}

/// X2: a processor that vanishes in the middle of an add is reported once, whichever thread reports it.
#[test]
fn a_processor_that_vanishes_during_an_add_is_reported_once() {
    explore("vanish against add", Some(3), || {
        let (hardware, partition) = partition(1);
        let (record, registration) = register(&partition);
        let adder = thread::spawn({
            let partition = partition.clone();
            move || partition.add(HardwareId(1)).unwrap()
        });
        hardware.vanish(HardwareId(0));
        adder.join().unwrap();
        assert!(partition.active().iter().all(|p| p.id.0 != 0), "no nudge is lost");
        let told = lock(&record.told).clone();
        let gone = told.iter().filter(|t| **t == (State::RemoveComplete, 0, true)).count();
        assert_eq!((gone, told.len()), (1, 5));
        assert_eq!(partition.count(), 1);
        drop(registration);
        record.check();
    });
}

#[test]
fn a_worker_that_falls_asleep_sees_the_job_or_is_woken_for_it() {
    explore("sleeper against submitter", None, || {
        use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
        // Relaxed, so that only the sleepers order anything.
        let job = Arc::new(AtomicBool::new(false));
        let sleepers = Arc::new(sleepers::Sleepers::default());
        let submitter = thread::spawn({
            let (job, sleepers) = (Arc::clone(&job), Arc::clone(&sleepers));
            move || {
                job.store(true, Relaxed);
                sleepers.take()
            }
        });
        sleepers.enter(7, 1);
        let sees = job.load(Relaxed);
        let woken = submitter.join().unwrap();
        assert!(sees || woken == Some(7), "the job waits while the worker sleeps");
        assert_eq!(sleepers.leave(7, 1), woken.is_none(), "it is taken once, or leaves by itself");
    });
}

#[test]
fn two_jobs_wake_two_workers_or_are_seen() {
    explore("two sleepers against a submitter", Some(3), || {
        use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        let jobs = Arc::new(AtomicUsize::new(0));
        let sleepers = Arc::new(sleepers::Sleepers::default());
        sleepers.enter(0, 0);
        let other = thread::spawn({
            let (jobs, sleepers) = (Arc::clone(&jobs), Arc::clone(&sleepers));
            move || {
                sleepers.enter(1, 0);
                jobs.load(Relaxed)
            }
        });
        let mut woken = Vec::new();
        for _ in 0..2 {
            jobs.fetch_add(1, Relaxed);
            woken.extend(sleepers.take());
        }
        let seen = other.join().unwrap();
        assert!(woken.contains(&0), "it slept before");
        assert!(woken.contains(&1) || seen == 2, "woken {woken:?}, seen {seen}");
    });
}
