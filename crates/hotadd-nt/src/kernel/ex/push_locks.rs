//! Push locks: locks of one word, held exclusively or shared.
//!
//! They are locks of `parking_lot`, which also have one word and are free when it is 0. Drivers that initialise
//! theirs by hand expect this.

use parking_lot::RawRwLock;
use parking_lot::lock_api::{RawRwLock as _, RawRwLockRecursive as _};

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::{Out, Shared};
use crate::ground::thread::{self, Held, Own};
use crate::ground::types::Boolean;
use crate::kernel::ke::{irql, regions};

const _: () = assert!(size_of::<RawRwLock>() == 8);
// SAFETY: the sizes are equal, as the line above asserts, and any eight bytes are a number.
const _: () = assert!(unsafe { std::mem::transmute::<RawRwLock, usize>(RawRwLock::INIT) } == 0);

nt! {
    /// Initialises a lock that is free.
    fn ExInitializePushLock(lock: Out<RawRwLock>) { lock.put(RawRwLock::INIT) }

    /// Acquires a lock exclusively.
    fn ExAcquirePushLockExclusiveEx(lock: Shared<RawRwLock>, _flags: u32) {
        exclusive("ExAcquirePushLockExclusiveEx", lock.get());
    }

    /// Acquires a lock shared.
    fn ExAcquirePushLockSharedEx(lock: Shared<RawRwLock>, _flags: u32) {
        shared("ExAcquirePushLockSharedEx", lock.get());
    }

    /// Acquires a lock exclusively if it is free. Returns whether it did.
    fn ExTryAcquirePushLockExclusiveEx(lock: Shared<RawRwLock>, _flags: u32) -> Boolean {
        Boolean::from(try_exclusive(lock.get()))
    }

    /// Acquires a lock shared if no thread holds it exclusively. Returns whether it did.
    fn ExTryAcquirePushLockSharedEx(lock: Shared<RawRwLock>, _flags: u32) -> Boolean {
        Boolean::from(try_shared(lock.get()))
    }

    /// Releases an exclusive lock.
    fn ExReleasePushLockExclusiveEx(lock: Shared<RawRwLock>, _flags: u32) {
        release_exclusive("ExReleasePushLockExclusiveEx", lock.get());
    }

    /// Releases a shared lock.
    fn ExReleasePushLockSharedEx(lock: Shared<RawRwLock>, _flags: u32) {
        release_shared("ExReleasePushLockSharedEx", lock.get());
    }

    /// Releases a lock, exclusive or shared.
    fn ExReleasePushLockEx(lock: Shared<RawRwLock>, _flags: u32) {
        release("ExReleasePushLockEx", lock.get());
    }
}

fn address(lock: &RawRwLock) -> usize {
    std::ptr::from_ref(lock) as usize
}

/// The checks before every acquisition: in each of these cases Windows would not return.
fn enter(function: &'static str, lock: &RawRwLock, exclusive: bool) -> &'static Own {
    irql::at_most(function, irql::APC);
    regions::expect(function);
    let own = thread::own();
    let shares = own.holds(Held::PushLockShared, address(lock)) != 0;
    if own.holds(Held::PushLockExclusive, address(lock)) != 0 || (exclusive && shares) {
        caller::fault(format!(
            "calls {function} for the push lock at {:#x}, which this thread already holds: on Windows this \
             would deadlock",
            address(lock)
        ));
    }
    own
}

fn exclusive(function: &'static str, lock: &RawRwLock) {
    let own = enter(function, lock, true);
    thread::waiting(function, || lock.lock_exclusive());
    own.acquired(Held::PushLockExclusive, address(lock));
}

fn shared(function: &'static str, lock: &RawRwLock) {
    let own = enter(function, lock, false);
    if own.holds(Held::PushLockShared, address(lock)) == 0 {
        thread::waiting(function, || lock.lock_shared());
    } else {
        // It must not queue after a thread that waits for this one.
        lock.lock_shared_recursive();
    }
    own.acquired(Held::PushLockShared, address(lock));
}

fn try_exclusive(lock: &RawRwLock) -> bool {
    let taken = lock.try_lock_exclusive();
    if taken {
        thread::own().acquired(Held::PushLockExclusive, address(lock));
    }
    taken
}

fn try_shared(lock: &RawRwLock) -> bool {
    let taken = lock.try_lock_shared();
    if taken {
        thread::own().acquired(Held::PushLockShared, address(lock));
    }
    taken
}

fn not_held(function: &str, lock: &RawRwLock) -> ! {
    caller::fault(format!(
        "calls {function} for the push lock at {:#x}, which this thread does not hold in this mode",
        address(lock)
    ))
}

fn release_exclusive(function: &str, lock: &RawRwLock) {
    if !thread::own().released(Held::PushLockExclusive, address(lock)) {
        not_held(function, lock);
    }
    // SAFETY: this thread's record states that it has locked it exclusively, and the entry is now removed.
    unsafe { lock.unlock_exclusive() };
}

fn release_shared(function: &str, lock: &RawRwLock) {
    if !thread::own().released(Held::PushLockShared, address(lock)) {
        not_held(function, lock);
    }
    // SAFETY: this thread's record states that it has locked it shared, and one entry is now removed.
    unsafe { lock.unlock_shared() };
}

fn release(function: &str, lock: &RawRwLock) {
    if thread::own().holds(Held::PushLockExclusive, address(lock)) == 0 {
        release_shared(function, lock);
    } else {
        release_exclusive(function, lock);
    }
}
