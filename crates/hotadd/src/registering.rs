//! [`Registering`]: a registration being put together.

use std::sync::Arc;
use std::time::Duration;

use hotadd_core::{Driver, Level, PartyId};

use crate::error::Error;
use crate::member::Place;
use crate::partition::{Partition, Seat};
use crate::registration::Registration;
use crate::required::RequiredParty;

/// A registration being put together. Made by [`Partition::party`].
#[must_use = "nothing is registered until `register` is called"]
#[derive(Clone, Debug)]
pub struct Registering<'a> {
    partition: &'a Partition,
    name: &'a str,
    level: Level,
    at_once: bool,
    replay: bool,
    time_limit: Option<Duration>,
    required: Option<&'a RequiredParty>,
}

impl<'a> Registering<'a> {
    pub(crate) const fn new(partition: &'a Partition, name: &'a str) -> Self {
        Self {
            partition,
            name,
            level: Level(0),
            at_once: false,
            replay: true,
            time_limit: None,
            required: None,
        }
    }

    /// Lower levels agree first and unwind last. 0 unless said otherwise.
    pub const fn level(mut self, level: i32) -> Self {
        self.level = Level(level);
        self
    }

    /// Is asked together with all others of its level that are, and not in turn: all are
    /// [begun](Driver::begin) with before any is waited for, so that the slowest of them decides how long it takes and not
    /// their sum. For drivers that pass the question on to another process. A partition in another process asks every
    /// driver of this one so.
    pub const fn at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    /// Hears only of processors that are added later, not of those that are active already (R2).
    pub const fn later_only(mut self) -> Self {
        self.replay = false;
        self
    }

    /// How long the driver may take over one answer before it counts as crashed (L3), instead of the 5 seconds that a
    /// partition in another process grants otherwise; at most 10 minutes.
    ///
    /// A partition in this process does not look at it: its drivers run on the calling thread, and nobody else could take
    /// the answer's place.
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Stands for a party that is required (L4): when the driver crashes, that party is missing. A party may register several.
    ///
    /// Without effect in a partition of another process.
    pub const fn required(mut self, party: &'a RequiredParty) -> Self {
        self.required = Some(party);
        self
    }

    /// Registers the driver.
    ///
    /// # Errors
    /// As [`Partition::register`].
    pub fn register(self, driver: impl Driver + Send + 'static) -> Result<Registration, Error> {
        self.register_with(|_| driver)
    }

    /// Registers the driver that `make` makes, which may want to know under which identity it will be called. 0 in a partition
    /// of another process, which gives it only after the replay.
    ///
    /// What is said of callbacks holds for `make` too.
    ///
    /// # Errors
    /// As [`Partition::register`].
    pub fn register_with<D: Driver + Send + 'static>(
        self,
        make: impl FnOnce(PartyId) -> D,
    ) -> Result<Registration, Error> {
        let Self { partition, name, level, at_once, replay, time_limit, required } = self;
        // Only a partition in another process looks at it.
        let _ = time_limit;
        match &partition.seat {
            Seat::Here(inner) => {
                let make = |id| Box::new(make(id)) as Box<dyn Driver + Send>;
                let required = required.map(|party| Arc::downgrade(&party.0));
                let place = Place { level, at_once };
                let (shared, epoch) = inner.register(name, place, replay, required, make)?;
                Ok(Registration::here(Arc::clone(inner), shared, epoch))
            }
            #[cfg(feature = "dbus")]
            Seat::There(client) => {
                let terms = crate::remote::Enlistment { name, level, replay, time_limit };
                let (enrolled, epoch) = client.register(terms, Box::new(make(PartyId(0))))?;
                Ok(Registration::there(Arc::clone(client), enrolled, epoch))
            }
        }
    }
}
