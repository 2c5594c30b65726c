//! The passes over the parties: asking, telling, and unwinding in the right order.
//!
//! The cursor (`at`, `turn`) is in the transaction and moves before each call, so that a runner whose call unwound
//! can continue behind the party that crashed.
//!
//! Some parties are asked together: those of one level that are in other processes. Consecutive turns of such parties at one
//! level form a run. Every party in a run is begun before any answer is awaited, so a run takes as long as its slowest party,
//! not as long as all of them in sum. All answers of a run are awaited, also after a refusal: the parties were asked, and those
//! that agreed have something to undo. A refusal ends the asking at the end of its run. A party that is called in turn is a run
//! of its own, and a run of one party is called in turn.
//!
//! An add spends its time in these loops. Nothing in them allocates, and a party that is not told costs one check. Passes are not
//! inlined, so that their loops have all machine registers. `docs/performance.md` has the figures.

use alloc::vec::Vec;

use crate::driver::Veto;
use crate::failure::{PlatformError, Refusal};
use crate::notice::{Notice, State};
use crate::processor::{HardwareId, Processor, ProcessorIndex};
use crate::registry::Party;

use super::{Kind, Transaction};

/// How parties are called in a pass with runs.
pub trait Together<P> {
    /// Whether there are runs. A pass without runs does not look for them.
    const RUNS: bool = true;

    /// Makes a party of a run start its work. [`call`](Self::call) takes its answer later. Must not unwind: a party that
    /// crashes here reports so in its answer.
    fn begin(&mut self, party: &mut P, notice: &Notice);

    /// Makes a party of a replay start its work on a notice before it has answered the earlier ones. Returns false if the party
    /// takes no more notices now. If this unwinds, the party has crashed.
    fn begin_ahead(&mut self, party: &mut P, notice: &Notice) -> bool {
        let _ = (party, notice);
        false
    }

    /// Calls a party. If it was begun, waits for its answer.
    ///
    /// # Errors
    /// The party's refusal.
    fn call(&mut self, party: &mut P, notice: &Notice) -> Result<(), Veto>;
}

/// A pass in which every party is called in turn.
pub(super) struct InTurn<F>(pub(super) F);

impl<P, F: FnMut(&mut P, &Notice) -> Result<(), Veto>> Together<P> for InTurn<F> {
    const RUNS: bool = false;

    fn begin(&mut self, _: &mut P, _: &Notice) {}

    #[inline]
    fn call(&mut self, party: &mut P, notice: &Notice) -> Result<(), Veto> {
        (self.0)(party, notice)
    }
}

/// Drops an answer that changes nothing, outside of the loops.
#[cold]
#[inline(never)]
fn ignore(veto: Veto) {
    drop(veto);
}

/// Outside of the loops: a departure during a transaction is rare.
#[cold]
#[inline(never)]
fn has_departed(party: &impl Party) -> bool {
    party.departed()
}

