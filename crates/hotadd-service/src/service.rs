//! [`Service`]: a partition on D-Bus, and the thread that serves it.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hotadd::{Observation, Partition, PartyId, text};
use hotadd_wire::{BusAddress, bus, is_name};
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

use crate::access::authority::Authority;
use crate::access::peer::Peer;
use crate::access::policy::Access;
use crate::access::rights::Rights;
use crate::lock::lock;
use crate::object::core::Core;
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
    /// Not at this place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The partition cannot be observed: this is the inside of a callback (D3).
    #[error(transparent)]
    Partition(#[from] hotadd::Error),
    /// Not on this bus.
    #[error("the partition cannot be on {bus}: {reason}")]
    Bus {
        /// Which one.
        bus: String,
        /// Why not.
        reason: String,
    },
    /// No thread, no descriptor.
    #[error("the partition cannot be served: {0}")]
    System(#[from] io::Error),
}

/// A partition on D-Bus. Dropping it removes the socket, closes all connections and deregisters all agents. An add that waits
/// for the answer of one of them is vetoed by it; to later ones nobody is missing.
///
/// All methods may be called from any thread, and wait for no peer. When the drop returns all connections are closed and no
/// agent is called any more; their registrations may take until the end of a transaction under way.
pub struct Service {
    core: Arc<Core>,
    handle: Handle,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
    places: Mutex<Vec<Held>>,
    observation: Option<Observation>,
}

impl Service {
    /// Serves a partition at a socket. The folder is made if it is missing; one that others have access to is refused, and
    /// so is a name that is taken.
    ///
    /// # Errors
    /// If the socket cannot be made there, or no thread.
    pub fn listen(partition: &Partition, name: &str, path: &Path) -> Result<Self, ServiceError> {
        let service = Self::new(partition, name, Arc::new(|_| ()))?;
        service.open(path)?;
        Ok(service)
    }

    /// Serves a partition of one's own, over the connections that it will be [given](Self::attach), and at the sockets that will be
    /// [opened](Self::open).
    ///
    /// # Errors
    /// For a bad name, inside a callback of the partition, or if there is no thread.
    pub fn new(partition: &Partition, name: &str, log: Log) -> Result<Self, ServiceError> {
        Self::with_access(partition, name, Access::own(), log)
    }

    /// The same, for those who have access. Whom it was refused is logged by process and user, ten a user and 10 seconds.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_access(
        partition: &Partition,
        name: &str,
        access: Access,
        log: Log,
    ) -> Result<Self, ServiceError> {
        if !is_name(name) {
            return Err(PlaceError::BadName(name.chars().take(64).collect()).into());
        }
        let (leaving, left) = channel();
        let log: Log = Arc::new(move |line| log(&text::clean(line)));
        let core = Arc::new(Core::new(partition.clone(), name.to_owned(), access, log, leaving));
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
        // Dropping a registration waits until no transaction is under way. It ends when the core is gone.
        let leave = move || left.into_iter().for_each(drop);
        thread::Builder::new().name("hotadd-leave".to_owned()).spawn(leave)?;
        let (served, stopped) = (Arc::clone(&core), Arc::clone(&stop));
        let serve = move || {
            runtime.block_on(async {
                stopped.notified().await;
                served.stop().await;
            });
        };
        let thread = thread::Builder::new().name("hotadd-dbus".to_owned()).spawn(serve)?;
        let (thread, observation) = (Some(thread), Some(observation));
        Ok(Self { core, handle, stop, thread, places: Mutex::default(), observation })
    }

    /// Listens at one more socket. Only those get in who have [`Access`]: the socket has mode 0600, in a folder of mode 0700,
    /// both of this user; or for the partition of a machine 0660 and the group's, in a folder of mode 0755. If it is deleted it is
    /// made again, within about a second.
    ///
    /// # Errors
    /// If the socket cannot be made there.
    pub fn open(&self, path: &Path) -> Result<(), ServiceError> {
        let taken = {
            let _runtime = self.handle.enter();
            Place::take(&self.core.name, path, &self.core.access)?
        };
        let entrance = Entrance::new(Arc::clone(&self.core), taken);
        lock(&self.places).push(entrance.place());
        self.handle.spawn(entrance.serve());
        Ok(())
    }

    /// Serves a peer over a connected socket. It is trusted to be who it should be; `ending` is asked when the peer has ended
    /// the connection.
    ///
    /// # Errors
    /// If there are too many connections, or the socket is no such socket.
    pub fn attach(&self, stream: UnixStream, ending: Option<Ending>) -> Result<(), ServiceError> {
        self.attach_as(stream, Attached { ending, named: None, authority: Authority::Full })
    }

    /// The same, for the process of a driver: it may be that driver, and no more. If its party is required it is missing when the
    /// connection is lost (L4).
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

    /// Has parties that the operator named started anew by this, when somebody asks for it who may change the partition. Said once;
    /// without it there are no such parties.
    pub fn restart_by(&self, restart: Restart) {
        // The first one counts.
        let _ = self.core.restart.set(restart);
    }

    /// Joins a message bus under the name `org.hotadd.Partition.NAME`, or for the partition of a machine
    /// [`MACHINE_BUS_NAME`](crate::MACHINE_BUS_NAME). Everybody on it who has [`Access`] is served like a connection, and calls
    /// the partition at its usual path; an agent is called at the name that it registered from.
    ///
    /// When the bus ends all of them are gone (L3). It is joined again as soon as it is there, for as long as this lives.
    ///
    /// # Errors
    /// If there is no such bus, it does not answer within 10 seconds, or does not give us the name.
    pub fn join_bus(&self, address: &BusAddress) -> Result<(), ServiceError> {
        self.has_name_for(address)?;
        let (joined, outcome) = channel();
        self.handle.spawn(presence::on_bus(Arc::clone(&self.core), address.clone(), joined));
        let outcome = outcome.recv().unwrap_or_else(|_| Err("the service has ended".to_owned()));
        outcome.map_err(|reason| ServiceError::Bus { bus: address.to_string(), reason })
    }

    /// The same for a bus that need not be there, or not give us the name: it is tried until it is joined, and the log says so.
    /// Waits for the first try so long at most, and returns whether that has worked.
    ///
    /// # Errors
    /// If the partition's name is none on a bus.
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
        let name = self.core.bus_name();
        if bus::is_service_name(&name) {
            return Ok(());
        }
        let reason = format!("{name} is no name there");
        Err(ServiceError::Bus { bus: address.to_string(), reason })
    }

    /// Is found no more: removes the sockets. Those who are connected stay so until this is dropped.
    pub fn close(&self) {
        lock(&self.places).drain(..).for_each(|place| *lock(&place) = None);
    }

    /// Calls this on the thread that serves all connections, when that comes to it; not if it has ended. It must not wait.
    pub fn call(&self, what: impl FnOnce() + Send + 'static) {
        self.handle.spawn(async move { what() });
    }

    /// How long a party in another process may take over an answer; `None` if it is none of those.
    #[must_use]
    pub fn time_limit(&self, party: PartyId) -> Option<Duration> {
        lock(&self.core.ledger).time_limit(party.0)
    }

    /// The name that the partition is served under.
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
        // First of all, so that nobody new finds it.
        self.close();
        self.stop.notify_one();
        if let Some(thread) = self.thread.take()
            // From inside the log it would wait for itself.
            && thread.thread().id() != thread::current().id()
        {
            // It has nothing to say; a panic of it was shown where it happened.
            let _ = thread.join();
        }
        // A transaction under way is not waited for.
        if let Some(observation) = self.observation.take() {
            observation.end_soon();
        }
    }
}
