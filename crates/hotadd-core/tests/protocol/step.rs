//! What each action does to the world.

use std::collections::BTreeSet;

use hotadd_core::{HardwareId, PartyId, Processor, State};

use crate::model::Action;
use crate::partition::Out;
use crate::world::{
    Answer, Budget, Down, Key, Kind, LineId, Member, Partition, Side, Told, Up, World,
};
use crate::wrong::{Sight, Sights, Wrong};

impl World {
    pub(crate) fn take(&mut self, action: Action, sights: &Sights) {
        let Budget { adds, removals, vetoes, platform, losses, .. } = &mut self.budget;
        match action {
            Action::Add(id) => {
                *adds -= 1;
                self.begin(Kind::Add(HardwareId(id)), sights);
            }
            Action::Remove(id) => {
                *removals -= 1;
                self.begin(Kind::Remove(HardwareId(id)), sights);
            }
            Action::Act(ok) => {
                *platform -= u8::from(!ok);
                self.act(ok, sights);
            }
            Action::Object => self.object(),
            Action::Switch(id) => {
                self.budget.switches -= 1;
                self.switch(id, sights);
            }
            Action::GoOn => self.advance(sights),
            Action::Up(id) => self.arrive(id, sights),
            Action::Down(at) => {
                let id = (at, self.sides[at].connections);
                let line = self.lines.get_mut(&id).expect("it has a message");
                let message = line.down.remove(0);
                self.reach(at, message, sights);
            }
            Action::Reply(id, which) => {
                let line = self.lines.get_mut(&id).expect("it has a reply");
                let reply = line.replies.remove(which);
                line.down.push(reply);
            }
            Action::Answer(at, agreed) => {
                *vetoes -= u8::from(!agreed);
                self.answer(at, agreed, sights);
            }
            Action::Connect(at) => self.connect(at),
            Action::GiveUp(at) => {
                self.budget.give_ups -= 1;
                self.give_up(at, sights);
            }
            Action::Break(id) => {
                *losses -= 1;
                self.break_line(id);
            }
            Action::AgentNotices(at) => self.agent_notices(at),
            Action::PartitionNotices(id) => {
                self.close(id);
                if let Some(partition) = &mut self.partition {
                    partition.lost(id, sights);
                }
                self.advance(sights);
            }
            Action::Timeout(key) => {
                self.budget.timeouts -= 1;
                if key.1 == State::AddStart {
                    sights.see(Sight::VetoedByTimeout);
                }
                self.time_out(key, sights);
            }
            Action::CrashAgent(at) => {
                self.budget.agent_crashes -= 1;
                let side = &self.sides[at];
                let id = (at, side.connections);
                self.sides[at] = Side::new(side.spec, side.connections, side.life + 1);
                if self.lines.contains_key(&id) {
                    self.break_line(id);
                }
                self.forget_lines();
            }
            Action::CrashPartition => {
                self.budget.partition_crashes -= 1;
                self.crash_partition(sights);
            }
            Action::RestartPartition => self.restart(),
        }
    }

    /// A partition starts, and takes what runs for its own.
    pub(crate) fn restart(&mut self) {
        let named = |at: &usize| self.sides[*at].spec.named;
        let named: BTreeSet<usize> = (0..self.sides.len()).filter(named).collect();
        self.by_hand.clear();
        self.partition = Some(Partition::start(&self.running, named));
    }

