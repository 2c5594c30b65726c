//! Remove locks: a device is removed when no request uses it any more.
//!
//! Without a debugging build the tags, times and limits of these functions have no effect, as documented.

use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::{In, Shared};
use crate::ground::objects::{Event, Kind};
use crate::ground::types::NtStatus;
use crate::kernel::ke::{events, irql, waits};

/// `IO_REMOVE_LOCK`, the part that every build has.
#[repr(C)]
pub(crate) struct Lock {
    removed: AtomicU8,
    _reserved: [u8; 3],
    /// One for the device, and one for each acquisition.
    count: AtomicI32,
    event: Event,
}

const _: () = assert!(size_of::<Lock>() == 0x20);

/// `STATUS_DELETE_PENDING`
const DELETE_PENDING: NtStatus = 0xC000_0056_u32.cast_signed();

nt! {
    /// Initialises a lock of a device.
    fn IoInitializeRemoveLockEx(lock: Shared<Lock>, _tag: u32, _minutes: u32, _most: u32, size: u32) {
        initialize(lock, size);
    }

    /// Acquires a lock, unless the device is being removed.
    fn IoAcquireRemoveLockEx(lock: Shared<Lock>, _tag: usize, _file: In<u8>, _line: u32, _size: u32) -> NtStatus {
        acquire(lock.get())
    }

    /// Releases a lock.
    fn IoReleaseRemoveLockEx(lock: Shared<Lock>, _tag: usize, _size: u32) {
        release("IoReleaseRemoveLockEx", lock.get());
    }

    /// Releases a lock, refuses it from now on, and waits until it is released by all.
    fn IoReleaseRemoveLockAndWaitEx(lock: Shared<Lock>, _tag: usize, _size: u32) { release_and_wait(lock.get()) }
}

fn initialize(lock: Shared<Lock>, size: u32) {
    if (size as usize) < size_of::<Lock>() {
        caller::fault(format!(
            "calls IoInitializeRemoveLockEx for a lock of {size} bytes, which is too small"
        ));
    }
    let lock = lock.get();
    lock.removed.store(0, Ordering::Relaxed);
    lock.event.header.initialize(Kind::SynchronizationEvent, 0);
    lock.count.store(1, Ordering::Release);
}

fn acquire(lock: &Lock) -> NtStatus {
    irql::at_most("IoAcquireRemoveLockEx", irql::DISPATCH);
    if lock.count.fetch_add(1, Ordering::AcqRel) == i32::MAX {
        caller::fault("acquires a remove lock more often than it can count");
    }
    // A thread that counts after it sees the removal.
    if lock.removed.load(Ordering::Acquire) == 0 {
        return 0;
    }
    drop_one("IoAcquireRemoveLockEx", lock);
    DELETE_PENDING
}

/// Counts down. Returns what is left.
fn drop_one(function: &str, lock: &Lock) -> i32 {
    let left = lock.count.fetch_sub(1, Ordering::AcqRel).wrapping_sub(1);
    let removed = lock.removed.load(Ordering::Acquire) != 0;
    if left < 0 || left == 0 && !removed {
        caller::fault(format!(
            "calls {function} for a remove lock more often than it was acquired"
        ));
    }
    if left == 0 {
        events::set(&lock.event);
    }
    left
}

fn release(function: &str, lock: &Lock) {
    irql::at_most(function, irql::DISPATCH);
    drop_one(function, lock);
}

fn release_and_wait(lock: &Lock) {
    const NAME: &str = "IoReleaseRemoveLockAndWaitEx";
    irql::at_most(NAME, irql::PASSIVE);
    lock.removed.store(1, Ordering::Release);
    // The caller's acquisition, and that of the device.
    drop_one(NAME, lock);
    if drop_one(NAME, lock) > 0 {
        waits::wait(NAME, &[&lock.event.header], true, None);
    }
}
