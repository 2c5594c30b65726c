//! [`Transaction`]: every change of a partition, and every replay, as one state machine.
//!
//! A transaction is a value. Its [`step`](Transaction::step) says what to do now. The runner does it, reports the result, and
//! asks again. A transaction holds no lock and calls no other code by itself, so the same rules serve a partition in this
//! process, a partition behind a socket, and a model checker.
//!
//! ```text
//!            propose      ask        act       publish     tell
//! add        ●──────────▶ ●────────▶ ●───────▶ ●─────────▶ complete
//!                         │veto      │fails
//!                         ▼          ▼
//!                         unwind, last first ──▶ withdraw
//! replay                  ●──────────────────────────────▶ complete
//! rehearsal  ●──────────▶ ●──▶ unwind, last first ──▶ withdraw
//! removal                 ●────────▶ ●───────▶ ●─────────▶ complete
//! surprise                                     ●─────────▶ complete
//! ```

use alloc::vec::Vec;

use crate::driver::Veto;
use crate::failure::{NotRemovable, PlatformError, Refusal};
use crate::notice::{Notice, State};
use crate::processor::{HardwareId, Processor};
use crate::registry::Party;
use crate::set::{ActiveSet, NotAddable};
use crate::status::Status;

mod calls;

use calls::InTurn;
pub use calls::Together;

/// What to do now.
#[derive(Debug)]
#[must_use = "the transaction does not continue until the step is carried out"]
pub enum Step {
    /// The set changes: call [`publish`](Transaction::publish) to make the next one, and make it visible to queries.
    Publish,
    /// Call parties: [`call`](Transaction::call).
    Call(State),
    /// Start this processor, then call [`acted`](Transaction::acted).
    Start(Processor),
    /// Stop this processor, then call [`acted`](Transaction::acted).
    Stop(Processor),
    /// The transaction is over. The other methods give its result.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Add,
    Replay,
    Rehearsal,
    Remove,
    RemovalRehearsal,
    Vanished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Propose,
    Ask,
    Act,
    /// An atomic batch stops the processors that it had started.
    Undo,
    Publish,
    Complete,
    Unwind,
    Withdraw,
    Done,
}

/// One register, add, atomic batch, rehearsal or removal, from its first step to its outcome.
#[derive(Debug)]
pub struct Transaction {
    kind: Kind,
    phase: Phase,
    /// The set that this transaction has published last.
    set: ActiveSet,
    processors: Vec<Processor>,
    /// Adding: how many of `processors`, from the first, are running. Removing: how many have stopped.
    acted: usize,
    /// The cursor of the pass in progress: the processor, and how many parties have had their turn for it.
    at: usize,
    turn: usize,
    /// How many turns are left of the run that was begun.
    begun: usize,
    refusals: Vec<Refusal>,
    error: Option<(Processor, PlatformError)>,
    stuck: Option<(Processor, PlatformError)>,
}

impl Transaction {
    fn new(kind: Kind, phase: Phase, set: ActiveSet, processors: Vec<Processor>) -> Self {
        Self {
            kind,
            phase,
            set,
            processors,
            acted: 0,
            at: 0,
            turn: 0,
            begun: 0,
            refusals: Vec::new(),
            error: None,
            stuck: None,
        }
    }

    /// Adds these processors: all of them or none, unless the platform fails to stop one again (A9).
    ///
    /// # Errors
    /// If a processor is already active, named twice or beyond the maximum (A8). No driver is then asked.
    pub fn add(set: &ActiveSet, ids: &[HardwareId]) -> Result<Self, NotAddable> {
        let processors = set.propose(ids)?.proposed().to_vec();
        Ok(Self::new(Kind::Add, Phase::Propose, set.clone(), processors))
    }

    /// Asks all parties whether this processor could be added, and adds nothing (A10).
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn rehearse(set: &ActiveSet, id: HardwareId) -> Result<Self, NotAddable> {
        Ok(Self { kind: Kind::Rehearsal, ..Self::add(set, &[id])? })
    }

    /// Asks all parties that get removal notices whether this processor could be removed, and removes nothing (A10).
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn rehearse_removal(set: &ActiveSet, id: HardwareId) -> Result<Self, NotRemovable> {
        Ok(Self { kind: Kind::RemovalRehearsal, ..Self::remove(set, id)? })
    }

    /// Tells a party of every active processor when it registers with a replay (R3). It runs on that party alone. The party
    /// is inserted into the registry if [`is_agreed`](Self::is_agreed) holds afterwards.
    #[must_use]
    pub fn replay(set: &ActiveSet) -> Self {
        let processors = set.to_vec();
        Self::new(Kind::Replay, Phase::Ask, set.clone(), processors)
    }

