//! What requests come to: [`Change`], [`Rehearsal`], and how a [`Batch`] goes about it.

use std::time::Duration;

use hotadd_core::{Epoch, Processor, Veto};

use crate::member::PartyInfo;

/// A change of the active set that happened: a processor joined or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The processor.
    pub processor: Processor,
    /// The epoch of the set that came into force with it.
    pub epoch: Epoch,
}

/// How [`Partition::add_batch`](crate::Partition::add_batch) treats its processors (A9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Batch {
    /// One transaction for each: one that is refused does not stop the others.
    Each,
    /// None is started until every driver has agreed to all.
    Atomic,
}

/// What a rehearsal found (A10).
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The processor that everybody was asked about.
    pub processor: Processor,
    /// Every party's answer, in the order of asking.
    pub answers: Vec<Answer>,
}

impl Rehearsal {
    /// Whether everybody agreed.
    #[must_use]
    pub fn is_agreed(&self) -> bool {
        self.answers.iter().all(|a| a.answer.is_ok())
    }
}

/// One party's answer in a rehearsal.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The party.
    pub party: PartyInfo,
    /// What it said.
    pub answer: Result<(), Veto>,
    /// How long it took.
    pub took: Duration,
}
