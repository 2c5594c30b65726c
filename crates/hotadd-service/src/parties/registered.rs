//! [`Parties`]: the parties that are registered over one connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hotadd::Registration;

use crate::lock::lock;
use crate::parties::agent::Agent;

/// The maximum number of parties of one connection.
const MOST: usize = 64;

/// The parties of a connection.
#[derive(Default)]
pub(crate) struct Parties {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    registered: HashMap<u64, Party>,
    /// The number of parties that are registering.
    registering: usize,
    closed: bool,
}

/// A party of a connection.
pub(crate) struct Party {
    pub(crate) registration: Registration,
    pub(crate) agent: Arc<Agent>,
}

impl Parties {
    /// Reserves a place for one more party. Returns false if all are taken.
    pub(crate) fn reserve(&self) -> bool {
        let mut state = lock(&self.state);
        let free = state.registered.len() + state.registering < MOST;
        state.registering += usize::from(free);
        free
    }

    /// The number of parties that are registered or registering.
    pub(crate) fn count(&self) -> usize {
        let state = lock(&self.state);
        state.registered.len() + state.registering
    }

    /// Releases the place of a party that did not register.
    pub(crate) fn cancel(&self) {
        lock(&self.state).registering -= 1;
    }

    /// Inserts the party for which a place was reserved. Returns it if the connection is closed, or if the party has
    /// crashed since it registered: the event that reports the crash may already have been handled.
    pub(crate) fn insert(&self, id: u64, party: Party) -> Option<Party> {
        let mut state = lock(&self.state);
        state.registering -= 1;
        if state.closed || !party.registration.is_registered() {
            return Some(party);
        }
        state.registered.insert(id, party)
    }

    /// Removes a party, if it is present.
    pub(crate) fn remove(&self, id: u64) -> Option<Party> {
        lock(&self.state).registered.remove(&id)
    }

    /// Removes all parties. None can be inserted after this.
    pub(crate) fn close(&self) -> Vec<Party> {
        let mut state = lock(&self.state);
        state.closed = true;
        state.registered.drain().map(|(_, party)| party).collect()
    }

    /// Marks all parties as deregistered. They are not called any more.
    pub(crate) fn leave(&self) {
        for party in lock(&self.state).registered.values() {
            party.agent.leave();
        }
    }

    /// The parties' names, for the log.
    pub(crate) fn names(&self) -> String {
        let state = lock(&self.state);
        let names = state.registered.values().map(|party| party.registration.party().name);
        names.collect::<Vec<_>>().join(", ")
    }
}
