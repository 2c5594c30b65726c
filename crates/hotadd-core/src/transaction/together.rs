//! The passes over a roster in which some parties are asked all at once: those of one level that live in other processes.
//!
//! Consecutive turns of such parties at one level make a run. Everybody in a run is begun with before anybody is waited
//! for, so that a run takes as long as its slowest party and not as long as all of them together. All of a run are heard,
//! also behind a refusal: they were asked, and who agreed has something to undo. A refusal ends the asking at the end of
//! its run.

use alloc::vec::Vec;

use crate::driver::Veto;
use crate::notice::{Notice, State};
use crate::registry::Party;

use super::{Kind, Phase, PlatformError, Refusal, Transaction};

/// How parties are called in a pass with runs.
pub trait Together<P> {
    /// Has a party of a run set to work. Its answer is taken by [`call`](Self::call) later. Must not unwind: a party that
    /// crashes at this says so in its answer.
    fn begin(&mut self, party: &mut P, notice: &Notice);

    /// Calls a party or, if it was begun with, waits for its answer.
    ///
    /// # Errors
    /// Its refusal.
    fn call(&mut self, party: &mut P, notice: &Notice) -> Result<(), Veto>;
}

impl Transaction {
    /// As [`call`](Self::call), for a roster in which some parties are [asked at once](Party::at_once).
    ///
    /// If a call unwinds, report it by [`crashed`](Self::crashed), then call this again: the run goes on behind the party that
    /// crashed.
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
                // An answer to a Complete changes nothing (A6); whoever runs this reports it.
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
                // Those before `acted` run, and everybody was told so.
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

    /// Begins with everybody of the run at the cursor, then hears them all.
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

    /// Begins with everybody of the run that the first of `turns` opens, unless that was done before a crash interrupted
    /// it. Returns how many turns the run has left; a party that is called in turn is a run of its own.
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
