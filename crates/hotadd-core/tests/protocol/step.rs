//! What each action does to the world.

use hotadd_core::{HardwareId, PartyId, State};

use crate::model::Action;
use crate::partition::Out;
use crate::world::{Answer, Budget, Down, Kind, LineId, Member, Partition, Side, Told, Up, World};
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
            Action::RestartPartition => self.partition = Some(Partition::start(&self.running)),
        }
    }

    fn begin(&mut self, kind: Kind, sights: &Sights) {
        if let Some(partition) = &mut self.partition {
            partition.begin(kind);
        }
        self.advance(sights);
    }

    fn act(&mut self, ok: bool, sights: &Sights) {
        let Some(partition) = &mut self.partition else { return };
        let Some(processor) = partition.job.as_mut().and_then(|job| job.acting.take()) else {
            return;
        };
        let job = partition.job.as_mut().expect("it acts");
        job.acted.push(ok);
        job.going = true;
        let adds = matches!(job.kind, Kind::Add(_));
        if !ok {
            sights.see(Sight::PlatformFailed);
            return;
        }
        if !adds {
            self.running.remove(&processor.id.0);
            for (told, how) in self.sides.iter_mut().flat_map(|side| &mut side.told) {
                if told.id == processor.id
                    && let Told::AddComplete { left } = how
                {
                    *left = true;
                }
            }
            return;
        }
        let mut asked = partition.all_agreed(processor);
        for member in &partition.members {
            let side = &self.sides[member.line.0];
            // As far as the two can know of each other.
            let knows = side.connected
                && (member.line.0, side.connections) == member.line
                && side.life == member.life;
            asked &= !knows || matches!(side.told.get(&processor), Some(Told::AddStart { .. }));
        }
        self.running.insert(processor.id.0);
        for (told, how) in self.sides.iter_mut().flat_map(|side| &mut side.told) {
            if told.id == processor.id
                && let Told::AddStart { ran, .. } = how
            {
                *ran = true;
            }
        }
        if !asked {
            self.note(Wrong::StartedUnasked);
        }
    }

    fn advance(&mut self, sights: &Sights) {
        let Some(partition) = &mut self.partition else { return };
        if let Some(job) = &mut partition.job {
            job.going = false;
        }
        let out = partition.advance(sights);
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
            Up::Register => {
                partition.waiting.push(Member {
                    id: PartyId(partition.next_party),
                    line: id,
                    spec: side.spec,
                    lost: false,
                    life: side.life,
                    had: Default::default(),
                    unheard: Default::default(),
                });
                partition.next_party += 1;
            }
            Up::GetSet => {
                // What was read is on its way for a while.
                let reply = Out::Reply(id, Down::Set(partition.view.clone()));
                self.send_down(vec![reply]);
                return;
            }
            Up::Answer(key, agreed) => {
                let answer = if agreed { Answer::Agreed } else { Answer::Vetoed };
                partition.answered(key, answer, sights);
            }
        }
        self.advance(sights);
    }

    fn time_out(&mut self, key: (PartyId, State, hotadd_core::Processor), sights: &Sights) {
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
