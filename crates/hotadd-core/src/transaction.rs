//! [`Transaction`]: every change of a partition, and every replay, as one state machine.
//!
//! A transaction is a value. Its [`step`](Transaction::step) says what is to be done now; whoever runs it does
//! that, gives the answer, and asks again. It holds no lock and calls nobody by itself, so the same rules
//! serve a partition in this process, one behind a socket, and a model checker.
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

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::driver::Veto;
use crate::errno::Errno;
use crate::notice::{Notice, State};
use crate::processor::{HardwareId, Processor};
use crate::registry::Party;
use crate::set::{ActiveSet, NotAddable};
use crate::status::Status;

mod calls;
mod together;

pub use together::Together;

/// What is to be done now.
#[derive(Debug)]
#[must_use = "a step that is not carried out leaves the transaction where it is"]
pub enum Step {
    /// The set changes: have [`publish`](Transaction::publish) make the next one, and make it the one that queries see.
    Publish,
    /// Call parties: [`call`](Transaction::call).
    Call(State),
    /// Start this processor, then call [`acted`](Transaction::acted).
    Start(Processor),
    /// Stop this processor, then call [`acted`](Transaction::acted).
    Stop(Processor),
    /// It is over; the rest of the methods tell how it went.
    Done,
}

/// The platform's refusal to start or stop a processor (A4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformError {
    /// The status that every driver is told.
    pub status: Status,
    /// The platform's own error, where it has one.
    pub errno: Option<Errno>,
    /// What the platform says of it beyond that, in a sentence.
    pub reason: Option<String>,
}

impl PlatformError {
    pub(crate) const fn of(status: Status) -> Self {
        Self { status, errno: None, reason: None }
    }
}

impl From<Errno> for PlatformError {
    fn from(errno: Errno) -> Self {
        Self { errno: Some(errno), ..Self::of(Status::from_errno(errno)) }
    }
}

/// The platform's own words if it has some: `EINVAL (22): it is another's`.
impl fmt::Display for PlatformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            Some(errno) => errno.fmt(f)?,
            None => self.status.fmt(f)?,
        }
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

/// A refusal by the party at this position of the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The position in the slice that was handed to [`Transaction::call`].
    pub position: usize,
    /// The processor it was asked about.
    pub processor: Processor,
    /// Its status and reason.
    pub veto: Veto,
}

