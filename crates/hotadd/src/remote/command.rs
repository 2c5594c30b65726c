//! [`Command`]: what a handle asks of the agent thread, and what passes between the two.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hotadd_core::{Epoch, Level, PartyId};
use hotadd_wire::Message;

use crate::backend::BoxedDriver;
use crate::error::Error;
use crate::member::PartyInfo;
use crate::observers::{Ended, Observer};

/// Where the outcome of a request goes.
pub(super) type To<T> = mpsc::Sender<Result<T, Error>>;

/// What the handle of a registered driver and the agent thread both know of it.
pub(crate) struct RegisteredDriver {
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
pub(super) struct NewDriver {
    pub(super) name: Box<str>,
    pub(super) level: Level,
    pub(super) replay: bool,
    pub(super) time_limit: Option<Duration>,
    pub(super) driver: BoxedDriver,
}

/// What became of it. A driver that is not registered comes back, to be dropped where it came from.
pub(super) type RegistrationResult =
    Result<(Arc<RegisteredDriver>, Epoch), (Error, Option<BoxedDriver>)>;

/// What the agent thread is asked to do.
pub(super) enum Command {
    Register(NewDriver, mpsc::Sender<RegistrationResult>),
    /// Gives the driver back.
    Deregister(u32, To<Option<BoxedDriver>>),
    /// Sends a call, and gives the reply back once the replica is as new as it.
    Call(Message, To<Message>),
    Observe(Observer, To<Ended>),
    /// Drops the observers that have ended, and says how many there are besides.
    Observers(To<usize>),
}

impl RegisteredDriver {
    pub(super) fn new(number: u32, level: Level, name: Box<str>) -> Self {
        let (party, departed) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { number, party, level, name, departed }
    }

    pub(super) fn info(&self) -> PartyInfo {
        // Relaxed: a name, which commands nothing.
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

/// Drops a driver. A panic in its drop harms no other driver (L3).
pub(super) fn drop_contained(driver: Option<BoxedDriver>) {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(driver)));
    let _ = dropped.map_err(std::mem::forget);
}
