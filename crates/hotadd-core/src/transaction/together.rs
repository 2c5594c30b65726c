//! The passes over a roster in which some parties are asked all at once: those of one level that live in other processes.
//!
//! Consecutive turns of such parties at one level make a run. Everybody in a run is begun with before anybody is waited
//! for, so that a run takes as long as its slowest party and not as long as all of them together. All of a run are heard,
//! also behind a refusal: they were asked, and who agreed has something to undo. A refusal ends the asking at the end of
//! its run.

use crate::driver::Veto;
use crate::notice::{Notice, State};
use crate::registry::Party;

use super::{Kind, Phase, PlatformError, Refusal, Transaction};

/// How parties are called in a pass with runs.
pub trait Together<P> {
    /// Has a party of a run set to work. Its answer is taken by [`call`](Self::call) later.
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
        let mut notice = self.notice(State::AddStart, State::RemoveStart, PlatformError::NONE);
        while let Some(&processor) = self.processors.get(self.at) {
            notice.processor = processor;
            while self.turn < parties.len() {
                let end = self.begin_run(parties, departures, together, &notice);
                while self.turn < end {
                    let position = self.position(self.turn, parties.len());
                    self.turn += 1;
                    let party = &mut parties[position];
                    if !self.passes_over(party, departures)
                        && let Err(veto) = together.call(party, &notice)
                    {
                        self.refusals.push(Refusal { position, processor, veto });
                    }
                }
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
            self.notice(State::AddComplete, State::RemoveComplete, PlatformError::NONE);
        while self.at < self.acted {
            notice.processor = self.processors[self.at];
            while self.turn < parties.len() {
                let end = self.begin_run(parties, departures, together, &notice);
                while self.turn < end {
                    let position = self.position(self.turn, parties.len());
                    self.turn += 1;
                    let party = &mut parties[position];
                    if !self.passes_over(party, departures) {
                        let _ = together.call(party, &notice);
                    }
                }
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
        let mut notice = self.notice(State::AddFailure, State::RemoveFailure, self.failure());
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
            let end = self.begin_run_back(parties, departures, together, &notice);
            while self.turn > end {
                self.turn -= 1;
                let position = self.position(self.turn, parties.len());
                let party = &mut parties[position];
                if !self.passes_over(party, departures) && !self.has_refused(position) {
                    let _ = together.call(party, &notice);
                }
            }
        }
        self.begun = None;
        self.unwound();
    }

    /// Begins with everybody of the run at the cursor, unless that was done before a crash interrupted it. Returns the turn
    /// behind its last; a party that is called in turn is a run of its own.
    fn begin_run<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut impl Together<P>,
        notice: &Notice,
    ) -> usize {
        if let Some((at, end)) = self.begun
            && at == self.at
            && end > self.turn
        {
            return end;
        }
        let at = |turn| self.position(turn, parties.len());
        let first = &parties[at(self.turn)];
        let run = |turn: &usize| {
            let party = &parties[at(*turn)];
            party.at_once() && party.level() == first.level()
        };
        let end = match first.at_once() {
            true => self.turn + (self.turn..parties.len()).take_while(run).count(),
            false => return self.turn + 1,
        };
        for turn in self.turn..end {
            let party = &mut parties[self.position(turn, parties.len())];
            if !self.passes_over(party, departures) {
                together.begin(party, notice);
            }
        }
        self.begun = Some((self.at, end));
        end
    }

    /// The same for the way back, where turns count down. Returns the turn of the run's last.
    fn begin_run_back<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut impl Together<P>,
        notice: &Notice,
    ) -> usize {
        if let Some((at, end)) = self.begun
            && at == self.at
            && end < self.turn
        {
            return end;
        }
        let at = |turn| self.position(turn, parties.len());
        let first = &parties[at(self.turn - 1)];
        let run = |turn: &usize| {
            let party = &parties[at(*turn)];
            party.at_once() && party.level() == first.level()
        };
        let end = match first.at_once() {
            true => self.turn - (0..self.turn).rev().take_while(run).count(),
            false => return self.turn - 1,
        };
        for turn in (end..self.turn).rev() {
            let position = self.position(turn, parties.len());
            let party = &mut parties[position];
            if !self.passes_over(party, departures) && !self.has_refused(position) {
                together.begin(party, notice);
            }
        }
        self.begun = Some((self.at, end));
        end
    }
}
