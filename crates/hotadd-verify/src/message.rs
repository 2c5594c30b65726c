//! What the verifier and the process of a scenario send each other, as JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::report::{Place, Step};

/// What is to be played.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The driver's file.
    pub(crate) file: PathBuf,
    /// The scenario's name.
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    /// How long a callback may take, in milliseconds.
    pub(crate) limit: u64,
}

/// What happened.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Played {
    /// Why it could not be played.
    pub(crate) not_run: Option<String>,
    /// The status with which DriverEntry failed although no call was made to fail.
    pub(crate) refused_load: Option<String>,
    /// The adds that the driver itself decided, in order.
    pub(crate) adds: Vec<AddDecision>,
    pub(crate) found: Vec<Found>,
    pub(crate) steps: Vec<Step>,
    /// The calls that could have failed: the point's name, the position of the call, and how often it was made.
    pub(crate) points: Vec<(String, Option<Place>, u32)>,
    /// The processors that the driver names in its callback.
    pub(crate) named: Vec<Named>,
    /// Whether the call that was to fail was made.
    pub(crate) reached: bool,
}

/// A processor that a driver names to a function, in the callback about a processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) function: String,
    pub(crate) place: Place,
    /// Whether it is the processor that the callback is about.
    pub(crate) own: bool,
}

/// A driver's decision on a processor that no other party refused.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct AddDecision {
    pub(crate) index: u32,
    /// Whether the processor's group had active processors when the driver was loaded.
    pub(crate) group_was_active: bool,
    pub(crate) agreed: bool,
}

/// Something wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    /// The check's id.
    pub(crate) check: String,
    pub(crate) what: String,
    pub(crate) place: Option<Place>,
    pub(crate) origin: Option<Place>,
    /// The check's id if no call had been made to fail.
    pub(crate) otherwise: Option<String>,
    /// How many steps had been made, this one included.
    pub(crate) step: usize,
}
