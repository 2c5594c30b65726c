//! The reference model, continued: how drivers are called, one after another, or all at once if they have the
//! same level and asked for it.

use hotadd::{HardwareId, State, Status};

use crate::history::{Deed, Moment};
use crate::journal::{Answer, Entry, Told, View};
use crate::reference::{Model, Party};

/// How a driver's scripted call ended.
enum End {
    Returned,
    Answered(Status),
    Crashed(Status),
    Panicked,
}

impl Model {
    /// A1, A3: asks until a party refuses, and then to the end of its run. Returns the answers of all asked parties.
    pub(crate) fn ask(&mut self, order: &[usize], told: Told) -> Vec<Answer> {
        let mut answers = Vec::new();
        for run in self.runs(order) {
            answers.extend(self.hear(&run, told));
            if answers.iter().any(|(_, answer)| answer.is_err()) {
                break;
            }
        }
        answers
    }

    /// Calls every party, whatever the answers are.
    pub(crate) fn tell(&mut self, order: &[usize], told: Told) -> Vec<Answer> {
        self.runs(order).iter().flat_map(|run| self.hear(run, told)).collect()
    }

    /// Neighbours in this order that have the same level and are asked at once. Every other party is a run of one.
    fn runs(&self, order: &[usize]) -> Vec<Vec<usize>> {
        let place = |n: &usize| (self.parties[*n].script.at_once, self.parties[*n].script.level);
        let runs = order.chunk_by(|one, next| place(one).0 && place(one) == place(next));
        runs.map(<[usize]>::to_vec).collect()
    }

    /// One run: if there are several parties, each begins before any answer is read, and all answers are read.
    fn hear(&mut self, run: &[usize], told: Told) -> Vec<Answer> {
        let there: Vec<usize> = run.iter().copied().filter(|&n| !self.parties[n].gone).collect();
        match there[..] {
            [] => return Vec::new(),
            // Nobody else would be waited for meanwhile.
            [one] => return self.call(one, told).map(|answer| (one, answer)).into_iter().collect(),
            _ => {}
        }
        let begun: Vec<usize> = run.iter().copied().filter(|&n| self.begin(n, told)).collect();
        let mut answers = Vec::new();
        for &party in &begun {
            answers.extend(self.call(party, told).map(|answer| (party, answer)));
        }
        self.remark(&begun, &answers, told.state);
        answers
    }

    /// Records what happened, for the test that every kind of event happens.
    fn remark(&mut self, begun: &[usize], answers: &[Answer], state: State) {
        let state = state.name();
        if begun.len() >= 3 {
            self.remarks.push(format!("{state}: run of three"));
        }
        if answers.len() < begun.len() {
            self.remarks.push("begun and not heard".to_owned());
        }
        let refusals = answers.iter().filter(|(_, answer)| answer.is_err()).count();
        let inner = answers.get(1..answers.len().saturating_sub(1)).unwrap_or_default();
        if refusals == 1 && inner.iter().any(|(_, answer)| answer.is_err()) {
            self.remarks.push(format!("{state}: refusal inside a run"));
        }
        if refusals >= 2 {
            self.remarks.push(format!("{state}: two refusals in a run"));
        }
        let but_the_last = answers.split_last().map_or(answers, |(_, rest)| rest);
        if but_the_last.iter().any(|(party, _)| self.parties[*party].crashed) {
            self.remarks.push(format!("{state}: crash in a run"));
        }
    }

    /// Makes a driver begin to work on an answer. Returns false if the party is gone.
    fn begin(&mut self, party: usize, told: Told) -> bool {
        if self.parties[party].gone {
            return false;
        }
        let view = self.view(told);
        self.journal.push(Entry::Begin { party, told, view });
        let call = self.parties[party].calls + 1;
        if matches!(self.act(party, Moment::Begin, told, view, call), End::Panicked) {
            self.parties[party].broken = true;
            self.remarks.push("crash when begun with".to_owned());
        }
        true
    }

    /// One call. `None` if the party is gone (D1, D3, L3). An error is a veto.
    pub(crate) fn call(&mut self, party: usize, told: Told) -> Option<Result<(), Status>> {
        if self.parties[party].gone {
            return None;
        }
        let end = if self.parties[party].broken {
            End::Panicked
        } else {
            self.parties[party].calls += 1;
            let view = self.view(told);
            self.journal.push(Entry::Call { party, told, view });
            self.act(party, Moment::Notify, told, view, self.parties[party].calls)
        };
        let answer = match end {
            End::Returned => return Some(Ok(())),
            // A2, A3.
            End::Answered(status) => status,
            // L3.
            End::Crashed(status) => {
                self.crash(party);
                self.remarks.push(format!("{}: answered as crashed", told.state.name()));
                status
            }
            End::Panicked => {
                self.crash(party);
                Status::DRIVER_INTERNAL_ERROR
            }
        };
        // A6, L3: in the other states the outcome stands.
        Some(if told.state.may_veto() { Err(answer) } else { Ok(()) })
    }

    /// Q4: looks go on while drivers are called.
    fn switch(&mut self, id: HardwareId, running: bool) {
        self.machine(id, |m| m.running = running);
        let asked = self.proposed.iter().find(|(_, proposed)| *proposed == id).copied();
        if asked.is_some() {
            self.touched = true;
            self.brought_in = self.brought_in.or(asked.filter(|_| running));
            self.remarks.push("switched while parties are asked".to_owned());
        }
        self.look();
    }

    fn crash(&mut self, party: usize) {
        self.parties[party].crashed = true;
        self.part(party);
    }

    /// A5, Q1.
    fn view(&self, told: Told) -> View {
        let (index, id) = told.processor;
        View {
            epoch: self.epoch,
            count: self.active.len(),
            active: self.active.contains(&index),
            named: self.known.get(index) == Some(&id) || self.proposed.contains(&(index, id)),
        }
    }

    /// What a scripted driver does in a call.
    fn act(&mut self, party: usize, moment: Moment, told: Told, view: View, call: u32) -> End {
        let Party { script, slot, .. } = &self.parties[party];
        let slot = *slot;
        for deed in script.deeds(moment, told.state, told.processor.1, view.count, call) {
            match deed {
                Deed::Answer(status) => return End::Answered(status),
                Deed::Crash(status) => return End::Crashed(status),
                Deed::Panic => return End::Panicked,
                Deed::Deregister(slot) => self.deregister_inside(party, slot),
                Deed::Leave => self.deregister_inside(party, slot),
                Deed::Vanish(id) => self.switch(id, false),
                Deed::Intrude(id) => self.switch(id, true),
                Deed::Reenter(reentry) => {
                    // D3.
                    let status = Status::POSSIBLE_DEADLOCK;
                    self.journal.push(Entry::Refused { party, reentry, status });
                }
            }
        }
        End::Returned
    }

    /// D3.
    fn deregister_inside(&mut self, party: usize, slot: usize) {
        let was = self.deregister(slot);
        self.journal.push(Entry::Deregistered { party, slot, was });
    }
}
