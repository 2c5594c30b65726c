//! [`Client`]: the handle of a partition in another process. It consists of the requests, which its agent thread
//! executes, and the active set, which any thread may read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::ThreadId;

use hotadd_core::{ActiveSet, HardwareId, PartyId};
use hotadd_wire::{Message, Request};

use crate::adding::Adds;
use crate::backend::{Backend, MakeDriver, Present, RegistrationHandle, RegistrationRequest};
use crate::error::{Action, Error};
use crate::hardware::simulated;
use crate::inner::Inner;
use crate::member::PartyInfo;
use crate::missing::Missing;
use crate::observation::Observed;
use crate::observers::{Ended, Observer};
use crate::outcome::{Batch, Change, Rehearsal};
use crate::published::Published;
use crate::registration::Registration;
use crate::remote::command::{Command, NewDriver, RegisteredDriver, To, drop_contained};
use crate::remote::command_queue::CommandQueue;
use crate::remote::read::{self, About};
use crate::topology::Topology;

/// The number of processors in one request, so that the reply is not larger than a message may be.
const PER_BATCH: usize = 100;

pub(crate) struct Client {
    pub(super) common: Arc<Common>,
    pub(super) commands: CommandQueue,
    /// The agent thread. A request from this thread comes from inside a callback.
    pub(super) thread: ThreadId,
    pub(super) hardware: &'static str,
}

/// The data that the handles and the agent thread share.
pub(super) struct Common {
    /// The set, as the partition's page shows it.
    pub(super) published: Arc<Published>,
    pub(super) connected: AtomicBool,
    /// A driver departed inside a callback. Only the agent thread sets and reads this.
    pub(super) departures: AtomicBool,
}

impl Observed for Client {
    fn drop_ended(&self) {
        // Fails only inside a callback, and when the connection has ended; the flag is enough then.
        let _ = self.observers();
    }
}

impl Adds for Client {
    fn active(&self) -> Arc<ActiveSet> {
        self.common.published.load()
    }

    fn add(&self, id: HardwareId) -> Result<Change, Error> {
        let reply = self.call("adding", &Request::Add(id))?;
        self.about("adding", Action::Add, |about| read::change(&reply, about))
    }
}

impl Backend for Client {
    fn published(&self) -> &Arc<Published> {
        &self.common.published
    }

    fn hardware(&self) -> &'static str {
        self.hardware
    }

    fn is_connected(&self) -> bool {
        self.common.connected.load(Ordering::Acquire)
    }

    fn is_inside(&self) -> bool {
        std::thread::current().id() == self.thread
    }

    fn candidates(&self) -> Result<Vec<HardwareId>, Error> {
        let reply = self.call("asking", &Request::GetCandidates)?;
        let mut candidates = read::candidates(&reply)?;
        // A processor may have joined after the reply was sent.
        let set = self.common.published.load();
        let is_active = |id| set.by_id(id).is_some_and(|processor| set.contains(processor.index));
        candidates.retain(|id| !is_active(*id));
        Ok(candidates)
    }

    fn topology(&self, id: HardwareId) -> Topology {
        if self.hardware == simulated::NAME {
            Topology::default()
        } else {
            Topology::of_machine(id)
        }
    }

    fn remove(&self, id: HardwareId) -> Result<Change, Error> {
        let reply = self.call("removing", &Request::Remove(id))?;
        self.about("removing", Action::Remove, |about| read::change(&reply, about))
    }

    fn rehearse(&self, id: HardwareId) -> Result<Rehearsal, Error> {
        let reply = self.call("rehearsing", &Request::Rehearse(id))?;
        self.about("rehearsing", Action::Add, |about| read::rehearsal(&reply, about))
    }

    fn rehearse_removal(&self, id: HardwareId) -> Result<Rehearsal, Error> {
        let reply = self.call("rehearsing", &Request::RehearseRemoval(id))?;
        self.about("rehearsing", Action::Remove, |about| read::rehearsal(&reply, about))
    }

    fn add_batch(
        &self,
        ids: &[HardwareId],
        batch: Batch,
    ) -> Vec<(HardwareId, Result<Change, Error>)> {
        let atomic = batch == Batch::Atomic;
        let size = if atomic { ids.len().max(1) } else { PER_BATCH };
        let add = |ids: &[HardwareId]| {
            let reply = self.call("adding", &Request::AddBatch(ids.to_vec(), atomic))?;
            self.about("adding", Action::Add, |about| read::batch(&reply, ids, about))
        };
        let all = |ids: &[HardwareId], error: Error| {
            ids.iter().map(|id| (*id, Err(error.clone()))).collect::<Vec<_>>()
        };
        ids.chunks(size).flat_map(|ids| add(ids).unwrap_or_else(|error| all(ids, error))).collect()
    }

    fn missing(&self) -> Result<Vec<Missing>, Error> {
        let reply = self.call("asking", &Request::GetMissing)?;
        read::missing(&reply)
    }

    fn observe(&self, present: Option<Present<'_>>, observer: Observer) -> Result<Ended, Error> {
        if let Some(present) = present {
            present(&self.parties()?);
        }
        self.request("observing", |to| Command::Observe(observer, to))
    }

    fn observers(&self) -> Result<usize, Error> {
        self.request("observing", Command::Observers)
    }

    fn register(
        self: Arc<Self>,
        request: RegistrationRequest<'_>,
        make: MakeDriver<'_>,
    ) -> Result<Registration, Error> {
        let RegistrationRequest { name, level, replay, time_limit, .. } = request;
        // The partition assigns the identity, after the replay.
        let driver = make(PartyId(0));
        PartyInfo::check_name(name)?;
        self.outside("registering")?;
        let (to, outcome) = mpsc::channel();
        let new = NewDriver { name: name.into(), level, replay, time_limit, driver };
        self.commands.send(Command::Register(new, to))?;
        let outcome = outcome.recv().map_err(|_| Error::Disconnected)?;
        let (registered, epoch) = outcome.map_err(|(error, driver)| {
            drop_contained(driver);
            error
        })?;
        Ok(Registration::remote(RemoteHandle { client: self, registered }, epoch))
    }

    fn local(self: Arc<Self>) -> Option<Arc<Inner>> {
        None
    }
}

