//! [`Gate`]: one transaction at a time (A7). A thread that asks for a second one from inside the first gets an error instead of
//! a deadlock (D3).

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock, thread_local, try_lock};
use std::ops::{Deref, DerefMut};

/// Guards `T` like a mutex, and records which thread is inside.
pub(crate) struct Gate<T> {
    /// The token of the thread inside; 0 if there is none.
    inside: AtomicU64,
    data: Mutex<T>,
}

/// The error: the calling thread is already inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inside;

impl<T> Gate<T> {
    pub(crate) fn new(data: T) -> Self {
        Self { inside: AtomicU64::new(0), data: Mutex::new(data) }
    }

    /// Whether this thread is inside.
    pub(crate) fn is_inside(&self) -> bool {
        // Relaxed: as in `enter`.
        self.inside.load(Ordering::Relaxed) == token()
    }

    /// Enters if no thread is inside, the calling thread included.
    pub(crate) fn try_enter(&self) -> Option<Guard<'_, T>> {
        let data = try_lock(&self.data)?;
        self.inside.store(token(), Ordering::Relaxed);
        Some(Guard { gate: self, data })
    }

    /// Waits until no other thread is inside, and enters.
    pub(crate) fn enter(&self) -> Result<Guard<'_, T>, Inside> {
        // Relaxed: the only question is whether this very thread stored its own token, and a thread always sees its
        // own stores. What another thread stores is never this thread's token, whether it is seen or not.
        if self.is_inside() {
            return Err(Inside);
        }
        // A callback's panic is caught before it gets here, so the poison of the mutex would not mean incomplete data.
        let data = lock(&self.data);
        self.inside.store(token(), Ordering::Relaxed);
        Ok(Guard { gate: self, data })
    }
}

impl<T: Default> Default for Gate<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// The thread is inside until this guard is dropped.
pub(crate) struct Guard<'a, T> {
    gate: &'a Gate<T>,
    data: MutexGuard<'a, T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // Before the mutex is unlocked; otherwise this would erase the next thread's token. The mutex orders the two stores.
        self.gate.inside.store(0, Ordering::Relaxed);
    }
}

/// A number that no other thread of the process has or ever had. Never 0.
fn token() -> u64 {
    thread_local! {
        static TOKEN: u64 = next_token();
    }
    TOKEN.with(|token| *token)
}

fn next_token() -> u64 {
    // std's atomics, also under loom: the counter gives out tokens and orders nothing.
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
