//! [`Authority`]: what a connection may ask for, and the [`Question`] whether it may that is put to its bus.

use tokio::sync::mpsc::UnboundedSender;
use zbus::message::Flags;

use crate::access::{Right, Trust};
use crate::host::rights::{Rights, Trespass};
use crate::peer::Peer;
use crate::reply::Refusal;
use crate::requests::Prepared;

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
pub(crate) struct Claim {
    pub(crate) peer: Peer,
    /// It may if there is nobody to ask.
    pub(crate) member: bool,
    /// To the task that reads the bus. What waits there is limited by the requests that a connection may have under way.
    pub(crate) questions: UnboundedSender<Question>,
}

/// Whether something may be done.
pub(crate) struct Question {
    pub(crate) prepared: Prepared,
    pub(crate) right: Right,
    pub(crate) peer: Peer,
    pub(crate) member: bool,
}

impl Authority {
    pub(crate) fn new(peer: &Peer, trust: Trust, questions: &UnboundedSender<Question>) -> Self {
        match trust {
            Trust::Full => Self::Full,
            Trust::AsAuthorized { member } => {
                Self::Asked(Claim { peer: peer.clone(), member, questions: questions.clone() })
            }
        }
    }

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

    /// Does what was asked for, at once or as soon as it is known that it may be done.
    ///
    /// # Errors
    /// As [`lets_call`](Self::lets_call).
    pub(crate) fn settle(&self, mut prepared: Prepared) -> Result<(), Trespass> {
        let right = prepared.right();
        match self {
            Self::Driver(rights) => {
                prepared.hold_to(rights)?;
                prepared.begin();
            }
            Self::Asked(claim) if right != Right::Look => {
                let Claim { peer, member, questions } = claim;
                let (peer, member) = (peer.clone(), *member);
                // If the task has ended nobody is served any more.
                let _ = questions.send(Question { prepared, right, peer, member });
            }
            Self::Full | Self::Asked(_) => prepared.begin(),
        }
        Ok(())
    }

    /// The user of somebody who gets nothing more than everybody does.
    pub(crate) const fn stranger(&self) -> Option<u32> {
        match self {
            Self::Asked(Claim { peer, member: false, .. }) => Some(peer.uid),
            _ => None,
        }
    }
}

impl Question {
    /// Whether people may be asked for a password meanwhile: as the call says.
    pub(crate) fn is_interactive(&self) -> bool {
        self.prepared.call().primary_header().flags().contains(Flags::AllowInteractiveAuth)
    }

    /// It may not be done, and the log is told.
    pub(crate) fn deny(self, error: &'static str, why: String) {
        self.prepared.connection().core.refused(&self.peer, &why);
        self.prepared.refuse(Refusal::Standard(error, why));
    }

    /// There is nobody to ask: the group decides.
    pub(crate) fn by_membership(self) {
        if self.member {
            return self.prepared.begin();
        }
        let access = &self.prepared.connection().core.access;
        let (wish, action) = (self.right.wish(), self.right.action());
        let why = format!(
            "{wish} ({action}) is for {access}, as there is no polkit on this bus that could allow it to others"
        );
        self.deny("AccessDenied", why);
    }
}
