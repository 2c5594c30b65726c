//! The effect of each action on the world.

use std::collections::BTreeSet;

use hotadd_core::{HardwareId, PartyId, Processor, State};

use crate::model::Action;
use crate::partition::Out;
use crate::violation::{Event, Events, Violation};
use crate::world::{
    Answer, Budget, ConnectionId, Down, Key, Kind, Member, Partition, Side, Told, Up, World,
};

impl World {
    pub(crate) fn take(&mut self, action: Action, events: &Events) {
        let Budget { adds, removals, vetoes, platform, losses, .. } = &mut self.budget;
        match action {
            Action::Add(id) => {
                *adds -= 1;
                self.begin(Kind::Add(HardwareId(id)), events);
            }
            Action::Remove(id) => {
                *removals -= 1;
                self.begin(Kind::Remove(HardwareId(id)), events);
            }
            Action::Act(ok) => {
                *platform -= u8::from(!ok);
                self.act(ok, events);
            }
            Action::Object => self.object(),
            Action::Switch(id) => {
                self.budget.switches -= 1;
                self.switch(id, events);
            }
            Action::GoOn => self.advance(events),
            Action::Up(id) => self.arrive(id, events),
            Action::Down(at) => {
                let id = (at, self.sides[at].connections);
                let connection = self.connections.get_mut(&id).expect("it has a message");
                let message = connection.down.remove(0);
                self.reach(at, message, events);
            }
            Action::Reply(id, which) => {
                let connection = self.connections.get_mut(&id).expect("it has a reply");
                let reply = connection.replies.remove(which);
                connection.down.push(reply);
            }
            Action::Answer(at, agreed) => {
                *vetoes -= u8::from(!agreed);
                self.answer(at, agreed, events);
            }
            Action::Connect(at) => self.connect(at),
            Action::GiveUp(at) => {
                self.budget.give_ups -= 1;
                self.give_up(at, events);
            }
            Action::Break(id) => {
                *losses -= 1;
                self.break_connection(id);
            }
            Action::AgentNotices(at) => self.agent_notices(at),
            Action::PartitionNotices(id) => {
                self.close(id);
                if let Some(partition) = &mut self.partition {
                    partition.lost(id, events);
                }
                self.advance(events);
            }
            Action::Timeout(key) => {
                self.budget.timeouts -= 1;
                if key.1 == State::AddStart {
                    events.record(Event::VetoedByTimeout);
                }
                self.time_out(key, events);
            }
            Action::CrashAgent(at) => {
                self.budget.agent_crashes -= 1;
                let side = &self.sides[at];
                let id = (at, side.connections);
                self.sides[at] = Side::new(side.spec, side.connections, side.life + 1);
                if self.connections.contains_key(&id) {
                    self.break_connection(id);
                }
                self.forget_connections();
            }
            Action::CrashPartition => {
                self.budget.partition_crashes -= 1;
                self.crash_partition(events);
            }
            Action::RestartPartition => self.restart(),
        }
    }

    /// Starts a partition, which takes over what runs.
    pub(crate) fn restart(&mut self) {
        let named = |at: &usize| self.sides[*at].spec.named;
        let named: BTreeSet<usize> = (0..self.sides.len()).filter(named).collect();
        self.by_hand.clear();
        self.partition = Some(Partition::start(&self.running, named));
    }

    fn begin(&mut self, kind: Kind, events: &Events) {
        let Some(partition) = &mut self.partition else { return };
        let adds = matches!(kind, Kind::Add(_));
        if adds && partition.is_missing() {
            // The add is refused at once, and no party is asked (L4).
            events.record(Event::RefusedMissing);
            return;
        }
        partition.begin(kind);
        if adds && self.lacks_a_named_party() {
            self.note(Violation::AskedMissing);
        }
        self.advance(events);
    }

    /// Whether a named party is not registered, or known to be gone.
    fn lacks_a_named_party(&self) -> bool {
        let Some(partition) = &self.partition else { return true };
        let mut named = (0..self.sides.len()).filter(|at| self.sides[*at].spec.named);
        named.any(|at| {
            let crashed =
                |id, (key, answer): (&Key, &Answer)| key.0 == id && *answer == Answer::Crashed;
            !partition.members.iter().any(|member| {
                let mut answers = partition.job.iter().flat_map(|job| &job.answers);
                member.connection.0 == at
                    && !member.lost
                    && !answers.any(|one| crashed(member.id, one))
            })
        })
    }

    /// Switches a processor on or off by hand; the partition looks at once.
    fn switch(&mut self, id: u32, events: &Events) {
        if self.running.contains(&id) {
            self.stops(id);
        } else {
            // A processor that was on its way in, and was switched off and on again before it joined, looks
            // like one of the partition's own.
            let job = self.partition.as_ref().and_then(|partition| partition.job.as_ref());
            let own = job.is_some_and(|job| {
                matches!(job.kind, Kind::Add(_)) && job.switched(HardwareId(id))
            });
            if !own {
                self.by_hand.insert(id);
            }
            self.starts(id);
        }
        if let Some(partition) = &mut self.partition {
            partition.look(&self.running, events);
            // Whatever waited for this change continues.
            if partition.job.is_none() {
                self.advance(events);
            }
        }
    }

