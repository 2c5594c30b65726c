//! A: adding one processor (A1 to A8, A11).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use hotadd::hardware::{Hardware, NotAdmitted, Nudge, Survey};
use hotadd::{Action, Errno, Error, HardwareId, Partition, PlatformError, State, Status};

use crate::recorder::{World, is};

use State::{AddComplete, AddFailure, AddStart};

#[test]
fn a1_callbacks_run_on_the_thread_that_adds_and_may_allocate_block_and_query() {
    let world = World::new(1, 1);
    let _a = world.driver("a").join();
    let adding = thread::spawn({
        let world = world.clone();
        move || {
            world.add(1).unwrap();
            thread::current().id()
        }
    });
    let thread = adding.join().unwrap();
    let entries = world.journal.entries();
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|e| e.thread == thread), "an ordinary thread: the caller's own");
}

#[test]
fn a5_queries_inside_the_calls_say_what_holds_at_that_moment() {
    let world = World::new(2, 1);
    let _a = world.driver("a").join();
    let _b = world.driver("b").join();
    let change = world.add(2).unwrap();
    for entry in world.journal.entries() {
        let joined = entry.notice.state() == AddComplete;
        let (count, epoch) = if joined { (3, change.epoch) } else { (2, hotadd::Epoch(1)) };
        let seen = entry.seen;
        assert_eq!(seen.active, joined, "{entry}: membership");
        assert_eq!(seen.count, (count, count), "{entry}: the count, alone and in the set");
        assert_eq!(seen.epoch, (epoch, epoch), "{entry}: the epoch");
        assert_eq!(entry.notice.epoch(), epoch, "{entry}: the notice's own epoch (Q2)");
        assert_eq!(seen.running, joined, "{entry}: whether it can run work");
        assert!(seen.named, "{entry}: its names translate");
    }
}

#[test]
fn a5_names_translate_from_add_start_until_after_add_failure() {
    let world = World::new(1, 1);
    let _a = world.driver("a").join();
    let _vetoer = world.driver("vetoer").vetoes(AddStart, 1, Status::NO_MEMORY).join();
    world.add(1).unwrap_err();
    let entries = world.journal.entries();
    assert_eq!(entries.last().unwrap().notice.state(), AddFailure);
    for entry in entries {
        assert!(entry.seen.named, "{entry}: names must hold inside the call");
        assert!(!entry.seen.active, "{entry}: and it must not be active");
    }
    let set = world.partition.active();
    assert_eq!(set.by_id(HardwareId(1)), None, "afterwards it has no index: it was never active");
}

#[test]
fn a7_adds_from_many_threads_are_serialised_and_each_keeps_to_one_thread() {
    let world = World::new(1, 32);
    let busy = Arc::new(AtomicBool::new(false));
    let _all: Vec<_> = (0..3)
        .map(|nth| {
            let busy = Arc::clone(&busy);
            let driver = world.driver(&format!("d{nth}")).script(move |_| {
                assert!(!busy.swap(true, Ordering::AcqRel), "two callbacks at once");
                thread::yield_now();
                busy.store(false, Ordering::Release);
                Ok(())
            });
            driver.join()
        })
        .collect();
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for worker in 0..4 {
            let (world, start) = (&world, &start);
            scope.spawn(move || {
                start.wait();
                for id in (1..=32).filter(|id| id % 4 == worker) {
                    world.add(id).expect("nobody refuses");
                    drop(world.driver("passing by").without_replay().try_join());
                }
            });
        }
    });
    let entries = world.journal.entries();
    let calls = (0..3).map(|nth| world.journal.of(&format!("d{nth}")).len());
    assert_eq!(calls.collect::<Vec<_>>(), [64, 64, 64], "two calls for each add, none lost");
    let mut threads = BTreeMap::new();
    for entry in &entries {
        let first = threads.entry(entry.id()).or_insert(entry.thread);
        assert_eq!(*first, entry.thread, "{entry}: one add, one thread");
    }
    let runs = entries.chunk_by(|a, b| a.id() == b.id()).count();
    assert_eq!(runs, 32, "the calls of two adds never interleave");
}

