//! [`Observation`]: the handle of an observer. The observer is called while the handle exists.

use std::fmt;
use std::sync::Weak;

use crate::observers::Ended;
use crate::sync::Ordering;

/// The handle of an observer. Dropping it ends the observation.
///
/// Dropping waits until no transaction is in progress. Then the observer is not running, will not be called again and has been
/// dropped. Inside a callback of the same partition, and inside the observer itself, dropping does not wait: from then on the
/// observer is not called, and it is dropped later.
///
/// The callback of a [`Parallelism`](crate::Parallelism) has such a handle too. Dropping it does not wait for a transaction, but
/// until no callback of the same `Parallelism` is running on another thread.
///
/// The handle does not keep the partition alive.
#[must_use = "dropping an Observation ends it at once; `detach` it to observe for as long as the partition lives"]
pub struct Observation {
    /// `None` after the handle was detached: dropping it has no effect.
    observed: Option<Weak<dyn Observed>>,
    ended: Ended,
}

/// What has observers.
pub(crate) trait Observed: Send + Sync {
    /// Drops the observers that have ended, unless this is inside a callback.
    fn drop_ended(&self);
}

impl Observation {
    pub(crate) fn new(observed: Weak<dyn Observed>, ended: Ended) -> Self {
        Self { observed: Some(observed), ended }
    }

    /// Detaches the handle: the observer is called as long as the partition lives.
    pub fn detach(mut self) {
        self.observed = None;
    }

    /// Ends the observation like dropping, but does not wait: the observer may still be told of an event in progress. The
    /// observer is dropped at the next event, or when another observer is added.
    pub fn end_soon(self) {
        self.ended.store(true, Ordering::Relaxed);
        self.detach();
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let Some(observed) = &self.observed else { return };
        self.ended.store(true, Ordering::Relaxed);
        // If the partition is gone, so are its observers.
        if let Some(observed) = observed.upgrade() {
            observed.drop_ended();
        }
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation").finish_non_exhaustive()
    }
}
