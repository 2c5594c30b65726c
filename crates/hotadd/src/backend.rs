//! [`Backend`]: the requests that every partition answers, whether it is in this process or in another one.

use std::sync::{Arc, Weak};
use std::time::Duration;

use hotadd_core::{ActiveSet, Driver, HardwareId, Level, PartyId};

use crate::adding::Adds;
use crate::error::Error;
use crate::inner::Inner;
use crate::member::{Gone, PartyInfo, Place, Shared};
use crate::missing::Missing;
use crate::observation::Observed;
use crate::observers::{Ended, Observer};
use crate::outcome::{Batch, Change, Rehearsal};
use crate::published::Published;
use crate::registration::Registration;
use crate::required::Required;
use crate::topology::Topology;

pub(crate) type BoxedDriver = Box<dyn Driver + Send>;

/// Makes a driver that knows the identity under which it will be called.
pub(crate) type MakeDriver<'a> = Box<dyn FnOnce(PartyId) -> BoxedDriver + 'a>;

/// Called with the registered parties, in calling order.
pub(crate) type Present<'a> = &'a mut dyn FnMut(&[PartyInfo]);

/// The implementation of a partition. The methods of [`Partition`](crate::Partition) document what each one does.
pub(crate) trait Backend: Observed + Adds {
    fn published(&self) -> &Arc<Published>;
    fn hardware(&self) -> &'static str;
    fn is_connected(&self) -> bool;
    /// Whether the calling thread is inside a callback of the partition.
    fn is_inside(&self) -> bool;
    fn add_batch(
        &self,
        ids: &[HardwareId],
        batch: Batch,
    ) -> Vec<(HardwareId, Result<Change, Error>)>;
    fn rehearse(&self, id: HardwareId) -> Result<Rehearsal, Error>;
    fn rehearse_removal(&self, id: HardwareId) -> Result<Rehearsal, Error>;
    fn remove(&self, id: HardwareId) -> Result<Change, Error>;
    fn candidates(&self) -> Result<Vec<HardwareId>, Error>;
    fn topology(&self, id: HardwareId) -> Topology;
    fn missing(&self) -> Result<Vec<Missing>, Error>;
    /// Calls `present` first, if given.
    fn observe(&self, present: Option<Present<'_>>, observer: Observer) -> Result<Ended, Error>;
    fn observers(&self) -> Result<usize, Error>;
    fn register(
        self: Arc<Self>,
        request: RegistrationRequest<'_>,
        make: MakeDriver<'_>,
    ) -> Result<Registration, Error>;
    /// The partition itself, if it is in this process.
    fn local(self: Arc<Self>) -> Option<Arc<Inner>>;
}

/// The terms on which a driver registers.
pub(crate) struct RegistrationRequest<'a> {
    pub(crate) name: &'a str,
    pub(crate) level: Level,
    pub(crate) at_once: bool,
    pub(crate) replay: bool,
    #[cfg_attr(
        any(not(feature = "dbus"), hotadd_loom),
        expect(dead_code, reason = "drivers of this process have no limit")
    )]
    pub(crate) time_limit: Option<Duration>,
    pub(crate) required: Option<Weak<Required>>,
    pub(crate) gone: Gone<'a>,
}

/// The backend's part of a [`Registration`].
pub(crate) trait RegistrationHandle: Send + Sync {
    fn deregister(&self) -> Result<(), Error>;
    fn info(&self) -> PartyInfo;
    fn departed(&self) -> bool;
}

impl Observed for Inner {
    fn drop_ended(&self) {
        // Fails only inside a callback; the flag is enough then.
        let _ = self.observers();
    }
}

impl Adds for Inner {
    fn active(&self) -> Arc<ActiveSet> {
        self.published.load()
    }

    fn add(&self, id: HardwareId) -> Result<Change, Error> {
        Self::add(self, id)
    }
}

impl Backend for Inner {
    fn published(&self) -> &Arc<Published> {
        &self.published
    }

    fn hardware(&self) -> &'static str {
        self.hardware.name()
    }

    fn is_connected(&self) -> bool {
        true
    }

    fn is_inside(&self) -> bool {
        Self::is_inside(self)
    }

    fn add_batch(
        &self,
        ids: &[HardwareId],
        batch: Batch,
    ) -> Vec<(HardwareId, Result<Change, Error>)> {
        match batch {
            Batch::Each => ids.iter().map(|&id| (id, Self::add(self, id))).collect(),
            Batch::Atomic => self.add_atomic(ids),
        }
    }

    fn rehearse(&self, id: HardwareId) -> Result<Rehearsal, Error> {
        Self::rehearse(self, id)
    }

    fn rehearse_removal(&self, id: HardwareId) -> Result<Rehearsal, Error> {
        Self::rehearse_removal(self, id)
    }

    fn remove(&self, id: HardwareId) -> Result<Change, Error> {
        Self::remove(self, id)
    }

    fn candidates(&self) -> Result<Vec<HardwareId>, Error> {
        self.hardware.candidates().map_err(Error::Hardware)
    }

    fn topology(&self, id: HardwareId) -> Topology {
        self.hardware.topology(id)
    }

    fn missing(&self) -> Result<Vec<Missing>, Error> {
        Ok(self.required.missing())
    }

    fn observe(&self, present: Option<Present<'_>>, observer: Observer) -> Result<Ended, Error> {
        Self::observe(self, |parties| present.into_iter().for_each(|call| call(parties)), observer)
    }

    fn observers(&self) -> Result<usize, Error> {
        Self::observers(self)
    }

    fn register(
        self: Arc<Self>,
        request: RegistrationRequest<'_>,
        make: MakeDriver<'_>,
    ) -> Result<Registration, Error> {
        let RegistrationRequest { name, level, at_once, replay, required, gone, .. } = request;
        let place = Place { level, at_once };
        let (shared, epoch) = Self::register(&self, name, place, replay, required, gone, make)?;
        Ok(Registration::local(LocalHandle { inner: self, shared }, epoch))
    }

    fn local(self: Arc<Self>) -> Option<Arc<Inner>> {
        Some(self)
    }
}

/// The handle of a driver in this process.
pub(crate) struct LocalHandle {
    inner: Arc<Inner>,
    shared: Arc<Shared>,
}

impl RegistrationHandle for LocalHandle {
    fn deregister(&self) -> Result<(), Error> {
        self.inner.deregister(&self.shared)
    }

    fn info(&self) -> PartyInfo {
        self.shared.info()
    }

    fn departed(&self) -> bool {
        self.shared.departed()
    }
}
