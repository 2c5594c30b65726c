//! [`Replica`]: the active set of a partition in another process, as its page shows it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use hotadd_core::{ActiveSet, Epoch, Standing};
use hotadd_page::{SetPage, Snapshot};

use crate::error::Error;

/// The page of a partition in another process, and a copy of its set. Everything in the page is checked before it is used.
pub(crate) struct Replica {
    page: ArcSwap<SetPage>,
    /// The sequence of the page when it was copied last. A sequence that is odd is never met again.
    copied: AtomicU32,
    /// Kept, so that only new hardware ids are copied. One thread copies at a time.
    snapshot: Mutex<Snapshot>,
}

const NOT_COPIED: u32 = 1;

impl Replica {
    /// Reads a page. Returns the set in it as well.
    ///
    /// # Errors
    /// [`Error::Protocol`] if it cannot be read.
    pub(super) fn new(page: SetPage) -> Result<(Self, ActiveSet), Error> {
        let snapshot = page.snapshot().map_err(|error| Error::Protocol(error.to_string()))?;
        let set = set(&page, &snapshot)
            .ok_or_else(|| Error::Protocol("its page has no valid set".to_owned()))?;
        let replica = Self {
            page: ArcSwap::from_pointee(page),
            copied: AtomicU32::new(NOT_COPIED),
            snapshot: Mutex::new(snapshot),
        };
        Ok((replica, set))
    }

    /// Epoch and count of the set that is in force.
    pub(crate) fn summary(&self) -> (Epoch, u32) {
        self.page.load().summary()
    }

    /// Gives the set to `publish` if it has changed since this was called last. A page that its partition left half written, or
    /// whose contents are not valid, leaves the last set in force.
    pub(crate) fn renew(&self, publish: impl FnOnce(ActiveSet)) {
        // Acquire: pairs with the Release below. A thread that finds the page copied finds the copy published.
        if self.copied.load(Ordering::Acquire) == self.page.load().sequence() {
            return;
        }
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let page = self.page.load();
        // Before the copy: a change that comes in between is copied again.
        let sequence = page.sequence();
        if self.copied.load(Ordering::Relaxed) == sequence || page.refresh(&mut snapshot).is_err() {
            return;
        }
        if let Some(set) = set(&page, &snapshot) {
            publish(set);
        }
        self.copied.store(sequence, Ordering::Release);
    }

    /// Follows the page of another partition from now on, whose epochs are independent of the earlier ones. [`renew`](Self::renew)
    /// must follow.
    pub(super) fn replace(&self, (replica, _): (Self, ActiveSet)) {
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        *snapshot = replica.snapshot.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.page.store(replica.page.into_inner());
        self.copied.store(NOT_COPIED, Ordering::Release);
    }
}

/// The set of which this is the snapshot; `None` if it is inconsistent.
fn set(page: &SetPage, snapshot: &Snapshot) -> Option<ActiveSet> {
    let known = snapshot.known().map(|processor| {
        let standing =
            match (snapshot.contains(processor.index), snapshot.is_agreed(processor.index)) {
                (false, _) => Standing::Gone,
                (true, true) => Standing::Active,
                (true, false) => Standing::Unagreed,
            };
        (processor.id, standing)
    });
    let set =
        ActiveSet::assemble(snapshot.epoch(), page.maximum(), known, snapshot.proposed()).ok()?;
    (set.count() == snapshot.count()).then_some(set)
}
