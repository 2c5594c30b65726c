//! [`Fault`]: a driver's error from which it cannot continue.

use std::fmt;

use hotadd::Status;

use crate::ground::images::{self, Place};
use crate::ground::rule::Rule;
use crate::ground::world;

/// A driver's error from which it cannot continue: it ends the process (L3).
#[derive(Clone, Debug)]
pub struct Fault {
    /// The status that Windows uses for it.
    pub status: Status,
    /// What happened, as the end of a sentence that begins with the driver's name.
    pub what: String,
    /// The driver's position, if known.
    pub place: Option<Place>,
    /// The rule that it broke.
    pub rule: Rule,
    /// The address that it could not access, if that is what happened.
    pub address: Option<usize>,
}

impl Fault {
    pub(crate) fn new(status: Status, what: impl Into<String>, address: usize) -> Self {
        let (rule, address, place) = (Rule::Misuse, None, images::place(address));
        Self { status, what: what.into(), place, rule, address }
    }

    /// The same fault, of this rule.
    pub(crate) fn of(self, rule: Rule) -> Self {
        Self { rule, ..self }
    }

    /// Reports the fault to the console, and ends the process.
    pub(crate) fn raise(self) -> ! {
        world::get().console().fault(&self);
        // Whatever supervises the process sees an abnormal end.
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
