//! Spin locks, including in-stack queued ones. A lock is the driver's word: 0, or the id of its holder.

use std::cell::Cell;
use std::hint;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread as threads;

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::{Out, Shared};
use crate::ground::thread::{self, Held};
use crate::ground::types::Boolean;
use crate::kernel::ke::irql;

/// `KLOCK_QUEUE_HANDLE`.
#[repr(C)]
pub(crate) struct QueueHandle {
    next: Cell<usize>,
    lock: Cell<*const AtomicUsize>,
    old_irql: Cell<u8>,
}

const _: () = assert!(size_of::<QueueHandle>() == 0x18);

nt! {
    /// Initialises a lock that is free.
    fn KeInitializeSpinLock(lock: Shared<AtomicUsize>) { lock.get().store(0, Ordering::Release) }

    /// Acquires a lock at DISPATCH_LEVEL. Returns the previous level.
    fn KeAcquireSpinLockRaiseToDpc(lock: Shared<AtomicUsize>) -> u8 {
        acquire("KeAcquireSpinLockRaiseToDpc", lock.get())
    }

    /// Acquires a lock at DISPATCH_LEVEL, and stores the previous level.
    fn KeAcquireSpinLock(lock: Shared<AtomicUsize>, old: Out<u8>) {
        old.put(acquire("KeAcquireSpinLock", lock.get()));
    }

    /// Acquires a lock at DISPATCH_LEVEL. Returns the previous level.
    fn KfAcquireSpinLock(lock: Shared<AtomicUsize>) -> u8 { acquire("KfAcquireSpinLock", lock.get()) }

    /// Acquires a lock in a DPC of either kind. Returns the previous level.
    fn KeAcquireSpinLockForDpc(lock: Shared<AtomicUsize>) -> u8 {
        acquire("KeAcquireSpinLockForDpc", lock.get())
    }

    /// Releases a lock and returns to a level.
    fn KeReleaseSpinLock(lock: Shared<AtomicUsize>, old: u8) {
        release("KeReleaseSpinLock", lock.get(), old);
    }

    /// Releases a lock and returns to a level.
    fn KfReleaseSpinLock(lock: Shared<AtomicUsize>, old: u8) {
        release("KfReleaseSpinLock", lock.get(), old);
    }

    /// Releases a lock and returns to a level.
    fn KeReleaseSpinLockForDpc(lock: Shared<AtomicUsize>, old: u8) {
        release("KeReleaseSpinLockForDpc", lock.get(), old);
    }

    /// Acquires a lock when already at DISPATCH_LEVEL.
    fn KeAcquireSpinLockAtDpcLevel(lock: Shared<AtomicUsize>) {
        acquire_word("KeAcquireSpinLockAtDpcLevel", lock.get());
    }

    /// Releases a lock and keeps the level.
    fn KeReleaseSpinLockFromDpcLevel(lock: Shared<AtomicUsize>) {
        release_word("KeReleaseSpinLockFromDpcLevel", lock.get());
    }

    /// Acquires a lock if it is free. Returns whether it did.
    fn KeTryToAcquireSpinLockAtDpcLevel(lock: Shared<AtomicUsize>) -> Boolean {
        Boolean::from(try_word(lock.get()))
    }

    /// Whether a lock is free.
    fn KeTestSpinLock(lock: Shared<AtomicUsize>) -> Boolean {
        Boolean::from(lock.get().load(Ordering::Acquire) == 0)
    }

    /// Acquires a lock at DISPATCH_LEVEL.
    fn KeAcquireInStackQueuedSpinLock(lock: Shared<AtomicUsize>, handle: Shared<QueueHandle>) {
        queue("KeAcquireInStackQueuedSpinLock", lock.get(), handle.get(), true);
    }

    /// Acquires a lock when already at DISPATCH_LEVEL.
    fn KeAcquireInStackQueuedSpinLockAtDpcLevel(lock: Shared<AtomicUsize>, handle: Shared<QueueHandle>) {
        queue("KeAcquireInStackQueuedSpinLockAtDpcLevel", lock.get(), handle.get(), false);
    }

    /// Acquires a lock in a DPC of either kind.
    fn KeAcquireInStackQueuedSpinLockForDpc(lock: Shared<AtomicUsize>, handle: Shared<QueueHandle>) {
        queue("KeAcquireInStackQueuedSpinLockForDpc", lock.get(), handle.get(), true);
    }

    /// Releases the lock of a handle, and returns to the previous level.
    fn KeReleaseInStackQueuedSpinLock(handle: Shared<QueueHandle>) {
        leave("KeReleaseInStackQueuedSpinLock", handle.get(), true);
    }

    /// Releases the lock of a handle, and keeps the level.
    fn KeReleaseInStackQueuedSpinLockFromDpcLevel(handle: Shared<QueueHandle>) {
        leave("KeReleaseInStackQueuedSpinLockFromDpcLevel", handle.get(), false);
    }

    /// Releases the lock of a handle, and returns to the previous level.
    fn KeReleaseInStackQueuedSpinLockForDpc(handle: Shared<QueueHandle>) {
        leave("KeReleaseInStackQueuedSpinLockForDpc", handle.get(), true);
    }
}

