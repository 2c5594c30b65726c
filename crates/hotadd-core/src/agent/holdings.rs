//! [`Holdings`]: the processors of which a driver was told, found by either of their two names.

use alloc::collections::BTreeMap;

use crate::processor::{HardwareId, Processor, ProcessorIndex};

use super::Entry;

/// The processors of which a driver was told. No two have the same index or the same hardware id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Holdings {
    entries: BTreeMap<ProcessorIndex, (HardwareId, Entry)>,
    indexes: BTreeMap<HardwareId, ProcessorIndex>,
}

impl Holdings {
    pub(super) const fn new() -> Self {
        Self { entries: BTreeMap::new(), indexes: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn get(&self, processor: Processor) -> Option<Entry> {
        let (id, entry) = self.entries.get(&processor.index)?;
        (*id == processor.id).then_some(*entry)
    }

    /// Those that share one of its two names and not the other. Ascending by index.
    pub(super) fn at_odds_with(
        &self,
        processor: Processor,
    ) -> impl Iterator<Item = Processor> + use<> {
        let Processor { index, id } = processor;
        let same_index = self.entries.get(&index).map(|(id, _)| Processor { index, id: *id });
        let same_id = self.indexes.get(&id).map(|index| Processor { index: *index, id });
        let mut both = [same_index, same_id].map(|other| other.filter(|other| *other != processor));
        both.sort_unstable();
        both.into_iter().flatten()
    }

    /// Sets the entry of a processor. Those that are at odds with it are removed.
    pub(super) fn insert(&mut self, processor: Processor, entry: Entry) {
        for other in self.at_odds_with(processor) {
            self.remove(other);
        }
        self.entries.insert(processor.index, (processor.id, entry));
        self.indexes.insert(processor.id, processor.index);
    }

    pub(super) fn remove(&mut self, processor: Processor) {
        if self.get(processor).is_some() {
            self.entries.remove(&processor.index);
            self.indexes.remove(&processor.id);
        }
    }

    /// Ascending by index.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Processor, Entry)> + '_ {
        self.entries
            .iter()
            .map(|(index, (id, entry))| (Processor { index: *index, id: *id }, *entry))
    }

    pub(super) fn unsettle_all(&mut self) {
        self.entries.values_mut().for_each(|(_, entry)| entry.settled = false);
    }
}
