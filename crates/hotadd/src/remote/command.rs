//! [`Command`]: a request of a handle to the agent thread; and the data that the two exchange.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hotadd_core::{Epoch, Level, PartyId};
use hotadd_wire::Message;

use crate::backend::BoxedDriver;
use crate::error::Error;
use crate::member::PartyInfo;
use crate::observers::{Ended, Observer};

/// The channel for the outcome of a request.
pub(super) type To<T> = mpsc::Sender<Result<T, Error>>;

/// The data about a registered driver that its handle and the agent thread share.
pub(crate) struct RegisteredDriver {
    /// The number in its object path.
    pub(super) number: u32,
    /// The partition's id of the party; 0 while it is not registered.
    pub(super) party: AtomicU64,
    pub(super) level: Level,
    pub(super) name: Box<str>,
    /// Set once and never cleared. The driver is not called again after that (D1).
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

/// The outcome of a registration. A driver that is not registered is returned, to be dropped by the thread
/// that created it.
pub(super) type RegistrationResult =
    Result<(Arc<RegisteredDriver>, Epoch), (Error, Option<BoxedDriver>)>;

/// A request to the agent thread.
pub(super) enum Command {
    Register(NewDriver, mpsc::Sender<RegistrationResult>),
    /// Deregisters a driver and returns it.
    Deregister(u32, To<Option<BoxedDriver>>),
    /// Sends a call, and returns the reply.
    Call(Message, To<Message>),
    Observe(Observer, To<Ended>),
    /// Drops the observers that have ended, and returns the number of the others.
    Observers(To<usize>),
}

impl RegisteredDriver {
    pub(super) fn new(number: u32, level: Level, name: Box<str>) -> Self {
        let (party, departed) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { number, party, level, name, departed }
    }

    pub(super) fn info(&self) -> PartyInfo {
        // Relaxed: the id only identifies the party in reports.
        let id = PartyId(self.party.load(Ordering::Relaxed));
        PartyInfo { id, name: self.name.to_string(), level: self.level }
    }

    /// Relaxed, here and below: only the agent thread sets this and acts on it. Other threads only report it.
    pub(super) fn departed(&self) -> bool {
        self.departed.load(Ordering::Relaxed)
    }

    /// Marks the driver as departed. Returns whether it had departed before.
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
