//! [`Published`]: the active set for readers, without a lock and without waiting (Q1).

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use hotadd_core::{ActiveSet, Epoch};

#[cfg(all(feature = "dbus", not(hotadd_loom)))]
use crate::remote::Replica;
use crate::sync::{AtomicU64, Ordering};

#[cfg(not(hotadd_loom))]
type Snapshot = arc_swap::ArcSwap<ActiveSet>;
#[cfg(not(hotadd_loom))]
type Guard = arc_swap::Guard<Arc<ActiveSet>>;
/// Loom cannot look into arc-swap, which has its own proofs. The model checks the order of the two stores.
#[cfg(hotadd_loom)]
type Snapshot = modelled::ArcSwap;
#[cfg(hotadd_loom)]
type Guard = Arc<ActiveSet>;

/// The active set at one moment, for a short read. Made by [`Partition::read`](crate::Partition::read).
///
/// It refers to the set without counting the reference, so that threads that read at the same time do not slow each other down.
/// A thread that holds more than eight guards counts again; [`Partition::active`](crate::Partition::active) is for sets that are
/// kept.
pub struct ActiveSetGuard(Guard);

impl Deref for ActiveSetGuard {
    type Target = ActiveSet;

    fn deref(&self) -> &ActiveSet {
        &self.0
    }
}

impl fmt::Debug for ActiveSetGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ActiveSet::fmt(self, f)
    }
}

/// Low bits of the summary word: the count, up to 2,048. The other bits: the epoch, enough for 10^14 changes.
const COUNT_BITS: u32 = 16;

/// The current active set, and a separate word with its epoch and count for readers that need only these.
///
/// Written only under the lock of [`Current`](crate::current::Current), so writers never race.
pub(crate) struct Published {
    snapshot: Snapshot,
    summary: AtomicU64,
    /// For readers in other processes. The page has a loom model of its own.
    #[cfg(not(hotadd_loom))]
    pub(crate) pages: crate::pages::Pages,
    #[cfg(not(hotadd_loom))]
    pub(crate) followers: crate::parallelism::Followers,
    /// The set of a partition in another process is copied from its page when it is read.
    #[cfg(all(feature = "dbus", not(hotadd_loom)))]
    replica: Option<Replica>,
}

#[cfg(all(feature = "dbus", not(hotadd_loom)))]
impl Published {
    /// The set of a partition in another process.
    pub(crate) fn following((replica, set): (Replica, ActiveSet)) -> Self {
        Self { replica: Some(replica), ..Self::new(set) }
    }

    /// The page that this follows, if the partition is in another process.
    pub(crate) const fn replica(&self) -> Option<&Replica> {
        self.replica.as_ref()
    }

    /// Copies the set from the page, if it has changed.
    pub(crate) fn renew(&self) {
        if let Some(replica) = &self.replica {
            replica.renew(|set| self.publish(set));
        }
    }

    /// Copies the set from the page, if it has changed and somebody in this process follows it.
    pub(crate) fn renew_followers(&self) {
        if !self.pages.is_empty() || !self.followers.is_empty() {
            self.renew();
        }
        self.tell_followers();
    }
}

/// Without the feature, and in loom models, every partition is in this process.
#[cfg(not(all(feature = "dbus", not(hotadd_loom))))]
impl Published {
    #[expect(clippy::unused_self, reason = "as the other one")]
    const fn renew(&self) {}
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published").field("summary", &self.summary()).finish_non_exhaustive()
    }
}

impl Published {
    pub(crate) fn new(set: ActiveSet) -> Self {
        let summary = AtomicU64::new(summary(&set));
        Self {
            snapshot: Snapshot::from_pointee(set),
            summary,
            #[cfg(not(hotadd_loom))]
            pages: crate::pages::Pages::default(),
            #[cfg(not(hotadd_loom))]
            followers: crate::parallelism::Followers::default(),
            #[cfg(all(feature = "dbus", not(hotadd_loom)))]
            replica: None,
        }
    }

    /// Makes a set current. The snapshot is stored first: a reader that has seen the new summary must find a set at least as new.
    /// The reverse does not hold: a reader that has just loaded the new set may still find the old summary.
    pub(crate) fn publish(&self, set: ActiveSet) {
        let word = summary(&set);
        let set = Arc::new(set);
        self.snapshot.store(Arc::clone(&set));
        // Release: pairs with the Acquire in `summary`, and makes the snapshot's store visible to a reader of the word.
        self.summary.store(word, Ordering::Release);
        #[cfg(not(hotadd_loom))]
        self.pages.write(&set);
        #[cfg(not(hotadd_loom))]
        self.followers.set_changed(&set);
    }

    /// Tells those who follow the set, after [`publish`](Self::publish) and without a lock.
    #[cfg_attr(hotadd_loom, expect(clippy::unused_self, reason = "nobody follows the set there"))]
    pub(crate) fn tell_followers(&self) {
        #[cfg(not(hotadd_loom))]
        self.followers.tell();
    }

    /// A number that follows the set.
    #[cfg(not(hotadd_loom))]
    pub(crate) fn follow(
        &self,
        confinement: Option<crate::parallelism::Confinement>,
    ) -> Arc<crate::parallelism::Current> {
        self.renew();
        // A set that is stored later is passed on when `publish` gets the lock of the followers.
        self.followers.add(|| self.snapshot.load_full(), confinement)
    }

    /// Adds a page that shows the current set and every later one.
    #[cfg(not(hotadd_loom))]
    pub(crate) fn show<E>(
        &self,
        make: impl FnOnce(&ActiveSet) -> Result<hotadd_page::PageWriter, E>,
    ) -> Result<u64, E> {
        self.renew();
        // The set is loaded under the lock of the pages. A set that is stored later is written to this page when `publish` gets the lock.
        // It is not renewed under that lock: `publish` takes it while a set is being renewed.
        self.pages.add(|| make(&self.snapshot.load_full()))
    }

    pub(crate) fn load(&self) -> Arc<ActiveSet> {
        self.renew();
        self.snapshot.load_full()
    }

    pub(crate) fn read(&self) -> ActiveSetGuard {
        self.renew();
        ActiveSetGuard(self.snapshot.load())
    }

    /// The epoch and count of the same set.
    #[inline]
    pub(crate) fn summary(&self) -> (Epoch, u32) {
        #[cfg(all(feature = "dbus", not(hotadd_loom)))]
        if let Some(replica) = &self.replica {
            return replica.summary();
        }
        let word = self.summary.load(Ordering::Acquire);
        let count = (word & ((1 << COUNT_BITS) - 1)) as u32;
        (Epoch(word >> COUNT_BITS), count)
    }
}

fn summary(set: &ActiveSet) -> u64 {
    (set.epoch().0 << COUNT_BITS) | u64::from(set.count())
}

/// Models no more than arc-swap promises: a pointer that is stored with Release and loaded with Acquire. A lock instead
/// would order more, and hide a missing order from loom.
#[cfg(hotadd_loom)]
mod modelled {
    use super::{ActiveSet, Arc};
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};

    pub(crate) struct ArcSwap {
        /// Every set that was ever stored. Std's lock is invisible to loom and so orders nothing.
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

        pub(crate) fn load(&self) -> Arc<ActiveSet> {
            self.load_full()
        }

        pub(crate) fn load_full(&self) -> Arc<ActiveSet> {
            let at = self.pointer.load(Ordering::Acquire);
            Arc::clone(&self.sets.lock().unwrap_or_else(PoisonError::into_inner)[at])
        }
    }
}
