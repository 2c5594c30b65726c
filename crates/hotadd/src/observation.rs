//! [`Observation`]: the handle of an observer. While it lives, the observer is called.

use std::fmt;
use std::sync::Weak;

use crate::inner::Inner;
use crate::observers::Ended;
#[cfg(feature = "dbus")]
use crate::remote::Client;
use crate::sync::Ordering;

/// The handle of an observer. Dropping it ends the observing.
///
/// That waits until no transaction is under way; then the observer is not running, will not be called again and has been dropped.
/// From inside a callback of the same partition, and from inside the observer, it does not wait: the observer is not called again
/// from there on, and is dropped later.
///
/// It does not keep the partition alive.
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
    /// It does not matter any more.
    Kept,
}

impl Observation {
    pub(crate) const fn new(seat: Seat, ended: Ended) -> Self {
        Self { seat, ended }
    }

    /// Observes for as long as the partition lives.
    pub fn keep(mut self) {
        self.seat = Seat::Kept;
    }

    /// Ends the observing, as dropping does, and does not wait: what is happening at this moment may still be heard. The observer
    /// is dropped when something happens, or somebody else begins to observe.
    pub fn end_soon(self) {
        self.ended.store(true, Ordering::Relaxed);
        self.keep();
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let end = || self.ended.store(true, Ordering::Relaxed);
        // What fails fails inside a callback, or because the partition is gone: then it is enough to have said so.
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
