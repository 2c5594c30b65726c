//! [`Authority`]: what a connection may ask for, and the [`Question`] whether it may that is put to its bus.

use hotadd_wire::bus::PeerName;
use hotadd_wire::{RequestError, StandardError};
use tokio::sync::mpsc::UnboundedSender;

use crate::access::peer::Peer;
use crate::access::policy::Right;
use crate::access::rights::{Rights, Trespass};

/// What a connection may ask for.
pub(crate) enum Authority {
    /// For everything.
    Full,
    /// To look. For the rest somebody on its bus is asked.
    Asked(Claim),
    /// To be a driver.
    Driver(Rights),
}

/// Who wants something, and where it is asked whether that may be.
#[derive(Clone)]
pub(crate) struct Claim {
    pub(crate) peer: Peer,
    /// Its name on the bus, and what tells it apart from those who have had the same.
    pub(crate) asker: (PeerName, u64),
    /// It may if there is nobody to ask.
    pub(crate) member: bool,
    /// To the task that reads the bus. What waits there is limited by the requests that a connection may have under way.
    pub(crate) questions: UnboundedSender<Question>,
}

/// Whether something may be done.
pub(crate) struct Question {
    pub(crate) claim: Claim,
    pub(crate) right: Right,
    /// Whether people may be asked for a password meanwhile.
    pub(crate) interactive: bool,
    /// Does it, or refuses it.
    settle: Box<dyn FnOnce(Result<(), RequestError>) + Send>,
}

impl Authority {
    /// Whether this method of the partition may be called at all.
    ///
    /// # Errors
    /// If it may not, and whoever calls it is not to be served any longer.
    pub(crate) fn lets_call(&self, method: &str) -> Result<(), Trespass> {
        match self {
            Self::Driver(_) => Rights::calls(method),
            Self::Full | Self::Asked(_) => Ok(()),
        }
    }

    /// The user of somebody who gets nothing more than everybody does.
    pub(crate) const fn stranger(&self) -> Option<u32> {
        match self {
            Self::Asked(Claim { peer, member: false, .. }) => Some(peer.uid),
            _ => None,
        }
    }
}

impl Claim {
    /// Asks for something that takes this right.
    pub(crate) fn ask(
        &self,
        right: Right,
        interactive: bool,
        settle: impl FnOnce(Result<(), RequestError>) + Send + 'static,
    ) {
        let settle = Box::new(settle);
        // If the task has ended nobody is served any more.
        let _ = self.questions.send(Question { claim: self.clone(), right, interactive, settle });
    }
}

impl Question {
    /// It may be done.
    pub(crate) fn grant(self) {
        (self.settle)(Ok(()));
    }

    /// It may not be done.
    pub(crate) fn refuse(self, error: RequestError) {
        (self.settle)(Err(error));
    }

    /// It may not be done: one of D-Bus's own errors, and why.
    pub(crate) fn deny(self, error: &'static str, why: String) {
        self.refuse(StandardError(error, why).into());
    }
}
