//! Q: queries (Q1, Q2) and processors that nobody agreed to (Q3).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use hotadd::hardware::Simulated;
use hotadd::{ActiveSet, Epoch, HardwareId, Partition, ProcessorIndex, State, Status};

use crate::recorder::World;

use State::{AddComplete, AddStart};

/// What one set says about itself, as far as it must agree.
fn facts(set: &ActiveSet) -> (u32, Vec<u64>) {
    (set.count(), (0..3).map(|group| set.group_mask(group)).collect())
}

#[test]
fn q1_readers_on_other_threads_see_only_sets_that_were_in_force() {
    let world = World::new(60, 80);
    let _vetoer = world.driver("v").vetoes(AddStart, 100, Status::NO_MEMORY).join();
    let over = Arc::new(AtomicBool::new(false));
    let start = Arc::new(Barrier::new(3));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (partition, over, start) = (world.partition.clone(), over.clone(), start.clone());
            thread::spawn(move || {
                let mut seen: BTreeMap<Epoch, (u32, Vec<u64>)> = BTreeMap::new();
                let mut counts = Vec::new();
                let mut newest = Epoch(0);
                start.wait();
                while !over.load(Ordering::Acquire) {
                    let (before, count, after) =
                        (partition.epoch(), partition.count(), partition.epoch());
                    counts.push((before, count, after));
                    let set = partition.active();
                    assert!(set.epoch() >= after, "the set is older than the epoch read before");
                    assert!(before >= newest && after >= before, "the epoch ran backwards");
                    newest = after;
                    let here = facts(&set);
                    let bits: u32 = here.1.iter().map(|mask| mask.count_ones()).sum();
                    assert_eq!(bits, here.0, "count and masks of one set disagree");
                    let known = seen.entry(set.epoch()).or_insert_with(|| here.clone());
                    assert_eq!(*known, here, "two different sets at {}", set.epoch());
                    if counts.len() > 4096 {
                        counts.truncate(1024);
                    }
                }
                (seen, counts)
            })
        })
        .collect();

    let mut in_force = BTreeMap::new();
    let mut note = || {
        let set = world.partition.active();
        in_force.insert(set.epoch(), facts(&set));
    };
    note();
    start.wait();
    for round in 0..30 {
        for id in (60 + round % 7..140).step_by(11) {
            let _ = world.add(id);
            note();
            let _ = world.partition.rehearse(HardwareId(id + 1));
        }
        for id in (0..140).step_by(13) {
            let _ = world.remove(id + round % 3);
            note();
        }
    }
    over.store(true, Ordering::Release);

    for reader in readers {
        let (seen, counts) = reader.join().expect("the reader's own checks hold");
        for (epoch, facts) in seen {
            assert_eq!(
                in_force.get(&epoch),
                Some(&facts),
                "at epoch {epoch} this was never in force"
            );
        }
        for (before, count, after) in counts {
            let in_force = in_force.range(before..=after).any(|(_, facts)| facts.0 == count);
            assert!(in_force, "{count} was not the count at any epoch in {before}..={after}");
        }
    }
}

#[test]
fn q1_a_set_is_at_least_as_new_as_an_epoch_or_count_read_before_it() {
    let world = World::new(2, 0);
    let start = Barrier::new(2);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            while !over.load(Ordering::Acquire) {
                let epoch = world.partition.epoch();
                let set = world.partition.active();
                assert!(set.epoch() >= epoch, "{} is older than {epoch}", set.epoch());
            }
        });
        start.wait();
        for _ in 0..10_000 {
            world.remove(1).unwrap();
            world.add(1).unwrap();
        }
        over.store(true, Ordering::Release);
    });
}

