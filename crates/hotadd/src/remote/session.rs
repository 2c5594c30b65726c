//! [`Session`]: what belongs to one connection and ends with it: who waits for which reply, and what waits for the replica.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hotadd_core::Epoch;
use hotadd_wire::{Message, Unsound};

use crate::backend::BoxedDriver;
use crate::event::Event;
use crate::remote::command::{RegistrationResult, To};
use crate::remote::connection::{Connection, Lost};

/// What a reply is for.
pub(super) enum Pending {
    /// A request of another thread.
    Call(To<Message>),
    /// A driver registers; without somebody waiting it does so again.
    Register(u32, Option<mpsc::Sender<RegistrationResult>>),
    /// A driver leaves; without somebody waiting it left inside a callback.
    Deregister(u32, Option<To<Option<BoxedDriver>>>),
    /// The set, for the replica, and how much waited for it when it was asked for.
    Refresh(usize),
}

/// What waits until the replica is as new as it.
pub(super) enum Due {
    Event(Event),
    /// Lets somebody go on.
    Release(Box<dyn FnOnce()>),
}

pub(super) struct Session {
    pub(super) connection: Connection,
    pending: HashMap<NonZeroU32, Pending>,
    pub(super) due: VecDeque<(Epoch, Due)>,
    pub(super) refreshing: bool,
    /// Those still to be registered again.
    pub(super) again: VecDeque<u32>,
    /// Those that were refused, when they try again, and how long they have waited.
    pub(super) refused: Vec<u32>,
    pub(super) retry: Option<Instant>,
    pub(super) patience: Backoff,
    /// Why it was closed from here.
    pub(super) unsound: Option<Unsound>,
}

impl Session {
    pub(super) fn new(connection: Connection, again: VecDeque<u32>) -> Self {
        Self {
            connection,
            pending: HashMap::new(),
            due: VecDeque::new(),
            refreshing: false,
            again,
            refused: Vec::new(),
            retry: None,
            patience: Backoff::new(),
            unsound: None,
        }
    }

    pub(super) fn send(&self, message: &Message) -> Result<(), Lost> {
        self.connection.send(message)
    }

    /// Sends a call and remembers what its reply is for. Also if it cannot be sent: whoever waits is released when the
    /// session is cleared up.
    pub(super) fn call(&mut self, call: &Message, pending: Pending) -> Result<(), Lost> {
        self.pending.insert(call.serial(), pending);
        self.send(call)
    }

    pub(super) fn answered(&mut self, serial: NonZeroU32) -> Option<Pending> {
        self.pending.remove(&serial)
    }

    /// Everything that will not be answered any more.
    pub(super) fn clear(&mut self) -> Vec<Pending> {
        self.pending.drain().map(|(_, pending)| pending).collect()
    }
}

/// How long to wait before the next attempt.
pub(super) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LAST: Duration = Duration::from_secs(2);

    pub(super) const fn new() -> Self {
        Self(Self::FIRST)
    }

    pub(super) fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 2).min(Self::LAST);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_to_reconnect_waits_twice_as_long_as_the_last_up_to_two_seconds() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..8).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
    }
}
