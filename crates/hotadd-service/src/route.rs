//! [`Route`]: how messages get to a peer, over a connection of its own or over a bus that carries others as well.

use std::sync::Arc;

use hotadd::Event;
use tokio::sync::mpsc::UnboundedSender;
use zbus::Message;
use zbus::message::Builder;
use zbus::names::UniqueName;
use zbus::zvariant::ObjectPath;

use crate::outbox::{Outbox, Stuck};
use crate::signal;

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
    pub(crate) name: UniqueName<'static>,
    /// Tells apart those who have had the same name.
    pub(crate) number: u64,
    /// Tells the task that reads the bus that this peer is not served any more.
    pub(crate) leave: UnboundedSender<(UniqueName<'static>, u64)>,
}

impl Route {
    /// Sends a message. From any thread; never waits.
    pub(crate) fn send(&self, message: &[u8]) -> Result<(), Stuck> {
        match self {
            Self::Own(outbox) => outbox.send(message),
            Self::Bus(over) => over.outbox.send(message),
        }
    }

    /// Begins a call of the peer.
    pub(crate) fn call<'a>(
        &self,
        path: &'a ObjectPath<'_>,
        method: &'a str,
    ) -> zbus::Result<Builder<'a>> {
        let call = Message::method_call(path, method)?;
        match self {
            Self::Own(_) => Ok(call),
            Self::Bus(over) => call.destination(over.name.clone()),
        }
    }

    /// The signal that tells the peer of an event; `plain` is the one without a destination. Over a bus each peer is sent
    /// its own: who has not shown that it may talk to the partition is not to hear of it either.
    pub(crate) fn signal(&self, event: &Event, plain: &Message) -> Option<Message> {
        match self {
            Self::Own(_) => Some(plain.clone()),
            Self::Bus(over) => signal::of(event, Some(&over.name)),
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
