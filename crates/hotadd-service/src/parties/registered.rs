//! [`Parties`]: who has registered over one connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hotadd::Registration;

use crate::lock::lock;
use crate::parties::agent::Agent;

/// How many parties one connection may have.
const MOST: usize = 64;

/// The parties of a connection.
#[derive(Default)]
pub(crate) struct Parties {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    registered: HashMap<u64, Party>,
    /// How many are registering.
    registering: usize,
    closed: bool,
}

/// A party of a connection.
pub(crate) struct Party {
    pub(crate) registration: Registration,
    pub(crate) agent: Arc<Agent>,
}

impl Parties {
    /// A place for one more party. False if there is none.
    pub(crate) fn reserve(&self) -> bool {
        let mut state = lock(&self.state);
        let free = state.registered.len() + state.registering < MOST;
        state.registering += usize::from(free);
        free
    }

    /// How many there are, and are about to be.
    pub(crate) fn count(&self) -> usize {
        let state = lock(&self.state);
        state.registered.len() + state.registering
    }

    /// The party for which a place was reserved did not come to be.
    pub(crate) fn cancel(&self) {
        lock(&self.state).registering -= 1;
    }

    /// Takes in the party for which a place was reserved. Returns it if the connection is gone, or the party has crashed
    /// since it registered: the event that says so may have passed.
    pub(crate) fn insert(&self, id: u64, party: Party) -> Option<Party> {
        let mut state = lock(&self.state);
        state.registering -= 1;
        if state.closed || !party.registration.is_registered() {
            return Some(party);
        }
        state.registered.insert(id, party)
    }

    /// Takes a party out, if it is there.
    pub(crate) fn remove(&self, id: u64) -> Option<Party> {
        lock(&self.state).registered.remove(&id)
    }

    /// Takes all parties out, and none in any more.
    pub(crate) fn close(&self) -> Vec<Party> {
        let mut state = lock(&self.state);
        state.closed = true;
        state.registered.drain().map(|(_, party)| party).collect()
    }

    /// None of them is called any more.
    pub(crate) fn leave(&self) {
        for party in lock(&self.state).registered.values() {
            party.agent.leave();
        }
    }

    /// What they are called, for people.
    pub(crate) fn names(&self) -> String {
        let state = lock(&self.state);
        let names = state.registered.values().map(|party| party.registration.party().name);
        names.collect::<Vec<_>>().join(", ")
    }
}
