//! The agents' processes: the real [`Agent`](hotadd_core::Agent), and a driver that checks what it is told.

use hotadd_core::{Notice, State, Status, agent::Then};

use crate::violation::{Event, Events, Violation};
use crate::world::{Down, Kind, Registration, Told, Up, World};

impl World {
    /// Sends Register, over a new connection if there is none.
    pub(crate) fn connect(&mut self, at: usize) {
        let side = &mut self.sides[at];
        if !side.connected {
            side.connections += 1;
            side.connected = true;
            let connection = self.connections.entry((at, side.connections)).or_default();
            connection.served = true;
        }
        side.standing = Registration::Pending;
        let replay = side.agent.registering();
        self.send_up(at, Up::Register(replay));
    }

    /// Delivers the next message to an agent that is not busy.
    pub(crate) fn reach(&mut self, at: usize, message: Down, events: &Events) {
        match message {
            Down::Call(party, notice) => {
                if self.sides[at].standing == Registration::Pending
                    && self.connections[&(at, self.sides[at].connections)]
                        .replies
                        .iter()
                        .any(|reply| matches!(reply, Down::Registered(..)))
                {
                    events.record(Event::Overtaken);
                }
                let reaction = self.sides[at].agent.notice(&notice);
                self.owe(at, &reaction.owed, events);
                match reaction.then {
                    Then::Call if notice.state().may_veto() => {
                        self.hear(at, &notice);
                        self.sides[at].asked = Some((party, notice));
                        return;
                    }
                    Then::Call => self.hear(at, &notice),
                    Then::Agree => events.record(Event::Kept),
                    Then::Breach(_) => self.note(Violation::Breach),
                }
                let agreed = !matches!(reaction.then, Then::Breach(_));
                self.send_up(at, Up::Answer((party, notice.state(), notice.processor()), agreed));
            }
            Down::Registered(party, _) if self.sides[at].gone == Some(party) => {
                events.record(Event::GoneBeforeReply);
                self.sides[at].standing = Registration::Not;
            }
            Down::Registered(party, epoch) => {
                let side = &mut self.sides[at];
                side.standing = Registration::Registered(party);
                let owed = side.agent.registered(epoch);
                self.owe(at, &owed, events);
            }
            Down::Refused => {
                self.sides[at].agent.lost();
                self.sides[at].standing = Registration::Not;
            }
            Down::Deregistered(party) => {
                let side = &mut self.sides[at];
                side.agent.lost();
                match side.standing {
                    Registration::Pending => side.gone = Some(party),
                    _ => side.standing = Registration::Not,
                }
            }
        }
    }

    /// The driver has decided.
    pub(crate) fn answer(&mut self, at: usize, agreed: bool, events: &Events) {
        // A processor that is switched off by hand during its replay is still reported as joined, and then as left.
        let job = self.partition.as_ref().and_then(|partition| partition.job.as_ref());
        let replayed = job.filter(|job| matches!(job.kind, Kind::Replay(_)));
        let replayed = replayed.map(|job| job.base.active()).unwrap_or_default();
        let side = &mut self.sides[at];
        let Some((party, notice)) = side.asked.take() else { return };
        side.agent.answered(&notice, agreed);
        let processor = notice.processor();
        let ran = self.running.contains(&processor.id.0) || replayed.contains(&processor);
        match (notice.state(), agreed) {
            (State::AddStart, true) => {
                let replay = notice.is_replay();
                side.told.insert(processor, Told::AddStart { ran, replay });
            }
            (State::AddStart, false) => events.record(Event::Vetoed),
            (_, true) => _ = side.told.insert(processor, Told::RemoveStart),
            (_, false) => {}
        }
        self.send_up(at, Up::Answer((party, notice.state(), processor), agreed));
    }

    /// The agent notices that its connection is gone. The driver may be busy meanwhile.
    pub(crate) fn agent_notices(&mut self, at: usize) {
        let side = &mut self.sides[at];
        side.agent.lost();
        side.connected = false;
        side.standing = Registration::Not;
        side.gone = None;
        self.forget_connections();
    }

    /// The agent gives up, and the driver goes on without it.
    pub(crate) fn give_up(&mut self, at: usize, events: &Events) {
        let side = &mut self.sides[at];
        let owed = side.agent.abandon();
        if !owed.is_empty() {
            events.record(Event::GaveUpOpen);
        }
        // Nothing can show whether what it is told now is true.
        for notice in &owed {
            self.hear(at, notice);
        }
        let mut told = self.sides[at].told.values();
        if !told.all(|told| matches!(told, Told::AddComplete { .. })) {
            self.note(Violation::LeftOpen);
        }
        let side = &mut self.sides[at];
        side.standing = Registration::GivenUp;
        side.told.clear();
        if side.connected {
            self.break_connection((at, self.sides[at].connections));
            self.sides[at].connected = false;
        }
        self.forget_connections();
    }

