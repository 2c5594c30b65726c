//! The passes over the parties: asking, telling, and unwinding in the right order.
//!
//! The cursor (`at`, `turn`) lives in the transaction and moves before each call, so that a runner whose call unwound
//! can go on behind the party that crashed. The loops are what an add spends its time in: nothing in them allocates,
//! and a party that has nothing to hear costs one look. `ask` and `complete` are not inlined, so that their loops have
//! the machine's registers to themselves; `docs/performance.md` has the figures.

use core::ops::ControlFlow;

use crate::driver::Veto;
use crate::notice::{Notice, State};
use crate::processor::{HardwareId, Processor, ProcessorIndex};
use crate::registry::Party;
use crate::status::Status;

use super::{Kind, PlatformError, Refusal, Transaction};

/// Takes items in order until `each` breaks: four at a time, because the jump back to the start of a loop costs about as
/// much as all else that a pass does round a call.
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

/// Kept out of the loops: a departure in the middle of a transaction is rare.
#[cold]
#[inline(never)]
fn has_departed(party: &impl Party) -> bool {
    party.departed()
}

/// An answer that changes nothing, dropped out of the way of the loops.
#[cold]
#[inline(never)]
fn ignore(veto: Veto) {
    drop(veto);
}

impl Transaction {
    /// AddStart or RemoveStart, until everybody has agreed or one refuses (A1, A3, R3, R4, A10).
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

    /// A party refused. All but a rehearsal end here.
    pub(super) fn refused(&mut self, position: usize, veto: Veto) {
        let processor = self.processors[self.at];
        self.refusals.push(Refusal { position, processor, veto });
        // The rest of a run has been asked, and is heard before anything is undone.
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
                // An answer to a Complete changes nothing (A6); whoever runs this reports it.
                let _ = each(party, notice).map_err(ignore);
                ControlFlow::Continue(())
            };
            let _ = self.pass(parties, departures, &mut notice, &mut tell);
            self.at += 1;
            self.turn = 0;
        }
        self.completed();
    }

    /// One processor's pass in calling order, or what is left of it.
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
            // Removing mirrors adding: who came last is asked first, so that nobody loses what it stands on (X1).
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

    /// All processors for one party: the same pass with the loops turned inside out, because a replay may be two
    /// thousand processors long and must cost what its calls cost.
    #[inline]
    fn replay_to<P: Party>(
        &mut self,
        party: &mut P,
        notice: &mut Notice,
        departures: &impl Fn() -> bool,
        mut each: impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
    ) -> ControlFlow<Veto> {
        self.at += self.turn;
        // As in every pass the cursor is behind the party before it is called.
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

    /// AddFailure or RemoveFailure to exactly those who agreed, in the reverse of the order of asking (A3, A4).
    ///
    /// Here `turn` counts down: those below it are still to be told, those of earlier processors after them.
    pub(super) fn unwind_all<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: &impl Fn() -> bool,
        each: &mut impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
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

    /// The replay's own rule: AddFailure ascending, to the processors whose AddStart succeeded (R4).
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

    /// The party whose turn it is: who came last comes first in a removal.
    pub(super) fn position(&self, turn: usize, parties: usize) -> usize {
        if self.is_removal() { parties - 1 - turn } else { turn }
    }

    #[inline]
    pub(super) fn passes_over<P: Party>(&self, party: &P, departures: &impl Fn() -> bool) -> bool {
        (departures() && party.departed())
            || (self.is_removal() && !hears_end(party, self.processors[self.at]))
    }

    pub(super) fn has_refused(&self, position: usize) -> bool {
        // All are about the processor at which asking ended, in the order of asking.
        let [first, ..] = self.refusals.as_slice() else { return false };
        // Removing asks from the last to the first.
        let key =
            |position: usize| if self.is_removal() { usize::MAX - position } else { position };
        first.processor == self.processors[self.at]
            && self.refusals.binary_search_by_key(&key(position), |r| key(r.position)).is_ok()
    }

    /// What all calls of one pass have in common; the processor is filled in for each.
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

/// Whether a party hears of a removal: it asked for such notices (X1), and heard of the beginning (X4).
fn hears_end(party: &impl Party, processor: Processor) -> bool {
    party.hears_removal() && party.heard_of(processor)
}

impl PlatformError {
    pub(super) const NONE: Self = Self::of(Status::SUCCESS);
}