impl Transaction {
    /// AddStart or RemoveStart, until all have agreed or one refuses (A1, A3, R3, R4, A10).
    #[inline(never)]
    pub(super) fn ask<P: Party, T: Together<P>>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut T,
    ) {
        let mut notice = self.notice(State::AddStart, State::RemoveStart, &PlatformError::NONE);
        if let (Kind::Replay, [party]) = (self.kind, &mut *parties) {
            let call =
                |together: &mut T, party: &mut P, notice: &Notice| together.call(party, notice);
            if let Err(veto) = self.replay_to(party, &mut notice, departures, together, call) {
                self.refused(0, veto);
                self.end_if_refused();
                return;
            }
        }
        while let Some(&processor) = self.processors.get(self.at) {
            notice.processor = processor;
            while self.turn < parties.len() {
                self.run_forward(parties, departures, together, &notice, Self::refused);
                if self.end_if_refused() {
                    return;
                }
            }
            self.at += 1;
            self.turn = 0;
        }
        self.all_agreed();
    }

    /// Records a refusal.
    pub(super) fn refused(&mut self, position: usize, veto: Veto) {
        let processor = self.processors[self.at];
        self.refusals.push(Refusal { position, processor, veto });
    }

    /// Decides what a refusal does: the asking ends, and the parties that had agreed are told (A3, R4). A rehearsal continues (A10).
    /// The rest of a run has already been asked, and its answers are awaited before anything is undone. Returns whether the asking
    /// has ended.
    pub(super) fn end_if_refused(&mut self) -> bool {
        let ends = !self.refusals.is_empty() && !self.is_rehearsal() && self.begun == 0;
        if ends {
            self.unwind();
        }
        ends
    }

    /// AddComplete or RemoveComplete for every processor that joined or left, ascending (A5, R3, X1).
    #[inline(never)]
    pub(super) fn complete<P: Party, T: Together<P>>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut T,
    ) {
        let mut notice =
            self.notice(State::AddComplete, State::RemoveComplete, &PlatformError::NONE);
        if let (Kind::Replay, [party]) = (self.kind, &mut *parties) {
            let call = |together: &mut T, party: &mut P, notice: &Notice| {
                // An answer to a Complete changes nothing (A6); the runner reports it.
                let _ = together.call(party, notice).map_err(ignore);
                Ok(())
            };
            let _ = self.replay_to(party, &mut notice, departures, together, call);
        }
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

    /// AddFailure or RemoveFailure to exactly the parties that had agreed, in the reverse order of asking (A3, A4).
    ///
    /// Here `turn` counts down: the parties below it are still to be told, then those for earlier processors.
    pub(super) fn unwind_all<P: Party, T: Together<P>>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut T,
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

    /// All processors for one party: the same pass with the loops exchanged, because a replay may have 2,048 processors and must
    /// cost no more than its calls.
    #[inline]
    fn replay_to<P: Party, T: Together<P>>(
        &mut self,
        party: &mut P,
        notice: &mut Notice,
        departures: &impl Fn() -> bool,
        together: &mut T,
        mut each: impl FnMut(&mut T, &mut P, &Notice) -> Result<(), Veto>,
    ) -> Result<(), Veto> {
        self.at += self.turn;
        // As in every pass, the cursor is behind the party before the party is called.
        self.turn = 1;
        if T::RUNS {
            let mut begun = self.at;
            while !(departures() && has_departed(party)) {
                let Some(processor) = self.processors.get(self.at) else { break };
                for ahead in self.processors.get(begun..).unwrap_or_default() {
                    notice.processor = *ahead;
                    if !together.begin_ahead(party, notice) {
                        break;
                    }
                    begun += 1;
                }
                notice.processor = *processor;
                each(together, party, notice)?;
                self.at += 1;
                begun = begun.max(self.at);
            }
        } else {
            for processor in &self.processors[self.at..] {
                if departures() && has_departed(party) {
                    break;
                }
                notice.processor = *processor;
                each(together, party, notice)?;
                self.at += 1;
            }
        }
        self.at = self.processors.len();
        self.turn = 0;
        Ok(())
    }

    /// Begins all parties of the run at the cursor, then takes their answers.
    #[inline(never)]
    fn run_forward<P: Party, T: Together<P>>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut T,
        notice: &Notice,
        mut refused: impl FnMut(&mut Self, usize, Veto),
    ) {
        if !T::RUNS && !self.is_removal() {
            for party in &mut parties[self.turn..] {
                self.turn += 1;
                if departures() && has_departed(party) {
                    continue;
                }
                if let Err(veto) = together.call(party, notice) {
                    return refused(self, self.turn - 1, veto);
                }
            }
            return;
        }
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
    fn begin_run<P: Party, T: Together<P>>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut T,
        notice: &Notice,
        turns: impl Iterator<Item = usize> + Clone,
    ) -> usize {
        if !T::RUNS {
            return 1;
        }
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
        let hears = |this: &Self, party: &P, position| {
            !this.passes_over(party, departures) && !this.has_refused(position)
        };
        let run: Vec<usize> =
            run.take(length).filter(|at| hears(self, &parties[*at], *at)).collect();
        // One alone is called in turn: nobody else is waited for meanwhile.
        if run.len() > 1 {
            for position in run {
                let party = &mut parties[position];
                // The work of another may have made it depart.
                if hears(self, party, position) {
                    together.begin(party, notice);
                }
            }
        }
        self.begun = length;
        length
    }

    /// The rule for a replay: AddFailure in ascending order, for the processors whose AddStart succeeded (R4).
    ///
    /// Asking stopped at `at`; `turn` counts up to it.
    pub(super) fn unwind_replay<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        together: &mut impl Together<P>,
    ) {
        let mut notice = self.notice(State::AddFailure, State::RemoveFailure, &self.failure());
        while self.turn < self.at {
            notice.processor = self.processors[self.turn];
            self.turn += 1;
            for party in &mut *parties {
                if !self.passes_over(party, departures) {
                    let _ = together.call(party, &notice);
                }
            }
        }
        self.unwound();
    }

    /// The position of the party whose turn it is. A removal counts from the last party.
    pub(super) fn position(&self, turn: usize, parties: usize) -> usize {
        if self.is_removal() { parties - 1 - turn } else { turn }
    }

    #[inline]
    pub(super) fn passes_over<P: Party>(&self, party: &P, departures: &impl Fn() -> bool) -> bool {
        (departures() && party.departed())
            || (self.is_removal() && !hears_end(party, self.processors[self.at]))
    }

    pub(super) fn has_refused(&self, position: usize) -> bool {
        // All refusals are about the processor at which asking ended, in the order of asking.
        let [first, ..] = self.refusals.as_slice() else { return false };
        // Removing asks from the last to the first.
        let key =
            |position: usize| if self.is_removal() { usize::MAX - position } else { position };
        first.processor == self.processors[self.at]
            && self.refusals.binary_search_by_key(&key(position), |r| key(r.position)).is_ok()
    }

    /// The common part of all notices of one pass. The processor is set for each call.
    pub(super) fn notice(&self, add: State, remove: State, failure: &PlatformError) -> Notice {
        let nobody = Processor { index: ProcessorIndex::of(0), id: HardwareId(0) };
        Notice {
            state: self.state(add, remove),
            surprise: self.kind == Kind::Vanished,
            replay: self.kind == Kind::Replay,
            processor: self.processors.first().copied().unwrap_or(nobody),
            status: failure.status,
            errno: failure.errno,
            epoch: self.set.epoch(),
        }
    }
}

/// Whether a party is told of a removal: it asked for such notices (X1), and was told that the processor joined (X4).
fn hears_end(party: &impl Party, processor: Processor) -> bool {
    party.hears_removal() && party.heard_of(processor)
}
