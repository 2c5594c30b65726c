//! [`Published`]: the active set as everybody reads it, without a lock and without waiting (Q1).

use std::sync::Arc;

use hotadd_core::{ActiveSet, Epoch};

use crate::sync::{AtomicU64, Ordering};

#[cfg(not(hotadd_loom))]
type Snapshot = arc_swap::ArcSwap<ActiveSet>;
/// Loom cannot look into arc-swap, which has proofs of its own; what is checked here is the order of the two stores.
#[cfg(hotadd_loom)]
type Snapshot = modelled::ArcSwap;

/// Low bits of the summary word: the count, up to 2,048. The rest: the epoch, enough for 10^14 changes.
const COUNT_BITS: u32 = 16;

/// The set in force, and its epoch and count in a word of their own, for those who need no more.
///
/// Written only with the lock of [`Current`](crate::current::Current), so writers never race.
pub(crate) struct Published {
    snapshot: Snapshot,
    summary: AtomicU64,
}

impl Published {
    pub(crate) fn new(set: ActiveSet) -> Self {
        let summary = AtomicU64::new(summary(&set));
        Self { snapshot: Snapshot::from_pointee(set), summary }
    }

    /// Puts a set in force. The snapshot first: who has seen the new summary must find a set at least as new. The other way
    /// round it does not hold: who has just loaded the new set may still find the old summary.
    pub(crate) fn publish(&self, set: ActiveSet) {
        let word = summary(&set);
        self.snapshot.store(Arc::new(set));
        // Release: pairs with the Acquire in `summary`, and carries the snapshot's store to whoever reads the word.
        self.summary.store(word, Ordering::Release);
    }

    pub(crate) fn load(&self) -> Arc<ActiveSet> {
        self.snapshot.load_full()
    }

    /// Epoch and count, which belong together.
    #[inline]
    pub(crate) fn summary(&self) -> (Epoch, u32) {
        let word = self.summary.load(Ordering::Acquire);
        let count = (word & ((1 << COUNT_BITS) - 1)) as u32;
        (Epoch(word >> COUNT_BITS), count)
    }
}

fn summary(set: &ActiveSet) -> u64 {
    (set.epoch().0 << COUNT_BITS) | u64::from(set.count())
}

/// No more than arc-swap promises: a pointer that is stored with Release and loaded with Acquire. A lock in its place
/// would order more, and hide a missing order from loom.
#[cfg(hotadd_loom)]
mod modelled {
    use super::{ActiveSet, Arc};
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};

    pub(crate) struct ArcSwap {
        /// Every set that was ever stored. Std's lock, which loom does not see: it orders nothing.
        sets: Mutex<Vec<Arc<ActiveSet>>>,
        pointer: AtomicUsize,
    }

    impl ArcSwap {
        pub(crate) fn from_pointee(set: ActiveSet) -> Self {
            Self { sets: Mutex::new(vec![Arc::new(set)]), pointer: AtomicUsize::new(0) }
        }

        pub(crate) fn store(&self, set: Arc<ActiveSet>) {
            let at = {
                let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
                sets.push(set);
                sets.len() - 1
            };
            self.pointer.store(at, Ordering::Release);
        }

        pub(crate) fn load_full(&self) -> Arc<ActiveSet> {
            let at = self.pointer.load(Ordering::Acquire);
            Arc::clone(&self.sets.lock().unwrap_or_else(PoisonError::into_inner)[at])
        }
    }
}