    /// Removes a processor (X1).
    ///
    /// # Errors
    /// If the processor is not active or is the only active one. No driver is then asked.
    pub fn remove(set: &ActiveSet, id: HardwareId) -> Result<Self, NotRemovable> {
        let processor = set.active(id).ok_or(NotRemovable::NotActive(id))?;
        if set.count() == 1 {
            return Err(NotRemovable::Last(id));
        }
        Ok(Self::new(Kind::Remove, Phase::Ask, set.clone(), [processor].into()))
    }

    /// Tells of processors that have left without a remove (X2). The current set has already [lost](ActiveSet::lose) them.
    #[must_use]
    pub fn vanished(set: &ActiveSet, processors: &[Processor]) -> Self {
        let phase = if processors.is_empty() { Phase::Done } else { Phase::Complete };
        let acted = processors.len();
        Self { acted, ..Self::new(Kind::Vanished, phase, set.clone(), processors.to_vec()) }
    }

    /// What to do now. Until it is done, each call gives the same answer.
    pub fn step(&self) -> Step {
        match self.phase {
            Phase::Propose | Phase::Publish | Phase::Withdraw => Step::Publish,
            Phase::Ask => Step::Call(self.state(State::AddStart, State::RemoveStart)),
            Phase::Complete => Step::Call(self.state(State::AddComplete, State::RemoveComplete)),
            Phase::Unwind => Step::Call(self.state(State::AddFailure, State::RemoveFailure)),
            Phase::Act if self.kind == Kind::Remove => Step::Stop(self.processors[self.acted]),
            Phase::Act => Step::Start(self.processors[self.acted]),
            Phase::Undo => Step::Stop(self.processors[self.acted - 1]),
            Phase::Done => Step::Done,
        }
    }

    /// Makes the next set from the current one. The current set may differ from the one that this transaction published last:
    /// processors may have left or joined without the partition meanwhile (Q4). In a step other than [`Step::Publish`] the set is
    /// returned unchanged.
    pub fn publish(&mut self, current: &ActiveSet) -> ActiveSet {
        self.set = match self.phase {
            Phase::Propose => current.naming(self.processors.clone()),
            Phase::Publish if self.is_removal() => current.leave(self.changed()),
            Phase::Publish => current.join(self.changed(), true),
            Phase::Withdraw => current.naming(Vec::new()),
            _ => return current.clone(),
        };
        self.enter(match self.phase {
            Phase::Propose => Phase::Ask,
            Phase::Publish => Phase::Complete,
            _ => Phase::Done,
        });
        self.set.clone()
    }

    /// Reports the result of [`Step::Start`] or [`Step::Stop`]. Has no effect in another step.
    pub fn acted(&mut self, result: Result<(), PlatformError>) {
        // Parties are told of a failure by an error, whatever status the platform gives.
        let result =
            result.map_err(|error| PlatformError { status: error.status.as_error(), ..error });
        match (self.phase, result) {
            (Phase::Act, Ok(())) => {
                self.acted += 1;
                if self.acted == self.processors.len() {
                    self.enter(Phase::Publish);
                }
            }
            (Phase::Act, Err(error)) => {
                self.error = Some((self.processors[self.acted], error));
                if self.acted > 0 {
                    self.enter(Phase::Undo);
                } else {
                    self.unwind();
                }
            }
            (Phase::Undo, Ok(())) => {
                self.acted -= 1;
                if self.acted == 0 {
                    self.unwind();
                }
            }
            // The processor cannot be stopped again, and all parties agreed to it. It stays, and so do those started before it:
            // their indexes come first, and indexes have no gaps.
            (Phase::Undo, Err(error)) => {
                self.stuck = Some((self.processors[self.acted - 1], error));
                self.enter(Phase::Publish);
            }
            _ => {}
        }
    }

