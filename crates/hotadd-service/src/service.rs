//! [`Service`]: a partition on D-Bus, and the thread that serves it.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hotadd::{Observation, PageError, Partition, PartyId, text};
use hotadd_wire::{BusAddress, bus, is_name};
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::access::authority::Authority;
use crate::access::peer::Peer;
use crate::access::policy::Access;
use crate::access::rights::Rights;
use crate::lock::lock;
use crate::metrics::address::MetricsAddress;
use crate::metrics::http::Listener;
use crate::object::core::Core;
use crate::object::departures::Departures;
use crate::object::log::Log;
use crate::object::serve::{Attached, Ending, admit};
use crate::parties::named::NamedConnection;
use crate::parties::restart::Restart;
use crate::transport::entrance::{Entrance, Held};
use crate::transport::place::{Place, PlaceError};
use crate::transport::presence;
use crate::transport::socket::Socket;

/// Why a partition cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The partition cannot be served at this place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The partition cannot be observed: the call comes from inside a callback (D3).
    #[error(transparent)]
    Partition(#[from] hotadd::Error),
    /// The page of the active set cannot be made beside the socket.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The partition cannot be served on this bus.
    #[error("the partition cannot be on {bus}: {reason}")]
    Bus {
        /// The bus.
        bus: String,
        /// The reason.
        reason: String,
    },
    /// The metrics cannot be served at this address.
    #[error("metrics cannot be served at {address}: {error}")]
    Metrics {
        /// The address.
        address: String,
        /// The error.
        error: io::Error,
    },
    /// A thread or a descriptor could not be created.
    #[error("the partition cannot be served: {0}")]
    System(#[from] io::Error),
}

/// A partition on D-Bus. Dropping it removes the socket, closes all connections and deregisters all agents. An add that waits
/// for an agent's answer is vetoed on behalf of that agent. Later adds do not treat the agents as missing.
///
/// All methods may be called on any thread, and do not wait for any peer. When the drop returns, all connections are closed
/// and no agent is called any more. Their registrations may last until the end of a transaction in progress.
pub struct Service {
    core: Arc<Core>,
    handle: Handle,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
    places: Mutex<Vec<Held>>,
    observation: Option<Observation>,
    metrics: Mutex<Vec<AbortHandle>>,
}

impl Service {
    /// Serves a partition at a socket. The folder is created if it does not exist. A folder that other users have access
    /// to is refused, and so is a name that is in use.
    ///
    /// # Errors
    /// If the socket or a thread cannot be created.
    pub fn listen(partition: &Partition, name: &str, path: &Path) -> Result<Self, ServiceError> {
        let service = Self::new(partition, name, Arc::new(|_| ()))?;
        service.open(path)?;
        Ok(service)
    }

    /// Serves a user's own partition, over the connections that it is [given](Self::attach), and at the sockets that are
    /// [opened](Self::open).
    ///
    /// # Errors
    /// For a bad name, inside a callback of the partition, or if no thread can be created.
    pub fn new(partition: &Partition, name: &str, log: Log) -> Result<Self, ServiceError> {
        Self::with_access(partition, name, Access::own(), log)
    }

    /// Serves a partition to the peers that this access allows, over the connections that it is [given](Self::attach), and at the
    /// sockets that are [opened](Self::open). Refusals are logged with the process and the user, at most ten a user and 10 seconds.
    ///
    /// # Errors
    /// For a bad name, inside a callback of the partition, or if no thread can be created.
    pub fn with_access(
        partition: &Partition,
        name: &str,
        access: Access,
        log: Log,
    ) -> Result<Self, ServiceError> {
        if !is_name(name) {
            return Err(PlaceError::BadName(name.chars().take(64).collect()).into());
        }
        let leaving = Departures::begin()?;
        let log: Log = Arc::new(move |line| log(&text::clean(line)));
        let core = Arc::new(Core::new(partition.clone(), name.to_owned(), access, log, leaving));
        // Made now, while there are descriptors. If that fails, it is tried again when a peer asks.
        let _ = core.page();
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let stop = Arc::new(Notify::new());
        let observed = Arc::downgrade(&core);
        let observation = partition.observe_with(
            |parties| lock(&core.ledger).present(parties),
            move |event| {
                if let Some(core) = observed.upgrade() {
                    core.observe(event);
                }
            },
        )?;
        let (served, stopped) = (Arc::clone(&core), Arc::clone(&stop));
        let serve = move || {
            runtime.block_on(async {
                stopped.notified().await;
                served.stop().await;
            });
        };
        let thread = thread::Builder::new().name("hotadd-dbus".to_owned()).spawn(serve)?;
        let (thread, observation) = (Some(thread), Some(observation));
        let (places, metrics) = (Mutex::default(), Mutex::default());
        Ok(Self { core, handle, stop, thread, places, observation, metrics })
    }

    /// Listens at one more socket. Only peers that [`Access`] allows are accepted: the socket has mode 0600, in a folder of mode
    /// 0700, both owned by this user; or for the partition of a machine mode 0660 and the group, in a folder of mode 0755. If the
    /// socket is deleted, it is created again within about a second.
    ///
    /// # Errors
    /// If the socket cannot be created there.
    pub fn open(&self, path: &Path) -> Result<(), ServiceError> {
        let mut taken = {
            let _runtime = self.handle.enter();
            Place::take(&self.core.name, path, &self.core.access)?
        };
        taken.0.show(&self.core.partition, &self.core.access)?;
        let entrance = Entrance::new(Arc::clone(&self.core), taken);
        lock(&self.places).push(entrance.place());
        self.handle.spawn(entrance.serve());
        Ok(())
    }

    /// Serves a peer over a connected socket. The peer's identity is trusted and not checked. `ending` is called when the
    /// peer has closed the connection.
    ///
    /// # Errors
    /// If there are too many connections, or if the socket cannot be used.
    pub fn attach(&self, stream: UnixStream, ending: Option<Ending>) -> Result<(), ServiceError> {
        self.attach_as(stream, Attached { ending, named: None, authority: Authority::Full })
    }

    /// Serves the process of a driver over a connected socket. The process may only be that driver. If the driver's party is
    /// required, the party is missing when the connection is lost (L4).
    pub(crate) fn attach_driver(
        &self,
        stream: UnixStream,
        rights: Rights,
        ending: Ending,
        named: Option<Arc<NamedConnection>>,
    ) -> Result<(), ServiceError> {
        let authority = Authority::Driver(rights);
        self.attach_as(stream, Attached { ending: Some(ending), named, authority })
    }

    fn attach_as(&self, stream: UnixStream, process: Attached) -> Result<(), ServiceError> {
        let socket = {
            let _runtime = self.handle.enter();
            Socket::new(stream)?
        };
        let peer = Peer::of(&socket)?;
        let admitted = admit(&self.core, socket, &peer, None, process, &self.handle);
        admitted.map_err(|full| io::Error::other(full.to_string()).into())
    }

    /// Sets the function that restarts parties that the operator named, for peers that may change the partition. It can be set
    /// once. Without it no party can be restarted.
    pub fn restart_by(&self, restart: Restart) {
        // The first call counts.
        let _ = self.core.restart.set(restart);
    }

    /// Joins a message bus under the name `org.hotadd.Partition.NAME`, or for the partition of a machine
    /// [`MACHINE_BUS_NAME`](crate::MACHINE_BUS_NAME). Every peer on it that [`Access`] allows is served like a connection, and
    /// calls the partition at its usual path. An agent is called at the bus name from which it registered.
    ///
    /// When the connection to the bus ends, all its peers are gone (L3). The bus is joined again as soon as it is available,
    /// for as long as this lives.
    ///
    /// # Errors
    /// If there is no such bus, if it does not answer within 10 seconds, or if it does not grant the name.
    pub fn join_bus(&self, address: &BusAddress) -> Result<(), ServiceError> {
        self.has_name_for(address)?;
        let (joined, outcome) = channel();
        self.handle.spawn(presence::on_bus(Arc::clone(&self.core), address.clone(), joined));
        let outcome = outcome.recv().unwrap_or_else(|_| Err("the service has ended".to_owned()));
        outcome.map_err(|reason| ServiceError::Bus { bus: address.to_string(), reason })
    }

    /// Joins a message bus that may be unavailable, or may not grant the name: joining is retried until it works, and logged. Waits
    /// at most `wait` for the first try, and returns whether it worked.
    ///
    /// # Errors
    /// If the partition's name is not valid on a bus.
    pub fn join_bus_when_there(
        &self,
        address: &BusAddress,
        wait: Duration,
    ) -> Result<bool, ServiceError> {
        self.has_name_for(address)?;
        let (first, outcome) = channel();
        self.handle.spawn(presence::when_there(Arc::clone(&self.core), address.clone(), first));
        Ok(outcome.recv_timeout(wait).unwrap_or(false))
    }

    fn has_name_for(&self, address: &BusAddress) -> Result<(), ServiceError> {
        let name = &self.core.bus_name;
        if bus::is_service_name(name) {
            return Ok(());
        }
        let reason = format!("{name} is not a valid bus name");
        Err(ServiceError::Bus { bus: address.to_string(), reason })
    }

    /// Serves the metrics over HTTP, at a socket or a port, until this is dropped. The socket of a machine's partition is open to
    /// every user, and any other only to this user; a port is open to everything that reaches it. Returns where it is.
    ///
    /// # Errors
    /// If it cannot be listened there.
    pub fn serve_metrics(&self, address: &MetricsAddress) -> Result<String, ServiceError> {
        let failed = |error| ServiceError::Metrics { address: address.to_string(), error };
        let listener = {
            let _runtime = self.handle.enter();
            Listener::at(address, self.core.access.is_machine()).map_err(failed)?
        };
        let place = listener.place().map_err(failed)?;
        let serving = self.handle.spawn(listener.serve(Arc::downgrade(&self.core)));
        lock(&self.metrics).push(serving.abort_handle());
        Ok(place)
    }

    /// Removes the sockets, so that no new peer finds the service. Existing connections stay until this is dropped.
    pub fn close(&self) {
        lock(&self.places).drain(..).for_each(|place| *lock(&place) = None);
        lock(&self.metrics).drain(..).for_each(|serving| serving.abort());
    }

    /// What waits until the parties that have deregistered, or whose connections are lost, are out of the partition. It can be
    /// used after this service is dropped.
    #[must_use]
    pub fn departures(&self) -> Departures {
        self.core.departures()
    }

    /// Calls `what` on the thread that serves all connections, unless that thread has ended. `what` must not block.
    pub fn call(&self, what: impl FnOnce() + Send + 'static) {
        self.handle.spawn(async move { what() });
    }

    /// The time limit of a party in another process; `None` for any other party.
    #[must_use]
    pub fn time_limit(&self, party: PartyId) -> Option<Duration> {
        lock(&self.core.ledger).time_limit(party.0)
    }

    /// The name under which the partition is served.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.name
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.core.name).finish_non_exhaustive()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // This comes first, so that no new peer finds the service.
        self.close();
        self.stop.notify_one();
        if let Some(thread) = self.thread.take()
            // If the drop runs on that thread, inside the log, joining would wait for itself.
            && thread.thread().id() != thread::current().id()
        {
            // The thread returns nothing, and a panic was reported where it happened.
            let _ = thread.join();
        }
        // This does not wait for a transaction in progress.
        if let Some(observation) = self.observation.take() {
            observation.end_soon();
        }
    }
}
