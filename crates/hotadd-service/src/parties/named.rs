//! [`Named`]: a party that the operator named and whose driver runs in a process of its own, across all connections of that process
//! (L4).

use std::fmt;
use std::sync::{Arc, Mutex};

use hotadd::{Attempt, RequiredParty, Status};

use crate::lock::lock;

/// A required party whose driver runs in a process of its own. The party is missing as soon as the connection of that process is
/// lost. This precedes the deregistration of the driver's callbacks, so that no processor joins in between.
#[derive(Clone)]
pub struct Named {
    party: RequiredParty,
    connections: Arc<Mutex<Connections>>,
}

/// The connections whose callbacks can still be called, or which can still be marked as missing.
#[derive(Default)]
struct Connections {
    count: usize,
    /// Functions to call when no connection is left.
    waiting: Vec<Box<dyn FnOnce() + Send>>,
}

/// One connection of the party. It counts until none of its callbacks can be called any more.
pub(crate) struct NamedConnection {
    named: Named,
    /// The driver may deregister its callbacks without the party becoming missing.
    may_leave: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The connection is lost, or its driver has deregistered.
    over: bool,
    /// The end of the connection does not make the party missing: other code has handled it.
    released: bool,
}

impl Named {
    /// A party whose driver is not registered yet.
    #[must_use]
    pub fn new(party: RequiredParty) -> Self {
        Self { party, connections: Arc::default() }
    }

    /// The party.
    pub const fn party(&self) -> &RequiredParty {
        &self.party
    }

    /// Marks the party as missing. If it is missing already, the first reason is kept.
    pub(crate) fn lost(&self, status: Status, reason: String) {
        if self.party.missing().is_none() {
            self.party.is_missing(status, reason);
        }
    }

    pub(crate) fn connects(&self, may_leave: bool) -> NamedConnection {
        lock(&self.connections).count += 1;
        NamedConnection { named: self.clone(), may_leave, state: Mutex::default() }
    }

    /// Calls `then` when nothing of earlier connections can be called any more. So an event of an earlier connection is not
    /// attributed to the next one.
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

    /// The driver is registered, so the party is not missing, unless the connection was lost meanwhile. This happens under the
    /// lock: a loss comes either before it, or after it and then takes effect.
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

    /// One of the callbacks is about to be deregistered at the request of its driver.
    pub(crate) fn leaves(&self) {
        if !self.may_leave {
            self.lost(Status::DEVICE_NOT_READY, "it deregistered itself");
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