/// Why a removal cannot even be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRemovable {
    /// The processor is not active.
    NotActive(HardwareId),
    /// It is the only active one: a partition keeps something to run on.
    Last(HardwareId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Add,
    Replay,
    Rehearsal,
    Remove,
    Vanished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Propose,
    Ask,
    Act,
    /// An atomic batch takes back what it had started.
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
    /// The set that this has put in force last.
    set: ActiveSet,
    processors: Vec<Processor>,
    /// Adding: how many of `processors`, from the first, run. Removing: how many have stopped.
    acted: usize,
    /// The cursor of the pass under way: the processor, and how many parties have had their turn for it.
    at: usize,
    turn: usize,
    /// How many turns are left of the run that was begun with.
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

    /// Adding these processors: all of them or, but for a platform that will not take one back, none (A9).
    ///
    /// # Errors
    /// Before any driver hears of it, if one is active already, named twice or beyond the maximum (A8).
    pub fn add(set: &ActiveSet, ids: &[HardwareId]) -> Result<Self, NotAddable> {
        let processors = set.propose(ids)?.proposed().to_vec();
        Ok(Self::new(Kind::Add, Phase::Propose, set.clone(), processors))
    }

    /// Asking everybody whether this processor could be added, and adding nothing (A10).
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn rehearse(set: &ActiveSet, id: HardwareId) -> Result<Self, NotAddable> {
        Ok(Self { kind: Kind::Rehearsal, ..Self::add(set, &[id])? })
    }

    /// Telling a party that registers with ADD_EXISTING of every active processor (R3). It is run over that
    /// one party alone, which joins the registry if [`is_agreed`](Self::is_agreed) holds afterwards.
    #[must_use]
    pub fn replay(set: &ActiveSet) -> Self {
        let processors = set.to_vec();
        Self::new(Kind::Replay, Phase::Ask, set.clone(), processors)
    }

    /// Removing a processor (X1).
    ///
    /// # Errors
    /// Before any driver hears of it, if it is not active or the only one that is.
    pub fn remove(set: &ActiveSet, id: HardwareId) -> Result<Self, NotRemovable> {
        let processor = set.active(id).ok_or(NotRemovable::NotActive(id))?;
        if set.count() == 1 {
            return Err(NotRemovable::Last(id));
        }
        Ok(Self::new(Kind::Remove, Phase::Ask, set.clone(), [processor].into()))
    }

    /// Telling of processors that have left without asking (X2): the set in force has [lost](ActiveSet::lose) them already.
    #[must_use]
    pub fn vanished(set: &ActiveSet, processors: &[Processor]) -> Self {
        let phase = if processors.is_empty() { Phase::Done } else { Phase::Complete };
        let acted = processors.len();
        Self { acted, ..Self::new(Kind::Vanished, phase, set.clone(), processors.to_vec()) }
    }

    /// What is to be done now. Asking again without doing it gives the same answer.
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

    /// The set that is to be in force now, made from the one that is. That may be another one than this transaction has left:
    /// processors may have left or joined meanwhile without being asked for (Q4). In a step other than [`Step::Publish`] it is
    /// returned as it is.
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

    /// What became of the [`Step::Start`] or [`Step::Stop`]. Without effect in another step.
    pub fn acted(&mut self, result: Result<(), PlatformError>) {
        // Whoever is told of a failure is told an error, whatever the platform calls it.
        let result = result.map_err(|error| match error.status.is_error() {
            true => error,
            false => PlatformError { status: Status::UNSUCCESSFUL, ..error },
        });
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
            // It cannot be taken back, and everybody agreed to it. It stays, and so do those started before it:
            // their indexes come first, and indexes are dense.
            (Phase::Undo, Err(error)) => {
                self.stuck = Some((self.processors[self.acted - 1], error));
                self.enter(Phase::Publish);
            }
            _ => {}
        }
    }

    /// Calls parties as the present [`Step::Call`] demands: `each` calls one with a notice and returns its answer.
    ///
    /// `parties` is the registry's slice, the same in every call, or for a replay the one new party. What `each`
    /// returns counts in the Start states only. `departures` says whether any party has [departed](Party::departed) since
    /// the transaction began; only then are they asked one by one, which spares an add a look at each. If `each` unwinds, the cursor stays at the party it was calling: report
    /// it by [`crashed`](Self::crashed), then call again.
    pub fn call<P: Party>(
        &mut self,
        parties: &mut [P],
        departures: impl Fn() -> bool,
        mut each: impl FnMut(&mut P, &Notice) -> Result<(), Veto>,
    ) {
        match self.phase {
            Phase::Ask => self.ask(parties, &departures, &mut each),
            Phase::Complete => self.complete(parties, &departures, &mut each),
            Phase::Unwind if self.kind == Kind::Replay => {
                self.unwind_replay(parties, &departures, &mut each);
            }
            Phase::Unwind => self.unwind_all(parties, &departures, &mut each),
            _ => {}
        }
    }

    /// The party that was being called when `each` unwound has crashed. While asking, that is a veto (L3).
    ///
    /// Returns its position.
    pub fn crashed(&mut self, parties: usize, veto: Veto) -> Option<usize> {
        match self.phase {
            Phase::Ask => {
                let position = self.position(self.turn.checked_sub(1)?, parties);
                self.refused(position, veto);
                Some(position)
            }
            Phase::Complete => Some(self.position(self.turn.checked_sub(1)?, parties)),
            Phase::Unwind if self.kind == Kind::Replay => Some(0),
            Phase::Unwind => Some(self.position(self.turn, parties)),
            _ => None,
        }
    }

    /// Whether nobody refused and the platform did not fail.
    #[must_use]
    pub fn is_agreed(&self) -> bool {
        self.refusals.is_empty() && self.error.is_none()
    }

    /// Who refused, in the order of asking. The first is why the transaction came to nothing. There may be more where
    /// everybody is heard behind a refusal too: in a rehearsal (A10), and of those who are asked at once.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// The processor that the platform failed to start or stop, and why (A4).
    #[must_use]
    pub fn platform_error(&self) -> Option<(Processor, PlatformError)> {
        self.error.clone()
    }

    /// The processor of an atomic batch that the platform would not take back: it and those before it joined.
    #[must_use]
    pub fn stuck(&self) -> Option<(Processor, PlatformError)> {
        self.stuck.clone()
    }

    /// The processors this is about.
    #[must_use]
    pub fn processors(&self) -> &[Processor] {
        &self.processors
    }

    /// Those that joined, or left.
    #[must_use]
    pub fn changed(&self) -> &[Processor] {
        &self.processors[..self.acted]
    }

    /// The set that this transaction has put in force last; at its beginning, the one that it was made from.
    #[must_use]
    pub const fn set(&self) -> &ActiveSet {
        &self.set
    }

    fn state(&self, add: State, remove: State) -> State {
        if self.is_removal() { remove } else { add }
    }

    /// Whether it is about processors that leave.
    #[must_use]
    pub const fn is_removal(&self) -> bool {
        matches!(self.kind, Kind::Remove | Kind::Vanished)
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.at = 0;
        self.turn = 0;
        self.begun = 0;
    }

    /// Everybody has been asked and none refused.
    fn all_agreed(&mut self) {
        match self.kind {
            Kind::Replay => {
                self.acted = self.processors.len();
                self.enter(Phase::Complete);
            }
            Kind::Rehearsal => self.unwind(),
            _ if self.processors.is_empty() => self.enter(Phase::Withdraw),
            _ => self.enter(Phase::Act),
        }
    }

    /// Everybody has been told that it is done.
    fn completed(&mut self) {
        if self.acted < self.processors.len() {
            self.unwind();
        } else {
            self.enter(Phase::Done);
        }
    }

    /// Starts the pass that tells the outcome to those who agreed to what did not happen. The cursor starts behind the
    /// last of them, which is where asking ended.
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

    /// What those who agreed are told when it comes to nothing.
    fn failure(&self) -> PlatformError {
        if self.kind == Kind::Rehearsal {
            return PlatformError::of(Status::CANCELLED);
        }
        match (self.refusals.first(), &self.error) {
            (Some(refusal), _) => PlatformError::of(refusal.veto.status()),
            (None, Some((_, error))) => error.clone(),
            (None, None) => PlatformError::of(Status::UNSUCCESSFUL),
        }
    }
}
