//! [`ActiveSet`]: which processors are in the partition at one moment, and what each is called (Q1, Q2).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::processor::{
    GROUP_SIZE, HardwareId, MAX_GROUPS, MAX_PROCESSORS, Processor, ProcessorIndex, ProcessorNumber,
};

const WORDS: usize = MAX_GROUPS as usize;

/// A number that grows by at least one with every change of the active set (Q2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The processors of a partition at one moment. A value: it never changes; a change makes another.
///
/// Cloning copies some 600 bytes and shares the translation tables.
#[derive(Clone, Debug)]
pub struct ActiveSet {
    epoch: Epoch,
    maximum: u32,
    count: u32,
    active: [u64; WORDS],
    /// The active ones that no driver was asked about (Q3). A subset of `active`.
    unagreed: [u64; WORDS],
    known: Arc<Known>,
    /// Processors being added. They translate (A5) but are not members.
    proposed: Vec<Processor>,
}

/// Every processor that was ever active, and so owns its index for good (X3).
#[derive(Clone, Debug, Default)]
struct Known {
    /// Each at the place of its index.
    processors: Vec<Processor>,
    by_id: Vec<(HardwareId, ProcessorIndex)>,
}

impl Known {
    fn index_of(&self, id: HardwareId) -> Option<ProcessorIndex> {
        let at = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.by_id[at].1)
    }

    fn admit(&mut self, processor: Processor) {
        debug_assert_eq!(processor.index.as_usize(), self.processors.len(), "indexes are dense");
        self.processors.push(processor);
        let at = self.by_id.partition_point(|(id, _)| *id < processor.id);
        self.by_id.insert(at, (processor.id, processor.index));
    }
}

/// How a processor stands that was active once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It has left.
    Gone,
    /// It is active.
    Active,
    /// It is active, and no driver was asked (Q3).
    Unagreed,
}

/// Why a set cannot take the processors it was offered (A8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAddable {
    /// It is active already.
    AlreadyActive(HardwareId),
    /// It was named twice in one request.
    NamedTwice(HardwareId),
    /// Every index that the partition has was given to a processor before.
    BeyondMaximum {
        /// The one that found no index.
        id: HardwareId,
        /// How many processors the partition can ever know.
        maximum: u32,
    },
}

impl ActiveSet {
    /// A partition's first set: these processors, in this order, at epoch 1.
    ///
    /// `maximum` is how many different processors the partition can ever have, cut to [`MAX_PROCESSORS`].
    ///
    /// # Errors
    /// If an id comes twice or there are more than `maximum`.
    pub fn first(ids: &[HardwareId], maximum: u32) -> Result<Self, NotAddable> {
        let empty = Self {
            epoch: Epoch(0),
            maximum: maximum.min(MAX_PROCESSORS),
            count: 0,
            active: [0; WORDS],
            unagreed: [0; WORDS],
            known: Arc::default(),
            proposed: Vec::new(),
        };
        let proposal = empty.propose(ids)?;
        let all = proposal.proposed.clone();
        Ok(proposal.join(&all, true))
    }

    /// The epoch at which this set came into force.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How many processors are active.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// How many different processors the partition can ever have. Every index is below it.
    #[must_use]
    pub const fn maximum(&self) -> u32 {
        self.maximum
    }

    /// Whether the processor with this index is active.
    #[must_use]
    pub const fn contains(&self, index: ProcessorIndex) -> bool {
        has(&self.active, index)
    }

    /// Whether every driver was asked before this active processor joined (Q3).
    #[must_use]
    pub const fn is_agreed(&self, index: ProcessorIndex) -> bool {
        has(&self.active, index) && !has(&self.unagreed, index)
    }

    /// How many groups have at least one index that was given out or is being added.
    #[must_use]
    pub fn group_count(&self) -> u32 {
        let last = self.proposed.iter().map(|p| p.index.get() + 1).max().unwrap_or(0);
        #[expect(clippy::cast_possible_truncation, reason = "bounded by MAX_PROCESSORS")]
        (self.known.processors.len() as u32).max(last).div_ceil(GROUP_SIZE)
    }

