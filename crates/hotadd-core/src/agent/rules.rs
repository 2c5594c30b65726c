//! What each notice means to an [`Agent`], and how unsettled processors are settled.

use alloc::vec::Vec;

use crate::notice::{Notice, State};
use crate::processor::Processor;
use crate::status::Status;

use super::{Agent, Entry, Held, Phase, Reaction, Then};

const SETTLED: bool = true;

impl Agent {
    pub(super) fn add_start(&mut self, processor: Processor) -> Reaction {
        let replayed = self.phase == Phase::Replay;
        if replayed && (self.settled(processor).is_some() || self.kept.contains(&processor)) {
            return Reaction::breach("the replay names this processor twice");
        }
        // Each index and hardware id is given out once: a pair that shares only one of the two is of a former partition.
        let former = self.held.at_odds_with(processor);
        let mut owed: Vec<Notice> = former.filter_map(|gone| self.settle(gone, false)).collect();
        // Active if this is a replay. Otherwise it is not active, because it could be added now.
        owed.extend(self.settle(processor, replayed));
        if self.held.get(processor).is_some() {
            return Reaction { owed, then: Then::Agree };
        }
        if replayed && self.without_replay {
            self.kept.insert(processor);
            return Reaction { owed, then: Then::Agree };
        }
        Reaction { owed, then: Then::Call }
    }

    pub(super) fn add_complete(&mut self, processor: Processor) -> Reaction {
        let replaying = self.is_replaying();
        if replaying {
            self.phase = Phase::Replayed;
        }
        match self.settled(processor) {
            Some(Held::Prepared) => {
                self.hold(processor, Held::Joined);
                Reaction::CALL
            }
            Some(Held::Joined) if replaying => Reaction::AGREE,
            None if replaying && self.kept.contains(&processor) => Reaction::AGREE,
            _ => Reaction::breach("this agent was not asked about the processor"),
        }
    }

    pub(super) fn add_failure(&mut self, processor: Processor) -> Reaction {
        match self.settled(processor) {
            Some(Held::Prepared) => {
                self.held.remove(processor);
                Reaction::CALL
            }
            // The registration failed (R4), not the processor. The driver was told of it before.
            Some(Held::Joined) if self.is_replaying() => Reaction::AGREE,
            None if self.is_replaying() && self.kept.remove(&processor) => Reaction::AGREE,
            _ => Reaction::breach("this agent was not asked about the processor"),
        }
    }

    pub(super) fn remove_start(&self, processor: Processor) -> Reaction {
        match self.settled(processor) {
            Some(Held::Joined) => Reaction::CALL,
            None if self.kept.contains(&processor) => Reaction::AGREE,
            _ => Reaction::breach("this agent was not told that the processor joined"),
        }
    }

    pub(super) fn remove_complete(&mut self, notice: &Notice) -> Reaction {
        let processor = notice.processor;
        match self.settled(processor) {
            Some(Held::Joined) if notice.surprise => {}
            Some(Held::Leaving) => {}
            None if self.kept.remove(&processor) => return Reaction::AGREE,
            _ => return Reaction::breach("this agent does not hold the processor"),
        }
        self.held.remove(processor);
        Reaction::CALL
    }

    pub(super) fn remove_failure(&mut self, processor: Processor) -> Reaction {
        match self.settled(processor) {
            Some(Held::Leaving) => {
                self.hold(processor, Held::Joined);
                Reaction::CALL
            }
            None if self.kept.contains(&processor) => Reaction::AGREE,
            _ => Reaction::breach("this agent was not asked about the removal"),
        }
    }

    /// It is now known whether a processor is active. Returns the call that the driver is owed, if any.
    pub(super) fn settle(&mut self, processor: Processor, active: bool) -> Option<Notice> {
        let entry = self.held.get(processor)?;
        if !active {
            self.held.remove(processor);
        }
        match (entry.held, active) {
            (Held::Prepared, true) => {
                self.hold(processor, Held::Joined);
                Some(entry.of_its_add(self.owed(State::AddComplete, processor)))
            }
            (Held::Prepared, false) => {
                Some(entry.of_its_add(self.reset(State::AddFailure, processor)))
            }
            (Held::Joined, true) => {
                self.hold(processor, Held::Joined);
                None
            }
            (Held::Joined, false) => self
                .hears_removal
                .then(|| self.owed(State::RemoveComplete, processor).as_surprise()),
            (Held::Leaving, true) => {
                self.hold(processor, Held::Joined);
                Some(self.reset(State::RemoveFailure, processor))
            }
            (Held::Leaving, false) => Some(self.owed(State::RemoveComplete, processor)),
        }
    }

    /// Processors that nothing has settled are not active. Ascending by index.
    pub(super) fn settle_rest(&mut self) -> Vec<Notice> {
        let open = self.held.iter().filter(|(_, entry)| !entry.settled);
        let open: Vec<Processor> = open.map(|(processor, _)| processor).collect();
        open.into_iter().filter_map(|processor| self.settle(processor, false)).collect()
    }

    /// A failure that no notice reported, because the connection was lost.
    pub(super) fn reset(&self, state: State, processor: Processor) -> Notice {
        self.owed(state, processor).with_failure(Status::CONNECTION_RESET, None)
    }

    fn owed(&self, state: State, processor: Processor) -> Notice {
        Notice::new(state, processor).at_epoch(self.epoch)
    }

    fn is_replaying(&self) -> bool {
        matches!(self.phase, Phase::Replay | Phase::Replayed)
    }

    /// The driver's state for this processor; `None` if this connection has not settled it.
    fn settled(&self, processor: Processor) -> Option<Held> {
        self.held.get(processor).filter(|entry| entry.settled).map(|entry| entry.held)
    }

    fn hold(&mut self, processor: Processor, held: Held) {
        // The add is over: no outcome of it is due.
        self.held.insert(processor, Entry { held, settled: SETTLED, replay: false });
    }
}

impl Entry {
    /// The outcome of the add of this entry: it belongs to a replay if the AddStart did (Q5).
    pub(super) const fn of_its_add(self, outcome: Notice) -> Notice {
        if self.replay { outcome.as_replay() } else { outcome }
    }
}

impl Reaction {
    const CALL: Self = Self { owed: Vec::new(), then: Then::Call };
    const AGREE: Self = Self { owed: Vec::new(), then: Then::Agree };

    pub(super) const fn breach(why: &'static str) -> Self {
        Self { owed: Vec::new(), then: Then::Breach(why) }
    }
}
