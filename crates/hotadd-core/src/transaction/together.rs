//! The passes over parties of which some are asked together: those of one level that are in other processes.
//!
//! Consecutive turns of such parties at one level form a run. Every party in a run is begun before any answer is awaited, so a
//! run takes as long as its slowest party, not as long as all of them in sum. All answers of a run are awaited, also after a
//! refusal: the parties were asked, and those that agreed have something to undo. A refusal ends the asking at the end of its
//! run.

use alloc::vec::Vec;

use crate::driver::Veto;
use crate::notice::{Notice, State};
use crate::registry::Party;

use super::{Kind, Phase, PlatformError, Refusal, Transaction};

/// How parties are called in a pass with runs.
pub trait Together<P> {
    /// Makes a party of a run start its work. [`call`](Self::call) takes its answer later. Must not unwind: a party that
    /// crashes here reports so in its answer.
    fn begin(&mut self, party: &mut P, notice: &Notice);

    /// Calls a party. If it was begun, waits for its answer.
    ///
    /// # Errors
    /// The party's refusal.
    fn call(&mut self, party: &mut P, notice: &Notice) -> Result<(), Veto>;
}

impl Transaction {
    /// Like [`call`](Self::call), for parties of which some are [asked together](Party::at_once).
    ///
    /// If a call unwinds, report it by [`crashed`](Self::crashed), then call this method again: the run continues behind
    /// the party that crashed.
    pub fn call_together<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: impl Fn() -> bool,
        together: &mut impl Together<P>,
    ) {
        match self.phase {
            _ if self.kind == Kind::Replay => {
                self.call(parties, departures, |party, notice| together.call(party, notice));
            }
            Phase::Ask => self.ask_together(parties, &departures, together),
            Phase::Complete => self.complete_together(parties, &departures, together),
            Phase::Unwind => self.unwind_together(parties, &departures, together),
            _ => {}
        }
    }

    fn ask_together<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut impl Together<P>,
    ) {
        let mut notice = self.notice(State::AddStart, State::RemoveStart, &PlatformError::NONE);
        while let Some(&processor) = self.processors.get(self.at) {
            notice.processor = processor;
            while self.turn < parties.len() {
                self.run_forward(parties, departures, together, &notice, |this, position, veto| {
                    this.refusals.push(Refusal { position, processor, veto });
                });
                if !self.refusals.is_empty() && self.kind != Kind::Rehearsal {
                    return self.unwind();
                }
            }
            self.at += 1;
            self.turn = 0;
        }
        self.all_agreed();
    }

    fn complete_together<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut impl Together<P>,
    ) {
        let mut notice =
            self.notice(State::AddComplete, State::RemoveComplete, &PlatformError::NONE);
        while self.at < self.acted {
            notice.processor = self.processors[self.at];
            while self.turn < parties.len() {
                // An answer to a Complete changes nothing (A6); the runner reports it.
                self.run_forward(parties, departures, together, &notice, |_, _, _| {});
            }
            self.at += 1;
            self.turn = 0;
        }
        self.completed();
    }

    fn unwind_together<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut impl Together<P>,
    ) {
        let mut notice = self.notice(State::AddFailure, State::RemoveFailure, &self.failure());
        loop {
            if self.turn == 0 {
                // Those before `acted` are running, and the parties were told so.
                if self.at <= self.acted {
                    break;
                }
                self.at -= 1;
                self.turn = parties.len();
                continue;
            }
            notice.processor = self.processors[self.at];
            let turns = (0..self.turn).rev();
            let length = self.begin_run(parties, departures, together, &notice, turns);
            let end = self.turn - length;
            while self.turn > end {
                self.turn -= 1;
                self.begun = self.begun.saturating_sub(1);
                let position = self.position(self.turn, parties.len());
                let party = &mut parties[position];
                if !self.passes_over(party, departures) && !self.has_refused(position) {
                    let _ = together.call(party, &notice);
                }
            }
        }
        self.begun = 0;
        self.unwound();
    }

    /// Begins all parties of the run at the cursor, then takes their answers.
    fn run_forward<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut impl Together<P>,
        notice: &Notice,
        mut refused: impl FnMut(&mut Self, usize, Veto),
    ) {
        let turns = self.turn..parties.len();
        let end = self.turn + self.begin_run(parties, departures, together, notice, turns);
        while self.turn < end {
            let position = self.position(self.turn, parties.len());
            self.turn += 1;
            self.begun = self.begun.saturating_sub(1);
            let party = &mut parties[position];
            if !self.passes_over(party, departures)
                && let Err(veto) = together.call(party, notice)
            {
                refused(self, position, veto);
            }
        }
    }

    /// Begins all parties of the run that starts at the first of `turns`, unless this was done before a crash interrupted
    /// the run. Returns how many turns the run has left. A party that is called in turn is a run of its own.
    fn begin_run<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut impl Together<P>,
        notice: &Notice,
        turns: impl Iterator<Item = usize> + Clone,
    ) -> usize {
        if self.begun > 0 {
            return self.begun;
        }
        let mut positions = turns.map(|turn| self.position(turn, parties.len()));
        let run = positions.clone();
        let Some(first) = positions.next().map(|at| &parties[at]).filter(|p| p.at_once()) else {
            return 1;
        };
        let level = first.level();
        let same = |at: &usize| parties[*at].at_once() && parties[*at].level() == level;
        let length = run.clone().take_while(same).count();
        let run: Vec<usize> = run.take(length).collect();
        for position in run {
            let party = &mut parties[position];
            if !self.passes_over(party, departures) && !self.has_refused(position) {
                together.begin(party, notice);
            }
        }
        self.begun = length;
        length
    }
}
