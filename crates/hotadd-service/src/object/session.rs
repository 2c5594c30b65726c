//! [`Session`]: a connection, and what its peer may request from the partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hotadd::Registration;
use hotadd_wire::Message;

use crate::access::authority::Authority;
use crate::lock::lock;
use crate::object::core::Core;
use crate::object::reply::Reply;
use crate::parties::agent::Agent;
use crate::parties::connection::Connection;
use crate::parties::registered::Party;

/// The maximum number of parties on the bus of a machine's partition: all of them may be asked at once.
pub(crate) const MOST_PARTIES: usize = 96;

/// The maximum number of requests of one session in progress that wait.
const MOST_REQUESTS: usize = 16;

/// A connection, and what its peer may request from the partition.
pub(crate) struct Session {
    pub(crate) connection: Arc<Connection>,
    pub(crate) core: Arc<Core>,
    pub(crate) authority: Authority,
    requests: AtomicUsize,
}

/// A request that has a thread. Dropping it ends the count.
pub(crate) struct UnderWay {
    pub(crate) session: Arc<Session>,
    /// The request counts towards the limit of all sessions.
    shared: bool,
}

impl Session {
    pub(crate) const fn new(
        core: Arc<Core>,
        connection: Arc<Connection>,
        authority: Authority,
    ) -> Self {
        Self { connection, core, authority, requests: AtomicUsize::new(0) }
    }

    /// Sends the answer to a call, if one is expected.
    pub(crate) fn reply(&self, call: &Message, reply: Reply) {
        if !call.expects_reply() {
            return;
        }
        let message = reply.or_else(|refusal| refusal.message(call));
        // Every name and text in the message is valid, so encoding does not fail.
        if let Ok(message) = message {
            self.connection.send(&message);
        }
    }

    /// Inserts the party for which a place was reserved.
    pub(crate) fn enroll(&self, registration: Registration, agent: Arc<Agent>) {
        let id = registration.party().id.0;
        if let Some(party) = self.connection.parties.insert(id, Party { registration, agent }) {
            self.core.part_with(&self.connection, id, party);
        }
    }

    /// Deregisters a party of this connection. Nothing is sent to it after this returns (D1). Returns false if there is
    /// no such party (D2).
    pub(crate) fn deregister(&self, party: u64) -> bool {
        let Some(Party { registration, agent }) = self.connection.parties.remove(party) else {
            return false;
        };
        // This comes first: the party is asked until it is deregistered, and is missing from then on.
        if let Some(named) = &self.connection.named {
            named.leaves();
        }
        agent.leave_at_its_request();
        lock(&self.core.ledger).strike(party);
        self.core.deregister(registration);
        true
    }

    /// Whether the bus could not forward the calls of one more party. Only the thread of the connections asks this, and
    /// lets parties register.
    pub(crate) fn is_on_full_bus(&self) -> bool {
        let limited = self.core.access.is_machine() && self.connection.route.peer().is_some();
        limited && self.core.parties_on_buses() >= MOST_PARTIES
    }

    /// Counts one more request that has a thread. Returns `None` if there are too many, from this peer or in total. A peer's
    /// only request is always accepted: whatever others request, every peer can register.
    ///
    /// Relaxed, here and below: the number limits how many there are, and orders nothing.
    pub(crate) fn begin_request(self: &Arc<Self>) -> Option<UnderWay> {
        let more = |requests| (requests < MOST_REQUESTS).then_some(requests + 1);
        let before = self.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let shared = before > 0;
        if shared && !self.core.begin_request() {
            self.requests.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(UnderWay { session: Arc::clone(self), shared })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.shared {
            self.session.core.end_request();
        }
        self.session.requests.fetch_sub(1, Ordering::Relaxed);
    }
}
