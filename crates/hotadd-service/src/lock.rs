//! Locks whose state is whole between any two statements.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex whose holder panicked is as good as any other here: nothing is left half done across a call that could panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
