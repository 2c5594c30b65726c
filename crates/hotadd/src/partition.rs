//! [`Partition`]: the processors that a program may run on, and the parties that must agree before there are more.

use std::fmt;
use std::sync::Arc;

use hotadd_core::{ActiveSet, Driver, Epoch, HardwareId};

use crate::error::Error;
use crate::event::Event;
use crate::follow::Follow;
#[cfg(not(hotadd_loom))]
use crate::hardware::{Affinity, Tree, Watching};
use crate::hardware::{Hardware, Nudge, Simulated};
use crate::inner::Inner;
use crate::member::PartyInfo;
use crate::observation::{self, Observation};
use crate::observers::Ended;
use crate::outcome::{Batch, Change, Rehearsal};
use crate::published::Published;
use crate::registering::Registering;
use crate::registration::Registration;
#[cfg(feature = "dbus")]
use crate::remote::Client;

/// The processors that a program may run on, and the parties that must agree before there are more.
///
/// A cheap handle: clones are the same partition. All methods may be called from any thread. Adding, removing,
/// rehearsing, registering and deregistering wait for one another (A7); queries never wait (Q1).
///
/// From inside a driver's callback everything that would have to wait for that callback is refused with
/// [`Error::InsideCallback`] (D3). Queries, and dropping a [`Registration`], work there too.
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
    pub(crate) seat: Seat,
}

/// Where a partition has its seat.
#[derive(Clone)]
pub(crate) enum Seat {
    /// In this process.
    Here(Arc<Inner>),
    /// In another process.
    #[cfg(feature = "dbus")]
    There(Arc<Client>),
}

impl Seat {
    /// The partition itself, if it is in this process.
    pub(crate) fn here(&self) -> Option<&Arc<Inner>> {
        match self {
            Self::Here(inner) => Some(inner),
            #[cfg(feature = "dbus")]
            Self::There(_) => None,
        }
    }
}

impl Partition {
    /// A partition of processors that do not exist: for tests, and for what no test machine has.
    ///
    /// # Errors
    /// None that [`Simulated`] has not reported before.
    pub fn simulated(hardware: &Arc<Simulated>) -> Result<Self, Error> {
        Self::over(Arc::clone(hardware) as Arc<dyn Hardware>)
    }

    /// A partition of this process and all its descendants, which begins with the processors that its threads may run on
    /// together, and holds them to these (H1): none of its threads runs on another one before everybody has agreed.
    ///
    /// What appears, because it came online, a cpuset above gained it, or somebody put it into a mask, is asked for at once and
    /// joins by agreement ([`Follow::Ask`], H2); [`follow`](Self::follow) says otherwise. A mask that somebody makes wider than the
    /// set is put back and reported within 250 ms (H3). Masks that are smaller than the set are their threads' own, and stay. The
    /// windows that are left are on the page of limits.
    ///
    /// When the last handle is dropped, the threads may run anywhere again.
    ///
    /// # Errors
    /// [`Error::Affinity`] if the kernel does not tell what it should, or does not let the masks be set;
    /// [`Error::NoThread`] if there can be no thread.
    #[cfg(not(hotadd_loom))]
    pub fn process() -> Result<Self, Error> {
        Self::over_following(Arc::new(Affinity::new(Tree::Current, None)?), Follow::Ask)
    }

    /// A partition that only watches which processors this process may run on. It sets no mask and promises nothing: what comes
    /// is used before anybody is asked, and is reported as joined without agreement up to 250 ms later (Q3). Nothing can be added
    /// or removed.
    ///
    /// # Errors
    /// [`Error::Affinity`] if the kernel does not tell what it should.
    #[cfg(not(hotadd_loom))]
    pub fn watch_process() -> Result<Self, Error> {
        Self::over(Arc::new(Watching::new()?))
    }

    /// A partition over any hardware. A processor that appears is [reported](Follow::Report) until [`follow`](Self::follow) sets
    /// another policy.
    ///
    /// # Errors
    /// [`Error::Hardware`] if the hardware cannot tell what runs.
    pub fn over(hardware: Arc<dyn Hardware>) -> Result<Self, Error> {
        Self::over_following(hardware, Follow::Report)
    }