/// Hardware with any number of processors but room for two. Number 9 does not start, and it says why.
#[derive(Debug)]
struct Cramped;

impl Hardware for Cramped {
    fn name(&self) -> &'static str {
        "cramped"
    }
    fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
        Ok(vec![HardwareId(100)])
    }
    fn maximum(&self) -> u32 {
        2
    }
    fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
        Ok(Vec::new())
    }
    fn admits(&self, _: HardwareId) -> Result<(), NotAdmitted> {
        Ok(())
    }
    fn start(&self, id: HardwareId) -> Result<(), PlatformError> {
        if id == HardwareId(9) {
            return Err(PlatformError::from(Errno::EINVAL).with_reason("it is another's"));
        }
        Ok(())
    }
    fn stop(&self, _: HardwareId) -> Result<(), PlatformError> {
        Ok(())
    }
    fn survey(&self, _: &[HardwareId]) -> Survey {
        Survey::default()
    }
    fn watch(self: Arc<Self>, _: Nudge) {}
}

#[test]
fn a8_an_add_beyond_the_maximum_is_refused_before_anybody_hears() {
    let partition = Partition::from_hardware(Arc::new(Cramped)).unwrap();
    partition.add(HardwareId(7)).expect("the second of two");
    partition.remove(HardwareId(7)).unwrap();
    let asked = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&asked);
    let later = partition.registration("a").without_replay().register(move |n: &hotadd::Notice| {
        flag.fetch_or(is(n, AddStart, 8), Ordering::Relaxed);
        Ok(())
    });
    let _kept = later.unwrap();
    let error = partition.add(HardwareId(8)).unwrap_err();
    assert_eq!((error.status(), error.clause()), (Status::INSUFFICIENT_RESOURCES, "A8"));
    assert!(!asked.load(Ordering::Relaxed), "nobody is asked about what cannot be");
    partition.add(HardwareId(7)).expect("its index is its own (X3)");
}

#[test]
fn a11_what_the_platform_says_beyond_its_errno_is_in_the_result_and_in_the_event() {
    let partition = Partition::from_hardware(Arc::new(Cramped)).unwrap();
    let heard = Arc::new(std::sync::Mutex::new(None));
    let failed = Arc::clone(&heard);
    let observe = move |event: &hotadd::Event| {
        if event.kind == hotadd::EventKind::StartFailed {
            failed.lock().unwrap().clone_from(&event.reason);
        }
    };
    let _observation = partition.observe(observe).unwrap();
    let error = partition.add(HardwareId(9)).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EINVAL));
    assert!(error.to_string().ends_with("EINVAL (22): it is another's"), "{error}");
    assert!(error.reason().ends_with("EINVAL (22): it is another's"), "{}", error.reason());
    assert_eq!(heard.lock().unwrap().as_deref(), Some("it is another's"));
}

#[test]
fn a11_a_result_names_the_party_its_status_and_reason_or_the_errno() {
    let world = World::new(1, 2);
    let _a = world.driver("disk cache").vetoes(AddStart, 1, Status::DISK_FULL).join();
    let error = world.add(1).unwrap_err();
    let Error::Vetoed { action: Action::Add, processor, party, veto } = &error else {
        panic!("{error:?}")
    };
    assert_eq!((processor.id.0, party.name.as_str()), (1, "disk cache"));
    assert_eq!((veto.status(), veto.reason()), (Status::DISK_FULL, "not this one"));
    assert_eq!(
        error.to_string(),
        "disk cache refused to add processor 1: not this one (STATUS_DISK_FULL, 0xC000007F)"
    );
    world.hardware.fail_start(HardwareId(2), Errno::EIO);
    let error = world.add(2).unwrap_err();
    assert_eq!((error.errno(), error.party()), (Some(Errno::EIO), None), "nobody is blamed");
    assert!(error.to_string().contains("EIO (5)"), "{error}");
}
