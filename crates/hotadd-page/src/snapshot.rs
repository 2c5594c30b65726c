//! [`Snapshot`]: the active set at one moment, as it was copied from a page.

use hotadd_core::{Epoch, GROUP_SIZE, HardwareId, MAX_GROUPS, Processor, ProcessorIndex};

/// The active set at one moment. Made by [`SetPage::snapshot`](crate::SetPage::snapshot).
///
/// It can be filled again by [`SetPage::refresh`](crate::SetPage::refresh), which copies only what is new of the hardware ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub(crate) epoch: Epoch,
    pub(crate) active: [u64; MAX_GROUPS as usize],
    pub(crate) agreed: [u64; MAX_GROUPS as usize],
    /// The hardware id of each index that was ever active. They never change.
    pub(crate) ids: Vec<u32>,
    /// The index and hardware id of each processor that is being added.
    pub(crate) proposed: Vec<(u32, u32)>,
}

impl Snapshot {
    pub(crate) const fn empty() -> Self {
        const NONE: [u64; MAX_GROUPS as usize] = [0; MAX_GROUPS as usize];
        Self { epoch: Epoch(0), active: NONE, agreed: NONE, ids: Vec::new(), proposed: Vec::new() }
    }

    /// The epoch of the set (Q2).
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The number of active processors.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.active.iter().map(|mask| mask.count_ones()).sum()
    }

    /// Whether the processor with this index is active.
    #[must_use]
    pub fn contains(&self, index: ProcessorIndex) -> bool {
        has(&self.active, index)
    }

    /// Whether every party was asked before this active processor joined (Q3).
    #[must_use]
    pub fn is_agreed(&self, index: ProcessorIndex) -> bool {
        has(&self.agreed, index)
    }

    /// The active processors of a group as a mask, bit n for number n; 0 for a group that does not exist.
    #[must_use]
    pub fn group_mask(&self, group: u16) -> u64 {
        self.active.get(usize::from(group)).copied().unwrap_or(0)
    }

    /// The active processors, ascending by index.
    pub fn iter(&self) -> impl Iterator<Item = Processor> + '_ {
        self.known().filter(|processor| self.contains(processor.index))
    }

    /// Every processor that was ever active, ascending by index (X3).
    pub fn known(&self) -> impl Iterator<Item = Processor> + '_ {
        (0..).zip(&self.ids).filter_map(|(index, id)| processor(index, *id))
    }

    /// The processors that are being added (A5).
    pub fn proposed(&self) -> impl Iterator<Item = Processor> + '_ {
        self.proposed.iter().filter_map(|(index, id)| processor(*index, *id))
    }
}

fn has(masks: &[u64; MAX_GROUPS as usize], index: ProcessorIndex) -> bool {
    let (group, number) = (index.get() / GROUP_SIZE, index.get() % GROUP_SIZE);
    masks.get(group as usize).is_some_and(|mask| mask >> number & 1 == 1)
}

/// `None` for an index that no processor has: a page may lie.
fn processor(index: u32, id: u32) -> Option<Processor> {
    ProcessorIndex::new(index).map(|index| Processor { index, id: HardwareId(id) })
}
