//! [`Core`]: what all connections of a service share.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use hotadd::{Event, Partition, PublishedPage, Registration};
use hotadd_wire::{Addressing, Calls, MACHINE_BUS_NAME, bus_name};
use tokio::sync::Notify;

use crate::access::peer::Peer;
use crate::access::policy::Access;
use crate::lock::lock;
use crate::metrics;
use crate::metrics::counts::Counts;
use crate::metrics::text::Format;
use crate::object::departures::Departures;
use crate::object::ledger::Ledger;
use crate::object::log::{Log, Refusals};
use crate::object::probes;
use crate::object::signal;
use crate::parties::connection::Connection;
use crate::parties::registered::Party;
use crate::parties::restart::Restart;
use crate::parties::shares::{Full, Shares};

/// The maximum number of requests in progress that wait, over all connections. A connection's only request does not count. Each
/// has a thread.
const MOST_REQUESTS: usize = 256;

/// A connection that was accepted.
struct Joined {
    connection: Arc<Connection>,
    user: Option<u32>,
}

/// What all connections of a service share.
pub(crate) struct Core {
    pub(crate) partition: Partition,
    pub(crate) name: String,
    /// The partition's name on a bus.
    pub(crate) bus_name: String,
    /// The service's GUID in the handshake.
    pub(crate) guid: String,
    /// The id of this machine.
    pub(crate) machine: Option<String>,
    pub(crate) ledger: Mutex<Ledger>,
    counts: Mutex<Counts>,
    pub(crate) log: Log,
    pub(crate) access: Access,
    pub(crate) calls: Arc<Calls>,
    /// Restarts parties that the operator named, if this is set.
    pub(crate) restart: OnceLock<Restart>,
    refusals: Refusals,
    shares: Shares,
    connections: Mutex<HashMap<u64, Joined>>,
    /// Notified when the last connection has closed.
    emptied: Notify,
    next: AtomicU64,
    requests: AtomicUsize,
    stopping: AtomicBool,
    /// The page that is handed out as a descriptor, once a peer has asked for it.
    page: Mutex<Option<PublishedPage>>,
    /// Receives registrations to drop. Dropping one may take as long as an add.
    leaving: Departures,
}

impl Core {
    pub(crate) fn new(
        partition: Partition,
        name: String,
        access: Access,
        log: Log,
        leaving: Departures,
    ) -> Self {
        let half = || RandomState::new().hash_one(std::process::id());
        let bus_name =
            if access.is_machine() { MACHINE_BUS_NAME.to_owned() } else { bus_name(&name) };
        Self {
            partition,
            name,
            bus_name,
            guid: format!("{:016x}{:016x}", half(), half()),
            machine: machine_id(),
            ledger: Mutex::default(),
            counts: Mutex::default(),
            log,
            access,
            calls: Arc::default(),
            restart: OnceLock::new(),
            refusals: Refusals::default(),
            shares: Shares::new(),
            connections: Mutex::default(),
            emptied: Notify::new(),
            next: AtomicU64::new(1),
            requests: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            page: Mutex::default(),
            leaving,
        }
    }

    /// A descriptor of the page with the active set.
    pub(crate) fn page(&self) -> Result<OwnedFd, String> {
        let mut page = lock(&self.page);
        if page.is_none() {
            let made = self.partition.publish_sealed_page();
            *page = Some(made.map_err(|error| error.to_string())?);
        }
        let page = page.as_ref().ok_or_else(|| "there is no page".to_owned())?;
        page.descriptor().map_err(|error| format!("the page cannot be handed out: {error}"))
    }

    /// Relaxed: the counter only issues unique numbers.
    pub(crate) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Logs a refusal, unless too many were logged lately.
    pub(crate) fn refused(&self, peer: &Peer, why: impl fmt::Display) {
        self.told(Some(peer.uid), peer, &why);
    }

    /// Logs a refusal of a peer of which only its name on the bus is known.
    pub(crate) fn refused_unknown(&self, name: impl fmt::Display, why: impl fmt::Display) {
        self.told(None, &name, &why);
    }

    fn told(&self, uid: Option<u32>, who: &dyn fmt::Display, why: &dyn fmt::Display) {
        self.refusals.tell(&self.log, uid, &format!("{who}: refused, because {why}"));
    }

