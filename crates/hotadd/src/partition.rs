//! [`Partition`]: the processors that a program may run on, and the parties that must agree before another one joins.

use std::fmt;
use std::sync::{Arc, Weak};

#[cfg(not(hotadd_loom))]
use hotadd_core::Processor;
use hotadd_core::{ActiveSet, Driver, Epoch, HardwareId};

use crate::backend::Backend;
use crate::error::Error;
use crate::event::Event;
use crate::follow::Follow;
#[cfg(not(hotadd_loom))]
use crate::hardware::{Affinity, Tree, Watching};
use crate::hardware::{Hardware, Nudge, Simulated};
use crate::inner::Inner;
use crate::member::PartyInfo;
use crate::missing::Missing;
use crate::observation::Observation;
use crate::outcome::{Batch, Change, Rehearsal};
use crate::published::{ActiveSetGuard, Published};
use crate::registration::Registration;
use crate::registration_builder::RegistrationBuilder;
use crate::required::RequiredParty;
use crate::topology::Topology;

/// The processors that a program may run on, and the parties that must agree before another one joins.
///
/// This is a cheap handle: clones refer to the same partition. All methods may be called from any thread. Adding, removing,
/// rehearsing, registering and deregistering are serialized (A7). Queries never wait (Q1).
///
/// Inside a driver's callback, a method that would have to wait for the callback returns [`Error::InsideCallback`] (D3).
/// Queries, and dropping a [`Registration`], work there too.
///
/// ```
/// use hotadd::hardware::Simulated;
/// use hotadd::{HardwareId, Notice, Partition, State, Status, Veto};
///
/// let partition = Partition::simulated(&Simulated::new(2, 2)?)?;
/// let _pool = partition.register("pool", |notice: &Notice| match notice.state() {
///     State::AddStart if notice.processor().id == HardwareId(3) => {
///         Err(Veto::new(Status::INSUFFICIENT_RESOURCES, "no memory for a fourth block"))
///     }
///     _ => Ok(()),
/// })?;
///
/// partition.add(HardwareId(2))?;
/// let refused = partition.add(HardwareId(3)).unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "pool refused to add processor 3: no memory for a fourth block \
///      (STATUS_INSUFFICIENT_RESOURCES, 0xC000009A)",
/// );
/// assert_eq!(partition.count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Partition {
    /// The backend's own, for queries: one load instead of two and a call.
    published: Arc<Published>,
    backend: Arc<dyn Backend>,
}

