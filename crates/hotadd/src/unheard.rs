//! [`Unheard`]: which party was not told of which active processor, and so is not told of its end (X4).

use std::collections::BTreeMap;

use hotadd_core::{MAX_GROUPS, PartyId, Processor};

/// Contains only parties that asked for removal notices. A party that was told of every processor, the usual case, has no entry.
#[derive(Debug, Default)]
pub(crate) struct Unheard(BTreeMap<PartyId, Processors>);

/// A bit for each processor, by group and number.
type Processors = [u64; MAX_GROUPS as usize];

impl Unheard {
    /// Records that this party is not told of this processor.
    pub(crate) fn insert(&mut self, party: PartyId, processor: Processor) {
        let number = processor.number();
        let processors = self.0.entry(party).or_default();
        processors[usize::from(number.group)] |= 1 << number.number;
    }

    /// Whether this party was not told of this processor.
    pub(crate) fn contains(&self, party: PartyId, processor: Processor) -> bool {
        let number = processor.number();
        let processors = self.0.get(&party);
        processors.is_some_and(|all| all[usize::from(number.group)] & (1 << number.number) != 0)
    }

    /// The processor has left: the entries for it are removed, because a later join is a new one.
    pub(crate) fn has_left(&mut self, processor: Processor) {
        let number = processor.number();
        self.0.retain(|_, processors| {
            processors[usize::from(number.group)] &= !(1 << number.number);
            processors.iter().any(|group| *group != 0)
        });
    }

    /// This party is no longer registered.
    pub(crate) fn forget(&mut self, party: PartyId) {
        self.0.remove(&party);
    }
}
