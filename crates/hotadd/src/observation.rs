//! [`Observation`]: the handle of an observer. The observer is called while the handle exists.

use std::fmt;
use std::sync::Weak;

use crate::inner::Inner;
use crate::observers::Ended;
#[cfg(feature = "dbus")]
use crate::remote::Client;
use crate::sync::Ordering;

/// The handle of an observer. Dropping it ends the observation.
///
/// Dropping waits until no transaction is in progress. Then the observer is not running, will not be called again and has been
/// dropped. Inside a callback of the same partition, and inside the observer itself, dropping does not wait: from then on the
/// observer is not called, and it is dropped later.
///
/// The handle does not keep the partition alive.
#[must_use = "dropping an Observation ends it at once; `keep` it to observe for as long as the partition lives"]
pub struct Observation {
    seat: Seat,
    ended: Ended,
}

/// Where the partition is.
pub(crate) enum Seat {
    Here(Weak<Inner>),
    #[cfg(feature = "dbus")]
    There(Weak<Client>),
    /// The handle was detached: dropping it has no effect.
    Kept,
}

impl Observation {
    pub(crate) const fn new(seat: Seat, ended: Ended) -> Self {
        Self { seat, ended }
    }

    /// Detaches the handle: the observer is called as long as the partition lives.
    pub fn keep(mut self) {
        self.seat = Seat::Kept;
    }

    /// Ends the observation like dropping, but does not wait: the observer may still be told of an event in progress. The
    /// observer is dropped at the next event, or when another observer is added.
    pub fn end_soon(self) {
        self.ended.store(true, Ordering::Relaxed);
        self.keep();
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let end = || self.ended.store(true, Ordering::Relaxed);
        // Checking for observers fails only inside a callback or when the partition is gone. Setting the flag is enough then.
        match &self.seat {
            Seat::Here(inner) => {
                end();
                let _ = inner.upgrade().map(|inner| inner.observers());
            }
            #[cfg(feature = "dbus")]
            Seat::There(client) => {
                end();
                let _ = client.upgrade().map(|client| client.observers());
            }
            Seat::Kept => {}
        }
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation").finish_non_exhaustive()
    }
}
