//! [`Route`]: how messages get to a peer, over a connection of its own or over a bus that carries others as well.

use std::sync::Arc;

use hotadd_wire::bus::PeerName;
use tokio::sync::mpsc::UnboundedSender;

use crate::transport::outbox::{Outbox, Stuck};

/// How messages get to a peer.
pub(crate) enum Route {
    /// A connection of its own.
    Own(Outbox),
    Bus(OverBus),
}

/// The way to a peer on a bus.
pub(crate) struct OverBus {
    /// Everything that is sent to the bus.
    pub(crate) outbox: Arc<Outbox>,
    /// The peer.
    pub(crate) name: PeerName,
    /// Tells apart those who have had the same name.
    pub(crate) number: u64,
    /// Tells the task that reads the bus that this peer is not served any more.
    pub(crate) leave: UnboundedSender<(PeerName, u64)>,
}

impl Route {
    /// Sends a message. From any thread; never waits.
    pub(crate) fn send(&self, message: &[u8]) -> Result<(), Stuck> {
        match self {
            Self::Own(outbox) => outbox.send(message),
            Self::Bus(over) => over.outbox.send(message),
        }
    }

    /// The peer's name, if it is on a bus.
    pub(crate) const fn peer(&self) -> Option<&PeerName> {
        match self {
            Self::Own(_) => None,
            Self::Bus(over) => Some(&over.name),
        }
    }

    /// Sends nothing more, and has whoever reads from the peer find out.
    pub(crate) fn close(&self) {
        match self {
            Self::Own(outbox) => outbox.close(),
            // If the task has ended nobody is served any more.
            Self::Bus(over) => drop(over.leave.send((over.name.clone(), over.number))),
        }
    }
}
