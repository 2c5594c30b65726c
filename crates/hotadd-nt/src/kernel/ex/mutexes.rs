//! Fast mutexes and guarded mutexes: the same lock, with two ways to disable APCs for its owner.

use std::mem::offset_of;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::Shared;
use crate::ground::objects::{Event, Kind};
use crate::ground::thread::{self, Held};
use crate::ground::types::Boolean;
use crate::kernel::ke::dispatch::{self, Until, Wanted};
use crate::kernel::ke::{events, irql, regions};

/// `FAST_MUTEX`, which is also `KGUARDED_MUTEX`.
#[repr(C)]
pub(crate) struct Mutex {
    /// 1 when free, 0 when owned, and one less for each waiting thread.
    count: AtomicI32,
    /// Its owner's [id](crate::ground::thread::Own::id), or 0.
    owner: AtomicUsize,
    contention: AtomicU32,
    event: Event,
    /// The owner's level before it acquired the mutex.
    old_irql: AtomicU32,
}

const _: () = assert!(size_of::<Mutex>() == 0x38);
const _: () = assert!(offset_of!(Mutex, event) == 0x18);
const _: () = assert!(offset_of!(Mutex, old_irql) == 0x30);

nt! {
    /// Initialises a fast mutex without an owner.
    fn ExInitializeFastMutex(mutex: Shared<Mutex>) { initialize(mutex.get()) }

    /// Acquires a fast mutex, and raises the level to APC_LEVEL.
    fn ExAcquireFastMutex(mutex: Shared<Mutex>) { fast("ExAcquireFastMutex", mutex.get()) }

    /// Releases it, and returns to the previous level.
    fn ExReleaseFastMutex(mutex: Shared<Mutex>) { release_fast("ExReleaseFastMutex", mutex.get()) }

    /// Acquires a fast mutex if it is free. Returns whether it did.
    fn ExTryToAcquireFastMutex(mutex: Shared<Mutex>) -> Boolean { Boolean::from(try_fast(mutex.get())) }

    /// Acquires a fast mutex when APCs are already disabled.
    fn ExAcquireFastMutexUnsafe(mutex: Shared<Mutex>) {
        acquire("ExAcquireFastMutexUnsafe", Held::FastMutex, mutex.get());
    }

    /// Releases a fast mutex.
    fn ExReleaseFastMutexUnsafe(mutex: Shared<Mutex>) {
        release("ExReleaseFastMutexUnsafe", Held::FastMutex, mutex.get());
    }

    /// Acquires a fast mutex in a critical region.
    fn ExEnterCriticalRegionAndAcquireFastMutexUnsafe(mutex: Shared<Mutex>) {
        regions::enter();
        acquire("ExEnterCriticalRegionAndAcquireFastMutexUnsafe", Held::FastMutex, mutex.get());
    }

    /// Releases it, and leaves the region.
    fn ExReleaseFastMutexUnsafeAndLeaveCriticalRegion(mutex: Shared<Mutex>) {
        release("ExReleaseFastMutexUnsafeAndLeaveCriticalRegion", Held::FastMutex, mutex.get());
        regions::leave("ExReleaseFastMutexUnsafeAndLeaveCriticalRegion");
    }

    /// Initialises a guarded mutex without an owner.
    fn KeInitializeGuardedMutex(mutex: Shared<Mutex>) { initialize(mutex.get()) }

    /// Enters a guarded region and acquires a guarded mutex.
    fn KeAcquireGuardedMutex(mutex: Shared<Mutex>) {
        regions::enter_guarded();
        acquire("KeAcquireGuardedMutex", Held::GuardedMutex, mutex.get());
    }

    /// Releases it, and leaves the region.
    fn KeReleaseGuardedMutex(mutex: Shared<Mutex>) {
        release("KeReleaseGuardedMutex", Held::GuardedMutex, mutex.get());
        regions::leave_guarded("KeReleaseGuardedMutex");
    }

    /// Acquires a guarded mutex if it is free. Returns whether it did.
    fn KeTryToAcquireGuardedMutex(mutex: Shared<Mutex>) -> Boolean {
        Boolean::from(try_guarded(mutex.get()))
    }

    /// Acquires a guarded mutex when APCs are already disabled.
    fn KeAcquireGuardedMutexUnsafe(mutex: Shared<Mutex>) {
        acquire("KeAcquireGuardedMutexUnsafe", Held::GuardedMutex, mutex.get());
    }

    /// Releases a guarded mutex.
    fn KeReleaseGuardedMutexUnsafe(mutex: Shared<Mutex>) {
        release("KeReleaseGuardedMutexUnsafe", Held::GuardedMutex, mutex.get());
    }
}