/// Acquires a lock at DISPATCH_LEVEL. Returns the previous level.
pub(crate) fn acquire(function: &str, lock: &AtomicUsize) -> u8 {
    let old = irql::raise(function, irql::DISPATCH);
    acquire_word(function, lock);
    old
}

/// Releases a lock and returns to a level.
pub(crate) fn release(function: &str, lock: &AtomicUsize, old: u8) {
    release_word(function, lock);
    irql::lower(function, old);
}

/// Acquires a lock without checking the level.
fn acquire_word(function: &str, lock: &AtomicUsize) {
    let own = thread::own();
    if lock.load(Ordering::Relaxed) == own.id() {
        caller::fault(format!(
            "calls {function} for the spin lock at {:#x}, which this thread already holds: on Windows it \
             would spin forever",
            address(lock)
        ));
    }
    spin(lock, own.id());
    own.acquired(Held::SpinLock, address(lock));
}

fn try_word(lock: &AtomicUsize) -> bool {
    let own = thread::own();
    let free = lock.compare_exchange(0, own.id(), Ordering::Acquire, Ordering::Relaxed).is_ok();
    if free {
        own.acquired(Held::SpinLock, address(lock));
    }
    free
}

fn release_word(function: &str, lock: &AtomicUsize) {
    let own = thread::own();
    if !own.released(Held::SpinLock, address(lock)) {
        caller::fault(format!(
            "calls {function} for the spin lock at {:#x}, which this thread does not hold (SPIN_LOCK_NOT_OWNED)",
            address(lock)
        ));
    }
    lock.store(0, Ordering::Release);
}

fn queue(function: &str, lock: &AtomicUsize, handle: &QueueHandle, raise: bool) {
    handle.next.set(0);
    handle.lock.set(lock);
    if raise {
        handle.old_irql.set(acquire(function, lock));
    } else {
        acquire_word(function, lock);
    }
}

fn leave(function: &str, handle: &QueueHandle, lower: bool) {
    // SAFETY: a driver releases what it acquired with this handle, where `queue` has stored the lock; it is NULL if
    // it never did.
    let Some(lock) = (unsafe { Shared::new(handle.lock.get()) }).get_if_any() else {
        caller::fault(format!("calls {function} with a handle that holds no lock"));
    };
    if lower {
        release(function, lock, handle.old_irql.get());
    } else {
        release_word(function, lock);
    }
}

/// Runs a function under a lock that is held only for that time, at any level.
pub(crate) fn under<T>(function: &str, lock: &AtomicUsize, act: impl FnOnce() -> T) -> T {
    acquire_word(function, lock);
    let result = act();
    release_word(function, lock);
    result
}

/// Acquires a word, at any level. Its holders are at DISPATCH_LEVEL and release it soon, but this machine's scheduler
/// may have preempted them. So after a few rounds this thread yields.
pub(crate) fn spin(lock: &AtomicUsize, holder: usize) {
    /// About a microsecond.
    const ROUNDS: u32 = 64;
    let mut round = 0_u32;
    while lock.compare_exchange_weak(0, holder, Ordering::Acquire, Ordering::Relaxed).is_err() {
        round = round.saturating_add(1);
        if round < ROUNDS { hint::spin_loop() } else { threads::yield_now() }
    }
}

fn address(lock: &AtomicUsize) -> usize {
    std::ptr::from_ref(lock) as usize
}
