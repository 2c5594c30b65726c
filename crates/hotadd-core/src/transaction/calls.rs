//! The passes over the parties: asking, telling, and unwinding in the right order.
//!
//! The cursor (`at`, `turn`) is in the transaction and moves before each call, so that a runner whose call unwound
//! can continue behind the party that crashed. An add spends its time in these loops. Nothing in them allocates, and a
//! party that is not told costs one check. `ask` and `complete` are not inlined, so that their loops have all machine
//! registers. `docs/performance.md` has the figures.

use core::ops::ControlFlow;

use crate::driver::Veto;
use crate::notice::{Notice, State};
use crate::processor::{HardwareId, Processor, ProcessorIndex};
use crate::registry::Party;
use crate::status::Status;

use super::{Kind, PlatformError, Refusal, Transaction};

/// Takes items in order until `each` breaks. Four at a time, because the jump back to the start of a loop costs about as
/// much as the rest of a pass around a call.
#[inline]
fn by_fours<T>(
    items: &mut [T],
    mut each: impl FnMut(&mut T) -> ControlFlow<Veto>,
) -> ControlFlow<Veto> {
    let (fours, rest) = items.as_chunks_mut::<4>();
    for four in fours {
        for item in four {
            each(item)?;
        }
    }
    rest.iter_mut().try_for_each(each)
}

/// Outside of the loops: a departure during a transaction is rare.
#[cold]
#[inline(never)]
fn has_departed(party: &impl Party) -> bool {
    party.departed()
}

/// Drops an answer that changes nothing, outside of the loops.
#[cold]
#[inline(never)]
fn ignore(veto: Veto) {
    drop(veto);
}

impl Transaction {
    /// AddStart or RemoveStart, until all have agreed or one refuses (A1, A3, R3, R4, A10).
    #[inline(never)]
    pub(super) fn ask<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        each: &mut impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
    ) {
        let mut notice = self.notice(State::AddStart, State::RemoveStart, &PlatformError::NONE);
        if let (Kind::Replay, [party]) = (self.kind, &mut *parties)
            && let ControlFlow::Break(veto) =
                self.replay_to(party, &mut notice, departures, &mut *each)
        {
            return self.refused(0, veto);
        }
        while self.at < self.processors.len() {
            let mut ask = |party: &mut P, notice: &Notice| match each(party, notice) {
                Ok(()) => ControlFlow::Continue(()),
                Err(veto) => ControlFlow::Break(veto),
            };
            match self.pass(parties, departures, &mut notice, &mut ask) {
                ControlFlow::Continue(()) => {
                    self.at += 1;
                    self.turn = 0;
                }
                ControlFlow::Break(veto) => {
                    self.refused(self.position(self.turn - 1, parties.len()), veto);
                    if self.kind != Kind::Rehearsal {
                        return;
                    }
                }
            }
        }
        self.all_agreed();
    }

    /// Records a refusal. Every transaction except a rehearsal ends its asking here.
    pub(super) fn refused(&mut self, position: usize, veto: Veto) {
        let processor = self.processors[self.at];
        self.refusals.push(Refusal { position, processor, veto });
        // The rest of a run has already been asked, and its answers are awaited before anything is undone.
        if self.kind != Kind::Rehearsal && self.begun == 0 {
            self.unwind();
        }
    }

    /// AddComplete or RemoveComplete for every processor that joined or left, ascending (A5, R3, X1).
    #[inline(never)]
    pub(super) fn complete<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        each: &mut impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
    ) {
        let mut notice =
            self.notice(State::AddComplete, State::RemoveComplete, &PlatformError::NONE);
        if let (Kind::Replay, [party]) = (self.kind, &mut *parties) {
            // An answer to a Complete changes nothing.
            let _ = self.replay_to(party, &mut notice, departures, |party, notice| {
                let _ = each(party, notice).map_err(ignore);
                Ok(())
            });
        }
        while self.at < self.acted {
            let mut tell = |party: &mut P, notice: &Notice| {
                // An answer to a Complete changes nothing (A6); the runner reports it.
                let _ = each(party, notice).map_err(ignore);
                ControlFlow::Continue(())
            };
            let _ = self.pass(parties, departures, &mut notice, &mut tell);
            self.at += 1;
            self.turn = 0;
        }
        self.completed();
    }

    /// One processor's pass in calling order, or the rest of it.
    #[inline]
    fn pass<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        notice: &mut Notice,
        each: &mut impl FnMut(&mut P, &Notice) -> ControlFlow<Veto>,
    ) -> ControlFlow<Veto> {
        notice.processor = self.processors[self.at];
        let notice = &*notice;
        let departed = |party: &P| departures() && has_departed(party);
        if self.is_removal() {
            // Removing reverses adding: the last party is asked first, so that no party loses what it depends on (X1).
            let ahead = parties.len() - self.turn;
            for party in parties[..ahead].iter_mut().rev() {
                self.turn += 1;
                if hears_end(party, notice.processor) && !departed(party) {
                    each(party, notice)?;
                }
            }
            return ControlFlow::Continue(());
        }
        by_fours(&mut parties[self.turn..], |party| {
            self.turn += 1;
            if departed(party) { ControlFlow::Continue(()) } else { each(party, notice) }
        })
    }

    /// All processors for one party: the same pass with the loops exchanged, because a replay may have 2,048 processors and must
    /// cost no more than its calls.
    #[inline]
    fn replay_to<P: Party>(
        &mut self,
        party: &mut P,
        notice: &mut Notice,
        departures: &impl Fn() -> bool,
        mut each: impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
    ) -> ControlFlow<Veto> {
        self.at += self.turn;
        // As in every pass, the cursor is behind the party before the party is called.
        self.turn = 1;
        by_fours(&mut self.processors[self.at..], |processor| {
            if departures() && has_departed(party) {
                return ControlFlow::Continue(());
            }
            notice.processor = *processor;
            if let Err(veto) = each(party, notice) {
                return ControlFlow::Break(veto);
            }
            self.at += 1;
            ControlFlow::Continue(())
        })?;
        self.at = self.processors.len();
        self.turn = 0;
        ControlFlow::Continue(())
    }

    /// AddFailure or RemoveFailure to exactly the parties that had agreed, in the reverse order of asking (A3, A4).
    ///
    /// Here `turn` counts down: the parties below it are still to be told, then those for earlier processors.
    pub(super) fn unwind_all<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        each: &mut impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
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
            }
            notice.processor = self.processors[self.at];
            while self.turn > 0 {
                self.turn -= 1;
                let position = self.position(self.turn, parties.len());
                let party = &mut parties[position];
                if !self.passes_over(party, departures) && !self.has_refused(position) {
                    let _ = each(party, &notice);
                }
            }
        }
        self.unwound();
    }

    /// The rule for a replay: AddFailure in ascending order, for the processors whose AddStart succeeded (R4).
    ///
    /// Asking stopped at `at`; `turn` counts up to it.
    pub(super) fn unwind_replay<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        each: &mut impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
    ) {
        let mut notice = self.notice(State::AddFailure, State::RemoveFailure, &self.failure());
        while self.turn < self.at {
            notice.processor = self.processors[self.turn];
            self.turn += 1;
            for party in &mut *parties {
                if !self.passes_over(party, departures) {
                    let _ = each(party, &notice);
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

impl PlatformError {
    pub(super) const NONE: Self = Self::of(Status::SUCCESS);
}