    /// Calls parties for the current [`Step::Call`]: `each` calls one party with a notice and returns its answer.
    ///
    /// `parties` is the registry's slice, the same in every call, or for a replay the one new party. The result of `each`
    /// counts in the Start states only. `departures` says whether any party has [departed](Party::departed) since the
    /// transaction began. Each party's flag is read only if it says so, which saves an add one read for each party. If
    /// `each` unwinds, the cursor stays at the party that it was calling: report this by [`crashed`](Self::crashed), then
    /// call this method again.
    pub fn call<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: impl Fn() -> bool,
        each: impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
    ) {
        self.call_together(parties, departures, &mut InTurn(each));
    }

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
            Phase::Ask => self.ask(parties, &departures, together),
            Phase::Complete => self.complete(parties, &departures, together),
            Phase::Unwind if self.kind == Kind::Replay => {
                self.unwind_replay(parties, &departures, together);
            }
            Phase::Unwind => self.unwind_all(parties, &departures, together),
            _ => {}
        }
    }

    /// Reports that the party that was being called when `each` unwound has crashed. While asking, this is a veto (L3).
    ///
    /// Returns its position.
    pub fn crashed(&mut self, parties: usize, veto: Veto) -> Option<usize> {
        match self.phase {
            Phase::Ask => {
                let position = self.position(self.turn.checked_sub(1)?, parties);
                self.refused(position, veto);
                self.end_if_refused();
                Some(position)
            }
            Phase::Complete => Some(self.position(self.turn.checked_sub(1)?, parties)),
            Phase::Unwind if self.kind == Kind::Replay => Some(0),
            Phase::Unwind => Some(self.position(self.turn, parties)),
            _ => None,
        }
    }

    /// Whether no party refused and the platform did not fail.
    #[must_use]
    pub fn is_agreed(&self) -> bool {
        self.refusals.is_empty() && self.error.is_none()
    }

    /// The refusals, in the order of asking. The first is the reason why the transaction failed. There may be more where
    /// asking continues after a refusal: in a rehearsal (A10), and among parties that are asked together.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// The processor that the platform failed to start or stop, and why (A4).
    #[must_use]
    pub fn platform_error(&self) -> Option<(Processor, PlatformError)> {
        self.error.clone()
    }

    /// The processor of an atomic batch that the platform failed to stop again. It and those before it joined.
    #[must_use]
    pub fn stuck(&self) -> Option<(Processor, PlatformError)> {
        self.stuck.clone()
    }

    /// The processors of this transaction.
    #[must_use]
    pub fn processors(&self) -> &[Processor] {
        &self.processors
    }

    /// The processors that joined or left.
    #[must_use]
    pub fn changed(&self) -> &[Processor] {
        &self.processors[..self.acted]
    }

    /// The set that this transaction has published last; at its beginning, the set from which it was made.
    #[must_use]
    pub const fn set(&self) -> &ActiveSet {
        &self.set
    }

    fn state(&self, add: State, remove: State) -> State {
        if self.is_removal() { remove } else { add }
    }

    /// Whether processors leave, or it is rehearsed that they do.
    #[must_use]
    pub const fn is_removal(&self) -> bool {
        matches!(self.kind, Kind::Remove | Kind::RemovalRehearsal | Kind::Vanished)
    }

    /// Whether this is a rehearsal (A10).
    const fn is_rehearsal(&self) -> bool {
        matches!(self.kind, Kind::Rehearsal | Kind::RemovalRehearsal)
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.at = 0;
        self.turn = 0;
        self.begun = 0;
    }

    /// All parties have been asked and none refused.
    fn all_agreed(&mut self) {
        match self.kind {
            Kind::Replay => {
                self.acted = self.processors.len();
                self.enter(Phase::Complete);
            }
            Kind::Rehearsal | Kind::RemovalRehearsal => self.unwind(),
            _ if self.processors.is_empty() => self.enter(Phase::Withdraw),
            _ => self.enter(Phase::Act),
        }
    }

    /// All parties have been told that the change is complete.
    fn completed(&mut self) {
        if self.acted < self.processors.len() {
            self.unwind();
        } else {
            self.enter(Phase::Done);
        }
    }

    /// Starts the pass that tells the failure to the parties that had agreed. The cursor starts behind the last of them, which
    /// is where asking ended.
    fn unwind(&mut self) {
        if self.phase != Phase::Ask {
            self.at = self.processors.len();
        }
        if self.phase != Phase::Ask || self.kind == Kind::Replay {
            self.turn = 0;
        }
        self.begun = 0;
        self.phase = Phase::Unwind;
    }

    fn unwound(&mut self) {
        if self.set.proposed().is_empty() {
            self.enter(Phase::Done);
        } else {
            self.enter(Phase::Withdraw);
        }
    }

    /// The error that is told to the parties that had agreed.
    fn failure(&self) -> PlatformError {
        if self.is_rehearsal() {
            return PlatformError::new(Status::CANCELLED);
        }
        match (self.refusals.first(), &self.error) {
            (Some(refusal), _) => PlatformError::new(refusal.veto.status()),
            (None, Some((_, error))) => error.clone(),
            (None, None) => PlatformError::new(Status::UNSUCCESSFUL),
        }
    }
}
