//! [`Pages`]: the pages to which a partition's active set is written.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hotadd_core::ActiveSet;
use hotadd_page::PageWriter;

#[derive(Debug, Default)]
pub(crate) struct Pages(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    all: Vec<(u64, PageWriter)>,
    next: u64,
}

impl Pages {
    /// Nothing panics under this lock but a failed assertion, after which a page may be half written: its readers report that.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "dbus")]
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().all.is_empty()
    }

    /// Writes a set to all pages.
    pub(crate) fn write(&self, set: &ActiveSet) {
        self.lock().all.iter_mut().for_each(|(_, page)| page.publish(set));
    }

    /// Adds a page. It is made under the lock, so that no change of the set is missed.
    pub(crate) fn add<E>(&self, make: impl FnOnce() -> Result<PageWriter, E>) -> Result<u64, E> {
        let mut state = self.lock();
        let page = make()?;
        let number = state.next;
        state.next += 1;
        state.all.push((number, page));
        Ok(number)
    }

    /// Looks at a page.
    pub(crate) fn with<R>(&self, number: u64, look: impl FnOnce(&PageWriter) -> R) -> Option<R> {
        self.lock().all.iter().find(|(known, _)| *known == number).map(|(_, page)| look(page))
    }

    /// Takes a page out, to be dropped outside of the lock.
    pub(crate) fn take(&self, number: u64) -> Option<PageWriter> {
        let mut state = self.lock();
        let at = state.all.iter().position(|(known, _)| *known == number)?;
        Some(state.all.swap_remove(at).1)
    }
}
