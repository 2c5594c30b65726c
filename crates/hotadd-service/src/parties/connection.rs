//! [`Connection`]: the way to one peer, the calls to it that are not answered yet, and its parties.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hotadd::Status;
use hotadd_wire::{Message, Signal};

use crate::lock::lock;
use crate::parties::loss::Loss;
use crate::parties::named::NamedConnection;
use crate::parties::pending::Pending;
use crate::parties::registered::Parties;
use crate::transport::route::Route;

/// The connection to one peer.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) pending: Pending,
    pub(crate) route: Route,
    /// The peer as the log calls it.
    peer: String,
    pub(crate) parties: Parties,
    /// The required party that everybody on it stands for (L4), if it is that of its process.
    pub(crate) named: Option<Arc<NamedConnection>>,
    /// The handshake is over, and messages may be sent.
    open: AtomicBool,
    /// Why it was closed from here.
    closed: Mutex<Option<Loss>>,
}

impl Connection {
    pub(crate) fn new(
        id: u64,
        route: Route,
        peer: String,
        named: Option<Arc<NamedConnection>>,
    ) -> Self {
        let (pending, parties) = (Pending::default(), Parties::default());
        let (open, closed) = (AtomicBool::new(false), Mutex::new(None));
        Self { id, pending, route, peer, parties, named, open, closed }
    }

    /// Who the peer is, is known: it is told what happens.
    pub(crate) fn open(&self) {
        // Release: who sees it sees a handshake whose last line is sent.
        self.open.store(true, Ordering::Release);
    }

    /// Sends a message. From any thread; never waits.
    pub(crate) fn send(&self, message: &Message) {
        self.send_bytes(message.bytes());
    }

    /// Sends the bytes of a message. From any thread; never waits.
    pub(crate) fn send_bytes(&self, message: &[u8]) {
        if let Err(stuck) = self.route.send(message) {
            self.close(stuck.into());
        }
    }

    /// Sends the peer a signal, unless the handshake is not over yet. `plain` is the one without a destination. Over a bus each
    /// peer is sent its own: who has not shown that it may talk to the partition is not to hear of it either.
    pub(crate) fn tell(&self, signal: &Signal, plain: &Message) {
        if !self.open.load(Ordering::Acquire) {
            return;
        }
        match self.route.peer() {
            None => self.send(plain),
            // What can be sent to nobody in particular can be sent to one as well.
            peer => drop(signal.message(peer).map(|signal| self.send(&signal))),
        }
    }

    /// Closes it from here. The first reason counts.
    pub(crate) fn close(&self, loss: Loss) {
        lock(&self.closed).get_or_insert(loss);
        self.route.close();
    }

    /// Closes it because the service ends: its parties are not called any more, and veto nothing.
    pub(crate) fn stop(&self) {
        self.parties.leave();
        let reason = "its partition is served no longer".to_owned();
        self.close(Loss { status: Status::CANCELLED, reason });
    }

    /// It has ended: why, as it is known here; else this.
    pub(crate) fn ended(&self, otherwise: impl FnOnce() -> Loss) -> Loss {
        let loss = lock(&self.closed).get_or_insert_with(otherwise).clone();
        self.route.close();
        loss
    }

    /// Why it ended, for the log.
    pub(crate) fn report(&self, loss: &Loss) -> String {
        let names = self.parties.names();
        let names = if names.is_empty() { names } else { format!(" ({names})") };
        format!("{}{names}: {}", self.peer, loss.reason)
    }
}