    fn starts(&mut self, id: u32) {
        self.running.insert(id);
        for (told, how) in self.sides.iter_mut().flat_map(|side| &mut side.told) {
            if told.id.0 == id
                && let Told::AddStart { ran, .. } = how
            {
                *ran = true;
            }
        }
    }

    fn stops(&mut self, id: u32) {
        self.running.remove(&id);
        self.by_hand.remove(&id);
        for (told, how) in self.sides.iter_mut().flat_map(|side| &mut side.told) {
            if told.id.0 == id
                && let Told::AddComplete { left } = how
            {
                *left = true;
            }
        }
    }

    /// Does not start the processor, because it was switched by hand or a named party is missing.
    fn object(&mut self) {
        let Some(job) = self.partition.as_mut().and_then(|p| p.job.as_mut()) else { return };
        job.acting = None;
        job.acted.push(false);
        job.going = true;
    }

    /// Lets the platform succeed or fail.
    fn act(&mut self, ok: bool, events: &Events) {
        let Some(partition) = &mut self.partition else { return };
        let gone = partition.is_gone();
        let Some(job) = &mut partition.job else { return };
        let Some(processor) = job.acting.take() else { return };
        job.acted.push(ok);
        job.going = true;
        let adds = matches!(job.kind, Kind::Add(_));
        if !ok {
            events.record(Event::PlatformFailed);
        } else if gone {
            events.record(Event::GoneBeforeStop);
        } else if adds {
            self.started(processor, events);
        } else {
            self.stops(processor.id.0);
        }
    }

    fn started(&mut self, processor: Processor, events: &Events) {
        let Some(partition) = &self.partition else { return };
        let mut asked = partition.all_agreed(processor);
        for member in &partition.members {
            let side = &self.sides[member.connection.0];
            // As far as the two sides can know of each other.
            let knows = side.connected
                && (member.connection.0, side.connections) == member.connection
                && side.life == member.life;
            asked &= !knows || matches!(side.told.get(&processor), Some(Told::AddStart { .. }));
        }
        if !asked {
            self.note(Violation::StartedUnasked);
        }
        if self.lacks_a_named_party() {
            self.note(Violation::StartedMissing);
        }
        if self.sides.iter().any(|side| side.spec.named && side.connections > 1) {
            events.record(Event::AddedAgain);
        }
        self.starts(processor.id.0);
    }

    fn advance(&mut self, events: &Events) {
        let Some(partition) = &mut self.partition else { return };
        if let Some(job) = &mut partition.job {
            job.going = false;
        }
        let out = partition.advance(&self.running, events);
        self.send_down(out);
    }

    fn send_down(&mut self, out: Vec<Out>) {
        for out in out {
            let (Out::Send(id, _) | Out::Reply(id, _)) = &out;
            let Some(connection) =
                self.connections.get_mut(id).filter(|connection| !connection.broken)
            else {
                continue;
            };
            match out {
                Out::Send(_, message) => connection.down.push(message),
                Out::Reply(_, message) => connection.replies.push(message),
            }
        }
    }

    /// Delivers a message of an agent to the partition.
    fn arrive(&mut self, id: ConnectionId, events: &Events) {
        let connection = self.connections.get_mut(&id).expect("it has a message");
        let message = connection.up.remove(0);
        let side = &self.sides[id.0];
        let Some(partition) = &mut self.partition else { return };
        match message {
            Up::Register(replay) => {
                partition.waiting.push(Member {
                    id: PartyId(partition.next_party),
                    connection: id,
                    spec: side.spec,
                    replay,
                    lost: false,
                    life: side.life,
                    had: Default::default(),
                    unheard: Default::default(),
                });
                partition.next_party += 1;
            }
            Up::Answer(key, agreed) => {
                let answer = if agreed { Answer::Agreed } else { Answer::Vetoed };
                partition.answered(key, answer, events);
            }
        }
        self.advance(events);
    }

    fn time_out(&mut self, key: Key, events: &Events) {
        let Some(partition) = &mut self.partition else { return };
        partition.answered(key, Answer::Crashed, events);
        let member = partition.members.iter().find(|member| member.id == key.0);
        let told = member.map(|member| Out::Send(member.connection, Down::Deregistered(key.0)));
        self.send_down(told.into_iter().collect());
        self.advance(events);
    }

    fn crash_partition(&mut self, events: &Events) {
        if let Some(partition) = self.partition.take() {
            let open =
                |side: &Side| side.told.values().any(|told| matches!(told, Told::AddStart { .. }));
            if self.sides.iter().any(open) {
                events.record(Event::RestartedOpen);
            }
            if partition.job.is_some_and(|job| job.going && job.acted.last() == Some(&true)) {
                events.record(Event::RestartedStarted);
            }
        }
        let ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in ids {
            self.break_connection(id);
            self.close(id);
        }
    }

    pub(crate) fn break_connection(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.broken = true;
            // It would not be sent.
            connection.replies.clear();
        }
    }

    /// The partition stops using a broken connection.
    fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.served = false;
            connection.up.clear();
        }
        self.forget_connections();
    }

    /// Drops connections that neither side has open.
    pub(crate) fn forget_connections(&mut self) {
        let sides = &self.sides;
        self.connections.retain(|(at, number), connection| {
            let open = sides[*at].connected && sides[*at].connections == *number;
            if !open {
                connection.down.clear();
            }
            open || connection.served
        });
    }
}
