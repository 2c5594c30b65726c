//! [`Authority`]: what a connection may request; and [`Question`]: asks the authority of its bus whether a
//! request is allowed.

use hotadd_wire::bus::PeerName;
use hotadd_wire::{RequestError, StandardError};
use tokio::sync::mpsc::UnboundedSender;

use crate::access::peer::Peer;
use crate::access::policy::Right;
use crate::access::rights::{Rights, Trespass};

/// What a connection may request.
pub(crate) enum Authority {
    /// Everything.
    Full,
    /// Reading. For everything else the authority of its bus is asked.
    Asked(Claim),
    /// What a driver needs.
    Driver(Rights),
}

/// The peer that makes requests, and the task that asks whether they are allowed.
#[derive(Clone)]
pub(crate) struct Claim {
    pub(crate) peer: Peer,
    /// The peer's name on the bus, and a number that distinguishes it from other peers that had the same name.
    pub(crate) asker: (PeerName, u64),
    /// The peer is allowed if there is no authority to ask.
    pub(crate) member: bool,
    /// The channel to the task that reads the bus. Its length is limited by the number of requests that a connection may
    /// have in progress.
    pub(crate) questions: UnboundedSender<Question>,
}

/// The question whether a request is allowed.
pub(crate) struct Question {
    pub(crate) claim: Claim,
    pub(crate) right: Right,
    /// Whether a user may be asked for a password meanwhile.
    pub(crate) interactive: bool,
    /// Runs the request or refuses it.
    settle: Box<dyn FnOnce(Result<(), RequestError>) + Send>,
}

impl Authority {
    /// Whether the connection may call this method of the partition at all.
    ///
    /// # Errors
    /// If it may not, and the peer must not be served any longer.
    pub(crate) fn lets_call(&self, method: &str) -> Result<(), Trespass> {
        match self {
            Self::Driver(_) => Rights::calls(method),
            Self::Full | Self::Asked(_) => Ok(()),
        }
    }

    /// The user of a peer that has only the rights that every peer has.
    pub(crate) const fn stranger(&self) -> Option<u32> {
        match self {
            Self::Asked(Claim { peer, member: false, .. }) => Some(peer.uid),
            _ => None,
        }
    }
}

impl Claim {
    /// Asks whether a request that needs this right is allowed.
    pub(crate) fn ask(
        &self,
        right: Right,
        interactive: bool,
        settle: impl FnOnce(Result<(), RequestError>) + Send + 'static,
    ) {
        let settle = Box::new(settle);
        // If the task has ended, no peer is served any more.
        let _ = self.questions.send(Question { claim: self.clone(), right, interactive, settle });
    }
}

impl Question {
    /// Allows the request.
    pub(crate) fn grant(self) {
        (self.settle)(Ok(()));
    }

    /// Refuses the request.
    pub(crate) fn refuse(self, error: RequestError) {
        (self.settle)(Err(error));
    }

    /// Refuses the request with a standard D-Bus error and a reason.
    pub(crate) fn deny(self, error: &'static str, why: String) {
        self.refuse(StandardError(error, why).into());
    }
}