    /// As [`over`](Self::over), with the policy for processors that appear from the first moment (H2).
    ///
    /// With [`Follow::Manual`] nothing is lost that appears before observers and drivers are there: it waits for
    /// [`follow`](Self::follow). With [`Follow::Ask`] a processor may join before any driver has registered, which then hears of it
    /// when it registers (R3).
    ///
    /// # Errors
    /// As [`over`](Self::over). [`Error::NoThread`] with [`Follow::Ask`].
    pub fn over_following(hardware: Arc<dyn Hardware>, follow: Follow) -> Result<Self, Error> {
        let ids = hardware.active().map_err(Error::Hardware)?;
        let set = ActiveSet::first(&ids, hardware.maximum()).map_err(Error::not_addable)?;
        let inner = Arc::new(Inner::new(set, Arc::clone(&hardware)));
        inner.follow(follow)?;
        let nudge = Nudge(Arc::downgrade(&inner) as _);
        hardware.watch(nudge.clone());
        // What changed between asking and watching is not to go unseen.
        nudge.nudge();
        Ok(Self { seat: Seat::Here(inner) })
    }

    /// Registers a driver at level 0 that hears of every processor: of those that are active before this returns (R3), of
    /// those that come later before they are started (A1).
    ///
    /// Dropping what this returns deregisters the driver.
    ///
    /// # Errors
    /// [`Error::NotJoining`] if the driver refused one of the active processors (R4), [`Error::InsideCallback`] (D3),
    /// [`Error::TooManyParties`] and [`Error::BadName`] (R7). The driver is then not registered, and dropped.
    pub fn register(
        &self,
        name: &str,
        driver: impl Driver + Send + 'static,
    ) -> Result<Registration, Error> {
        self.party(name).register(driver)
    }

    /// Registers a driver with more to say: [`Registering::level`], [`Registering::later_only`],
    /// [`Registering::time_limit`].
    pub fn party<'a>(&'a self, name: &'a str) -> Registering<'a> {
        Registering::new(self, name)
    }

    /// Adds a processor: asks everybody, starts it, tells everybody (A1-A5).
    ///
    /// # Errors
    /// [`Error::NotAddable`] before anybody is asked (A8), [`Error::Vetoed`] (A3), [`Error::Platform`] (A4),
    /// [`Error::InsideCallback`] (D3). The processor is then not in the partition.
    pub fn add(&self, id: HardwareId) -> Result<Change, Error> {
        match &self.seat {
            Seat::Here(inner) => inner.add(id),
            #[cfg(feature = "dbus")]
            Seat::There(client) => client.add(id),
        }
    }

    /// Adds several processors (A9), and says what became of each, in the order given.
    ///
    /// In a failed atomic batch every result names the one that was refused, whichever processor it belongs to, but for
    /// those that the platform would not take back ([`Error::Stuck`]).
    ///
    /// # Errors
    /// As [`add`](Self::add), for each.
    #[must_use = "every processor has a result of its own"]
    pub fn add_batch(
        &self,
        ids: &[HardwareId],
        batch: Batch,
    ) -> Vec<(HardwareId, Result<Change, Error>)> {
        match (&self.seat, batch) {
            (Seat::Here(inner), Batch::Each) => ids.iter().map(|&id| (id, inner.add(id))).collect(),
            (Seat::Here(inner), Batch::Atomic) => inner.add_atomic(ids),
            #[cfg(feature = "dbus")]
            (Seat::There(client), batch) => client.add_batch(ids, batch),
        }
    }

    /// Asks everybody whether a processor could be added, and adds nothing (A10): AddStart, then AddFailure with
    /// `STATUS_CANCELLED`.
    ///
    /// # Errors
    /// [`Error::NotAddable`] (A8), [`Error::InsideCallback`] (D3). Refusals are part of the result.
    pub fn rehearse(&self, id: HardwareId) -> Result<Rehearsal, Error> {
        match &self.seat {
            Seat::Here(inner) => inner.rehearse(id),
            #[cfg(feature = "dbus")]
            Seat::There(client) => client.rehearse(id),
        }
    }

    /// Removes a processor: asks those who asked for removal notices, stops it, tells them (X1).
    ///
    /// # Errors
    /// [`Error::NotRemovable`], [`Error::Vetoed`], [`Error::Platform`], [`Error::InsideCallback`] (D3). The processor
    /// is then still in the partition.
    pub fn remove(&self, id: HardwareId) -> Result<Change, Error> {
        match &self.seat {
            Seat::Here(inner) => inner.remove(id),
            #[cfg(feature = "dbus")]
            Seat::There(client) => client.remove(id),
        }
    }

