//! The executive's spin locks (`EX_SPIN_LOCK`): held exclusively or shared, in 32 bits.

use std::hint;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread as threads;

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::Shared;
use crate::ground::thread::{self, Held};
use crate::kernel::ke::irql;

/// A thread holds it exclusively, or waits until its sharers have released it. The bits below count the
/// sharers.
const EXCLUSIVE: i32 = i32::MIN;

nt! {
    /// Acquires a lock exclusively, at DISPATCH_LEVEL. Returns the previous level.
    fn ExAcquireSpinLockExclusive(lock: Shared<AtomicI32>) -> u8 {
        raised("ExAcquireSpinLockExclusive", lock.get(), exclusive)
    }

    /// Acquires a lock shared, at DISPATCH_LEVEL. Returns the previous level.
    fn ExAcquireSpinLockShared(lock: Shared<AtomicI32>) -> u8 {
        raised("ExAcquireSpinLockShared", lock.get(), shared)
    }

    /// Acquires a lock exclusively when already at DISPATCH_LEVEL.
    fn ExAcquireSpinLockExclusiveAtDpcLevel(lock: Shared<AtomicI32>) {
        exclusive("ExAcquireSpinLockExclusiveAtDpcLevel", lock.get());
    }

    /// Acquires a lock shared when already at DISPATCH_LEVEL.
    fn ExAcquireSpinLockSharedAtDpcLevel(lock: Shared<AtomicI32>) {
        shared("ExAcquireSpinLockSharedAtDpcLevel", lock.get());
    }

    /// Releases it, and returns to a level.
    fn ExReleaseSpinLockExclusive(lock: Shared<AtomicI32>, old: u8) {
        release_exclusive("ExReleaseSpinLockExclusive", lock.get());
        irql::lower("ExReleaseSpinLockExclusive", old);
    }

    /// Releases it, and returns to a level.
    fn ExReleaseSpinLockShared(lock: Shared<AtomicI32>, old: u8) {
        release_shared("ExReleaseSpinLockShared", lock.get());
        irql::lower("ExReleaseSpinLockShared", old);
    }

    /// Releases it, and keeps the level.
    fn ExReleaseSpinLockExclusiveFromDpcLevel(lock: Shared<AtomicI32>) {
        release_exclusive("ExReleaseSpinLockExclusiveFromDpcLevel", lock.get());
    }

    /// Releases it, and keeps the level.
    fn ExReleaseSpinLockSharedFromDpcLevel(lock: Shared<AtomicI32>) {
        release_shared("ExReleaseSpinLockSharedFromDpcLevel", lock.get());
    }

    /// Converts a shared lock to an exclusive one, if no other thread shares it or waits. Returns
    /// whether it did.
    fn ExTryConvertSharedSpinLockExclusive(lock: Shared<AtomicI32>) -> u32 {
        u32::from(convert(lock.get()))
    }
}

fn address(lock: &AtomicI32) -> usize {
    std::ptr::from_ref(lock) as usize
}

fn raised(function: &str, lock: &AtomicI32, acquire: fn(&str, &AtomicI32)) -> u8 {
    let old = irql::raise(function, irql::DISPATCH);
    acquire(function, lock);
    old
}

/// Tries until it succeeds: see [`crate::kernel::ke::spin::spin`].
fn spin(attempt: impl Fn() -> bool) {
    const ROUNDS: u32 = 64;
    let mut round = 0_u32;
    while !attempt() {
        round = round.saturating_add(1);
        if round < ROUNDS { hint::spin_loop() } else { threads::yield_now() }
    }
}

fn check_not_held(function: &str, lock: &AtomicI32) {
    if thread::own().holds(Held::SpinLock, address(lock)) != 0 {
        caller::fault(format!(
            "calls {function} for the spin lock at {:#x}, which this thread already holds: on Windows it \
             would spin forever",
            address(lock)
        ));
    }
}

fn exclusive(function: &str, lock: &AtomicI32) {
    check_not_held(function, lock);
    // First this keeps new sharers out, then it waits for the present ones.
    spin(|| lock.fetch_or(EXCLUSIVE, Ordering::Acquire) >= 0);
    spin(|| lock.load(Ordering::Acquire) == EXCLUSIVE);
    thread::own().acquired(Held::SpinLock, address(lock));
}

fn shared(function: &str, lock: &AtomicI32) {
    check_not_held(function, lock);
    spin(|| {
        let seen = lock.load(Ordering::Relaxed);
        let more = || lock.compare_exchange(seen, seen + 1, Ordering::Acquire, Ordering::Relaxed);
        seen >= 0 && more().is_ok()
    });
    thread::own().acquired(Held::SpinLock, address(lock));
}

fn check_held(function: &str, lock: &AtomicI32) {
    if !thread::own().released(Held::SpinLock, address(lock)) {
        caller::fault(format!(
            "calls {function} for the spin lock at {:#x}, which this thread does not hold (SPIN_LOCK_NOT_OWNED)",
            address(lock)
        ));
    }
}

fn release_exclusive(function: &str, lock: &AtomicI32) {
    check_held(function, lock);
    lock.store(0, Ordering::Release);
}

fn release_shared(function: &str, lock: &AtomicI32) {
    check_held(function, lock);
    lock.fetch_sub(1, Ordering::Release);
}

fn convert(lock: &AtomicI32) -> bool {
    lock.compare_exchange(1, EXCLUSIVE, Ordering::Acquire, Ordering::Relaxed).is_ok()
}
