//! Mutexes, push locks, the executive's spin locks, resources and rundown protection.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc;

use hotadd::ProcessorIndex;

use crate::ground::abi::Abi;
use crate::ground::{thread, world};
use crate::tests::{BOTH, Memory, call, scene};

/// How often each of four threads counts.
const ROUNDS: usize = 3_000;

/// Lets four threads on different processors count under a lock. Without exclusion counts would be lost.
fn assert_alone(what: &str, under: impl Fn(&dyn Fn()) + Sync) {
    let count = AtomicUsize::new(0);
    let bump = || {
        let seen = count.load(Ordering::Relaxed);
        std::hint::spin_loop();
        count.store(seen + 1, Ordering::Relaxed);
    };
    std::thread::scope(|scope| {
        for index in 40..44 {
            let (under, bump) = (&under, &bump);
            scope.spawn(move || {
                let index = ProcessorIndex::new(index).unwrap();
                thread::pin(world::get().partition.active().by_index(index).unwrap()).unwrap();
                for _ in 0..ROUNDS {
                    under(bump);
                }
            });
        }
    });
    assert_eq!(count.into_inner(), 4 * ROUNDS, "{what} gives exclusive access");
}

fn mutex(abi: Abi) -> Memory<0x38> {
    let mutex = Memory::new();
    call!(abi, KeInitializeGuardedMutex(mutex.at() => *mut u8));
    mutex
}

fn irql(abi: Abi) -> u8 {
    call!(abi, KeGetCurrentIrql() -> u8)
}

fn apcs_disabled(abi: Abi) -> u8 {
    call!(abi, KeAreAllApcsDisabled() -> u8)
}

#[test]
fn the_owner_of_a_fast_mutex_has_exclusive_access_at_apc_level() {
    scene();
    for abi in BOTH {
        let mutex = mutex(abi);
        assert_alone("ExAcquireFastMutex", |act| {
            call!(abi, ExAcquireFastMutex(mutex.at() => *mut u8));
            assert_eq!(irql(abi), 1);
            act();
            call!(abi, ExReleaseFastMutex(mutex.at() => *mut u8));
            assert_eq!(irql(abi), 0);
        });
        assert_alone("ExTryToAcquireFastMutex", |act| {
            while call!(abi, ExTryToAcquireFastMutex(mutex.at() => *mut u8) -> u8) == 0 {
                assert_eq!(irql(abi), 0, "the mutex was not acquired");
                std::thread::yield_now();
            }
            assert_eq!(irql(abi), 1);
            act();
            call!(abi, ExReleaseFastMutex(mutex.at() => *mut u8));
        });
        assert_alone("ExAcquireFastMutexUnsafe", |act| {
            call!(abi, KeEnterCriticalRegion());
            call!(abi, ExAcquireFastMutexUnsafe(mutex.at() => *mut u8));
            act();
            call!(abi, ExReleaseFastMutexUnsafe(mutex.at() => *mut u8));
            call!(abi, KeLeaveCriticalRegion());
        });
        assert_eq!(mutex.read::<u32>(0), 1, "FM_LOCK_BIT: free, as initialised");
    }
}

#[test]
fn the_owner_of_a_guarded_mutex_has_exclusive_access_in_a_guarded_region() {
    scene();
    for abi in BOTH {
        let mutex = mutex(abi);
        assert_alone("KeAcquireGuardedMutex", |act| {
            call!(abi, KeAcquireGuardedMutex(mutex.at() => *mut u8));
            assert_eq!((irql(abi), apcs_disabled(abi)), (0, 1));
            act();
            call!(abi, KeReleaseGuardedMutex(mutex.at() => *mut u8));
            assert_eq!(apcs_disabled(abi), 0);
        });
        assert_eq!(call!(abi, KeTryToAcquireGuardedMutex(mutex.at() => *mut u8) -> u8), 1);
        std::thread::scope(|scope| {
            let other =
                scope.spawn(|| call!(abi, KeTryToAcquireGuardedMutex(mutex.at() => *mut u8) -> u8));
            assert_eq!(other.join().unwrap(), 0, "it is owned");
        });
        call!(abi, KeReleaseGuardedMutex(mutex.at() => *mut u8));
    }
}

