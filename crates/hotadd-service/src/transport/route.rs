//! [`Route`]: sends messages to a peer, over a connection of its own or over a bus that carries other peers as well.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use hotadd_wire::bus::PeerName;
use tokio::sync::mpsc::UnboundedSender;

use crate::transport::outbox::{Outbox, Stuck};
use crate::transport::socket::Aside;

/// The way by which messages reach a peer.
pub(crate) enum Route {
    /// A connection of its own.
    Own(Outbox),
    Bus(OverBus),
}

/// The route to a peer on a bus.
pub(crate) struct OverBus {
    /// The outbox of the bus connection.
    pub(crate) outbox: Arc<Outbox>,
    /// The peer's name.
    pub(crate) name: PeerName,
    /// Distinguishes peers that had the same name.
    pub(crate) number: u64,
    /// Tells the task that reads the bus that this peer is not served any more.
    pub(crate) leave: UnboundedSender<(PeerName, u64)>,
}

impl Route {
    /// Sends a message. May be called on any thread; does not block.
    pub(crate) fn send(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Stuck> {
        match self {
            Self::Own(outbox) => outbox.send(message, descriptors),
            Self::Bus(over) => over.outbox.send(message, descriptors),
        }
    }

    /// Lets this thread take the peer's next agreement by itself. `None` on a bus, whose messages come from all peers, or if input is
    /// not handled yet.
    pub(crate) fn set_aside(&self) -> Option<Aside> {
        match self {
            Self::Own(outbox) => outbox.set_aside(),
            Self::Bus(_) => None,
        }
    }

    /// The peer's name, if it is on a bus.
    pub(crate) const fn peer(&self) -> Option<&PeerName> {
        match self {
            Self::Own(_) => None,
            Self::Bus(over) => Some(&over.name),
        }
    }

    /// Stops sending, and makes the reading side see the end.
    pub(crate) fn close(&self) {
        match self {
            Self::Own(outbox) => outbox.close(),
            // If the task has ended, no peer is served any more.
            Self::Bus(over) => drop(over.leave.send((over.name.clone(), over.number))),
        }
    }
}
