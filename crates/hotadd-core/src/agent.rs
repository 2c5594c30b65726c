//! [`Agent`]: the rules of one driver that lives in another process than its partition.
//!
//! Between the two lies a connection that can break at any moment, and a partition that can end and come back. The agent
//! sits on the driver's side. It remembers what the driver was told, so that the driver need not know of any of this:
//! whatever happens to the connection, it is told of every processor exactly once (R5), and everything that it agreed
//! to comes to an outcome, to one outcome only.
//!
//! # What is remembered
//! For each processor that the driver was told of, where it stands. A processor is the pair of index and hardware id: a
//! partition that was restarted may give the same hardware id another index, and that is another processor.
//!
//! | held     | the driver was told        | turns out active       | turns out not active     |
//! |----------|----------------------------|------------------------|--------------------------|
//! | prepared | AddStart, and it agreed    | AddComplete → joined   | AddFailure → nothing     |
//! | joined   | AddComplete                |                        | RemoveComplete (surprise, only if it hears of removals) → nothing |
//! | leaving  | RemoveStart, and it agreed | RemoveFailure → joined | RemoveComplete → nothing |
//!
//! While a connection lives, the notices that come over it are passed on and say how things turn out. When it is gone,
//! everything held is *unsettled*: what the partition decided meanwhile is not known. Each is settled by the first that
//! tells, once connected again:
//!
//! - AddStart in the replay: it is active. The driver is not asked again; what was open is told, and AddStart is agreed to
//!   on its behalf. The replay's AddComplete or AddFailure of it (R4) is then kept from the driver as well.
//! - AddStart after the replay: it is not active, or it could not be added now.
//! - AddStart of a pair that has its index or its hardware id, but not both: the old pair is gone.
//! - The end of the replay ([`registered`](Agent::registered)): whatever was not in it is not active.
//! - Giving up ([`abandon`](Agent::abandon)).
//!
//! The replay is all the AddStart calls, then all the AddComplete calls (R3). So an AddStart that comes behind an AddComplete
//! belongs to an add, even if it overtakes the reply to Register.
//!
//! # What is a replay to the driver (Q5)
//! A notice that is passed on says what the partition says of it. So behind a reconnection an AddStart is a replay if the processor
//! is active and the driver has not been told of it, also if it joined while the connection was gone: nobody can refuse it
//! any more. Calls that the driver is still owed are made up here, by these rules:
//!
//! - AddComplete and AddFailure are of a replay exactly if the AddStart was that the driver agreed to, so that the calls about one
//!   processor agree. They end that call, whatever has told how it ended: the outcome of a live add is live, although a replay
//!   brought it up.
//! - RemoveComplete and RemoveFailure are never of a replay.
//!
//! # A driver that wants no replay
//! As long as such a driver (R2) holds nothing, Register asks for none. Once it holds something, Register asks for one on the
//! agent's own account: it settles what is held, and the partition then tells this party how each of these processors leaves,
//! which it does only if it told the party that they joined (X4). Processors in that replay that the driver does not hold are
//! *kept* from it: the agent agrees to all calls about them, from AddStart in the replay to the end of the processor or of the
//! connection. A processor that joined while there was no connection is one of them, so the driver never hears of it.
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
//! One thing at a time: [`answered`](Agent::answered) before anything else is done, but for [`lost`](Agent::lost), which
//! may come while the driver is still being asked. What a method returns as owed is told to the driver at once, in order, and
//! before the notice that brought it up. A driver that deregisters is owed nothing (D1, D3): drop its agent.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::notice::{Notice, State};
use crate::processor::Processor;
use crate::set::Epoch;

mod rules;
#[cfg(test)]
mod tests;

/// What a driver in another process was told, and so what it is owed. The [module](self) has the rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agent {
    later_only: bool,
    hears_removal: bool,
    phase: Phase,
    held: BTreeMap<Processor, Entry>,
    /// Active processors that the partition told this party of, and the agent did not tell the driver of. Of the present
    /// registration.
    kept: BTreeSet<Processor>,
    /// The latest that was heard of.
    epoch: Epoch,
}