fn initialize(mutex: &Mutex) {
    mutex.owner.store(0, Ordering::Relaxed);
    mutex.contention.store(0, Ordering::Relaxed);
    mutex.old_irql.store(0, Ordering::Relaxed);
    mutex.event.header.initialize(Kind::SynchronizationEvent, 0);
    mutex.count.store(1, Ordering::Release);
}

fn fast(function: &'static str, mutex: &Mutex) {
    irql::at_most(function, irql::APC);
    let old = irql::raise(function, irql::APC);
    acquire(function, Held::FastMutex, mutex);
    mutex.old_irql.store(old.into(), Ordering::Relaxed);
}

fn release_fast(function: &str, mutex: &Mutex) {
    let old = mutex.old_irql.load(Ordering::Relaxed);
    release(function, Held::FastMutex, mutex);
    irql::lower(function, u8::try_from(old).unwrap_or(irql::PASSIVE));
}

fn try_fast(mutex: &Mutex) -> bool {
    const NAME: &str = "ExTryToAcquireFastMutex";
    irql::at_most(NAME, irql::APC);
    let taken = attempt(Held::FastMutex, mutex);
    if taken {
        mutex.old_irql.store(irql::raise(NAME, irql::APC).into(), Ordering::Relaxed);
    }
    taken
}

fn try_guarded(mutex: &Mutex) -> bool {
    let taken = attempt(Held::GuardedMutex, mutex);
    if taken {
        regions::enter_guarded();
    }
    taken
}

fn acquire(function: &'static str, what: Held, mutex: &Mutex) {
    irql::at_most(function, irql::APC);
    let own = thread::own();
    let address = std::ptr::from_ref(mutex) as usize;
    if mutex.owner.load(Ordering::Relaxed) == own.id() {
        caller::fault(format!(
            "calls {function} for the mutex at {address:#x}, which this thread already owns: on Windows \
             this would deadlock"
        ));
    }
    if mutex.count.fetch_sub(1, Ordering::Acquire) != 1 {
        mutex.contention.fetch_add(1, Ordering::Relaxed);
        let objects = &[&mutex.event.header];
        dispatch::wait(function, &Wanted { objects, all: true }, Until::Ever);
    }
    own_it(what, mutex);
}

fn attempt(what: Held, mutex: &Mutex) -> bool {
    let taken = mutex.count.compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed).is_ok();
    if taken {
        own_it(what, mutex);
    }
    taken
}

fn own_it(what: Held, mutex: &Mutex) {
    let own = thread::own();
    mutex.owner.store(own.id(), Ordering::Relaxed);
    own.acquired(what, std::ptr::from_ref(mutex) as usize);
}

fn release(function: &str, what: Held, mutex: &Mutex) {
    let address = std::ptr::from_ref(mutex) as usize;
    if !thread::own().released(what, address) {
        caller::fault(format!(
            "calls {function} for the mutex at {address:#x}, which this thread does not own"
        ));
    }
    mutex.owner.store(0, Ordering::Relaxed);
    // The count was below zero, so a thread waits, and it receives the mutex.
    if mutex.count.fetch_add(1, Ordering::Release) < 0 {
        events::set(&mutex.event);
    }
}
