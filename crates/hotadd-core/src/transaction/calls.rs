//! The passes over the parties: asking, telling, and unwinding in the right order.
//!
//! The cursor (`at`, `turn`) lives in the transaction and moves before each call, so that a runner whose call unwound
//! can go on behind the party that crashed. The loops are what an add spends its time in: nothing in them allocates,
//! and a party that has nothing to hear costs one look.

use crate::driver::Veto;
use crate::notice::{Notice, State};
use crate::processor::Processor;
use crate::registry::Party;
use crate::status::Status;

use super::{Kind, PlatformError, Refusal, Transaction};

impl Transaction {
    /// AddStart or RemoveStart, until everybody has agreed or one refuses (A1, A3, R3, R4, A10).
    pub(super) fn ask<P: Party>(
        &mut self,
        parties: &mut [P],
        each: &mut impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
    ) {
        let state = self.state(State::AddStart, State::RemoveStart);
        while let Some(&processor) = self.processors.get(self.at) {
            let notice = self.notice(state, processor, PlatformError::NONE);
            while self.turn < parties.len() {
                let position = self.position(self.turn, parties.len());
                let party = &mut parties[position];
                self.turn += 1;
                if self.passes_over(party) {
                    continue;
                }
                if let Err(veto) = each(party, &notice) {
                    self.refused(position, veto, parties.len());
                    if !matches!(self.phase, super::Phase::Ask) {
                        return;
                    }
                }
            }
            self.at += 1;
            self.turn = 0;
        }
        self.all_agreed();
    }

    /// A party refused. All but a rehearsal end here.
    pub(super) fn refused(&mut self, position: usize, veto: Veto, parties: usize) {
        debug_assert!(position < parties);
        let processor = self.processors[self.at];
        self.refusals.push(Refusal { position, processor, veto });
        if self.kind != Kind::Rehearsal {
            self.unwind();
        }
    }

    /// AddComplete or RemoveComplete for every processor that joined or left, ascending (A5, R3, X1).
    pub(super) fn complete<P: Party>(
        &mut self,
        parties: &mut [P],
        each: &mut impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
    ) {
        let state = self.state(State::AddComplete, State::RemoveComplete);
        while self.at < self.acted {
            let notice = self.notice(state, self.processors[self.at], PlatformError::NONE);
            while self.turn < parties.len() {
                let position = self.position(self.turn, parties.len());
                let party = &mut parties[position];
                self.turn += 1;
                if !self.passes_over(party) {
                    // An answer to a Complete changes nothing (A6); whoever runs this reports it.
                    let _ = each(party, &notice);
                }
            }
            self.at += 1;
            self.turn = 0;
        }
        self.completed();
    }

    /// AddFailure or RemoveFailure to exactly those who agreed, in the reverse of the order of asking (A3, A4).
    ///
    /// Here `turn` counts down: those below it are still to be told, those of earlier processors after them.
    pub(super) fn unwind_all<P: Party>(
        &mut self,
        parties: &mut [P],
        each: &mut impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
    ) {
        let state = self.state(State::AddFailure, State::RemoveFailure);
        let failure = self.failure();
        loop {
            if self.turn == 0 {
                // Those before `acted` run, and everybody was told so.
                if self.at <= self.acted {
                    break;
                }
                self.at -= 1;
                self.turn = parties.len();
            }
            let notice = self.notice(state, self.processors[self.at], failure);
            while self.turn > 0 {
                self.turn -= 1;
                let position = self.position(self.turn, parties.len());
                let party = &mut parties[position];
                if !self.passes_over(party) && !self.has_refused(position) {
                    let _ = each(party, &notice);
                }
            }
        }
        self.unwound();
    }

    /// The replay's own rule: AddFailure ascending, to the processors whose AddStart succeeded (R4).
    ///
    /// Asking stopped at `at`; `turn` counts up to it.
    pub(super) fn unwind_replay<P: Party>(
        &mut self,
        parties: &mut [P],
        each: &mut impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
    ) {
        let failure = self.failure();
        while self.turn < self.at {
            let notice = self.notice(State::AddFailure, self.processors[self.turn], failure);
            self.turn += 1;
            for party in parties.iter_mut().filter(|p| !p.departed()) {
                let _ = each(party, &notice);
            }
        }
        self.unwound();
    }

    /// The party whose turn it is. Removing mirrors adding: who came last is asked first, so that nobody loses what it
    /// stands on (X1).
    pub(super) fn position(&self, turn: usize, parties: usize) -> usize {
        if self.is_removal() { parties - 1 - turn } else { turn }
    }

    fn passes_over<P: Party>(&self, party: &P) -> bool {
        party.departed() || (self.is_removal() && !party.hears_removal())
    }

    fn has_refused(&self, position: usize) -> bool {
        let here = |r: &Refusal| r.position == position && r.processor == self.processors[self.at];
        // One at most outside a rehearsal; a rehearsal's are in ascending order.
        match self.refusals.as_slice() {
            [] => false,
            [one] => here(one),
            many => many.binary_search_by_key(&position, |r| r.position).is_ok(),
        }
    }

    fn notice(&self, state: State, processor: Processor, failure: PlatformError) -> Notice {
        Notice {
            state,
            surprise: self.kind == Kind::Vanished,
            processor,
            status: failure.status,
            errno: failure.errno,
            epoch: self.set.epoch(),
        }
    }
}

impl PlatformError {
    const NONE: Self = Self { status: Status::SUCCESS, errno: None };
}
