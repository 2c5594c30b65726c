//! [`Registry`]: who is registered, in the order in which they are called.

use alloc::vec::Vec;
use core::fmt;

use crate::processor::Processor;
use crate::status::Status;

/// A registration's identity. Never used twice, and of no meaning to another partition (D2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct PartyId(pub u64);

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Where a party stands: lower levels agree first and unwind last. Within a level those that are called in turn come
/// first, in order of registration; then those that are asked all at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Level(pub i32);

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the rules need to know of a registered party. How it is called is the runner's business.
pub trait Party {
    /// Its identity.
    fn id(&self) -> PartyId;
    /// Its level.
    fn level(&self) -> Level;
    /// Whether it has been deregistered since the transaction under way began. Once true, always true; it
    /// is not called again (D1, D3).
    fn departed(&self) -> bool;
    /// Whether it asked for removal notices (X1).
    fn hears_removal(&self) -> bool;
    /// Whether it was told that this active processor is one: by AddComplete, in a replay or when the processor joined. Only
    /// then it hears of its end (X4). A party that registered without a replay (R2) was not told of what was active then, and
    /// nobody was told of a processor that joined without agreement (Q3).
    ///
    /// Asked in removals only.
    fn heard_of(&self, processor: Processor) -> bool;
    /// Whether it is asked together with all others of its level that are, and not in turn: it lives in another process.
    /// Never changes.
    fn at_once(&self) -> bool {
        false
    }
}

/// The registered parties, in calling order.
///
/// It stays as it is while a transaction runs: a party that deregisters meanwhile says so by
/// [`Party::departed`] and is [swept](Self::sweep) out when the transaction is over.
#[derive(Debug)]
pub struct Registry<P> {
    parties: Vec<P>,
    limit: usize,
    /// How many of them are asked at once.
    at_once: usize,
}

impl<P: Party> Registry<P> {
    /// An empty registry that takes at most `limit` parties (R7).
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { parties: Vec::new(), limit, at_once: 0 }
    }

    /// Whether one more party may register.
    ///
    /// # Errors
    /// [`Status::QUOTA_EXCEEDED`] once the limit is reached (R7).
    pub const fn admits(&self) -> Result<(), Status> {
        if self.parties.len() < self.limit { Ok(()) } else { Err(Status::QUOTA_EXCEEDED) }
    }

    /// How many parties may register (R7).
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a party in, behind those of its level and kind that are there already. Ids must ascend.
    pub fn insert(&mut self, party: P) {
        let key = place(&party);
        let at = self.parties.partition_point(|p| place(p) < key);
        self.at_once += usize::from(party.at_once());
        self.parties.insert(at, party);
    }

    /// Whether some parties are asked at once, so that [`Transaction::call_together`] is the way to call them.
    ///
    /// [`Transaction::call_together`]: crate::Transaction::call_together
    #[must_use]
    pub const fn has_at_once(&self) -> bool {
        self.at_once > 0
    }

    /// Takes a party out.
    ///
    /// # Errors
    /// [`Status::INVALID_HANDLE`], changing nothing, if it is not registered here, at this place (D2).
    pub fn remove(&mut self, level: Level, at_once: bool, id: PartyId) -> Result<P, Status> {
        let found = self.parties.binary_search_by_key(&(level, at_once, id), place);
        let party = found.map(|at| self.parties.remove(at)).map_err(|_| Status::INVALID_HANDLE)?;
        self.at_once -= usize::from(at_once);
        Ok(party)
    }

    /// Takes out everyone who departed, in calling order.
    pub fn sweep(&mut self) -> Vec<P> {
        let swept: Vec<P> = self.parties.extract_if(.., |p| p.departed()).collect();
        self.at_once -= swept.iter().filter(|p| p.at_once()).count();
        swept
    }

    /// The party with this id.
    #[must_use]
    pub fn find(&self, id: PartyId) -> Option<&P> {
        self.parties.iter().find(|p| p.id() == id)
    }

    /// All parties in calling order.
    #[must_use]
    pub fn parties(&self) -> &[P] {
        &self.parties
    }

    /// All parties in calling order, for a transaction to call.
    pub fn parties_mut(&mut self) -> &mut [P] {
        &mut self.parties
    }
}

/// The order of calling.
fn place<P: Party>(party: &P) -> (Level, bool, PartyId) {
    (party.level(), party.at_once(), party.id())
}
