//! The agents' processes: the real [`Agent`](hotadd_core::Agent), and a driver that checks what it is told.

use hotadd_core::{Notice, State, Status, agent::Then};

use crate::world::{Down, Kind, Registration, Told, Up, World};
use crate::wrong::{Sight, Sights, Wrong};

impl World {
    /// Sends Register, over a new connection if there is none.
    pub(crate) fn connect(&mut self, at: usize) {
        let side = &mut self.sides[at];
        if !side.connected {
            side.connections += 1;
            side.connected = true;
            let line = self.lines.entry((at, side.connections)).or_default();
            line.served = true;
        }
        side.standing = Registration::Pending;
        let replay = side.agent.registering();
        self.send_up(at, Up::Register(replay));
    }

    /// The next message reaches an agent that is not busy.
    pub(crate) fn reach(&mut self, at: usize, message: Down, sights: &Sights) {
        match message {
            Down::Call(party, notice) => {
                if self.sides[at].standing == Registration::Pending
                    && self.lines[&(at, self.sides[at].connections)]
                        .replies
                        .iter()
                        .any(|reply| matches!(reply, Down::Registered(..)))
                {
                    sights.see(Sight::Overtaken);
                }
                let reaction = self.sides[at].agent.notice(&notice);
                self.owe(at, &reaction.owed, sights);
                match reaction.then {
                    Then::Call if notice.state().may_veto() => {
                        self.hear(at, &notice);
                        self.sides[at].asked = Some((party, notice));
                        return;
                    }
                    Then::Call => self.hear(at, &notice),
                    Then::Agree => sights.see(Sight::Kept),
                    Then::Breach(_) => self.note(Wrong::Breach),
                }
                let agreed = !matches!(reaction.then, Then::Breach(_));
                self.send_up(at, Up::Answer((party, notice.state(), notice.processor()), agreed));
            }
            Down::Registered(party, _) if self.sides[at].gone == Some(party) => {
                sights.see(Sight::GoneBeforeReply);
                self.sides[at].standing = Registration::Not;
            }
            Down::Registered(party, epoch) => {
                let side = &mut self.sides[at];
                side.standing = Registration::Registered(party);
                let owed = side.agent.registered(epoch);
                self.owe(at, &owed, sights);
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

    /// The driver has made up its mind.
    pub(crate) fn answer(&mut self, at: usize, agreed: bool, sights: &Sights) {
        // One that was switched off by hand while it is replayed is told to have joined all the same, and then to have left.
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
            (State::AddStart, false) => sights.see(Sight::Vetoed),
            (_, true) => _ = side.told.insert(processor, Told::RemoveStart),
            (_, false) => {}
        }
        self.send_up(at, Up::Answer((party, notice.state(), processor), agreed));
    }

    /// The agent sees that its connection is gone. The driver may be busy all the while.
    pub(crate) fn agent_notices(&mut self, at: usize) {
        let side = &mut self.sides[at];
        side.agent.lost();
        side.connected = false;
        side.standing = Registration::Not;
        side.gone = None;
        self.forget_lines();
    }

    /// The driver is told to get along without.
    pub(crate) fn give_up(&mut self, at: usize, sights: &Sights) {
        let side = &mut self.sides[at];
        let owed = side.agent.abandon();
        if !owed.is_empty() {
            sights.see(Sight::GaveUpOpen);
        }
        // Nobody can say whether what it is told now is true.
        for notice in &owed {
            self.hear(at, notice);
        }
        let mut told = self.sides[at].told.values();
        if !told.all(|told| matches!(told, Told::AddComplete { .. })) {
            self.note(Wrong::LeftOpen);
        }
        let side = &mut self.sides[at];
        side.standing = Registration::GivenUp;
        side.told.clear();
        if side.connected {
            self.break_line((at, self.sides[at].connections));
            self.sides[at].connected = false;
        }
        self.forget_lines();
    }

    fn owe(&mut self, at: usize, owed: &[Notice], sights: &Sights) {
        for notice in owed {
            sights.see(match (notice.state(), notice.is_surprise()) {
                (State::AddComplete, _) => Sight::OwedComplete,
                (State::AddFailure, _) => Sight::OwedFailure,
                (State::RemoveComplete, true) => Sight::OwedSurprise,
                _ => Sight::OwedRemoval,
            });
            self.check_owed(at, notice);
            self.hear(at, notice);
        }
    }

    /// What an agent says by itself must be true, unless it speaks to a partition that is there no more.
    fn check_owed(&mut self, at: usize, notice: &Notice) {
        let id = (at, self.sides[at].connections);
        let Some(partition) = self.partition.as_ref().filter(|_| !self.lines[&id].broken) else {
            return;
        };
        // One that joined without agreement is not the one that the agent speaks of, but the same another time.
        let active = partition.view.is_agreed(notice.processor());
        match notice.state() {
            State::AddFailure if active && notice.status() == Status::CONNECTION_RESET => {
                self.note(Wrong::FalseFailure);
            }
            State::RemoveComplete if active => self.note(Wrong::FalseLeave),
            _ => {}
        }
    }

    /// The driver is called. A Start that it is asked about changes nothing before it agrees.
    ///
    /// What it hears of one processor comes in pairs (X4): AddStart, AddComplete or AddFailure; after AddComplete, RemoveStart,
    /// RemoveComplete or RemoveFailure, or a surprise RemoveComplete. A Start that it vetoes is as if it had not been. To a driver
    /// that hears nothing of removals what has left may be added again.
    fn hear(&mut self, at: usize, notice: &Notice) {
        let processor = notice.processor();
        let runs = self.running.contains(&processor.id.0);
        let side = &mut self.sides[at];
        let told = side.told.get(&processor).copied();
        let mut wrong = None;
        if notice.state().is_removal() && !side.spec.hears_removal {
            wrong = Some(Wrong::UnwantedRemoval);
        } else if notice.is_replay() && side.spec.without_replay {
            wrong = Some(Wrong::Replayed);
        }
        match (notice.state(), told) {
            (State::AddStart, Some(Told::AddComplete { .. })) if side.spec.hears_removal => {
                wrong = Some(Wrong::ToldTwice);
            }
            (State::AddStart, None | Some(Told::AddComplete { left: true })) => {
                // The same under another index is another processor, but a driver that hears of removals has been told that
                // the former is gone.
                let twins = side.told.keys().filter(|p| p.id == processor.id).count();
                if side.spec.hears_removal && twins > 0 {
                    wrong = Some(Wrong::ToldTwice);
                }
            }
            (State::AddStart, Some(Told::AddComplete { left: false })) => {
                wrong = Some(Wrong::ToldTwice);
            }
            (
                State::AddStart | State::RemoveStart,
                Some(Told::AddStart { .. } | Told::RemoveStart),
            ) => {
                wrong = Some(Wrong::StartOnStart);
            }
            (State::AddComplete, Some(Told::AddStart { ran, replay })) => {
                side.told.insert(processor, Told::AddComplete { left: !runs });
                if !ran {
                    wrong = Some(Wrong::FalseComplete);
                } else if replay != notice.is_replay() {
                    wrong = Some(Wrong::MixedReplay);
                }
            }
            (State::AddFailure, Some(Told::AddStart { replay, .. })) => {
                side.told.remove(&processor);
                if replay != notice.is_replay() {
                    wrong = Some(Wrong::MixedReplay);
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
            (state, _) if state.is_removal() => wrong = Some(Wrong::EndOfNothing),
            _ => wrong = Some(Wrong::OutcomeOfNothing),
        }
        if let Some(wrong) = wrong {
            self.note(wrong);
        }
    }

    pub(crate) fn note(&mut self, wrong: Wrong) {
        self.wrong = self.wrong.or(Some(wrong));
    }

    fn send_up(&mut self, at: usize, message: Up) {
        let id = (at, self.sides[at].connections);
        if self.sides[at].connected
            && let Some(line) = self.lines.get_mut(&id)
            && !line.broken
        {
            line.up.push(message);
        }
    }
}
