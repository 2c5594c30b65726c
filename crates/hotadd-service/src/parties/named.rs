//! [`Named`]: a party that the operator named and whose driver is in a process of its own, over all connections that it has had (L4).

use std::fmt;
use std::sync::{Arc, Mutex};

use hotadd::{Attempt, RequiredParty, Status};

use crate::lock::lock;

/// A required party whose driver is in a process of its own. It is missing as soon as the connection of that process is lost: before the
/// driver's callbacks are deregistered, so that no processor joins in between.
#[derive(Clone)]
pub struct Named {
    party: RequiredParty,
    connections: Arc<Mutex<Connections>>,
}

/// Those of which something may still be called, or marked as missing.
#[derive(Default)]
struct Connections {
    count: usize,
    /// Who waits until there are none.
    waiting: Vec<Box<dyn FnOnce() + Send>>,
}

/// One connection of its, which counts until nothing of it can be called any more.
pub(crate) struct NamedConnection {
    named: Named,
    /// Its driver may deregister its callbacks in good order, and is there all the same.
    may_leave: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// It is lost, or its driver has gone.
    over: bool,
    /// Its end says nothing any more: somebody has seen to it.
    released: bool,
}

impl Named {
    /// A party whose driver is not there yet.
    #[must_use]
    pub fn new(party: RequiredParty) -> Self {
        Self { party, connections: Arc::default() }
    }

    /// The party.
    pub const fn party(&self) -> &RequiredParty {
        &self.party
    }

    /// It is missing. If that is known, the first reason stays.
    pub(crate) fn lost(&self, status: Status, reason: String) {
        if self.party.missing().is_none() {
            self.party.is_missing(status, reason);
        }
    }

    pub(crate) fn connects(&self, may_leave: bool) -> NamedConnection {
        lock(&self.connections).count += 1;
        NamedConnection { named: self.clone(), may_leave, state: Mutex::default() }
    }

    /// Calls this when nothing of earlier connections can be called any more: then what befalls them is not mistaken for something that
    /// befell the next one.
    pub(crate) fn when_alone(&self, then: impl FnOnce() + Send + 'static) {
        let mut connections = lock(&self.connections);
        if connections.count > 0 {
            connections.waiting.push(Box::new(then));
            return;
        }
        drop(connections);
        then();
    }
}

impl NamedConnection {
    pub(crate) const fn party(&self) -> &RequiredParty {
        &self.named.party
    }

    pub(crate) fn release(&self) {
        lock(&self.state).released = true;
    }

    /// Its driver is registered: the party is there, unless the connection was lost meanwhile. Under the lock, so that the loss comes
    /// before it, or behind it and counts.
    pub(crate) fn begins(&self, attempt: Attempt) {
        let state = lock(&self.state);
        if !state.over {
            attempt.succeeded();
        }
    }

    /// The connection is lost, and its callbacks are about to be deregistered.
    pub(crate) fn lost(&self, status: Status, reason: &str) {
        let released = {
            let mut state = lock(&self.state);
            state.over = true;
            state.released
        };
        if !released {
            self.named.lost(status, reason.to_owned());
        }
    }

    /// One of its callbacks is about to be deregistered because its driver wants that.
    pub(crate) fn leaves(&self) {
        if !self.may_leave {
            self.lost(Status::DEVICE_NOT_READY, "it deregistered by itself");
        }
    }
}

impl Drop for NamedConnection {
    fn drop(&mut self) {
        let waiting = {
            let mut connections = lock(&self.named.connections);
            connections.count -= 1;
            if connections.count > 0 {
                Vec::new()
            } else {
                std::mem::take(&mut connections.waiting)
            }
        };
        waiting.into_iter().for_each(|then| then());
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Named").field("party", &self.party).finish_non_exhaustive()
    }
}