    fn owe(&mut self, at: usize, owed: &[Notice], events: &Events) {
        for notice in owed {
            events.record(match (notice.state(), notice.is_surprise()) {
                (State::AddComplete, _) => Event::OwedComplete,
                (State::AddFailure, _) => Event::OwedFailure,
                (State::RemoveComplete, true) => Event::OwedSurprise,
                _ => Event::OwedRemoval,
            });
            self.check_owed(at, notice);
            self.hear(at, notice);
        }
    }

    /// Checks that the agent's own notices are true, unless the partition they are about no longer exists.
    fn check_owed(&mut self, at: usize, notice: &Notice) {
        let id = (at, self.sides[at].connections);
        let Some(partition) = self.partition.as_ref().filter(|_| !self.connections[&id].broken)
        else {
            return;
        };
        // A processor that joined again without agreement is not the one that the agent means.
        let active = partition.view.is_agreed(notice.processor());
        match notice.state() {
            State::AddFailure if active && notice.status() == Status::CONNECTION_RESET => {
                self.note(Violation::FalseFailure);
            }
            State::RemoveComplete if active => self.note(Violation::FalseLeave),
            _ => {}
        }
    }

    /// Calls the driver. A Start changes nothing before the driver agrees to it.
    ///
    /// The calls about one processor come in pairs (X4): AddStart, then AddComplete or AddFailure; after
    /// AddComplete, RemoveStart, then RemoveComplete or RemoveFailure, or a surprise RemoveComplete. A vetoed
    /// Start counts as if it had not happened. A driver that does not hear removals may be told AddStart
    /// again for a processor that has left.
    fn hear(&mut self, at: usize, notice: &Notice) {
        let processor = notice.processor();
        let runs = self.running.contains(&processor.id.0);
        let side = &mut self.sides[at];
        let told = side.told.get(&processor).copied();
        let mut violation = None;
        if notice.state().is_removal() && !side.spec.hears_removal {
            violation = Some(Violation::UnwantedRemoval);
        } else if notice.is_replay() && side.spec.without_replay {
            violation = Some(Violation::Replayed);
        }
        match (notice.state(), told) {
            (State::AddStart, Some(Told::AddComplete { .. })) if side.spec.hears_removal => {
                violation = Some(Violation::ToldTwice);
            }
            (State::AddStart, None | Some(Told::AddComplete { left: true })) => {
                // The same processor under another index counts as another processor. A driver that hears
                // removals must first be told that the former is gone.
                let twins = side.told.keys().filter(|p| p.id == processor.id).count();
                if side.spec.hears_removal && twins > 0 {
                    violation = Some(Violation::ToldTwice);
                }
            }
            (State::AddStart, Some(Told::AddComplete { left: false })) => {
                violation = Some(Violation::ToldTwice);
            }
            (
                State::AddStart | State::RemoveStart,
                Some(Told::AddStart { .. } | Told::RemoveStart),
            ) => {
                violation = Some(Violation::StartOnStart);
            }
            (State::AddComplete, Some(Told::AddStart { ran, replay })) => {
                side.told.insert(processor, Told::AddComplete { left: !runs });
                if !ran {
                    violation = Some(Violation::FalseComplete);
                } else if replay != notice.is_replay() {
                    violation = Some(Violation::MixedReplay);
                }
            }
            (State::AddFailure, Some(Told::AddStart { replay, .. })) => {
                side.told.remove(&processor);
                if replay != notice.is_replay() {
                    violation = Some(Violation::MixedReplay);
                }
            }
            (State::RemoveStart, Some(Told::AddComplete { .. })) => {}
            (State::RemoveComplete, Some(Told::RemoveStart)) if !notice.is_surprise() => {
                side.told.remove(&processor);
            }
            (State::RemoveComplete, Some(Told::AddComplete { .. })) if notice.is_surprise() => {
                side.told.remove(&processor);
            }
            (State::RemoveFailure, Some(Told::RemoveStart)) => {
                side.told.insert(processor, Told::AddComplete { left: !runs });
            }
            (state, _) if state.is_removal() => violation = Some(Violation::EndOfNothing),
            _ => violation = Some(Violation::OutcomeOfNothing),
        }
        if let Some(violation) = violation {
            self.note(violation);
        }
    }

    pub(crate) fn note(&mut self, violation: Violation) {
        self.violation = self.violation.or(Some(violation));
    }

    fn send_up(&mut self, at: usize, message: Up) {
        let id = (at, self.sides[at].connections);
        if self.sides[at].connected
            && let Some(connection) = self.connections.get_mut(&id)
            && !connection.broken
        {
            connection.up.push(message);
        }
    }
}
