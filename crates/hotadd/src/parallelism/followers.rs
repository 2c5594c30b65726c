//! [`Followers`]: the numbers that follow the active set of one partition.

use std::sync::{Arc, Mutex, Weak};

use hotadd_core::ActiveSet;

use super::current::{Confinement, Current};
use crate::sync::{AtomicBool, Ordering, lock};

#[derive(Default)]
pub(crate) struct Followers {
    all: Mutex<Vec<Weak<Current>>>,
    /// A number has changed, and its callbacks were not told. Relaxed: the thread that sets it also reads it, when it holds no lock
    /// any more. If another thread was faster, that one tells.
    untold: AtomicBool,
}

impl Followers {
    /// Adds a number. The set is loaded under the lock, so that no change of it is missed.
    pub(crate) fn add(
        &self,
        set: impl FnOnce() -> Arc<ActiveSet>,
        confinement: Option<Confinement>,
    ) -> Arc<Current> {
        let mut all = lock(&self.all);
        let current = Arc::new(Current::new(set(), confinement));
        all.retain(|follower| follower.strong_count() > 0);
        all.push(Arc::downgrade(&current));
        current
    }

    #[cfg(feature = "dbus")]
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.all).is_empty()
    }

    /// The partition has this set now. [`tell`](Self::tell) must follow, without a lock.
    pub(crate) fn set_changed(&self, set: &Arc<ActiveSet>) {
        for follower in &*lock(&self.all) {
            // If this is the last reference, no foreign code runs here: its callbacks are dropped already.
            if follower.upgrade().is_some_and(|follower| follower.set_changed(set)) {
                self.untold.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Tells the callbacks of numbers that have changed.
    pub(crate) fn tell(&self) {
        if self.untold.load(Ordering::Relaxed) && self.untold.swap(false, Ordering::Relaxed) {
            let all: Vec<_> = lock(&self.all).iter().filter_map(Weak::upgrade).collect();
            all.iter().for_each(|follower| follower.tell());
        }
    }
}
