//! The reference model, continued: adding and removing.

use hotadd::{Action, Errno, HardwareId, State, Status};

use crate::history::Removal;
use crate::journal::{Answer, Changed, Failure, Told};
use crate::reference::{Model, Processor};

impl Model {
    /// An atomic batch (A9), of which adding one processor is the simplest case.
    pub(crate) fn add(&mut self, ids: &[HardwareId]) -> Vec<(HardwareId, Changed)> {
        let results = match self.propose(ids) {
            Err(failure) => vec![Err(failure); ids.len()],
            Ok(processors) => self.transaction(&processors),
        };
        self.proposed.clear();
        self.settle();
        ids.iter().copied().zip(results).collect()
    }

    /// A8: what cannot be added is refused before anybody hears of it. Otherwise gives names (A5).
    pub(crate) fn propose(&mut self, ids: &[HardwareId]) -> Result<Vec<Processor>, Failure> {
        let mut faults = Vec::new();
        for (at, id) in ids.iter().enumerate() {
            if ids[..at].contains(id) {
                faults.push((*id, Status::INVALID_PARAMETER));
            }
            if !self.machines.contains_key(id) {
                faults.push((*id, Status::NO_SUCH_DEVICE));
            }
            if self.is_active(*id) {
                faults.push((*id, Status::DEVICE_ALREADY_ATTACHED));
            }
        }
        if !faults.is_empty() {
            return Err(Failure::NotAddable(faults));
        }
        let mut next = self.known.len();
        for &id in ids {
            let known = self.known.iter().position(|k| *k == id);
            let index = known.unwrap_or(next);
            next += usize::from(known.is_none());
            self.proposed.push((index, id));
        }
        Ok(self.proposed.clone())
    }

    fn transaction(&mut self, processors: &[Processor]) -> Vec<Changed> {
        // A1, A9: nothing is started until everybody has agreed to everything.
        let mut agreed = Vec::new();
        for &processor in processors {
            let told = Told::new(State::AddStart, processor);
            let answers = self.ask(&self.calling_order(), told);
            agreed.extend(who_agreed(&answers).map(|party| (party, processor)));
            if let Some((party, status)) = first_refusal(&answers) {
                self.tell_failure(&agreed, status, None);
                let failure = Failure::Vetoed { action: Action::Add, processor, party, status };
                return vec![Err(failure); processors.len()];
            }
        }
        for (at, &processor) in processors.iter().enumerate() {
            if let Err(errno) = self.start(processor.1) {
                return self.start_failed(processors, at, errno, &agreed);
            }
        }
        self.join(processors, true);
        self.tell_complete(processors);
        processors.iter().map(|p| Ok((*p, self.epoch))).collect()
    }

    /// A3, A4: to those who agreed, the last first.
    fn tell_failure(
        &mut self,
        agreed: &[(usize, Processor)],
        status: Status,
        errno: Option<Errno>,
    ) {
        let agreed: Vec<_> = agreed.iter().copied().rev().collect();
        for parties in agreed.chunk_by(|(_, one), (_, next)| one == next) {
            let told = Told { status, errno, ..Told::new(State::AddFailure, parties[0].1) };
            let order: Vec<usize> = parties.iter().map(|(party, _)| *party).collect();
            self.tell(&order, told);
        }
    }

    /// A5.
    fn tell_complete(&mut self, processors: &[Processor]) {
        for &processor in processors {
            self.tell(&self.calling_order(), Told::new(State::AddComplete, processor));
        }
    }

    /// A4, A9: the platform failed at one of them. What was started is stopped again, the last first; what cannot be
    /// stopped joins, with all before it.
    fn start_failed(
        &mut self,
        processors: &[Processor],
        failed: usize,
        errno: Errno,
        agreed: &[(usize, Processor)],
    ) -> Vec<Changed> {
        let stops =
            |at: usize, errno| (at + 1, Failure::Stuck { processor: processors[at], errno });
        let mut stuck = None;
        for at in (0..failed).rev() {
            if let Err(errno) = self.stop(processors[at].1) {
                stuck = Some(stops(at, errno));
                break;
            }
        }
        let joined = stuck.as_ref().map_or(0, |(count, _)| *count);
        if joined > 0 {
            self.join(&processors[..joined], true);
            self.tell_complete(&processors[..joined]);
        }
        let mut rest = agreed.to_vec();
        rest.retain(|(_, processor)| processors[joined..].contains(processor));
        self.tell_failure(&rest, Status::from_errno(errno), Some(errno));
        let processor = processors[failed];
        let platform = Failure::Platform { action: Action::Add, processor, errno };
        let mut results = vec![Err(platform); processors.len()];
        if let Some((count, failure)) = stuck {
            results[..count].fill(Err(failure));
        }
        results
    }