    fn begin(&mut self, kind: Kind, sights: &Sights) {
        let Some(partition) = &mut self.partition else { return };
        let adds = matches!(kind, Kind::Add(_));
        if adds && partition.is_missing() {
            // Refused at once, and nobody is asked (L4).
            sights.see(Sight::RefusedMissing);
            return;
        }
        partition.begin(kind);
        if adds && self.lacks_a_named_party() {
            self.note(Wrong::AskedMissing);
        }
        self.advance(sights);
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
                member.line.0 == at && !member.lost && !answers.any(|one| crashed(member.id, one))
            })
        })
    }

    /// Somebody switches a processor on or off by hand, and the partition looks at once.
    fn switch(&mut self, id: u32, sights: &Sights) {
        if self.running.contains(&id) {
            self.stops(id);
        } else {
            // One that was on its way in and was switched off and on again before it was in is one of the partition's own, as far
            // as anybody can see.
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
            partition.look(&self.running, sights);
            // Who waits for something goes on when that has come.
            if partition.job.is_none() {
                self.advance(sights);
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

    /// The processor that is to be started is not, because it was switched by hand or a named party is missing.
    fn object(&mut self) {
        let Some(job) = self.partition.as_mut().and_then(|p| p.job.as_mut()) else { return };
        job.acting = None;
        job.acted.push(false);
        job.going = true;
    }

    /// The platform does as it is told, or fails to.
    fn act(&mut self, ok: bool, sights: &Sights) {
        let Some(partition) = &mut self.partition else { return };
        let gone = partition.is_gone();
        let Some(job) = &mut partition.job else { return };
        let Some(processor) = job.acting.take() else { return };
        job.acted.push(ok);
        job.going = true;
        let adds = matches!(job.kind, Kind::Add(_));
        if !ok {
            sights.see(Sight::PlatformFailed);
        } else if gone {
            sights.see(Sight::GoneBeforeStop);
        } else if adds {
            self.started(processor, sights);
        } else {
            self.stops(processor.id.0);
        }
    }

    fn started(&mut self, processor: Processor, sights: &Sights) {
        let Some(partition) = &self.partition else { return };
        let mut asked = partition.all_agreed(processor);
        for member in &partition.members {
            let side = &self.sides[member.line.0];
            // As far as the two can know of each other.
            let knows = side.connected
                && (member.line.0, side.connections) == member.line
                && side.life == member.life;
            asked &= !knows || matches!(side.told.get(&processor), Some(Told::AddStart { .. }));
        }
        if !asked {
            self.note(Wrong::StartedUnasked);
        }
        if self.lacks_a_named_party() {
            self.note(Wrong::StartedMissing);
        }
        if self.sides.iter().any(|side| side.spec.named && side.connections > 1) {
            sights.see(Sight::AddedAgain);
        }
        self.starts(processor.id.0);
    }

    fn advance(&mut self, sights: &Sights) {
        let Some(partition) = &mut self.partition else { return };
        if let Some(job) = &mut partition.job {
            job.going = false;
        }
        let out = partition.advance(&self.running, sights);
        self.send_down(out);
    }

    fn send_down(&mut self, out: Vec<Out>) {
        for out in out {
            let (Out::Send(id, _) | Out::Reply(id, _)) = &out;
            let Some(line) = self.lines.get_mut(id).filter(|line| !line.broken) else { continue };
            match out {
                Out::Send(_, message) => line.down.push(message),
                Out::Reply(_, message) => line.replies.push(message),
            }
        }
    }

    /// A message of an agent reaches the partition.
    fn arrive(&mut self, id: LineId, sights: &Sights) {
        let line = self.lines.get_mut(&id).expect("it has a message");
        let message = line.up.remove(0);
        let side = &self.sides[id.0];
        let Some(partition) = &mut self.partition else { return };
        match message {
            Up::Register(replay) => {
                partition.waiting.push(Member {
                    id: PartyId(partition.next_party),
                    line: id,
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
                partition.answered(key, answer, sights);
            }
        }
        self.advance(sights);
    }

    fn time_out(&mut self, key: Key, sights: &Sights) {
        let Some(partition) = &mut self.partition else { return };
        partition.answered(key, Answer::Crashed, sights);
        let member = partition.members.iter().find(|member| member.id == key.0);
        let told = member.map(|member| Out::Send(member.line, Down::Deregistered(key.0)));
        self.send_down(told.into_iter().collect());
        self.advance(sights);
    }

    fn crash_partition(&mut self, sights: &Sights) {
        if let Some(partition) = self.partition.take() {
            let open =
                |side: &Side| side.told.values().any(|told| matches!(told, Told::AddStart { .. }));
            if self.sides.iter().any(open) {
                sights.see(Sight::RestartedOpen);
            }
            if partition.job.is_some_and(|job| job.going && job.acted.last() == Some(&true)) {
                sights.see(Sight::RestartedStarted);
            }
        }
        let ids: Vec<LineId> = self.lines.keys().copied().collect();
        for id in ids {
            self.break_line(id);
            self.close(id);
        }
    }

    pub(crate) fn break_line(&mut self, id: LineId) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.broken = true;
            // It would not be sent.
            line.replies.clear();
        }
    }

    /// The partition is done with a connection that is broken.
    fn close(&mut self, id: LineId) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.served = false;
            line.up.clear();
        }
        self.forget_lines();
    }

    /// Drops what neither side has open.
    pub(crate) fn forget_lines(&mut self) {
        let sides = &self.sides;
        self.lines.retain(|(at, number), line| {
            let open = sides[*at].connected && sides[*at].connections == *number;
            if !open {
                line.down.clear();
            }
            open || line.served
        });
    }
}