#[test]
fn q1_queries_inside_a_callback_and_beside_it_do_not_wait_for_it() {
    let world = World::new(1, 1);
    let inside = Arc::new(Barrier::new(2));
    let go = Arc::clone(&inside);
    let blocked = world.driver("blocked").when(AddStart, 1, move || {
        go.wait();
        go.wait();
    });
    let _blocked = blocked.join();
    let adding = thread::spawn({
        let world = world.clone();
        move || world.add(1)
    });
    inside.wait();
    // The driver stays inside its callback until this thread has its answers.
    let set = world.partition.active();
    let (count, epoch) = (world.partition.count(), world.partition.epoch());
    inside.wait();
    adding.join().unwrap().unwrap();
    assert_eq!((count, epoch, set.count()), (1, Epoch(1), 1));
    let proposed = set.by_id(HardwareId(1)).expect("any thread can translate it by then (A5)");
    assert!(!set.contains(proposed.index));
}

#[test]
fn q1_names_translate_with_sparse_ids_and_beyond_one_group() {
    let spare = (0..70).map(|n| HardwareId(5000 - n * 3));
    let hardware = Simulated::with_ids([HardwareId(9), HardwareId(2)], spare.clone()).unwrap();
    let partition = Partition::simulated(&hardware).unwrap();
    for id in spare {
        partition.add(id).unwrap();
    }
    let set = partition.active();
    assert_eq!((set.count(), set.group_count(), set.group_mask(1)), (72, 2, 0xFF));
    for processor in set.iter() {
        assert_eq!(set.by_id(processor.id), Some(processor));
        assert_eq!(set.by_number(processor.number()), Some(processor));
        let number = processor.number();
        let index = 64 * u32::from(number.group) + u32::from(number.number);
        assert_eq!(ProcessorIndex::new(index), Some(processor.index));
    }
    let last = set.by_index(ProcessorIndex::new(71).unwrap()).unwrap();
    assert_eq!(last.id, HardwareId(5000 - 69 * 3), "indexes follow the order of activation");
}

#[test]
fn q2_an_old_set_stays_as_it_was_and_its_epoch_tells_its_age() {
    let world = World::new(2, 1);
    let (old, guarded) = (world.partition.active(), world.partition.read());
    let change = world.add(2).unwrap();
    assert_eq!((old.count(), old.epoch()), (2, Epoch(1)), "a value does not change");
    assert_eq!((guarded.count(), guarded.epoch()), (2, Epoch(1)), "neither does one that is read");
    assert_eq!(world.partition.read().count(), 3, "the next read sees the new set");
    assert!(world.partition.epoch() > old.epoch(), "so its reader can tell that it is stale");
    assert_eq!(change.epoch, world.partition.epoch(), "the result carries its epoch");
}

#[test]
fn q2_sets_notices_results_and_registrations_carry_their_epoch() {
    let world = World::new(2, 2);
    let first = world.driver("first").join();
    assert_eq!(first.epoch(), Epoch(1));
    let added = world.add(2).unwrap();
    let second = world.driver("second").without_replay().try_join().unwrap();
    assert_eq!(second.epoch(), added.epoch, "what it read since then is still current");
    let removed = world.remove(2).unwrap();
    assert_eq!((added.epoch, removed.epoch), (Epoch(2), Epoch(3)));
    assert_eq!(first.epoch(), Epoch(1), "a registration's epoch is that of registering");
    let told: Vec<_> = world.journal.of("first").iter().map(|e| e.notice.epoch()).collect();
    assert_eq!(told, [Epoch(1), Epoch(2)]);
}

#[test]
fn q4_an_intruder_seen_inside_a_callback_is_reported_at_once() {
    let world = World::new(1, 2);
    let hardware = Arc::clone(&world.hardware);
    let intrude = move || hardware.intrude(HardwareId(2));
    let _a = world.driver("a").when(AddComplete, 1, intrude).join();
    world.watch();
    world.add(1).unwrap();
    assert_eq!(world.active(), [0, 1, 2], "reported by the time the add returns");
    world.expect_events(
        "while the driver is called",
        &[
            "calling a 1",
            "add-start a 1",
            "started 1",
            "calling a 1",
            "breach 2 (Q3)",
            "joined 2 (Q3) unagreed",
            "add-complete a 1",
            "joined 1",
        ],
    );
}
