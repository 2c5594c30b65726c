//! [`ActiveSet`]: which processors are in the partition at one moment, and their indexes and numbers (Q1, Q2).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::processor::{
    GROUP_SIZE, HardwareId, MAX_GROUPS, MAX_PROCESSORS, Processor, ProcessorIndex, ProcessorNumber,
};
use crate::status::Status;

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

/// The processors of a partition at one moment. An immutable value: a change makes another one.
///
/// Cloning copies about 600 bytes and shares the translation tables.
#[derive(Clone, Debug)]
pub struct ActiveSet {
    epoch: Epoch,
    maximum: u32,
    count: u32,
    active: [u64; WORDS],
    /// The active processors about which no driver was asked (Q3). A subset of `active`.
    unagreed: [u64; WORDS],
    known: Arc<Known>,
    /// Processors being added. They can be looked up (A5) but are not members.
    proposed: Vec<Processor>,
}

/// Every processor that was ever active, and so keeps its index (X3).
#[derive(Clone, Debug, Default)]
struct Known {
    /// Each at the position of its index.
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

/// The state of a processor that was ever active. These are all, and a match may name each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The processor has left.
    Gone,
    /// The processor is active.
    Active,
    /// The processor is active, and no driver was asked (Q3).
    Unagreed,
}

/// Why a set cannot take the proposed processors (A8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAddable {
    /// The processor is already active.
    AlreadyActive(HardwareId),
    /// The processor was named twice in one request.
    NamedTwice(HardwareId),
    /// Every index of the partition has already been given to a processor.
    BeyondMaximum {
        /// The processor for which there is no index.
        id: HardwareId,
        /// The maximum number of different processors of the partition.
        maximum: u32,
    },
}

impl NotAddable {
    /// The processor that cannot be added.
    #[must_use]
    pub const fn id(self) -> HardwareId {
        match self {
            Self::AlreadyActive(id) | Self::NamedTwice(id) | Self::BeyondMaximum { id, .. } => id,
        }
    }

    /// The status of the refusal. Always an error.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::AlreadyActive(_) => Status::DEVICE_ALREADY_ATTACHED,
            Self::NamedTwice(_) => Status::INVALID_PARAMETER,
            Self::BeyondMaximum { .. } => Status::INSUFFICIENT_RESOURCES,
        }
    }
}

/// The end of the sentence "processor 3 cannot be added: …".
impl fmt::Display for NotAddable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyActive(_) => f.write_str("it is already active"),
            Self::NamedTwice(_) => f.write_str("it is named twice"),
            Self::BeyondMaximum { maximum, .. } => {
                write!(f, "all {maximum} indexes of the partition are used")
            }
        }
    }
}

impl ActiveSet {
    /// Makes a partition's first set: these processors, in this order, at epoch 1.
    ///
    /// `maximum` is the maximum number of different processors that the partition ever has, limited to [`MAX_PROCESSORS`].
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

    /// The epoch of this set.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The number of active processors.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The maximum number of different processors that the partition ever has. Every index is below it.
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

    /// The number of groups that have at least one index that was given out or is being added.
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

    /// The active processors of a group to which every party agreed (Q3), in the same form.
    #[must_use]
    pub fn agreed_mask(&self, group: u16) -> u64 {
        let unagreed = self.unagreed.get(usize::from(group)).copied().unwrap_or(0);
        self.group_mask(group) & !unagreed
    }

    /// The active processors, ascending by index.
    pub fn iter(&self) -> impl Iterator<Item = Processor> + '_ {
        self.known.processors.iter().copied().filter(|p| self.contains(p.index))
    }

    /// The active processors, ascending by index, as a new list.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Processor> {
        if self.count as usize == self.known.processors.len() {
            // The usual case: all known processors are active.
            return self.known.processors.clone();
        }
        self.iter().collect()
    }

    /// The processor with this hardware id: active, formerly active, or being added (A5, X3).
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

    /// The processor with this index: active, formerly active, or being added (A5, X3).
    #[must_use]
    pub fn by_index(&self, index: ProcessorIndex) -> Option<Processor> {
        let proposed = || self.proposed.iter().find(|p| p.index == index).copied();
        self.known.processors.get(index.as_usize()).copied().or_else(proposed)
    }

    /// The processor with this group and number: active, formerly active, or being added (A5, X3).
    #[must_use]
    pub fn by_number(&self, number: ProcessorNumber) -> Option<Processor> {
        self.by_index(number.index()?)
    }

    /// The processors that are being added: they can be looked up but are not active (A5).
    #[must_use]
    pub fn proposed(&self) -> &[Processor] {
        &self.proposed
    }

    /// Every processor that was ever active, ascending by index (X3). Entries are only ever appended.
    #[must_use]
    pub fn ever_active(&self) -> &[Processor] {
        &self.known.processors
    }

    /// Every processor that was ever active, ascending by index, with its state.
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

    /// Makes a set from the data that another process sent: every [known](Self::known) processor ascending by
    /// index, and those being added.
    ///
    /// # Errors
    /// If the set is invalid: an id comes twice, there are more than `maximum`, or a processor that is being added has an index
    /// that it cannot have.
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

    /// The same set, in which these processors can be looked up too: by their previous indexes (X3), or by the next free ones.
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

    /// The same set, in which these processors can be looked up too, as [`propose`](Self::propose) numbered them.
    pub(crate) fn naming(&self, proposed: Vec<Processor>) -> Self {
        Self { proposed, ..self.clone() }
    }

    /// The next set, in which this processor is active although no driver was asked (Q3). Also returns the processor.
    ///
    /// While others are being added, it must be a processor that was active before: the next free indexes belong to the others.
    ///
    /// # Errors
    /// If the processor is already active or there is no index left (A8).
    pub fn intrude(&self, id: HardwareId) -> Result<(Self, Processor), NotAddable> {
        let joined = self.propose(&[id])?.proposed;
        Ok((self.join(&joined, false), joined[0]))
    }

    /// The next set, without the active ones of these processors: they have left without a remove (X2). Also returns these, each
    /// once, in the given order. `None` if none was active.
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

    /// The next set, in which these proposed processors are active.
    ///
    /// Proposed processors that did not join can still be looked up until [`naming`](Self::naming) removes them.
    pub(crate) fn join(&self, joined: &[Processor], agreed: bool) -> Self {
        let mut set = self.clone();
        set.epoch.0 += 1;
        // If only part of a proposal joins, it is the first part, so that indexes have no gaps.
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

    /// The next set, without these processors. The same set if none of them is active.
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
