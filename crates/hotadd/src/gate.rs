//! [`Gate`]: one transaction at a time (A7), and a clear answer instead of a deadlock to whoever asks for a second one
//! from inside the first (D3).

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock, thread_local, try_lock};
use std::ops::{Deref, DerefMut};

/// Guards `T` like a mutex, and knows which thread is inside.
pub(crate) struct Gate<T> {
    /// The token of the thread inside; 0 when none is.
    inside: AtomicU64,
    data: Mutex<T>,
}

/// The calling thread is inside already.
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

    /// Enters if nobody is inside, this thread included.
    pub(crate) fn try_enter(&self) -> Option<Guard<'_, T>> {
        let data = try_lock(&self.data)?;
        self.inside.store(token(), Ordering::Relaxed);
        Some(Guard { gate: self, data })
    }

    /// Waits until nobody else is inside, and enters.
    pub(crate) fn enter(&self) -> Result<Guard<'_, T>, Inside> {
        // Relaxed: the only question is whether this very thread stored its own token, and a thread always sees its
        // own stores. Whatever another thread stores is not our token, seen or not.
        if self.is_inside() {
            return Err(Inside);
        }
        // A callback's panic is caught before it gets here; nothing is left half done that poison could tell of.
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

/// The thread is inside until this is dropped.
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
        // Before the mutex opens, or the next thread's token would be wiped out. The mutex orders the two stores.
        self.gate.inside.store(0, Ordering::Relaxed);
    }
}

/// A number that no other thread of the process has or ever had; never 0.
fn token() -> u64 {
    thread_local! {
        static TOKEN: u64 = next_token();
    }
    TOKEN.with(|token| *token)
}

fn next_token() -> u64 {
    // std's on purpose, also under loom: it hands out names and orders nothing.
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
