//! [`Session`]: the state of one connection: the pending replies and their recipients.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hotadd_wire::Message;

use crate::backend::BoxedDriver;
use crate::remote::command::{RegistrationResult, To};
use crate::remote::connection::{Connection, Fault, Lost};

/// The purpose of a reply.
pub(super) enum Pending {
    /// A request of another thread.
    Call(To<Message>),
    /// A driver registers. Without a sender it registers again.
    Register(u32, Option<mpsc::Sender<RegistrationResult>>),
    /// A driver deregisters. Without a sender it left inside a callback.
    Deregister(u32, Option<To<Option<BoxedDriver>>>),
}

pub(super) struct Session {
    pub(super) connection: Connection,
    pending: HashMap<NonZeroU32, Pending>,
    /// The drivers that have not been registered again yet.
    pub(super) again: VecDeque<u32>,
    /// The drivers that were refused, the time of the next attempt, and the wait between attempts.
    pub(super) refused: Vec<u32>,
    pub(super) retry: Option<Instant>,
    pub(super) patience: Backoff,
    /// The agent that refused the last call on the board. The chained calls behind it are skipped.
    pub(super) unchained: Option<u32>,
    /// Why this side closed the connection.
    pub(super) fault: Option<Fault>,
}

impl Session {
    pub(super) fn new(connection: Connection, again: VecDeque<u32>) -> Self {
        Self {
            connection,
            pending: HashMap::new(),
            again,
            refused: Vec::new(),
            retry: None,
            patience: Backoff::new(),
            unchained: None,
            fault: None,
        }
    }

    pub(super) fn send(&self, message: &Message) -> Result<(), Lost> {
        self.connection.send(message)
    }

    /// Sends a call and records the purpose of its reply. It is recorded even if sending fails: a waiting thread is
    /// then released by `clear`.
    pub(super) fn call(&mut self, call: &Message, pending: Pending) -> Result<(), Lost> {
        self.pending.insert(call.serial(), pending);
        self.send(call)
    }

    pub(super) fn answered(&mut self, serial: NonZeroU32) -> Option<Pending> {
        self.pending.remove(&serial)
    }

    /// Removes all calls whose reply will not arrive.
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
    fn the_pause_before_reconnecting_doubles_up_to_two_seconds() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..8).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
    }
}
