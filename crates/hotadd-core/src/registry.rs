//! [`Registry`]: the registered parties, in calling order.

use alloc::vec::Vec;
use core::fmt;

use crate::processor::Processor;
use crate::status::Status;

/// The identity of a registration. Never reused, and not valid in another partition (D2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct PartyId(pub u64);

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A party's place in the calling order: lower levels agree first and unwind last. Within a level, the parties that are called
/// in turn come first, in order of registration, then those that are asked together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Level(pub i32);

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The properties of a registered party that the rules need. The runner determines how a party is called.
pub trait Party {
    /// Its identity.
    fn id(&self) -> PartyId;
    /// Its level.
    fn level(&self) -> Level;
    /// Whether the party has been deregistered since the transaction in progress began. Once true it stays true, and the party
    /// is not called again (D1, D3).
    fn departed(&self) -> bool;
    /// Whether the party asked for removal notices (X1).
    fn hears_removal(&self) -> bool;
    /// Whether the party was told that this processor is active: by AddComplete, in a replay or when the processor joined. Only
    /// then it is told of the processor's end (X4). A party that registered without a replay (R2) was not told of the processors
    /// that were active then. No party was told of a processor that joined without agreement (Q3).
    ///
    /// Called in removals only.
    fn heard_of(&self, processor: Processor) -> bool;
    /// Whether the party is asked together with all others of its level that have this property, and not in turn: it is in
    /// another process. The answer never changes.
    fn at_once(&self) -> bool {
        false
    }
}

/// The registered parties, in calling order.
///
/// The order does not change while a transaction runs: a party that deregisters meanwhile reports so by
/// [`Party::departed`] and is [swept](Self::sweep) out when the transaction is over.
#[derive(Debug)]
pub struct Registry<P> {
    parties: Vec<P>,
    limit: usize,
    /// The number of parties that are asked together.
    at_once: usize,
}

impl<P: Party> Registry<P> {
    /// Makes an empty registry for at most `limit` parties (R7).
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

    /// The maximum number of parties (R7).
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Inserts a party, after the present ones of its level and kind. Ids must ascend.
    pub fn insert(&mut self, party: P) {
        let key = place(&party);
        // Most parties are the last. A search would visit parties all over the memory.
        let at = match self.parties.last() {
            Some(last) if place(last) > key => self.parties.partition_point(|p| place(p) < key),
            _ => self.parties.len(),
        };
        self.at_once += usize::from(party.at_once());
        self.parties.insert(at, party);
    }

    /// Whether some parties are asked together, so that they must be called by [`Transaction::call_together`].
    ///
    /// [`Transaction::call_together`]: crate::Transaction::call_together
    #[must_use]
    pub const fn has_at_once(&self) -> bool {
        self.at_once > 0
    }

    /// Takes a party out.
    ///
    /// # Errors
    /// [`Status::INVALID_HANDLE`] if it is not registered at this place of this registry; nothing changes (D2).
    pub fn remove(&mut self, level: Level, at_once: bool, id: PartyId) -> Result<P, Status> {
        let found = self.parties.binary_search_by_key(&(level, at_once, id), place);
        let party = found.map(|at| self.parties.remove(at)).map_err(|_| Status::INVALID_HANDLE)?;
        self.at_once -= usize::from(at_once);
        Ok(party)
    }

    /// Takes out all departed parties, in calling order.
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

/// The sort key of the calling order.
fn place<P: Party>(party: &P) -> (Level, bool, PartyId) {
    (party.level(), party.at_once(), party.id())
}