    /// The processors in force at this moment. Never waits (Q1); some 20 ns.
    #[must_use]
    pub fn active(&self) -> Arc<ActiveSet> {
        self.published().load()
    }

    /// How many processors are active. One atomic load.
    ///
    /// Read by itself: between this and [`active`](Self::active) the set may change. `active` is at least as new.
    #[must_use]
    #[inline]
    pub fn count(&self) -> u32 {
        self.published().summary().1
    }

    /// The epoch of the set in force (Q2): what was read at this epoch is still current. One atomic load.
    #[must_use]
    #[inline]
    pub fn epoch(&self) -> Epoch {
        self.published().summary().0
    }

    /// The processors that the hardware could add now, ascending. May have to wait for a change under way.
    ///
    /// Of a partition in another process it has those that were last known, less those that have joined since, if that cannot be
    /// asked: inside a callback, and without a connection.
    #[must_use]
    pub fn candidates(&self) -> Vec<HardwareId> {
        match &self.seat {
            Seat::Here(inner) => inner.hardware.candidates(),
            #[cfg(feature = "dbus")]
            Seat::There(client) => client.candidates(),
        }
    }

    /// What the hardware is called, such as `simulated`.
    #[must_use]
    pub fn hardware(&self) -> &'static str {
        match &self.seat {
            Seat::Here(inner) => inner.hardware.name(),
            #[cfg(feature = "dbus")]
            Seat::There(client) => client.hardware(),
        }
    }

    /// Whether the partition can be reached at this moment: always, but for one in another process.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        match &self.seat {
            Seat::Here(_) => true,
            #[cfg(feature = "dbus")]
            Seat::There(client) => client.is_connected(),
        }
    }

    /// Calls `observer` with everything that happens from now on, on the thread on which it happens, in order.
    ///
    /// It is called until the handle that this returns is dropped, in the middle of transactions, so what is said of callbacks
    /// holds for it too. One that panics is dropped. While there is an observer every call is timed, which a partition otherwise does without.
    ///
    /// Of a partition in another process it hears what that one signals: Joined, Refused, Left and Breach.
    ///
    /// # Errors
    /// [`Error::InsideCallback`] (D3).
    pub fn observe(
        &self,
        observer: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Observation, Error> {
        Ok(match &self.seat {
            Seat::Here(inner) => watched(inner, inner.observe(|_| (), Box::new(observer))?),
            #[cfg(feature = "dbus")]
            Seat::There(client) => client.observe(Box::new(observer))?,
        })
    }

    /// As [`observe`](Self::observe), and before that tells `present` who is registered, in calling order, so that between
    /// the two nobody comes or goes unseen; but a partition in another process does not say who comes and goes.
    ///
    /// # Errors
    /// As [`observe`](Self::observe); of a partition in another process also those of a request.
    pub fn observe_with(
        &self,
        present: impl FnOnce(&[PartyInfo]),
        observer: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Observation, Error> {
        Ok(match &self.seat {
            Seat::Here(inner) => watched(inner, inner.observe(present, Box::new(observer))?),
            #[cfg(feature = "dbus")]
            Seat::There(client) => {
                present(&client.parties()?);
                client.observe(Box::new(observer))?
            }
        })
    }

    /// How many observers there are. Of a partition in another process: of this connection.
    ///
    /// # Errors
    /// [`Error::InsideCallback`] (D3).
    pub fn observers(&self) -> Result<usize, Error> {
        match &self.seat {
            Seat::Here(inner) => inner.observers(),
            #[cfg(feature = "dbus")]
            Seat::There(client) => client.observers(),
        }
    }
}

fn watched(inner: &Arc<Inner>, ended: Ended) -> Observation {
    Observation::new(observation::Seat::Here(Arc::downgrade(inner)), ended)
}

impl Partition {
    #[inline]
    fn published(&self) -> &Published {
        match &self.seat {
            Seat::Here(inner) => &inner.published,
            #[cfg(feature = "dbus")]
            Seat::There(client) => client.published(),
        }
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
