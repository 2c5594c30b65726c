//! The reference model, continued: adding and removing.

use hotadd::{Action, Errno, HardwareId, State, Status};

use crate::history::{Machine, Removal};
use crate::journal::{Answer, Changed, Failure, Told};
use crate::reference::{Model, Party, Processor, Untold};

impl Model {
    /// An atomic batch (A9), of which adding one processor is the simplest case.
    pub(crate) fn add(&mut self, ids: &[HardwareId]) -> Vec<(HardwareId, Changed)> {
        let results = match self.propose(ids) {
            Err(failure) => vec![Err(failure); ids.len()],
            Ok(processors) => self.transaction(&processors),
        };
        self.proposed.clear();
        (self.touched, self.brought_in) = (false, None);
        self.settle();
        ids.iter().copied().zip(results).collect()
    }

    /// A8: what cannot be added is refused before any driver hears of it. Otherwise gives names (A5).
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
        // A1, A9: nothing is started until every party has agreed to everything.
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
        // Q4.
        if let (true, [processor, ..]) = (self.touched, processors) {
            // The first that was brought in until now, whose turn it may not have been. Another one may be brought in while the
            // parties are told.
            let processor = self.brought_in.unwrap_or(*processor);
            self.tell_failure(&agreed, Status::RETRY, None);
            return vec![Err(Failure::Touched { processor }); processors.len()];
        }
        for (at, &processor) in processors.iter().enumerate() {
            if let Err(errno) = self.start(processor.1) {
                return self.start_failed(processors, at, errno, &agreed);
            }
        }
        self.join(processors, true);
        let epoch = self.epoch;
        self.tell_complete(processors);
        processors.iter().map(|p| Ok((*p, epoch))).collect()
    }

    /// A3, A4: tells those that agreed, last first.
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

    /// A4, A9: the platform failed at one of them. The started ones are stopped again, last first. One that
    /// cannot be stopped joins, with all before it.
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

    /// A10: asks every party, starts nothing, reports every answer.
    pub(crate) fn rehearse(&mut self, id: HardwareId) -> Result<Vec<Answer>, Failure> {
        let processor = self.propose(&[id])?[0];
        let told = Told::new(State::AddStart, processor);
        let answers = self.tell(&self.calling_order(), told);
        let agreed: Vec<_> = who_agreed(&answers).map(|party| (party, processor)).collect();
        self.tell_failure(&agreed, Status::CANCELLED, None);
        self.proposed.clear();
        (self.touched, self.brought_in) = (false, None);
        self.settle();
        Ok(answers)
    }

    // Removing.

    pub(crate) fn remove(&mut self, id: HardwareId) -> Changed {
        let result = self.ask_and_stop(id);
        self.settle();
        result
    }

    /// X1: like adding, mirrored: asked from the last to the first, unwound from the first to the last.
    fn ask_and_stop(&mut self, id: HardwareId) -> Changed {
        let action = Action::Remove;
        let Some(processor) = self.active_processor(id) else {
            return Err(Failure::NotRemovable(id));
        };
        // The last processor is kept.
        if self.active.len() == 1 {
            return Err(Failure::NotRemovable(id));
        }
        let answers =
            self.ask(&self.removal_order(processor), Told::new(State::RemoveStart, processor));
        let agreed: Vec<usize> = who_agreed(&answers).collect();
        if let Some((party, status)) = first_refusal(&answers) {
            self.tell_stays(&agreed, processor, status, None);
            return Err(Failure::Vetoed { action, processor, party, status });
        }
        // A processor that is gone already need not be stopped (X2).
        if self.is_active(id)
            && let Err(errno) = self.stop(id)
        {
            self.tell_stays(&agreed, processor, Status::from_errno(errno), Some(errno));
            return Err(Failure::Platform { action, processor, errno });
        }
        self.drop_active(&[processor]);
        let epoch = self.epoch;
        // A party that is told of this end is not also told of earlier changes.
        self.untold.retain(|untold| untold.processor() != processor);
        self.tell_left(processor, false);
        Ok((processor, epoch))
    }

    fn removal_order(&self, processor: Processor) -> Vec<usize> {
        let mut order = self.calling_order();
        order.retain(|&n| {
            let Party { script, unheard, .. } = &self.parties[n];
            script.removal == Removal::Heard && !unheard.contains(&processor.0)
        });
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

    fn drop_active(&mut self, processors: &[Processor]) {
        let mut dropped = false;
        for (index, _) in processors {
            dropped |= self.active.remove(index);
            self.unagreed.remove(index);
        }
        self.epoch += u64::from(dropped);
    }

    /// Tells every party that asked for removals, and was told that it joined (X4), that it has left.
    fn tell_left(&mut self, processor: Processor, surprise: bool) {
        let told = Told { surprise, ..Told::new(State::RemoveComplete, processor) };
        self.tell(&self.removal_order(processor), told);
        for party in &mut self.parties {
            party.unheard.remove(&processor.0);
        }
    }

    /// X2, Q3, Q4: the set follows changes made by others at once.
    pub(crate) fn look(&mut self) {
        let gone = |m: &Machine| !m.running && self.is_active(m.id);
        let gone: Vec<HardwareId> =
            self.machines.values().filter(|m| gone(m)).map(|m| m.id).collect();
        let gone: Vec<Processor> =
            gone.iter().filter_map(|id| self.active_processor(*id)).collect();
        self.drop_active(&gone);
        self.untold.extend(gone.into_iter().map(Untold::Left));
        let came = |m: &Machine| m.running && !self.is_active(m.id);
        let came: Vec<HardwareId> =
            self.machines.values().filter(|m| came(m)).map(|m| m.id).collect();
        for id in came {
            let known = self.known.iter().position(|k| *k == id);
            let asked = self.proposed.iter().any(|(_, proposed)| *proposed == id);
            // A processor that is being asked about does not join (Q4), and the next indexes belong to the
            // proposed ones (A5).
            if asked || (known.is_none() && !self.proposed.is_empty()) {
                self.remarks.push("an intruder waits".to_owned());
                continue;
            }
            // Q3: without agreement, and without asking any party.
            let processor = (known.unwrap_or(self.known.len()), id);
            self.join(&[processor], false);
            self.untold.push(Untold::Came(processor));
        }
    }

    /// X2: the drivers are told when the transaction is over, and only the end of what they were told of (X4).
    pub(crate) fn settle(&mut self) {
        loop {
            while !self.untold.is_empty() {
                match self.untold.remove(0) {
                    Untold::Left(processor) => self.tell_left(processor, true),
                    Untold::Came((index, _)) => {
                        for party in self.parties.iter_mut().filter(|party| party.registered) {
                            party.unheard.insert(index);
                        }
                    }
                }
            }
            self.look();
            if self.untold.is_empty() {
                return;
            }
        }
    }
}

fn who_agreed(answers: &[Answer]) -> impl Iterator<Item = usize> {
    answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(party, _)| *party)
}

/// A11: of several refusals in one run, the first in calling order counts.
fn first_refusal(answers: &[Answer]) -> Option<(usize, Status)> {
    answers.iter().find_map(|(party, answer)| answer.err().map(|status| (*party, status)))
}