impl Partition {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { published: Arc::clone(backend.published()), backend }
    }

    pub(crate) const fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The partition itself, if it is in this process.
    pub(crate) fn local(&self) -> Option<Arc<Inner>> {
        Arc::clone(&self.backend).local()
    }

    /// Makes a partition of processors that do not exist, for tests and for configurations that no test machine has.
    ///
    /// # Errors
    /// None that [`Simulated`] has not reported before.
    pub fn simulated(hardware: &Arc<Simulated>) -> Result<Self, Error> {
        Self::from_hardware(Arc::clone(hardware) as Arc<dyn Hardware>)
    }

    /// Makes a partition of this process and all its descendants. It begins with all processors that the threads of this process
    /// may run on, and holds the threads to them (H1): none of its threads runs on another processor before all parties have
    /// agreed.
    ///
    /// A processor appears when it comes online, when a cpuset above gains it, or when somebody puts it into a mask. The
    /// parties are asked about it at once, and it joins if all agree ([`Follow::Ask`], H2). [`follow`](Self::follow) sets
    /// another policy. A mask that somebody makes wider than the set is put back and reported within 250 ms (H3). A mask
    /// that is smaller than the set belongs to its thread and is not changed. `docs/limits.md` lists the windows that are
    /// left.
    ///
    /// When the last handle is dropped, the threads may run anywhere again.
    ///
    /// # Errors
    /// [`Error::Affinity`] if the kernel does not give the required information, or does not let the masks be set.
    /// [`Error::NoThread`] if a thread cannot be created.
    #[cfg(not(hotadd_loom))]
    pub fn process() -> Result<Self, Error> {
        Self::from_hardware_following(Arc::new(Affinity::new(Tree::Current, None)?), Follow::Ask)
    }

    /// Makes a partition that only watches which processors this process may run on. It sets no mask and holds no thread: a new
    /// processor is used before any party is asked, and is reported as joined without agreement up to 250 ms later (Q3).
    /// Processors cannot be added or removed.
    ///
    /// # Errors
    /// [`Error::Affinity`] if the kernel does not give the required information.
    #[cfg(not(hotadd_loom))]
    pub fn watch_process() -> Result<Self, Error> {
        Self::from_hardware(Arc::new(Watching::new()?))
    }

    /// Makes a partition over any hardware. A processor that appears is [reported](Follow::Report) until [`follow`](Self::follow)
    /// sets another policy.
    ///
    /// # Errors
    /// [`Error::Hardware`] if the hardware cannot tell which processors are active.
    pub fn from_hardware(hardware: Arc<dyn Hardware>) -> Result<Self, Error> {
        Self::from_hardware_following(hardware, Follow::Report)
    }

    /// Like [`from_hardware`](Self::from_hardware), but sets the policy for processors that appear from the start (H2).
    ///
    /// With [`Follow::Manual`], a processor that appears before observers and drivers are registered waits for
    /// [`follow`](Self::follow). With [`Follow::Ask`], a processor may join before any driver has registered. A driver is told of
    /// it when it registers (R3).
    ///
    /// # Errors
    /// As [`from_hardware`](Self::from_hardware). With [`Follow::Ask`] also [`Error::NoThread`].
    pub fn from_hardware_following(
        hardware: Arc<dyn Hardware>,
        follow: Follow,
    ) -> Result<Self, Error> {
        let ids = hardware.active().map_err(Error::Hardware)?;
        let set = ActiveSet::first(&ids, hardware.maximum()).map_err(Error::not_addable)?;
        let inner = Arc::new(Inner::new(set, Arc::clone(&hardware)));
        inner.follow(follow)?;
        let nudge = Nudge(Arc::downgrade(&inner) as _);
        hardware.watch(nudge.clone());
        // Finds changes that were made between the query and the start of the watch.
        nudge.nudge();
        Ok(Self::new(inner))
    }

    /// Registers a driver at level 0. It is told of every processor: of active processors before this method returns (R3), of
    /// later ones before they are started (A1).
    ///
    /// Dropping the returned [`Registration`] deregisters the driver.
    ///
    /// # Errors
    /// [`Error::NotJoining`] if the driver refused an active processor (R4), [`Error::InsideCallback`] (D3),
    /// [`Error::TooManyParties`] and [`Error::BadName`] (R7). The driver is then not registered, and is dropped.
    pub fn register(
        &self,
        name: &str,
        driver: impl Driver + Send + 'static,
    ) -> Result<Registration, Error> {
        self.registration(name).register(driver)
    }

    /// Begins a registration with options: [`RegistrationBuilder::level`], [`RegistrationBuilder::without_replay`],
    /// [`RegistrationBuilder::time_limit`].
    pub fn registration<'a>(&'a self, name: &'a str) -> RegistrationBuilder<'a> {
        RegistrationBuilder::new(self, name)
    }

    /// Names a party without which no processor joins (L4). It is missing until an [attempt](RequiredParty::attempt) succeeds.
    /// Register its driver with [`RegistrationBuilder::required`], so that adds are refused as soon as the driver crashes.
    ///
    /// # Errors
    /// [`Error::BadName`] (R7). [`Error::Denied`] for a partition in another process, whose operator decides.
    pub fn require(&self, name: &str) -> Result<RequiredParty, Error> {
        PartyInfo::check_name(name)?;
        let Some(inner) = self.local() else {
            let why =
                "the operator of a partition in another process decides which parties are required";
            return Err(Error::Denied(why.to_owned()));
        };
        Ok(RequiredParty::of(&inner, name))
    }

    /// The missing required parties, in the order in which they were named (L4). For a partition in another process this sends a
    /// request.
    ///
    /// # Errors
    /// None for a partition in this process. Otherwise the errors of a request, such as [`Error::Disconnected`].
    pub fn missing(&self) -> Result<Vec<Missing>, Error> {
        self.backend.missing()
    }

    /// Sets the policy for processors that appear from now on (H2). The new policy also applies to the processors that have
    /// [waited](Follow::Manual), except those that joined, were refused or vanished meanwhile.
    ///
    /// Changing from [`Follow::Ask`] to another policy does not wait: an add in progress continues, and no further one
    /// begins. The processors behind it wait if the new policy is [`Follow::Manual`]. Otherwise they stay out until
    /// somebody adds them.
    ///
    /// May be called from any thread at any time, also from inside callbacks. If processors have waited, it waits for a
    /// transaction in progress and then reports them. From inside a callback it returns at once, and they are reported
    /// after the transaction.
    ///
    /// # Errors
    /// [`Error::NoThread`] if a thread is needed and cannot be created. [`Error::Denied`] for a partition in another
    /// process, whose owner decides. The policy is then unchanged.
    pub fn follow(&self, follow: Follow) -> Result<(), Error> {
        match self.local() {
            Some(inner) => inner.follow(follow),
            None => {
                let decides = "the process that owns the partition sets the policy for processors that \
                 appear";
                Err(Error::Denied(decides.to_owned()))
            }
        }
    }

    /// The policy for processors that appear (H2). Never waits.
    ///
    /// For a partition in another process it is always [`Follow::Manual`]: its owner sets its policy, and does not send it.
    #[must_use]
    pub fn following(&self) -> Follow {
        self.local().map_or(Follow::Manual, |inner| inner.following.policy())
    }

    /// Adds a processor: asks all parties, starts the processor, and tells all parties (A1-A5).
    ///
    /// # Errors
    /// [`Error::NotAddable`] before any party is asked (A8), [`Error::Vetoed`] (A3), [`Error::Platform`] (A4),
    /// [`Error::InsideCallback`] (D3). The processor is then not in the partition.
    pub fn add(&self, id: HardwareId) -> Result<Change, Error> {
        self.backend.add(id)
    }

    /// Adds several processors (A9). Returns a result for each, in the given order.
    ///
    /// If an atomic batch fails, every result contains the same error, which names the processor that was refused. The exceptions
    /// are processors that the platform failed to stop again ([`Error::Stuck`]).
    ///
    /// # Errors
    /// As [`add`](Self::add), for each processor.
    #[must_use = "every processor has a result of its own"]
    pub fn add_batch(
        &self,
        ids: &[HardwareId],
        batch: Batch,
    ) -> Vec<(HardwareId, Result<Change, Error>)> {
        self.backend.add_batch(ids, batch)
    }

    /// Asks all parties whether a processor could be added, and adds nothing (A10). The parties get AddStart, then AddFailure
    /// with `STATUS_CANCELLED`.
    ///
    /// # Errors
    /// [`Error::NotAddable`] (A8), [`Error::InsideCallback`] (D3). Refusals are part of the result.
    pub fn rehearse(&self, id: HardwareId) -> Result<Rehearsal, Error> {
        self.backend.rehearse(id)
    }

    /// Asks all parties that asked for removal notices whether a processor could be removed, and removes nothing (A10). They get
    /// RemoveStart, then RemoveFailure with `STATUS_CANCELLED`.
    ///
    /// # Errors
    /// [`Error::NotRemovable`] (X1), [`Error::InsideCallback`] (D3). Refusals are part of the result.
    pub fn rehearse_removal(&self, id: HardwareId) -> Result<Rehearsal, Error> {
        self.backend.rehearse_removal(id)
    }

    /// Removes a processor: asks the parties that asked for removal notices, stops the processor, and tells them (X1).
    ///
    /// # Errors
    /// [`Error::NotRemovable`], [`Error::Vetoed`], [`Error::Platform`], [`Error::InsideCallback`] (D3). The processor
    /// is then still in the partition.
    pub fn remove(&self, id: HardwareId) -> Result<Change, Error> {
        self.backend.remove(id)
    }

    /// The current active set. Never waits (Q1); takes about 20 ns.
    #[must_use]
    pub fn active(&self) -> Arc<ActiveSet> {
        self.published.load()
    }

    /// The current active set, for a short read. Never waits (Q1). Threads that read at the same time do not slow each other down,
    /// as they do with [`active`](Self::active), which counts its references.
    #[must_use]
    pub fn read(&self) -> ActiveSetGuard {
        self.published.read()
    }

    /// The number of active processors. One atomic load.
    ///
    /// The set may change between this call and a call of [`active`](Self::active). A later `active` is at least as new.
    #[must_use]
    #[inline]
    pub fn count(&self) -> u32 {
        self.published.summary().1
    }

    /// The epoch of the current active set (Q2). Data that was read at this epoch is still current. One atomic load.
    #[must_use]
    #[inline]
    pub fn epoch(&self) -> Epoch {
        self.published.summary().0
    }

    /// The processor that this thread is on. Never waits; takes about 20 ns.
    ///
    /// `None` if it is not in the set: the thread is in one of the windows that `docs/limits.md` lists (H5), or the partition governs
    /// other processes than this one, or neither the C library nor the kernel tells. The thread may be moved at any time, also before
    /// this returns.
    ///
    /// The processors of a [simulated](Self::simulated) partition do not exist. There the number of the thread's real processor is taken
    /// as the hardware id.
    #[must_use]
    #[cfg(not(hotadd_loom))]
    pub fn current(&self) -> Option<Processor> {
        let cpu = hotadd_percpu::cpu::current()?;
        self.read().active(HardwareId(cpu))
    }

    /// The processors that the hardware could add now, ascending. This may wait for a change in progress.
    ///
    /// # Errors
    /// [`Error::Hardware`] if the hardware cannot tell. For a partition in another process the errors of a request, such as
    /// [`Error::InsideCallback`] and [`Error::Disconnected`].
    pub fn candidates(&self) -> Result<Vec<HardwareId>, Error> {
        self.backend.candidates()
    }

    /// Where a processor is in the machine, as it is known now. May be called for any processor, from any thread, also inside
    /// callbacks. It reads about 20 small files, so keep the result if you need it often. [`Topology`] documents what is known when.
    ///
    /// For a partition in another process, this process reads the files of its own system. The shape of simulated processors in
    /// another process is not known here.
    #[must_use]
    pub fn topology(&self, id: HardwareId) -> Topology {
        self.backend.topology(id)
    }

    /// The name of the hardware, such as `simulated`.
    #[must_use]
    pub fn hardware(&self) -> &'static str {
        self.backend.hardware()
    }

    /// Whether the partition can be reached now. Always true for a partition in this process.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.backend.is_connected()
    }

    /// Calls `observer` with every event from now on, in order, on the thread on which the event happens.
    ///
    /// The observer is called until the returned handle is dropped. It is called in the middle of transactions, so the rules for
    /// callbacks apply to it. An observer that panics is dropped. While there is an observer, every call to a driver is timed;
    /// without one, no call is.
    ///
    /// A partition in another process reports only the events that it signals: Joined, Refused, Left and Breach.
    ///
    /// # Errors
    /// [`Error::InsideCallback`] (D3).
    pub fn observe(
        &self,
        observer: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Observation, Error> {
        let ended = self.backend.observe(None, Box::new(observer))?;
        let backend: Weak<dyn Backend> = Arc::downgrade(&self.backend);
        Ok(Observation::new(backend, ended))
    }

    /// Like [`observe`](Self::observe), but first calls `present` with the registered parties, in calling order. No party
    /// registers or deregisters unnoticed between the two. This does not hold for a partition in another process, which does not
    /// signal registrations and deregistrations.
    ///
    /// # Errors
    /// As [`observe`](Self::observe). For a partition in another process also the errors of a request.
    pub fn observe_with(
        &self,
        present: impl FnOnce(&[PartyInfo]),
        observer: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Observation, Error> {
        let mut present = Some(present);
        let mut present = |parties: &[PartyInfo]| {
            present.take().into_iter().for_each(|call| call(parties));
        };
        let ended = self.backend.observe(Some(&mut present), Box::new(observer))?;
        let backend: Weak<dyn Backend> = Arc::downgrade(&self.backend);
        Ok(Observation::new(backend, ended))
    }

    /// The number of observers. For a partition in another process, the number of observers on this connection.
    ///
    /// # Errors
    /// [`Error::InsideCallback`] (D3).
    pub fn observers(&self) -> Result<usize, Error> {
        self.backend.observers()
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active: crate::CpuList = self.active().iter().map(|p| p.id).collect();
        f.debug_struct("Partition")
            .field("hardware", &self.hardware())
            .field("epoch", &self.epoch())
            .field("active", &active.to_string())
            .finish()
    }
}
