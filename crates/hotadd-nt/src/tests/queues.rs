//! Device queues.

use crate::ground::abi::Abi;
use crate::tests::{BOTH, Memory, call, scene};

type Queue = Memory<0x28>;
type Entry = Memory<0x18>;

fn queue(abi: Abi) -> Box<Queue> {
    // It contains pointers to itself.
    let queue = Box::new(Queue::new());
    call!(abi, KeInitializeDeviceQueue(queue.at() => *mut u8));
    queue
}

fn insert(abi: Abi, queue: &Queue, entry: &Entry) -> u8 {
    call!(abi, KeInsertDeviceQueue(queue.at() => *mut u8, entry.at() => *mut u8) -> u8)
}

fn insert_by_key(abi: Abi, queue: &Queue, entry: &Entry, key: u32) -> u8 {
    call!(abi, KeInsertByKeyDeviceQueue(queue.at() => *mut u8, entry.at() => *mut u8, key => u32) -> u8)
}

fn remove(abi: Abi, queue: &Queue) -> *mut u8 {
    call!(abi, KeRemoveDeviceQueue(queue.at() => *mut u8) -> *mut u8)
}

fn remove_by_key(abi: Abi, queue: &Queue, key: u32) -> *mut u8 {
    call!(abi, KeRemoveByKeyDeviceQueue(queue.at() => *mut u8, key => u32) -> *mut u8)
}

fn at_dispatch(abi: Abi, act: impl FnOnce()) {
    let old = call!(abi, KeRaiseIrqlToDpcLevel() -> u8);
    act();
    call!(abi, KeLowerIrql(old => u8));
}

/// "If the device queue is empty, the device is not busy: the entry is not inserted and FALSE is returned."
#[test]
fn the_first_request_makes_the_device_busy_and_the_others_wait() {
    scene();
    for abi in BOTH {
        let (queue, entries) = (queue(abi), [Entry::new(), Entry::new(), Entry::new()]);
        at_dispatch(abi, || {
            let inserted = entries.each_ref().map(|entry| insert(abi, &queue, entry));
            assert_eq!(inserted, [0, 1, 1]);
            assert_eq!(entries[0].read::<u8>(0x14), 0, "Inserted");
            assert_eq!(entries[1].read::<u8>(0x14), 1, "Inserted");
            assert_eq!(remove(abi, &queue), entries[1].at(), "first in, first out");
            assert_eq!(remove(abi, &queue), entries[2].at());
            assert!(remove(abi, &queue).is_null(), "the queue is empty");
            assert_eq!(insert(abi, &queue, &entries[0]), 0, "the device is not busy any more");
        });
    }
}

#[test]
fn entries_with_keys_are_sorted_and_found_by_key() {
    scene();
    for abi in BOTH {
        let (queue, busy) = (queue(abi), Entry::new());
        let entries = [30, 10, 20, 10].map(|key| (key, Entry::new()));
        at_dispatch(abi, || {
            assert_eq!(insert_by_key(abi, &queue, &busy, 0), 0);
            for (key, entry) in &entries {
                assert_eq!(insert_by_key(abi, &queue, entry, *key), 1);
            }
            let [thirty, ten, twenty, ten_again] = entries.each_ref().map(|(_, entry)| entry.at());
            assert_eq!(
                remove_by_key(abi, &queue, 15),
                twenty,
                "the first with that key or a higher one"
            );
            assert_eq!(remove_by_key(abi, &queue, 31), ten, "none: the first of the queue");
            assert_eq!(remove(abi, &queue), ten_again, "equal keys in the order of insertion");
            let taken = |entry: *mut u8| call!(abi, KeRemoveEntryDeviceQueue(queue.at() => *mut u8, entry => *mut u8) -> u8);
            assert_eq!((taken(thirty), taken(thirty)), (1, 0), "removed once");
            let last = call!(abi, KeRemoveByKeyDeviceQueueIfBusy(queue.at() => *mut u8, 0 => u32) -> *mut u8);
            assert!(last.is_null());
        });
    }
}

/// "Callers must be running at IRQL = DISPATCH_LEVEL."
#[test]
fn using_a_queue_at_another_level_is_reported() {
    let scene = scene();
    for abi in BOTH {
        let (queue, entry) = (queue(abi), Entry::new());
        insert(abi, &queue, &entry);
        let said =
            scene.breaches("calls KeInsertDeviceQueue at IRQL 0; it must be at DISPATCH_LEVEL");
        assert_eq!(said.len(), 1, "{said:?}");
    }
}