    /// Accepts a connection of this user, or of a process of the partition itself (`None`).
    pub(crate) fn join(&self, connection: &Arc<Connection>, user: Option<u32>) -> Result<(), Full> {
        let mut connections = lock(&self.connections);
        if self.is_stopping() {
            return Err(Full::Ended);
        }
        self.shares.take(user, connections.values().map(|joined| joined.user))?;
        connections.insert(connection.id, Joined { connection: Arc::clone(connection), user });
        Ok(())
    }

    /// Removes a closed connection.
    pub(crate) fn part(&self, connection: u64) {
        let mut connections = lock(&self.connections);
        connections.remove(&connection);
        if connections.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// The number of parties on buses.
    pub(crate) fn parties_on_buses(&self) -> usize {
        let connections = lock(&self.connections);
        let all = connections.values().map(|joined| &joined.connection);
        let on_bus = all.filter(|connection| connection.route.peer().is_some());
        on_bus.map(|connection| connection.parties.count()).sum()
    }

    /// Counts one more request with a thread, besides another of its connection. Returns false if there are
    /// too many.
    ///
    /// Relaxed, here and below: the number limits how many there are, and orders nothing.
    pub(crate) fn begin_request(&self) -> bool {
        let more = |requests| (requests < MOST_REQUESTS).then_some(requests + 1);
        self.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(crate) fn end_request(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    /// Deregisters, on a thread that may block.
    pub(crate) fn deregister(&self, registration: Registration) {
        self.leaving.add(registration);
    }

    /// Deregisters a party of this connection. If the party crashed, it is told first.
    pub(crate) fn part_with(&self, connection: &Connection, id: u64, party: Party) {
        if let Some(farewell) = party.agent.farewell(connection.addressing(), id) {
            connection.send(&farewell);
        }
        self.deregister(party.registration);
    }

    /// What waits for the end of the registrations that were given up.
    pub(crate) fn departures(&self) -> Departures {
        self.leaving.clone()
    }

    /// Handles an event. This runs on the thread of the transaction, inside it, so nothing here blocks.
    pub(crate) fn observe(&self, event: &Event) {
        let is_active = |id| {
            let set = self.partition.active();
            set.by_id(id).is_some_and(|processor| set.contains(processor.index))
        };
        probes::event(event);
        lock(&self.counts).observe(event);
        let gone = lock(&self.ledger).write(event, is_active);
        if let (Some(connection), Some(party)) =
            (gone.and_then(|gone| gone.upgrade()), &event.party)
            && let Some(left) = connection.parties.remove(party.id.0)
        {
            self.part_with(&connection, party.id.0, left);
        }
        // The names are fixed and the arguments small, so encoding does not fail.
        if let Some(signal) = signal::of(event)
            && let Ok(plain) = signal.message(Addressing::Direct)
        {
            let connections: Vec<_> = {
                let connections = lock(&self.connections);
                connections.values().map(|joined| Arc::clone(&joined.connection)).collect()
            };
            for connection in connections {
                connection.tell(&signal, &plain);
            }
        }
    }

    /// The metrics. Waits for no party.
    pub(crate) fn metrics(&self, format: Format) -> String {
        let set = self.partition.active();
        let mut state = metrics::text::State {
            name: self.name.clone(),
            hardware: self.partition.hardware(),
            epoch: set.epoch().0,
            active: set.iter().count(),
            unagreed: set.iter().filter(|processor| !set.is_agreed(processor.index)).count(),
            proposed: set.proposed().len(),
            missing: self.partition.missing().unwrap_or_default(),
            ..metrics::text::State::default()
        };
        lock(&self.ledger).describe(&mut state);
        metrics::text::write(&lock(&self.counts), &state, format)
    }

    /// Relaxed: the lock of `connections` provides the order that matters, which is that none joins after
    /// `stop`.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Closes all connections, accepts no more, and waits until all are closed.
    pub(crate) async fn stop(&self) {
        loop {
            let gone = self.emptied.notified();
            let connections: Vec<_> = {
                let connections = lock(&self.connections);
                self.stopping.store(true, Ordering::Relaxed);
                connections.values().map(|joined| Arc::clone(&joined.connection)).collect()
            };
            if connections.is_empty() {
                return;
            }
            for connection in connections {
                connection.stop();
            }
            gone.await;
        }
    }
}

/// The id of this machine, which every user may read, if it has one in the usual form.
fn machine_id() -> Option<String> {
    let id = std::fs::read_to_string("/etc/machine-id").ok()?;
    let is_id = id.trim().len() == 32 && id.trim().bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.trim().to_owned())
}
