//! Spin locks give exclusive access across processors.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use hotadd::ProcessorIndex;

use crate::ground::abi::Abi;
use crate::ground::{thread, world};
use crate::tests::{BOTH, Memory, call, scene};

/// Runs this on four threads on different processors. Returns the final count.
fn contend(act: impl Fn(&AtomicUsize) + Sync) -> usize {
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for index in 30..34 {
            let (act, count) = (&act, &count);
            scope.spawn(move || {
                let index = ProcessorIndex::new(index).unwrap();
                let processor = world::get().partition.active().by_index(index).unwrap();
                thread::pin(processor).unwrap();
                for _ in 0..2_000 {
                    act(count);
                }
            });
        }
    });
    count.into_inner()
}

/// Counts in a way that loses counts without exclusion.
fn bump(count: &AtomicUsize) {
    let seen = count.load(Ordering::Relaxed);
    std::hint::spin_loop();
    count.store(seen + 1, Ordering::Relaxed);
}

#[test]
fn the_holder_of_a_spin_lock_has_exclusive_access() {
    scene();
    for abi in BOTH {
        let lock = AtomicUsize::new(5);
        let at = || &raw const lock;
        call!(abi, KeInitializeSpinLock(at() => *const AtomicUsize));
        let counted = contend(|count| {
            let old = call!(abi, KeAcquireSpinLockRaiseToDpc(at() => *const AtomicUsize) -> u8);
            bump(count);
            call!(abi, KeReleaseSpinLock(at() => *const AtomicUsize, old => u8));
        });
        assert_eq!(counted, 8_000, "KeAcquireSpinLockRaiseToDpc");
        let counted = contend(|count| {
            let old = AtomicU8::new(9);
            call!(abi, KeAcquireSpinLock(at() => *const AtomicUsize, old.as_ptr() => *mut u8));
            bump(count);
            call!(abi, KeReleaseSpinLock(at() => *const AtomicUsize, old.into_inner() => u8));
        });
        assert_eq!(counted, 8_000, "KeAcquireSpinLock");
        let counted = contend(|count| {
            let old = call!(abi, KeRaiseIrqlToDpcLevel() -> u8);
            if call!(abi, KeTryToAcquireSpinLockAtDpcLevel(at() => *const AtomicUsize) -> u8) == 0 {
                call!(abi, KeAcquireSpinLockAtDpcLevel(at() => *const AtomicUsize));
            }
            bump(count);
            call!(abi, KeReleaseSpinLockFromDpcLevel(at() => *const AtomicUsize));
            call!(abi, KeLowerIrql(old => u8));
        });
        assert_eq!(counted, 8_000, "KeAcquireSpinLockAtDpcLevel");
        let counted = contend(|count| {
            let handle = Memory::<0x18>::new();
            call!(abi, KeAcquireInStackQueuedSpinLock(at() => *const AtomicUsize, handle.at() => *mut u8));
            bump(count);
            call!(abi, KeReleaseInStackQueuedSpinLock(handle.at() => *mut u8));
        });
        assert_eq!(counted, 8_000, "KeAcquireInStackQueuedSpinLock");
    }
}

#[test]
fn a_spin_lock_raises_the_irql_and_restores_it() {
    scene();
    let irql = |abi| call!(abi, KeGetCurrentIrql() -> u8);
    for abi in BOTH {
        let (one, two) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let free =
            |abi: Abi, lock: &AtomicUsize| call!(abi, KeTestSpinLock(lock => &AtomicUsize) -> u8);
        let first = call!(abi, KfAcquireSpinLock(&one => &AtomicUsize) -> u8);
        let second = call!(abi, KeAcquireSpinLockForDpc(&two => &AtomicUsize) -> u8);
        assert_eq!((first, second, irql(abi)), (0, 2, 2));
        assert_eq!((free(abi, &one), free(abi, &two)), (0, 0));
        call!(abi, KfReleaseSpinLock(&one => &AtomicUsize, second => u8));
        assert_eq!(irql(abi), 2, "still holding the other");
        assert_eq!((free(abi, &one), free(abi, &two)), (1, 0));
        call!(abi, KeReleaseSpinLockForDpc(&two => &AtomicUsize, first => u8));
        assert_eq!(irql(abi), 0);
        let handle = Memory::<0x18>::new();
        call!(abi, KeAcquireInStackQueuedSpinLockForDpc(&one => &AtomicUsize, handle.at() => *mut u8));
        assert_eq!(irql(abi), 2);
        call!(abi, KeReleaseInStackQueuedSpinLockForDpc(handle.at() => *mut u8));
        assert_eq!(irql(abi), 0);
    }
}
