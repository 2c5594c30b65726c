//! Spin locks, in-stack queued ones included. A lock is the word that the driver has: 0, or who holds it.

use std::cell::Cell;
use std::hint;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread as threads;

use crate::ground::caller;
use crate::ground::export::nt;
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
    /// Makes a lock that nobody holds.
    fn KeInitializeSpinLock(lock: Shared<AtomicUsize>) { lock.get().store(0, Ordering::Release) }

    /// Acquires a lock at DISPATCH_LEVEL. Returns the level before.
    fn KeAcquireSpinLockRaiseToDpc(lock: Shared<AtomicUsize>) -> u8 {
        acquire("KeAcquireSpinLockRaiseToDpc", lock.get())
    }

    /// Acquires a lock at DISPATCH_LEVEL, and writes down the level before.
    fn KeAcquireSpinLock(lock: Shared<AtomicUsize>, old: Out<u8>) {
        old.put(acquire("KeAcquireSpinLock", lock.get()));
    }

    /// Acquires a lock at DISPATCH_LEVEL. Returns the level before.
    fn KfAcquireSpinLock(lock: Shared<AtomicUsize>) -> u8 { acquire("KfAcquireSpinLock", lock.get()) }

    /// Acquires a lock in a DPC of either kind. Returns the level before.
    fn KeAcquireSpinLockForDpc(lock: Shared<AtomicUsize>) -> u8 {
        acquire("KeAcquireSpinLockForDpc", lock.get())
    }

    /// Releases a lock and goes back to a level.
    fn KeReleaseSpinLock(lock: Shared<AtomicUsize>, old: u8) {
        release("KeReleaseSpinLock", lock.get(), old);
    }

    /// Releases a lock and goes back to a level.
    fn KfReleaseSpinLock(lock: Shared<AtomicUsize>, old: u8) {
        release("KfReleaseSpinLock", lock.get(), old);
    }

    /// Releases a lock and goes back to a level.
    fn KeReleaseSpinLockForDpc(lock: Shared<AtomicUsize>, old: u8) {
        release("KeReleaseSpinLockForDpc", lock.get(), old);
    }

    /// Acquires a lock, being at DISPATCH_LEVEL already.
    fn KeAcquireSpinLockAtDpcLevel(lock: Shared<AtomicUsize>) {
        acquire_word("KeAcquireSpinLockAtDpcLevel", lock.get());
    }

    /// Releases a lock and stays at the level.
    fn KeReleaseSpinLockFromDpcLevel(lock: Shared<AtomicUsize>) {
        release_word("KeReleaseSpinLockFromDpcLevel", lock.get());
    }

    /// Acquires a lock if nobody holds it. Returns whether it did.
    fn KeTryToAcquireSpinLockAtDpcLevel(lock: Shared<AtomicUsize>) -> Boolean {
        Boolean::from(try_word(lock.get()))
    }

    /// Whether nobody holds a lock.
    fn KeTestSpinLock(lock: Shared<AtomicUsize>) -> Boolean {
        Boolean::from(lock.get().load(Ordering::Acquire) == 0)
    }

    /// Acquires a lock at DISPATCH_LEVEL.
    fn KeAcquireInStackQueuedSpinLock(lock: Shared<AtomicUsize>, handle: Shared<QueueHandle>) {
        queue("KeAcquireInStackQueuedSpinLock", lock.get(), handle.get(), true);
    }

    /// Acquires a lock, being at DISPATCH_LEVEL already.
    fn KeAcquireInStackQueuedSpinLockAtDpcLevel(lock: Shared<AtomicUsize>, handle: Shared<QueueHandle>) {
        queue("KeAcquireInStackQueuedSpinLockAtDpcLevel", lock.get(), handle.get(), false);
    }

    /// Acquires a lock in a DPC of either kind.
    fn KeAcquireInStackQueuedSpinLockForDpc(lock: Shared<AtomicUsize>, handle: Shared<QueueHandle>) {
        queue("KeAcquireInStackQueuedSpinLockForDpc", lock.get(), handle.get(), true);
    }

    /// Releases what a handle stands for, and goes back to the level before.
    fn KeReleaseInStackQueuedSpinLock(handle: Shared<QueueHandle>) {
        leave("KeReleaseInStackQueuedSpinLock", handle.get(), true);
    }

    /// Releases what a handle stands for, and stays at the level.
    fn KeReleaseInStackQueuedSpinLockFromDpcLevel(handle: Shared<QueueHandle>) {
        leave("KeReleaseInStackQueuedSpinLockFromDpcLevel", handle.get(), false);
    }

    /// Releases what a handle stands for, and goes back to the level before.
    fn KeReleaseInStackQueuedSpinLockForDpc(handle: Shared<QueueHandle>) {
        leave("KeReleaseInStackQueuedSpinLockForDpc", handle.get(), true);
    }
}

fn acquire(function: &str, lock: &AtomicUsize) -> u8 {
    let old = irql::raise(function, irql::DISPATCH);
    acquire_word(function, lock);
    old
}

fn release(function: &str, lock: &AtomicUsize, old: u8) {
    release_word(function, lock);
    irql::lower(function, old);
}

/// Acquires a lock without a look at the level.
fn acquire_word(function: &str, lock: &AtomicUsize) {
    let own = thread::own();
    if lock.load(Ordering::Relaxed) == own.id() {
        caller::fault(format!(
            "calls {function} for the spin lock at {:#x}, which this thread holds already: on Windows it would spin for ever",
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
    // SAFETY: a driver releases what it acquired with this handle, which `queue` has written there; NULL if it never did.
    let Some(lock) = (unsafe { Shared::new(handle.lock.get()) }).get_if_any() else {
        caller::fault(format!("calls {function} with a handle that acquired nothing"));
    };
    if lower {
        release(function, lock, handle.old_irql.get());
    } else {
        release_word(function, lock);
    }
}

/// Does something under a lock that is not held for longer, whatever the level.
pub(crate) fn under<T>(function: &str, lock: &AtomicUsize, act: impl FnOnce() -> T) -> T {
    acquire_word(function, lock);
    let result = act();
    release_word(function, lock);
    result
}

/// Takes a word, whatever the level. Holders are at DISPATCH_LEVEL and soon done, but may have been taken off their processor by
/// this machine's scheduler: after a few rounds they are given way.
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
