//! A: adding one processor (A1 to A8, A11).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use hotadd::hardware::{Hardware, NotAdmitted, Nudge, Survey};
use hotadd::{Action, Errno, Error, HardwareId, Partition, PlatformError, State, Status, Veto};

use crate::recorder::{World, is};

use State::{AddComplete, AddFailure, AddStart};

#[test]
fn a1_every_driver_is_asked_in_registration_order_before_the_processor_starts() {
    let world = World::new(1, 1);
    let _all = ["a", "b", "c"].map(|name| world.driver(name).join());
    world.add(1).unwrap();
    let entries = world.journal.entries();
    for entry in entries.iter().filter(|e| e.notice.state() == AddStart) {
        assert!(!entry.seen.running, "{entry}: the platform has started it already");
    }
    let first: Vec<_> = entries[..3].iter().map(ToString::to_string).collect();
    assert_eq!(first, ["a AddStart 1", "b AddStart 1", "c AddStart 1"]);
}

#[test]
fn a1_lower_levels_are_asked_first_and_told_of_a_failure_last() {
    let world = World::new(1, 2);
    let _top = world.driver("top").level(9).join();
    let _base = world.driver("base").level(-9).join();
    let _middle = world.driver("middle").join();
    world.hardware.fail_start(HardwareId(1), Errno::EIO);
    world.add(1).unwrap_err();
    let told: Vec<_> = world.journal.entries().into_iter().map(|e| e.party).collect();
    assert_eq!(told, ["base", "middle", "top", "top", "middle", "base"]);
}

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
fn a2_add_start_begins_with_success_and_any_error_vetoes() {
    let errors = [Status::NO_MEMORY, Status::DEVICE_BUSY, Status::from_raw(0xFFFF_FFFF)];
    for status in errors {
        let world = World::new(1, 1);
        let _a = world.driver("a").vetoes(AddStart, 1, status).join();
        assert_eq!(world.add(1).unwrap_err().status(), status, "warnings veto too");
        assert_eq!(world.journal.entries()[0].notice.status(), Status::SUCCESS);
        assert_eq!(world.active(), [0]);
    }
}

#[test]
fn a3_after_a_veto_exactly_those_who_agreed_hear_add_failure_last_first() {
    let world = World::new(1, 1);
    let _a = world.driver("a").join();
    let _b = world.driver("b").join();
    let _vetoer = world.driver("vetoer").vetoes(AddStart, 1, Status::NO_MEMORY).join();
    let _never = world.driver("never called").join();
    world.add(1).unwrap_err();
    world.journal.expect(
        "the vetoer cleans up after itself, and those behind it were never asked",
        &[
            "a AddStart 1",
            "b AddStart 1",
            "vetoer AddStart 1",
            "b AddFailure 1 STATUS_NO_MEMORY",
            "a AddFailure 1 STATUS_NO_MEMORY",
        ],
    );
    assert!(world.hardware.candidates().unwrap().contains(&HardwareId(1)), "it was not started");
    assert_eq!((world.active(), world.partition.epoch().0), (vec![0], 1), "nothing changed");
}

#[test]
fn a4_a_failed_start_is_told_to_every_driver_last_first_with_the_platforms_status() {
    let world = World::new(1, 1);
    let _all = ["a", "b"].map(|name| world.driver(name).join());
    world.hardware.fail_start(HardwareId(1), Errno::ENXIO);
    let error = world.add(1).unwrap_err();
    assert!(world.journal.entries()[2..].iter().all(|e| e.notice.errno() == Some(Errno::ENXIO)));
    world.journal.expect(
        "AddFailure for all, last first",
        &[
            "a AddStart 1",
            "b AddStart 1",
            "b AddFailure 1 STATUS_NO_SUCH_DEVICE",
            "a AddFailure 1 STATUS_NO_SUCH_DEVICE",
        ],
    );
    assert_eq!((error.errno(), error.clause()), (Some(Errno::ENXIO), "A4"));
    assert_eq!(world.active(), [0]);
    world.hardware.heal(HardwareId(1));
    world.journal.expect("nobody tries again silently", &[]);
    world.add(1).expect("but whoever asks again may succeed");
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
fn a6_what_a_driver_answers_to_complete_or_failure_changes_nothing() {
    let world = World::new(1, 2);
    let _stubborn = world.driver("quiet").join();
    let _sulky = world
        .partition
        .register("sulky", |n: &hotadd::Notice| match n.state() {
            AddStart => Ok(()),
            _ => Err(Veto::from("too late")),
        })
        .expect("an error in the AddComplete of a replay changes nothing either");
    world.add(1).expect("it is too late for a veto");
    assert_eq!(world.active(), [0, 1]);
    world.hardware.fail_start(HardwareId(2), Errno::EIO);
    let error = world.add(2).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EIO), "the platform's failure is not overwritten");
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

#[test]
fn a7_an_earlier_veto_is_not_overwritten_by_a_later_driver() {
    let world = World::new(1, 1);
    let _first = world.driver("first").vetoes(AddStart, 1, Status::NO_MEMORY).join();
    let _later = world.driver("later").vetoes(AddStart, 1, Status::ACCESS_DENIED).join();
    let error = world.add(1).unwrap_err();
    assert_eq!((error.status(), &*error.party().unwrap().name), (Status::NO_MEMORY, "first"));
    assert!(world.journal.of("later").is_empty(), "it was not even asked");
}

#[test]
fn a8_unknown_and_active_processors_are_refused_before_anybody_hears() {
    let world = World::new(2, 1);
    let _a = world.driver("a").join();
    let unknown = world.add(77).unwrap_err();
    let active = world.add(1).unwrap_err();
    world.journal.expect("nobody was asked", &[]);
    assert_eq!(unknown.status(), Status::NO_SUCH_DEVICE, "{unknown}");
    assert_eq!(active.status(), Status::DEVICE_ALREADY_ATTACHED, "{active}");
    for (error, id) in [(unknown, 77), (active, 1)] {
        assert_eq!((error.clause(), error.id()), ("A8", Some(HardwareId(id))));
        assert!(matches!(error, Error::NotAddable { .. }));
    }
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
            let reason = Some("it is another's".to_owned());
            return Err(PlatformError { reason, ..Errno::EINVAL.into() });
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