    /// A10: asks everybody, starts nothing, reports every answer.
    pub(crate) fn rehearse(&mut self, id: HardwareId) -> Result<Vec<Answer>, Failure> {
        let processor = self.propose(&[id])?[0];
        let told = Told::new(State::AddStart, processor);
        let answers = self.tell(&self.calling_order(), told);
        let agreed: Vec<_> = who_agreed(&answers).map(|party| (party, processor)).collect();
        self.tell_failure(&agreed, Status::CANCELLED, None);
        self.proposed.clear();
        self.settle();
        Ok(answers)
    }

    // Removing.

    pub(crate) fn remove(&mut self, id: HardwareId) -> Changed {
        let result = self.ask_and_stop(id);
        self.settle();
        result
    }

    /// X1: as adding, mirrored: asked from the last to the first, unwound from the first to the last.
    fn ask_and_stop(&mut self, id: HardwareId) -> Changed {
        let action = Action::Remove;
        let Some(processor) = self.active_processor(id) else {
            return Err(Failure::NotRemovable(id));
        };
        // Something to run on is kept.
        if self.active.len() == 1 {
            return Err(Failure::NotRemovable(id));
        }
        let answers = self.ask(&self.removal_order(), Told::new(State::RemoveStart, processor));
        let agreed: Vec<usize> = who_agreed(&answers).collect();
        if let Some((party, status)) = first_refusal(&answers) {
            self.tell_stays(&agreed, processor, status, None);
            return Err(Failure::Vetoed { action, processor, party, status });
        }
        if let Err(errno) = self.stop(id) {
            self.tell_stays(&agreed, processor, Status::from_errno(errno), Some(errno));
            return Err(Failure::Platform { action, processor, errno });
        }
        self.leave(&[processor], false);
        Ok((processor, self.epoch))
    }

    fn removal_order(&self) -> Vec<usize> {
        let mut order = self.calling_order();
        order.retain(|&n| self.parties[n].script.removal == Removal::Heard);
        order.reverse();
        order
    }

    fn tell_stays(
        &mut self,
        agreed: &[usize],
        processor: Processor,
        status: Status,
        errno: Option<Errno>,
    ) {
        let order: Vec<usize> = agreed.iter().copied().rev().collect();
        self.tell(&order, Told { status, errno, ..Told::new(State::RemoveFailure, processor) });
    }

    /// X1, X2: the set drops them first, then everybody who asked for it is told.
    fn leave(&mut self, processors: &[Processor], surprise: bool) {
        for (index, _) in processors {
            self.active.remove(index);
            self.unagreed.remove(index);
        }
        self.epoch += 1;
        for &processor in processors {
            let told = Told { surprise, ..Told::new(State::RemoveComplete, processor) };
            self.tell(&self.removal_order(), told);
        }
    }

    /// X2, Q3: what changed behind our back counts at once or, inside a transaction, as soon as it is over.
    pub(crate) fn settle(&mut self) {
        loop {
            let of = |id: &HardwareId| self.active_processor(*id);
            let unlike = |running: bool| {
                let machines = self.machines.values();
                let running = machines.filter(move |m| m.running == running).map(|m| m.id);
                running.filter(|id| of(id).is_some() != self.machines[id].running)
            };
            let vanished: Vec<Processor> = unlike(false).filter_map(|id| of(&id)).collect();
            let intruded: Vec<HardwareId> = unlike(true).collect();
            if vanished.is_empty() && intruded.is_empty() {
                return;
            }
            if !vanished.is_empty() {
                self.leave(&vanished, true);
            }
            for id in intruded {
                // Q3: without agreement, and without anybody having been asked.
                let known = self.known.iter().position(|k| *k == id);
                self.join(&[(known.unwrap_or(self.known.len()), id)], false);
            }
        }
    }
}

fn who_agreed(answers: &[Answer]) -> impl Iterator<Item = usize> {
    answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(party, _)| *party)
}

/// A11: of several refusals in one run the first in calling order is the one that counts.
fn first_refusal(answers: &[Answer]) -> Option<(usize, Status)> {
    answers.iter().find_map(|(party, answer)| answer.err().map(|status| (*party, status)))
}
