//! [`Agent`]: the rules for one driver that is in another process than its partition.
//!
//! The connection between the two can break at any moment, and the partition can end and come back. The agent is on the
//! driver's side. It remembers what the driver was told, so that the driver does not have to handle this. Whatever happens to
//! the connection, the driver is told of every processor exactly once (R5), and every AddStart or RemoveStart to which it agreed
//! gets exactly one outcome.
//!
//! # What is remembered
//! For each processor of which the driver was told, its state. A processor is the pair of index and hardware id: a
//! partition that was restarted may give the same hardware id another index, and that is another processor.
//!
//! | held     | the driver was told        | turns out active       | turns out not active     |
//! |----------|----------------------------|------------------------|--------------------------|
//! | prepared | AddStart, and it agreed    | AddComplete → joined   | AddFailure → nothing     |
//! | joined   | AddComplete                |                        | RemoveComplete (surprise, only if it hears of removals) → nothing |
//! | leaving  | RemoveStart, and it agreed | RemoveFailure → joined | RemoveComplete → nothing |
//!
//! While a connection exists, its notices are passed on and give the outcomes. When it is lost, everything held is *unsettled*:
//! it is not known what the partition decided meanwhile. After a reconnection, each processor is settled by the first of these
//! events that applies:
//!
//! - AddStart in the replay: the processor is active. The driver is not asked again. It is told the outcome that is due, and the
//!   agent agrees to AddStart on its behalf. The replay's AddComplete or AddFailure (R4) is then not passed on either.
//! - AddStart after the replay: the processor is not active; otherwise it could not be added now.
//! - AddStart of a pair that has its index or its hardware id, but not both: the old pair is gone.
//! - The end of the replay ([`registered`](Agent::registered)): a processor that was not in the replay is not active.
//! - Giving up ([`abandon`](Agent::abandon)).
//!
//! The replay is all AddStart calls, then all AddComplete calls (R3). So an AddStart after an AddComplete belongs to an add,
//! even if it overtakes the reply to Register.
//!
//! # What is a replay to the driver (Q5)
//! A notice that is passed on keeps the partition's replay flag. So after a reconnection an AddStart is a replay if the processor
//! is active and the driver has not been told of it, even if the processor joined while the connection was lost: it can no longer
//! be refused. The agent itself makes the calls that the driver is still owed, by these rules:
//!
//! - AddComplete and AddFailure belong to a replay exactly if the AddStart to which the driver agreed did, so that the
//!   calls about one processor agree. This does not depend on what reported the outcome: the outcome of a live add is live,
//!   even if a replay reported it.
//! - RemoveComplete and RemoveFailure never belong to a replay.
//!
//! # A driver that wants no replay
//! While such a driver (R2) holds nothing, Register does not ask for a replay. Once it holds something, Register asks for one for
//! the agent itself. The replay settles what is held. It also makes the partition tell this party how each of these processors
//! leaves, which the partition does only if it told the party that they joined (X4). Processors in that replay that the driver
//! does not hold are *kept* from it: the agent agrees to all calls about them, from AddStart in the replay to the end of the
//! processor or of the connection. This includes a processor that joined while there was no connection, so the driver is never
//! told of it.
//!
//! # How to use it
//! ```text
//! connect ─▶ registering() ─▶ Register is sent, with ─▶ notices of the replay: notice(), answered()
//!    ▲                        LATER_ONLY if the               │ reply         │ error reply
//!    │                        answer is false                 ▼               ▼
//!    │        notices: notice(), answered() ◀──────── registered()        lost(), then try
//!    │                     │                                              again or abandon()
//!    └───── lost() ◀───────┘ the connection is gone, or Deregistered has come
//! ```
//! Do one thing at a time: call [`answered`](Agent::answered) before anything else, except [`lost`](Agent::lost), which
//! may come while the driver is still being asked. Tell the driver the calls that a method returns as owed at once, in order, and
//! before the notice that caused them. A driver that deregisters is owed nothing (D1, D3): drop its agent.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use self::holdings::Holdings;
use crate::notice::{Notice, State};
use crate::processor::Processor;
use crate::set::Epoch;

mod holdings;
mod rules;
#[cfg(test)]
mod tests;

/// What a driver in another process was told, and therefore is owed. The [module](self) describes the rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agent {
    without_replay: bool,
    hears_removal: bool,
    phase: Phase,
    held: Holdings,
    /// Active processors of which the partition told this party, but the agent did not tell the driver. Only for the current
    /// registration.
    kept: BTreeSet<Processor>,
    /// The latest known epoch.
    epoch: Epoch,
}

/// The driver's state for one processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// It agreed to AddStart, and has not been told an outcome.
    Prepared,
    /// It was told AddComplete.
    Joined,
    /// It agreed to RemoveStart, and has not been told an outcome.
    Leaving,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    held: Held,
    /// Whether the partition at the other end of the current connection has confirmed this state.
    settled: bool,
    /// Whether the AddStart whose outcome is due belonged to a replay (Q5).
    replay: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Not registered.
    Away,
    /// Registering. An AddStart is about an active processor.
    Replay,
    /// Registering. All active processors have been named.
    Replayed,
    /// Registered, or registering without a replay.
    Live,
}