    /// The active processors of a group as a mask, bit n for number n; 0 for a group that does not exist.
    #[must_use]
    pub fn group_mask(&self, group: u16) -> u64 {
        self.active.get(usize::from(group)).copied().unwrap_or(0)
    }

    /// The active processors, ascending by index.
    pub fn iter(&self) -> impl Iterator<Item = Processor> + '_ {
        self.known.processors.iter().copied().filter(|p| self.contains(p.index))
    }

    /// The active processors, ascending by index, in a list of their own.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Processor> {
        if self.count as usize == self.known.processors.len() {
            // The usual case, in which nothing needs to be looked for.
            return self.known.processors.clone();
        }
        self.iter().collect()
    }

    /// The processor with this hardware id: active, active before, or being added (A5, X3).
    #[must_use]
    pub fn by_id(&self, id: HardwareId) -> Option<Processor> {
        let proposed = || self.proposed.iter().find(|p| p.id == id).copied();
        self.known.index_of(id).map(|index| Processor { index, id }).or_else(proposed)
    }

    /// The active processor with this hardware id.
    #[must_use]
    pub fn active(&self, id: HardwareId) -> Option<Processor> {
        self.by_id(id).filter(|p| self.contains(p.index))
    }

    /// The processor with this index: active, active before, or being added (A5, X3).
    #[must_use]
    pub fn by_index(&self, index: ProcessorIndex) -> Option<Processor> {
        let proposed = || self.proposed.iter().find(|p| p.index == index).copied();
        self.known.processors.get(index.as_usize()).copied().or_else(proposed)
    }

    /// The processor with this group and number: active, active before, or being added (A5, X3).
    #[must_use]
    pub fn by_number(&self, number: ProcessorNumber) -> Option<Processor> {
        self.by_index(number.index()?)
    }

    /// The processors being added at the moment: they translate but are not active (A5).
    #[must_use]
    pub fn proposed(&self) -> &[Processor] {
        &self.proposed
    }

    /// Every processor that was ever active, ascending by index, and how it stands.
    pub fn known(&self) -> impl Iterator<Item = (Processor, Standing)> + '_ {
        self.known.processors.iter().map(|p| {
            let standing = match (self.contains(p.index), self.is_agreed(p.index)) {
                (false, _) => Standing::Gone,
                (true, false) => Standing::Unagreed,
                (true, true) => Standing::Active,
            };
            (*p, standing)
        })
    }

    /// A set as another process has it, from what was sent of it: every [known](Self::known) processor ascending by
    /// index, and those being added.
    ///
    /// # Errors
    /// If it is no set that could be: an id comes twice, there are more than `maximum`, or one that is being added has an
    /// index that it cannot have.
    pub fn assemble(
        epoch: Epoch,
        maximum: u32,
        known: impl IntoIterator<Item = (HardwareId, Standing)>,
        proposed: impl IntoIterator<Item = Processor>,
    ) -> Result<Self, NotAddable> {
        let (ids, standings): (Vec<_>, Vec<_>) = known.into_iter().unzip();
        let mut set = Self::first(&ids, maximum)?;
        for (at, standing) in standings.into_iter().enumerate() {
            let index = ProcessorIndex::of(at);
            put(&mut set.active, index, standing != Standing::Gone);
            put(&mut set.unagreed, index, standing == Standing::Unagreed);
        }
        set.count = set.active.iter().map(|word| word.count_ones()).sum();
        set.epoch = epoch;
        let proposed: Vec<Processor> = proposed.into_iter().collect();
        let ids: Vec<HardwareId> = proposed.iter().map(|p| p.id).collect();
        let set = set.propose(&ids)?;
        match set.proposed.iter().zip(&proposed).find(|(ours, theirs)| ours != theirs) {
            Some((_, wrong)) => Err(NotAddable::NamedTwice(wrong.id)),
            None => Ok(set),
        }
    }

    /// The same set, in which these processors have names too: their own of before (X3), or the next free indexes.
    pub(crate) fn propose(&self, ids: &[HardwareId]) -> Result<Self, NotAddable> {
        let mut set = self.clone();
        let mut next = self.known.processors.len();
        set.proposed = Vec::with_capacity(ids.len());
        let mut seen: Vec<HardwareId> = ids.to_vec();
        seen.sort_unstable();
        if let Some(twice) = seen.windows(2).find(|w| w[0] == w[1]) {
            return Err(NotAddable::NamedTwice(twice[0]));
        }
        for &id in ids {
            let index = match self.known.index_of(id) {
                Some(index) if self.contains(index) => return Err(NotAddable::AlreadyActive(id)),
                Some(index) => index,
                None if next >= self.maximum as usize => {
                    return Err(NotAddable::BeyondMaximum { id, maximum: self.maximum });
                }
                None => {
                    next += 1;
                    ProcessorIndex::of(next - 1)
                }
            };
            set.proposed.push(Processor { index, id });
        }
        Ok(set)
    }

    /// The same set, in which these processors have names too, as [`propose`](Self::propose) gave them to them.
    pub(crate) fn naming(&self, proposed: Vec<Processor>) -> Self {
        Self { proposed, ..self.clone() }
    }

    /// The next set, in which this processor is active although no driver was asked (Q3), and what it is called.
    ///
    /// While others are being added it must be one that was active before: the next free indexes are theirs.
    ///
    /// # Errors
    /// If it is active already or has no index left (A8).
    pub fn intrude(&self, id: HardwareId) -> Result<(Self, Processor), NotAddable> {
        let joined = self.propose(&[id])?.proposed;
        Ok((self.join(&joined, false), joined[0]))
    }

    /// The next set, without those of these that are active: they have left without asking (X2). Also says which they were,
    /// each once, in the order given. `None` if none was active.
    #[must_use]
    pub fn lose(&self, ids: &[HardwareId]) -> Option<(Self, Vec<Processor>)> {
        let mut lost: Vec<Processor> = Vec::with_capacity(ids.len());
        for processor in ids.iter().filter_map(|id| self.active(*id)) {
            if !lost.contains(&processor) {
                lost.push(processor);
            }
        }
        (!lost.is_empty()).then(|| (self.leave(&lost), lost))
    }

    /// The next set: these proposed processors are active in it.
    ///
    /// Those of the proposal that did not join keep their names until [`naming`](Self::naming) takes them.
    pub(crate) fn join(&self, joined: &[Processor], agreed: bool) -> Self {
        let mut set = self.clone();
        set.epoch.0 += 1;
        // If only part of a proposal joins it is its first part, so that indexes stay dense.
        for processor in joined {
            if self.known.index_of(processor.id).is_none() {
                Arc::make_mut(&mut set.known).admit(*processor);
            }
            put(&mut set.active, processor.index, true);
            put(&mut set.unagreed, processor.index, !agreed);
            set.count += 1;
        }
        set.proposed.retain(|p| !joined.contains(p));
        set
    }

    /// The next set, without these processors. The same one if none of them is active.
    pub(crate) fn leave(&self, left: &[Processor]) -> Self {
        let mut set = self.clone();
        let left = left.iter().filter(|p| self.contains(p.index));
        set.epoch.0 += u64::from(left.clone().next().is_some());
        for processor in left {
            put(&mut set.active, processor.index, false);
            put(&mut set.unagreed, processor.index, false);
            set.count -= 1;
        }
        set
    }
}

const fn has(mask: &[u64; WORDS], index: ProcessorIndex) -> bool {
    let number = index.number();
    mask[number.group as usize] & (1 << number.number) != 0
}

const fn put(mask: &mut [u64; WORDS], index: ProcessorIndex, value: bool) {
    let number = index.number();
    let bit = 1 << number.number;
    if value {
        mask[number.group as usize] |= bit;
    } else {
        mask[number.group as usize] &= !bit;
    }
}