/// Where the driver stands with one processor.
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
    /// Whether the partition at the other end of the present connection stands to it.
    settled: bool,
    /// Whether the AddStart to which an outcome is due was of a replay (Q5).
    replay: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Not registered.
    Away,
    /// Registering, and AddStart is of active processors.
    Replay,
    /// Registering, and all active processors have been named.
    Replayed,
    /// Registered, or registering without a replay.
    Live,
}

/// What to do with a notice that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the driver is to be told what it is owed, and the partition waits for an answer"]
pub struct Reaction {
    /// What to tell the driver first, in this order. What it answers to these changes nothing (A6).
    pub owed: Vec<Notice>,
    /// What to do about the notice itself.
    pub then: Then,
}

/// How to come to the answer to a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// Call the driver, report what it says to a Start by [`Agent::answered`], and answer with that.
    Call,
    /// Agree without calling the driver: it has been told.
    Agree,
    /// Answer with an error, without calling the driver: the partition must not send this now. Says why.
    Breach(&'static str),
}

impl Default for Agent {
    fn default() -> Self {
        Self::new()
    }
}

impl Agent {
    /// The agent of a driver that was told nothing yet. It wants a replay (R3) and hears nothing of removals (X1).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            later_only: false,
            hears_removal: false,
            phase: Phase::Away,
            held: BTreeMap::new(),
            kept: BTreeSet::new(),
            epoch: Epoch(0),
        }
    }

    /// The same for a driver that wants no replay (R2).
    #[must_use]
    pub const fn later_only(mut self) -> Self {
        self.later_only = true;
        self
    }

    /// The same for a driver that hears of removals (X1).
    #[must_use]
    pub const fn hearing_removals(mut self) -> Self {
        self.hears_removal = true;
        self
    }

    /// What the driver was told, ascending by index.
    pub fn held(&self) -> impl Iterator<Item = (Processor, Held)> + '_ {
        self.held.iter().map(|(processor, entry)| (*processor, entry.held))
    }

    /// Register is about to be sent over a new connection, or once more over this one. Returns whether it asks for a replay.
    #[must_use = "the partition must replay exactly if this says so"]
    pub fn registering(&mut self) -> bool {
        self.lost();
        let replay = !self.later_only || !self.held.is_empty();
        self.phase = if replay { Phase::Replay } else { Phase::Live };
        replay
    }

    /// A notice has come.
    pub fn notice(&mut self, notice: &Notice) -> Reaction {
        if self.phase == Phase::Away {
            return Reaction::breach("this agent is not registered");
        }
        if notice.state.is_removal() && !self.hears_removal {
            return Reaction::breach("this agent does not hear of removals");
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

    /// The driver's answer to a Start that was passed on. Without effect for other notices.
    ///
    /// The connection may be gone by now: then the answer reaches nobody, but what the driver agreed to still comes to an
    /// outcome.
    pub fn answered(&mut self, notice: &Notice, agreed: bool) {
        if !agreed {
            // It has cleaned up after itself (A3), or keeps the processor (X1).
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

    /// Register has been answered with success: the replay, if there was one, is over. Returns what the driver is owed.
    pub fn registered(&mut self, epoch: Epoch) -> Vec<Notice> {
        // A notice of a later change may have overtaken the reply.
        self.epoch = self.epoch.max(epoch);
        self.phase = Phase::Live;
        self.settle_rest()
    }

    /// The agent is registered no longer, although it did not ask for that: the connection is gone, Register was refused, or
    /// the partition has said so. What is open stays open.
    pub fn lost(&mut self) {
        self.phase = Phase::Away;
        // Epochs of another partition have nothing to do with those of this one.
        self.epoch = Epoch(0);
        self.kept.clear();
        for entry in self.held.values_mut() {
            entry.settled = false;
        }
    }

    /// The driver will not be registered again, although it did not ask for that. Returns what it is owed, and forgets
    /// everything.
    ///
    /// Nobody can say any more how a removal ended that it agreed to. It is told that the processor stays: what it keeps for
    /// nothing does less harm than what it takes away too early.
    pub fn abandon(&mut self) -> Vec<Notice> {
        self.lost();
        let held = core::mem::take(&mut self.held);
        let owed = held.into_iter().filter_map(|(processor, entry)| match entry.held {
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
