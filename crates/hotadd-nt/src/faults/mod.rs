//! [`Fault`]: what a driver did wrong that cannot be gone on from; and how that is found out.
//!
//! A processor that cannot go on, in a driver or in a function of ours that a driver called, raises a signal. Its handler
//! decides which kind of fault it is: some are no fault here at all (`signals` does on the spot what a kernel could have
//! done), some are a driver's to handle (`seh`), and for all others the thread stops where it is and the
//! `monitor`, a thread of ours that drivers cannot damage by accident, reports the fault and ends the process. Threads do
//! not unwind: what they hold stays held, and nobody needs it any more.

mod cause;
mod decode;
mod divert;
mod monitor;
mod shared;
mod signals;

#[cfg(test)]
mod tests;

use std::fmt;

use hotadd::Status;

pub(crate) use crate::ground::calls::{Watched, call_before, calling};
pub(crate) use cause::Cause;
pub use monitor::{install, watch};
pub(crate) use signals::Report;

use crate::ground::images::{self, Place};
use crate::ground::world;

/// What a driver did wrong that cannot be gone on from: its process ends with it (L3).
#[derive(Clone, Debug)]
pub struct Fault {
    /// The status that Windows has for it.
    pub status: Status,
    /// What happened, as the end of a sentence that begins with the driver's name.
    pub what: String,
    /// Where the driver was, if that is known.
    pub place: Option<Place>,
}

impl Fault {
    pub(crate) fn new(status: Status, what: impl Into<String>, address: usize) -> Self {
        Self { status, what: what.into(), place: images::place(address) }
    }

    /// Tells the world, and ends the process.
    pub(crate) fn raise(self) -> ! {
        world::get().console.fault(&self);
        // Whoever watches the process sees that it did not end well.
        std::process::abort()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => write!(f, "{} at {place}", self.what),
            None => f.write_str(&self.what),
        }
    }
}