#[test]
fn a_push_lock_is_exclusive_or_shared() {
    scene();
    for abi in BOTH {
        // By hand, as drivers do: zero is a free lock.
        let lock = AtomicUsize::new(0);
        let at = || &raw const lock;
        assert_alone("ExAcquirePushLockExclusiveEx", |act| {
            call!(abi, KeEnterCriticalRegion());
            call!(abi, ExAcquirePushLockExclusiveEx(at() => *const AtomicUsize, 0 => u32));
            act();
            call!(abi, ExReleasePushLockExclusiveEx(at() => *const AtomicUsize, 0 => u32));
            call!(abi, KeLeaveCriticalRegion());
        });
        call!(abi, KeEnterCriticalRegion());
        call!(abi, ExAcquirePushLockSharedEx(at() => *const AtomicUsize, 0 => u32));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                call!(abi, KeEnterCriticalRegion());
                // This does not wait, because the lock is shared.
                call!(abi, ExAcquirePushLockSharedEx(at() => *const AtomicUsize, 0 => u32));
                call!(abi, ExReleasePushLockEx(at() => *const AtomicUsize, 0 => u32));
                let alone = call!(abi, ExTryAcquirePushLockExclusiveEx(at() => *const AtomicUsize, 0 => u32) -> u8);
                call!(abi, KeLeaveCriticalRegion());
                alone
            });
            assert_eq!(other.join().unwrap(), 0, "the lock is shared");
        });
        call!(abi, ExReleasePushLockSharedEx(at() => *const AtomicUsize, 0 => u32));
        call!(abi, KeLeaveCriticalRegion());
        assert_eq!(lock.into_inner(), 0, "free is zero again");
    }
}

#[test]
fn acquiring_a_push_lock_with_apcs_on_is_reported_once() {
    let said = || {
        let heard = scene().heard.0.lock().unwrap();
        let what = "calls ExAcquirePushLockSharedEx outside of any critical or guarded region";
        heard.iter().filter(|line| line.contains(what)).count()
    };
    for abi in BOTH {
        let lock = AtomicUsize::new(0);
        call!(abi, ExAcquirePushLockSharedEx(&lock => &AtomicUsize, 0 => u32));
        call!(abi, ExReleasePushLockSharedEx(&lock => &AtomicUsize, 0 => u32));
        assert_eq!(said(), 1);
    }
}

#[test]
fn an_executive_spin_lock_is_exclusive_or_shared() {
    scene();
    for abi in BOTH {
        let lock = AtomicU32::new(0);
        let at = || &raw const lock;
        // Shared owners read both halves, and must never see them differ.
        let halves = [AtomicUsize::new(0), AtomicUsize::new(0)];
        assert_alone("ExAcquireSpinLockExclusive", |act| {
            let old = call!(abi, ExAcquireSpinLockExclusive(at() => *const AtomicU32) -> u8);
            assert_eq!(irql(abi), 2);
            halves[0].fetch_add(1, Ordering::Relaxed);
            act();
            halves[1].fetch_add(1, Ordering::Relaxed);
            call!(abi, ExReleaseSpinLockExclusive(at() => *const AtomicU32, old => u8));
            let old = call!(abi, ExAcquireSpinLockShared(at() => *const AtomicU32) -> u8);
            let seen = [halves[0].load(Ordering::Relaxed), halves[1].load(Ordering::Relaxed)];
            call!(abi, ExReleaseSpinLockShared(at() => *const AtomicU32, old => u8));
            assert_eq!(seen[0], seen[1], "no exclusive owner meanwhile");
        });
        let old = call!(abi, ExAcquireSpinLockShared(at() => *const AtomicU32) -> u8);
        let alone =
            call!(abi, ExTryConvertSharedSpinLockExclusive(at() => *const AtomicU32) -> u32);
        assert_eq!(alone, 1, "there is no other shared owner");
        call!(abi, ExReleaseSpinLockExclusive(at() => *const AtomicU32, old => u8));
        assert_eq!(lock.into_inner(), 0);
    }
}

