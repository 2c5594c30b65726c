//! [`Observation`]: the handle of an observer. The observer is called while the handle exists.

use std::fmt;
use std::sync::Weak;

use crate::backend::Backend;
use crate::observers::Ended;
use crate::sync::Ordering;

/// The handle of an observer. Dropping it ends the observation.
///
/// Dropping waits until no transaction is in progress. Then the observer is not running, will not be called again and has been
/// dropped. Inside a callback of the same partition, and inside the observer itself, dropping does not wait: from then on the
/// observer is not called, and it is dropped later.
///
/// The handle does not keep the partition alive.
#[must_use = "dropping an Observation ends it at once; `detach` it to observe for as long as the partition lives"]
pub struct Observation {
    /// `None` after the handle was detached: dropping it has no effect.
    backend: Option<Weak<dyn Backend>>,
    ended: Ended,
}

impl Observation {
    pub(crate) fn new(backend: Weak<dyn Backend>, ended: Ended) -> Self {
        Self { backend: Some(backend), ended }
    }

    /// Detaches the handle: the observer is called as long as the partition lives.
    pub fn detach(mut self) {
        self.backend = None;
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
        let Some(backend) = &self.backend else { return };
        self.ended.store(true, Ordering::Relaxed);
        // Drops the ended observers. It fails only inside a callback or when the partition is gone; the flag is enough then.
        let _ = backend.upgrade().map(|backend| backend.observers());
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation").finish_non_exhaustive()
    }
}
