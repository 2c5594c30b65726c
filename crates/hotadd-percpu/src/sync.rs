//! The primitives that loom must see: loom's own with `--cfg hotadd_loom`, std's otherwise.

#[cfg(not(hotadd_loom))]
pub(crate) use std::{
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering, fence},
    },
    thread_local,
};

#[cfg(hotadd_loom)]
pub(crate) use loom::{
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering, fence},
    },
    thread_local,
};

use std::sync::PoisonError;

/// Takes a lock and ignores poison: no foreign code runs under a lock of this crate.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits, and ignores poison.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}
