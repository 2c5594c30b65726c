//! What each notice means to an [`Agent`], and how what is unsettled is settled.

use alloc::vec::Vec;

use crate::notice::{Notice, State};
use crate::processor::Processor;
use crate::status::Status;

use super::{Agent, Entry, Held, Phase, Reaction, Then};

const SETTLED: bool = true;

impl Agent {
    pub(super) fn add_start(&mut self, processor: Processor) -> Reaction {
        let replayed = self.phase == Phase::Replay;
        if replayed && self.held.get(&processor).is_some_and(|entry| entry.settled) {
            return Reaction::breach("the replay names this processor twice");
        }
        // Indexes and hardware ids are given once: what has only one of the two in common is of a former partition.
        let former = |p: &Processor| (p.index == processor.index) != (p.id == processor.id);
        let former: Vec<Processor> = self.held.keys().copied().filter(former).collect();
        let mut owed: Vec<Notice> =
            former.into_iter().filter_map(|gone| self.settle(gone, false)).collect();
        // Active in a replay, and else not: it could not be added.
        owed.extend(self.settle(processor, replayed));
        let then = if self.held.contains_key(&processor) { Then::Agree } else { Then::Call };
        Reaction { owed, then }
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
            _ => Reaction::breach("this agent was not asked about the processor"),
        }
    }

    pub(super) fn add_failure(&mut self, processor: Processor) -> Reaction {
        match self.settled(processor) {
            Some(Held::Prepared) => {
                self.held.remove(&processor);
                Reaction::CALL
            }
            // Registering has failed (R4). The processor has not, and the driver had it before.
            Some(Held::Joined) if self.is_replaying() => Reaction::AGREE,
            _ => Reaction::breach("this agent was not asked about the processor"),
        }
    }

    pub(super) fn remove_complete(&mut self, notice: &Notice) -> Reaction {
        let processor = notice.processor;
        let held = self.held.get(&processor).map(|entry| entry.held);
        let mut owed = Vec::new();
        match held {
            Some(Held::Leaving { .. }) => {}
            _ if !notice.surprise => return Reaction::breach("this agent was not asked about it"),
            // It had joined before it vanished.
            Some(Held::Prepared) => owed.extend(self.settle(processor, true)),
            Some(Held::Joined) => {}
            // The set by which everything was settled had overtaken this notice.
            None if notice.epoch <= self.reconciled => return Reaction::AGREE,
            None => {}
        }
        self.held.remove(&processor);
        Reaction { owed, then: Then::Call }
    }

    pub(super) fn remove_failure(&mut self, processor: Processor) -> Reaction {
        match self.settled(processor) {
            Some(Held::Leaving { joined }) => {
                self.stays(processor, joined);
                Reaction::CALL
            }
            _ => Reaction::breach("this agent was not asked about it"),
        }
    }

    /// It has turned out whether a processor is active. Returns what the driver is owed if that is news to it.
    pub(super) fn settle(&mut self, processor: Processor, active: bool) -> Option<Notice> {
        let entry = *self.held.get(&processor)?;
        if !active {
            self.held.remove(&processor);
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
            (Held::Leaving { joined }, true) => {
                self.stays(processor, joined);
                Some(self.reset(State::RemoveFailure, processor))
            }
            (Held::Leaving { .. }, false) => Some(self.owed(State::RemoveComplete, processor)),
        }
    }

    /// Settles whatever is not, ascending by index.
    pub(super) fn settle_rest(&mut self, active: impl Fn(Processor) -> bool) -> Vec<Notice> {
        let open = self.held.iter().filter(|(_, entry)| !entry.settled);
        let open: Vec<Processor> = open.map(|(processor, _)| *processor).collect();
        open.into_iter().filter_map(|processor| self.settle(processor, active(processor))).collect()
    }

    /// A failure that nobody has told: the connection was gone.
    pub(super) fn reset(&self, state: State, processor: Processor) -> Notice {
        self.owed(state, processor).with_failure(Status::CONNECTION_RESET, None)
    }

    fn owed(&self, state: State, processor: Processor) -> Notice {
        Notice::new(state, processor).at_epoch(self.epoch)
    }

    fn is_replaying(&self) -> bool {
        matches!(self.phase, Phase::Replay | Phase::Replayed)
    }

    /// How the driver stands with it, unless that was never heard of over this connection.
    fn settled(&self, processor: Processor) -> Option<Held> {
        self.held.get(&processor).filter(|entry| entry.settled).map(|entry| entry.held)
    }

    fn hold(&mut self, processor: Processor, held: Held) {
        // Its add has come to its end: no outcome of it is due.
        self.held.insert(processor, Entry { held, settled: SETTLED, replay: false });
    }

    /// A removal came to nothing.
    fn stays(&mut self, processor: Processor, joined: bool) {
        if joined {
            self.hold(processor, Held::Joined);
        } else {
            self.held.remove(&processor);
        }
    }
}

impl Entry {
    /// The outcome of the add that it stands for: of a replay if its beginning was (Q5).
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
