//! [`One`]: a party that the operator named, present or missing, and its restart.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hotadd::{Partition, Status};
use hotadd_service::{Named, NotRegistered};

use super::drivers::{Driver, Terms};
use crate::spec::{DriverSpec, WhenMissing};

/// A party that the operator named.
pub(super) struct One {
    pub(super) spec: DriverSpec,
    /// `None` if the party is skipped while it is missing.
    required: Option<Named>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    driver: Option<Driver>,
    /// The party must not be present any more.
    ended: bool,
}

/// Whether adds are refused until the party has registered for the first time (L4).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Adds are refused.
    Registered,
    /// Adds are not refused: the party is new, and until it is present the previous state holds (R4).
    Agreed,
}

impl One {
    pub(super) fn new(
        partition: &Partition,
        spec: DriverSpec,
        until: Until,
    ) -> Result<Self, NotRegistered> {
        let required = match spec.when_missing() {
            WhenMissing::Skip => None,
            WhenMissing::Refuse => {
                let required = partition.require(&spec.name).map_err(|error| {
                    NotRegistered::new(&spec.name, error.status(), error.to_string())
                })?;
                if until == Until::Agreed {
                    required.attempt().succeeded();
                }
                Some(Named::new(required))
            }
        };
        Ok(Self { spec, required, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn is_required(&self) -> bool {
        self.required.is_some()
    }

    /// Whether it is missing, or has failed and is skipped.
    pub(super) fn is_gone(&self) -> bool {
        match &self.required {
            Some(named) => named.party().missing().is_some(),
            None => self.lock().driver.as_ref().is_none_or(Driver::is_gone),
        }
    }

    /// Registers the party.
    pub(super) fn start(&self, terms: &Terms) -> Result<(), NotRegistered> {
        let driver = terms.register(&self.spec, self.required.as_ref())?;
        let mut state = self.lock();
        if !state.ended {
            state.driver = Some(driver);
        }
        Ok(())
    }

    /// Marks the party as missing, with the reason.
    pub(super) fn is_missing(&self, why: &NotRegistered) {
        if let Some(named) = &self.required {
            named.party().is_missing(why.status, why.reason.clone());
        }
    }

    /// Ends what is left of the party and registers it again. Until that is done every add is refused in its name, even where
    /// `when-missing` is `skip`.
    pub(super) fn start_anew(&self, terms: &Terms) -> Result<(), NotRegistered> {
        let _meanwhile = match &self.required {
            Some(named) => {
                if named.party().missing().is_none() {
                    named.party().is_missing(Status::DEVICE_NOT_READY, "it is being restarted");
                }
                None
            }
            None => terms.partition.require(&self.spec.name).ok(),
        };
        let old = self.lock().driver.take();
        drop(old);
        self.start(terms).inspect_err(|why| self.is_missing(why))
    }

    /// Tells its process to end. Does not wait.
    pub(super) fn begin_end(&self) {
        if let Some(driver) = &self.lock().driver {
            driver.begin_end();
        }
    }

    /// How long ending it may take.
    pub(super) fn grace(&self) -> Duration {
        self.lock().driver.as_ref().map(Driver::grace).unwrap_or_default()
    }

    /// Ends the party for good. Dropping what this returns deregisters it.
    pub(super) fn end(&self) -> Option<Driver> {
        let mut state = self.lock();
        state.ended = true;
        state.driver.take()
    }
}
