//! [`Missing`]: why a required party keeps processors out (L4).

use std::time::SystemTime;

use hotadd_core::{Level, PartyId, Status};

use crate::member::PartyInfo;

/// A required party that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The party, by the name that the operator gave it. While it is not registered, its identity and level are 0.
    pub party: PartyInfo,
    /// Since when the party is missing.
    pub since: SystemTime,
    /// The status with which adds are refused. Always an error.
    pub status: Status,
    /// The reason, a sentence without its full stop.
    pub reason: String,
}

impl Missing {
    pub(crate) fn new(name: &str, since: SystemTime, status: Status, reason: String) -> Self {
        let party = PartyInfo { id: PartyId(0), name: name.to_owned(), level: Level(0) };
        Self { party, since, status, reason }
    }
}