struct RemoteHandle {
    client: Arc<Client>,
    registered: Arc<RegisteredDriver>,
}

impl RegistrationHandle for RemoteHandle {
    fn deregister(&self) -> Result<(), Error> {
        self.client.deregister(&self.registered)
    }

    fn info(&self) -> PartyInfo {
        self.registered.info()
    }

    fn departed(&self) -> bool {
        self.registered.departed()
    }
}

impl Client {
    /// All registered parties, in calling order.
    fn parties(&self) -> Result<Vec<PartyInfo>, Error> {
        let reply = self.call("observing", &Request::GetParties)?;
        self.about("observing", Action::Add, |about| read::parties(&reply, about))
    }

    /// Waits until the driver is not called any more, unless this is inside a callback (D1, D3).
    fn deregister(&self, registered: &RegisteredDriver) -> Result<(), Error> {
        let gone = || Err(Error::NotRegistered(registered.info()));
        if self.outside("deregistering").is_err() {
            self.common.departures.store(true, Ordering::Relaxed);
            return if registered.depart() { gone() } else { Ok(()) };
        }
        match self.request("deregistering", |to| Command::Deregister(registered.number, to)) {
            Ok(driver) => {
                drop_contained(driver);
                Ok(())
            }
            // The agent thread has ended, and has removed all drivers.
            Err(_) => gone(),
        }
    }

    /// Checks that this is not inside a callback.
    fn outside(&self, what: &'static str) -> Result<(), Error> {
        if self.is_inside() {
            return Err(Error::InsideCallback(what));
        }
        Ok(())
    }

    fn request<T>(
        &self,
        what: &'static str,
        command: impl FnOnce(To<T>) -> Command,
    ) -> Result<T, Error> {
        self.outside(what)?;
        let (to, outcome) = mpsc::channel();
        self.commands.send(command(to))?;
        outcome.recv().map_err(|_| Error::Disconnected)?
    }

    fn call(&self, what: &'static str, request: &Request) -> Result<Message, Error> {
        let call = request.call().map_err(read::protocol)?;
        self.request(what, |to| Command::Call(call, to))
    }

    fn about<T>(
        &self,
        what: &'static str,
        action: Action,
        read: impl FnOnce(&About<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let set: Arc<ActiveSet> = self.common.published.load();
        read(&About { what, action, party: None, set: &set })
    }
}