fn resource(abi: Abi) -> Memory<0x68> {
    let resource = Memory::new();
    assert_eq!(call!(abi, ExInitializeResourceLite(resource.at() => *mut u8) -> i32), 0);
    resource
}

fn exclusive(abi: Abi, resource: &Memory<0x68>, wait: u8) -> u8 {
    call!(abi, ExAcquireResourceExclusiveLite(resource.at() => *mut u8, wait => u8) -> u8)
}

fn shared(abi: Abi, resource: &Memory<0x68>, wait: u8) -> u8 {
    call!(abi, ExAcquireResourceSharedLite(resource.at() => *mut u8, wait => u8) -> u8)
}

fn release(abi: Abi, resource: &Memory<0x68>) {
    call!(abi, ExReleaseResourceLite(resource.at() => *mut u8));
}

/// The result of a call on another thread that does not wait.
fn elsewhere(act: impl Fn() -> u8 + Send + Sync) -> u8 {
    std::thread::scope(|scope| scope.spawn(act).join().unwrap())
}

#[test]
fn a_resource_is_exclusive_or_shared_and_recursive() {
    scene();
    for abi in BOTH {
        let lock = resource(abi);
        assert_alone("ExAcquireResourceExclusiveLite", |act| {
            call!(abi, ExEnterCriticalRegionAndAcquireResourceExclusive(lock.at() => *mut u8) -> usize);
            act();
            call!(abi, ExReleaseResourceAndLeaveCriticalRegion(lock.at() => *mut u8));
        });
        call!(abi, KeEnterCriticalRegion());
        let times = || call!(abi, ExIsResourceAcquiredSharedLite(lock.at() => *mut u8) -> u32);
        let owns = || call!(abi, ExIsResourceAcquiredExclusiveLite(lock.at() => *mut u8) -> u8);
        assert_eq!((exclusive(abi, &lock, 1), exclusive(abi, &lock, 1)), (1, 1));
        assert_eq!(shared(abi, &lock, 1), 1, "its owner may share it too");
        assert_eq!((owns(), times()), (1, 3));
        assert_eq!(elsewhere(|| shared(abi, &lock, 0)), 0, "no other thread gets it");
        call!(abi, ExConvertExclusiveToSharedLite(lock.at() => *mut u8));
        assert_eq!((owns(), times()), (0, 3));
        let other = elsewhere(|| {
            let got = shared(abi, &lock, 0);
            release(abi, &lock);
            got
        });
        assert_eq!(other, 1, "after the conversion it is shared");
        assert_eq!(elsewhere(|| exclusive(abi, &lock, 0)), 0, "it is still shared");
        for _ in 0..3 {
            release(abi, &lock);
        }
        assert_eq!(times(), 0);
        call!(abi, KeLeaveCriticalRegion());
        assert_eq!(call!(abi, ExDeleteResourceLite(lock.at() => *mut u8) -> i32), 0);
    }
}

