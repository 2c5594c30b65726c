//! [`Retired`]: values that are in no slot any more and that somebody may still read.

use std::ptr::NonNull;
use std::thread::ThreadId;

use crate::domain::{Domain, Readers};
use crate::memory::Slot;

/// A value that nobody can find any more.
struct Removed<T> {
    slot: NonNull<Slot<T>>,
    /// For whom it waits. `None` if this could not be found out yet.
    readers: Option<Readers>,
}

/// The values of a table on their way out. Under the lock of the table's changes.
pub(crate) struct Retired<T> {
    waiting: Vec<Removed<T>>,
    /// Values that nobody reads. One thread at a time takes them out and frees them, without the lock.
    ready: Vec<NonNull<Slot<T>>>,
    freeing: Option<ThreadId>,
}

// SAFETY: a `Retired` owns the values of its slots, and moving it to another thread moves them.
unsafe impl<T: Send> Send for Retired<T> {}

impl<T> Retired<T> {
    pub(crate) const fn new() -> Self {
        Self { waiting: Vec::new(), ready: Vec::new(), freeing: None }
    }

    /// Takes a value that was just removed from its slot.
    pub(crate) fn push(&mut self, slot: NonNull<Slot<T>>) {
        self.waiting.push(Removed { slot, readers: None });
    }

    /// Finds out which values nobody reads any more.
    pub(crate) fn sift(&mut self, domain: &Domain) {
        for removed in &mut self.waiting {
            match &mut removed.readers {
                Some(readers) => domain.sift(readers),
                none => *none = domain.readers(),
            }
        }
        let ready = self
            .waiting
            .extract_if(.., |removed| removed.readers.as_ref().is_some_and(Readers::is_empty));
        self.ready.extend(ready.map(|removed| removed.slot));
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether this thread is to free the values that are ready. Only one thread does at a time: the others' values are freed by it.
    pub(crate) fn begin_freeing(&mut self) -> bool {
        let begins = self.freeing.is_none() && !self.ready.is_empty();
        if begins {
            self.freeing = Some(std::thread::current().id());
        }
        begins
    }

    /// The next value to free, for the thread that does. With `None` it has ended.
    pub(crate) fn next(&mut self) -> Option<NonNull<Slot<T>>> {
        let next = self.ready.pop();
        if next.is_none() {
            self.freeing = None;
        }
        next
    }

    /// The thread that frees now.
    pub(crate) const fn freeing(&self) -> Option<ThreadId> {
        self.freeing
    }

    /// All values, also those that somebody may still read.
    pub(crate) fn all(&mut self) -> Vec<NonNull<Slot<T>>> {
        self.waiting.drain(..).map(|removed| removed.slot).chain(self.ready.drain(..)).collect()
    }
}
