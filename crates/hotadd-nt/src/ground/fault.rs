//! [`Fault`]: what a driver did wrong that cannot be gone on from.

use std::fmt;

use hotadd::Status;

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