#[test]
fn an_exclusive_waiter_for_a_resource_is_starved_only_on_request() {
    scene();
    for abi in BOTH {
        let lock = resource(abi);
        call!(abi, KeEnterCriticalRegion());
        assert_eq!(shared(abi, &lock, 1), 1);
        std::thread::scope(|scope| {
            let (got, has_got) = mpsc::channel();
            let lock = &lock;
            scope.spawn(move || {
                call!(abi, KeEnterCriticalRegion());
                exclusive(abi, lock, 1);
                got.send(()).unwrap();
                release(abi, lock);
                call!(abi, KeLeaveCriticalRegion());
            });
            while call!(abi, ExGetExclusiveWaiterCount(lock.at() => *mut u8) -> u32) == 0 {
                std::thread::yield_now();
            }
            assert_eq!(
                elsewhere(|| shared(abi, lock, 0)),
                0,
                "it would wait behind the exclusive waiter"
            );
            let starving = || {
                let got =
                    call!(abi, ExAcquireSharedStarveExclusive(lock.at() => *mut u8, 0 => u8) -> u8);
                release(abi, lock);
                got
            };
            assert_eq!(elsewhere(starving), 1, "it goes before the exclusive waiter");
            assert_eq!(shared(abi, lock, 0), 1, "a shared owner may acquire it again");
            release(abi, lock);
            let polite =
                call!(abi, ExAcquireSharedWaitForExclusive(lock.at() => *mut u8, 0 => u8) -> u8);
            assert_eq!(polite, 0, "it yields to the exclusive waiter");
            release(abi, lock);
            has_got.recv().unwrap();
        });
        call!(abi, KeLeaveCriticalRegion());
    }
}

#[test]
fn rundown_waits_for_all_references_and_admits_no_new_one() {
    scene();
    for abi in BOTH {
        let reference = AtomicUsize::new(7);
        let at = || &raw const reference;
        let acquire = || call!(abi, ExAcquireRundownProtection(at() => *const AtomicUsize) -> u8);
        call!(abi, ExInitializeRundownProtection(at() => *const AtomicUsize));
        assert_eq!(acquire(), 1);
        let three =
            call!(abi, ExAcquireRundownProtectionEx(at() => *const AtomicUsize, 3 => u32) -> u8);
        assert_eq!(three, 1);
        std::thread::scope(|scope| {
            let ends = scope.spawn(|| {
                call!(abi, ExWaitForRundownProtectionRelease(at() => *const AtomicUsize));
            });
            while acquire() != 0 {
                call!(abi, ExReleaseRundownProtection(at() => *const AtomicUsize));
                std::thread::yield_now();
            }
            assert!(!ends.is_finished(), "four references are left");
            call!(abi, ExReleaseRundownProtectionEx(at() => *const AtomicUsize, 3 => u32));
            assert!(!ends.is_finished(), "one reference is left");
            call!(abi, ExReleaseRundownProtection(at() => *const AtomicUsize));
            ends.join().unwrap();
        });
        call!(abi, ExRundownCompleted(at() => *const AtomicUsize));
        assert_eq!(acquire(), 0, "it has ended");
        call!(abi, ExReInitializeRundownProtection(at() => *const AtomicUsize));
        assert_eq!(acquire(), 1, "it has begun again");
    }
}

#[test]
fn apcs_are_disabled_by_regions_and_by_the_level_as_their_pages_say() {
    scene();
    for abi in BOTH {
        let disabled =
            || (call!(abi, KeAreApcsDisabled() -> u8), call!(abi, KeAreAllApcsDisabled() -> u8));
        assert_eq!(disabled(), (0, 0));
        call!(abi, KeEnterCriticalRegion());
        assert_eq!(disabled(), (1, 0), "a critical region leaves special APCs");
        call!(abi, KeEnterGuardedRegion());
        assert_eq!(disabled(), (1, 1));
        call!(abi, KeLeaveCriticalRegion());
        assert_eq!(disabled(), (1, 1), "a guarded region alone");
        call!(abi, KeLeaveGuardedRegion());
        let old = call!(abi, KfRaiseIrql(1 => u8) -> u8);
        assert_eq!(disabled(), (0, 1), "APC_LEVEL is not a region");
        call!(abi, KeLowerIrql(old => u8));
        assert_eq!(disabled(), (0, 0));
    }
}