/// What to do with a received notice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the driver must get the owed notices, and the partition waits for an answer"]
pub struct Reaction {
    /// What to tell the driver first, in this order. Its answers to these calls change nothing (A6).
    pub owed: Vec<Notice>,
    /// What to do with the notice itself.
    pub then: Then,
}

/// How to answer a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// Call the driver, report its answer to a Start by [`Agent::answered`], and send this answer.
    Call,
    /// Agree without calling the driver: it has already been told.
    Agree,
    /// Answer with this error, without calling the driver: the partition must not send this notice now.
    Breach(&'static str),
}

impl Default for Agent {
    fn default() -> Self {
        Self::new()
    }
}

impl Agent {
    /// Makes the agent of a driver that was told nothing yet. It wants a replay (R3) and no removal notices (X1).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            without_replay: false,
            hears_removal: false,
            phase: Phase::Away,
            held: Holdings::new(),
            kept: BTreeSet::new(),
            epoch: Epoch(0),
        }
    }

    /// The same for a driver that wants no replay (R2).
    #[must_use]
    pub const fn without_replay(mut self) -> Self {
        self.without_replay = true;
        self
    }

    /// The same for a driver that wants removal notices (X1).
    #[must_use]
    pub const fn hearing_removals(mut self) -> Self {
        self.hears_removal = true;
        self
    }

    /// The processors of which the driver was told, ascending by index, with their states.
    pub fn held(&self) -> impl Iterator<Item = (Processor, Held)> + '_ {
        self.held.iter().map(|(processor, entry)| (processor, entry.held))
    }

    /// Register is about to be sent over a new connection, or again over this one. Returns whether it asks for a replay.
    #[must_use = "it says whether the partition must replay"]
    pub fn registering(&mut self) -> bool {
        self.lost();
        let replay = !self.without_replay || !self.held.is_empty();
        self.phase = if replay { Phase::Replay } else { Phase::Live };
        replay
    }

    /// A notice was received.
    pub fn notice(&mut self, notice: &Notice) -> Reaction {
        if self.phase == Phase::Away {
            return Reaction::breach("this agent is not registered");
        }
        if notice.state.is_removal() && !self.hears_removal {
            return Reaction::breach("this agent is not notified of removals");
        }
        self.epoch = notice.epoch;
        match notice.state {
            State::AddStart => self.add_start(notice.processor),
            State::AddComplete => self.add_complete(notice.processor),
            State::AddFailure => self.add_failure(notice.processor),
            State::RemoveStart => self.remove_start(notice.processor),
            State::RemoveComplete => self.remove_complete(notice),
            State::RemoveFailure => self.remove_failure(notice.processor),
        }
    }

    /// Reports the driver's answer to a Start that was passed on. Has no effect for other notices.
    ///
    /// If the connection is already lost, the answer is not delivered, but what the driver agreed to still gets an outcome.
    pub fn answered(&mut self, notice: &Notice, agreed: bool) {
        if !agreed {
            // The driver has cleaned up after itself (A3), or keeps the processor (X1).
            return;
        }
        let held = match notice.state {
            State::AddStart => Held::Prepared,
            State::RemoveStart => Held::Leaving,
            _ => return,
        };
        let settled = self.phase != Phase::Away;
        self.held.insert(notice.processor, Entry { held, settled, replay: notice.replay });
    }

    /// Register was answered with success: the replay, if there was one, is over. Returns the calls that the driver is owed.
    pub fn registered(&mut self, epoch: Epoch) -> Vec<Notice> {
        // A notice of a later change may have overtaken the reply.
        self.epoch = self.epoch.max(epoch);
        self.phase = Phase::Live;
        self.settle_rest()
    }

    /// The agent is no longer registered, although it did not deregister: the connection is lost, Register was refused, or
    /// the partition has reported it. Outcomes that are due stay due.
    pub fn lost(&mut self) {
        self.phase = Phase::Away;
        // Epochs of another partition are not comparable with those of this one.
        self.epoch = Epoch(0);
        self.kept.clear();
        self.held.unsettle_all();
    }

    /// The driver will not be registered again, although it did not deregister. Returns the calls that the driver is owed, and
    /// forgets everything.
    ///
    /// The outcome of a removal to which the driver agreed can no longer be known. The driver is told that the processor stays:
    /// keeping resources without need does less harm than freeing them too early.
    pub fn abandon(&mut self) -> Vec<Notice> {
        self.lost();
        let held = core::mem::take(&mut self.held);
        let owed = held.iter().filter_map(|(processor, entry)| match entry.held {
            Held::Prepared => {
                let failure = self.reset(State::AddFailure, processor);
                Some(entry.of_its_add(failure))
            }
            Held::Joined => None,
            Held::Leaving => Some(self.reset(State::RemoveFailure, processor)),
        });
        owed.collect()
    }
}
