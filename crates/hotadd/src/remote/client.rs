//! [`Client`]: the handle of a partition in another process. It has nothing but requests, which its agent thread carries
//! out, and the replica of the active set, which anybody reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::ThreadId;
use std::time::Duration;

use hotadd_core::{ActiveSet, Epoch, HardwareId, Level, PartyId};
use hotadd_wire::{Message, Request};

use crate::backend::{
    Backend, BoxedDriver, MakeDriver, Present, RegistrationHandle, RegistrationRequest,
};
use crate::error::{Action, Error};
use crate::inner::Inner;
use crate::member::PartyInfo;
use crate::observers::{Ended, Observer};
use crate::outcome::{Batch, Change, Rehearsal};
use crate::published::Published;
use crate::registration::Registration;
use crate::remote::orders::Orders;
use crate::remote::read::{self, About};
use crate::required::Missing;

/// How many processors are asked for at once, so that the answer is no larger than a message may be.
const PER_BATCH: usize = 100;

/// Where the outcome of a request goes.
pub(super) type To<T> = mpsc::Sender<Result<T, Error>>;

pub(crate) struct Client {
    pub(super) common: Arc<Common>,
    pub(super) orders: Orders,
    /// The agent thread: who asks from there asks from inside a callback.
    pub(super) thread: ThreadId,
    pub(super) hardware: &'static str,
}

/// What the handles and the agent thread share.
pub(super) struct Common {
    /// The replica. Written by the agent thread alone.
    pub(super) published: Arc<Published>,
    pub(super) connected: AtomicBool,
    /// A driver departed inside a callback. Set and read by the agent thread alone.
    pub(super) departures: AtomicBool,
}

/// What the handle of a registered driver and the agent thread both know of it.
pub(crate) struct Enrolled {
    /// The number in its object path.
    pub(super) number: u32,
    /// What the partition calls it; 0 while it is not registered.
    pub(super) party: AtomicU64,
    pub(super) level: Level,
    pub(super) name: Box<str>,
    /// Once true it stays true, and the driver is not called again (D1).
    departed: AtomicBool,
}

/// A driver that wants to register, on its way to the agent thread.
pub(super) struct Recruit {
    pub(super) name: Box<str>,
    pub(super) level: Level,
    pub(super) replay: bool,
    pub(super) time_limit: Option<Duration>,
    pub(super) driver: BoxedDriver,
}

/// What became of it. A driver that is not registered comes back, to be dropped where it came from.
pub(super) type Enlisted = Result<(Arc<Enrolled>, Epoch), (Error, Option<BoxedDriver>)>;

/// What the agent thread is asked to do.
pub(super) enum Command {
    Register(Recruit, mpsc::Sender<Enlisted>),
    /// Gives the driver back.
    Deregister(u32, To<Option<BoxedDriver>>),
    /// Sends a call, and gives the reply back once the replica is as new as it.
    Call(Message, To<Message>),
    Observe(Observer, To<Ended>),
    /// Drops the observers that have ended, and says how many there are besides.
    Observers(To<usize>),
}

impl Enrolled {
    pub(super) fn new(number: u32, level: Level, name: Box<str>) -> Self {
        let (party, departed) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { number, party, level, name, departed }
    }

    pub(super) fn info(&self) -> PartyInfo {
        // Relaxed: a name, which orders nothing.
        let id = PartyId(self.party.load(Ordering::Relaxed));
        PartyInfo { id, name: self.name.to_string(), level: self.level }
    }

    /// Relaxed, here and below: it decides something only on the agent thread, which sets it. Elsewhere it is a report.
    pub(super) fn departed(&self) -> bool {
        self.departed.load(Ordering::Relaxed)
    }

    /// Returns whether it had departed before.
    pub(super) fn depart(&self) -> bool {
        self.departed.swap(true, Ordering::Relaxed)
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

    fn candidates(&self) -> Result<Vec<HardwareId>, Error> {
        let reply = self.call("asking", &Request::GetCandidates)?;
        let mut candidates = read::candidates(&reply)?;
        // A processor may have joined since the reply was sent.
        let set = self.common.published.load();
        let is_active = |id| set.by_id(id).is_some_and(|processor| set.contains(processor.index));
        candidates.retain(|id| !is_active(*id));
        Ok(candidates)
    }

    fn add(&self, id: HardwareId) -> Result<Change, Error> {
        let reply = self.call("adding", &Request::Add(id))?;
        self.about("adding", Action::Add, |about| read::change(&reply, about))
    }

    fn remove(&self, id: HardwareId) -> Result<Change, Error> {
        let reply = self.call("removing", &Request::Remove(id))?;
        self.about("removing", Action::Remove, |about| read::change(&reply, about))
    }

    fn rehearse(&self, id: HardwareId) -> Result<Rehearsal, Error> {
        let reply = self.call("rehearsing", &Request::Rehearse(id))?;
        self.about("rehearsing", Action::Add, |about| read::rehearsal(&reply, about))
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
        let recruit = Recruit { name: name.into(), level, replay, time_limit, driver };
        self.orders.send(Command::Register(recruit, to))?;
        let outcome = outcome.recv().map_err(|_| Error::Disconnected)?;
        let (enrolled, epoch) = outcome.map_err(|(error, driver)| {
            bury(driver);
            error
        })?;
        Ok(Registration::new(RemoteHandle { client: self, enrolled }, epoch))
    }

    fn local(self: Arc<Self>) -> Option<Arc<Inner>> {
        None
    }
}

struct RemoteHandle {
    client: Arc<Client>,
    enrolled: Arc<Enrolled>,
}

impl RegistrationHandle for RemoteHandle {
    fn deregister(&self) -> Result<(), Error> {
        self.client.deregister(&self.enrolled)
    }

    fn info(&self) -> PartyInfo {
        self.enrolled.info()
    }

    fn departed(&self) -> bool {
        self.enrolled.departed()
    }
}

impl Client {
    /// Everybody who is registered, in calling order.
    fn parties(&self) -> Result<Vec<PartyInfo>, Error> {
        let reply = self.call("observing", &Request::GetParties)?;
        self.about("observing", Action::Add, |about| read::parties(&reply, about))
    }

    /// Waits until the driver is not called any more, unless this is inside a callback (D1, D3).
    fn deregister(&self, enrolled: &Enrolled) -> Result<(), Error> {
        let gone = || Err(Error::NotRegistered(enrolled.info()));
        if self.outside("deregistering").is_err() {
            self.common.departures.store(true, Ordering::Relaxed);
            return if enrolled.depart() { gone() } else { Ok(()) };
        }
        match self.request("deregistering", |to| Command::Deregister(enrolled.number, to)) {
            Ok(driver) => {
                bury(driver);
                Ok(())
            }
            // The agent thread is gone, and took everybody with it.
            Err(_) => gone(),
        }
    }

    /// That this is not inside a callback.
    fn outside(&self, what: &'static str) -> Result<(), Error> {
        if std::thread::current().id() == self.thread {
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
        self.orders.send(command(to))?;
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

/// Drops a driver. One that panics there takes nobody with it (L3).
pub(super) fn bury(driver: Option<BoxedDriver>) {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let buried = catch_unwind(AssertUnwindSafe(|| drop(driver)));
    let _ = buried.map_err(std::mem::forget);
}
