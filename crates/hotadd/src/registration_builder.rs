//! [`RegistrationBuilder`]: the builder of a registration.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hotadd_core::{Driver, Level, PartyId};

use crate::backend::RegistrationRequest;
use crate::error::Error;
use crate::partition::Partition;
use crate::registration::Registration;
use crate::required::RequiredParty;

/// The builder of a registration. Made by [`Partition::registration`].
#[must_use = "nothing is registered until `register` is called"]
#[derive(Clone, Debug)]
pub struct RegistrationBuilder<'a> {
    partition: &'a Partition,
    name: &'a str,
    level: Level,
    at_once: bool,
    replay: bool,
    time_limit: Option<Duration>,
    required: Option<&'a RequiredParty>,
    gone: Option<&'a AtomicBool>,
}

impl<'a> RegistrationBuilder<'a> {
    pub(crate) const fn new(partition: &'a Partition, name: &'a str) -> Self {
        Self {
            partition,
            name,
            level: Level(0),
            at_once: false,
            replay: true,
            time_limit: None,
            required: None,
            gone: None,
        }
    }

    /// Sets the level. Lower levels are asked first and unwound last. The default is 0.
    pub const fn level(mut self, level: i32) -> Self {
        self.level = Level(level);
        self
    }

    /// Asks the driver together with all others of its level that have this option, not in turn. All of them are
    /// begun before the first answer is awaited, so the slowest one determines the time, not the sum of all.
    /// This is for drivers that forward the question to another process. A partition in another process always asks the drivers
    /// of this process in this way.
    #[doc(hidden)]
    pub const fn at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    /// Disables the replay: the driver is told only of processors that are added later, not of active ones (R2).
    pub const fn without_replay(mut self) -> Self {
        self.replay = false;
        self
    }

    /// Sets how long the driver may take for one answer before it counts as crashed (L3). At most 10 minutes. The default of a
    /// partition in another process is 5 seconds.
    ///
    /// A partition in this process ignores the limit: its drivers run on the calling thread, so it cannot stop waiting for one.
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// The driver represents a required party (L4): if the driver crashes, that party is missing. A party may register several
    /// drivers.
    ///
    /// Has no effect in a partition of another process.
    pub const fn required(mut self, party: &'a RequiredParty) -> Self {
        self.required = Some(party);
        self
    }

    /// Registers the driver only if `gone` is false when everything else is done. If it is true, the driver counts as crashed (L3).
    /// This is for drivers that forward the question to another process, whose connection may be closed while the request to
    /// register waits.
    #[doc(hidden)]
    pub const fn unless(mut self, gone: &'a AtomicBool) -> Self {
        self.gone = Some(gone);
        self
    }

    /// Registers the driver.
    ///
    /// # Errors
    /// As [`Partition::register`].
    pub fn register(self, driver: impl Driver + Send + 'static) -> Result<Registration, Error> {
        self.register_with(|_| driver)
    }

    /// Registers the driver that `make` returns. `make` gets the identity under which the driver will be called. The identity is
    /// 0 in a partition of another process, which assigns one only after the replay.
    ///
    /// The rules for callbacks apply to `make` too.
    ///
    /// # Errors
    /// As [`Partition::register`].
    pub fn register_with<D: Driver + Send + 'static>(
        self,
        make: impl FnOnce(PartyId) -> D,
    ) -> Result<Registration, Error> {
        let Self { partition, name, level, at_once, replay, time_limit, required, gone } = self;
        let required = required.map(|party| Arc::downgrade(&party.0));
        let request =
            RegistrationRequest { name, level, at_once, replay, time_limit, required, gone };
        Arc::clone(partition.backend()).register(request, Box::new(|id| Box::new(make(id)) as _))
    }
}
