//! The results of requests: [`Change`] and [`Rehearsal`]. Also [`Batch`], the mode of a batch.

use std::time::Duration;

use hotadd_core::{Epoch, Processor, Veto};

use crate::member::PartyInfo;

/// A completed change of the active set: a processor joined or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The processor.
    pub processor: Processor,
    /// The epoch of the active set that includes the change.
    pub epoch: Epoch,
}

/// How [`Partition::add_batch`](crate::Partition::add_batch) treats its processors (A9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Batch {
    /// One transaction for each processor: a refusal does not stop the others.
    Each,
    /// No processor is started until every driver has agreed to all of them.
    Atomic,
}

/// The result of a rehearsal (A10).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rehearsal {
    /// The processor that all parties were asked about.
    pub processor: Processor,
    /// Every party's answer, in calling order.
    pub answers: Vec<Answer>,
}

impl Rehearsal {
    /// Whether all parties agreed.
    #[must_use]
    pub fn is_agreed(&self) -> bool {
        self.answers.iter().all(|a| a.answer.is_ok())
    }
}

/// One party's answer in a rehearsal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The party.
    pub party: PartyInfo,
    /// The answer.
    pub answer: Result<(), Veto>,
    /// How long the answer took.
    pub took: Duration,
}
