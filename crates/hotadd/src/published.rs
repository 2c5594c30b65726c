//! [`Published`]: the active set as everybody reads it, without a lock and without waiting (Q1).

use std::sync::Arc;

use hotadd_core::{ActiveSet, Epoch};

use crate::sync::{AtomicU64, Ordering};

#[cfg(not(loom))]
type Snapshot = arc_swap::ArcSwap<ActiveSet>;
/// Loom cannot look into arc-swap, which has proofs of its own; what is checked here is the order of the two stores.
#[cfg(loom)]
type Snapshot = locked::ArcSwap;

/// Low bits of the summary word: the count, up to 2,048. The rest: the epoch, enough for 10^14 changes.
const COUNT_BITS: u32 = 16;

/// The set in force, and its epoch and count in a word of their own, for those who need no more.
///
/// Written only from inside the gate, so writers never race.
pub(crate) struct Published {
    snapshot: Snapshot,
    summary: AtomicU64,
}

impl Published {
    pub(crate) fn new(set: ActiveSet) -> Self {
        let summary = AtomicU64::new(summary(&set));
        Self { snapshot: Snapshot::from_pointee(set), summary }
    }

    /// Puts a set in force. The snapshot first: who has seen the new summary must find a set at least as new.
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

#[cfg(loom)]
mod locked {
    use super::{ActiveSet, Arc};
    use loom::sync::Mutex;

    pub(crate) struct ArcSwap(Mutex<Arc<ActiveSet>>);

    impl ArcSwap {
        pub(crate) fn from_pointee(set: ActiveSet) -> Self {
            Self(Mutex::new(Arc::new(set)))
        }

        pub(crate) fn store(&self, set: Arc<ActiveSet>) {
            *self.0.lock().unwrap() = set;
        }

        pub(crate) fn load_full(&self) -> Arc<ActiveSet> {
            Arc::clone(&self.0.lock().unwrap())
        }
    }
}
