//! [`Cursor`]: where the user is in a partition.

use std::collections::BTreeMap;

use super::model::Cpu;

/// A part of the view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    #[default]
    Processors,
    Parties,
    History,
}

/// Where the user is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) pane: Pane,
    /// A processor, by its id.
    pub(super) processor: Option<u32>,
    /// A party, by its place in the list.
    pub(super) party: usize,
    /// An event, by its number; the latest, as events come, if there is none.
    pub(super) event: Option<u64>,
}

impl Cursor {
    /// Keeps the cursor on what exists.
    pub(super) fn keep(&mut self, processors: &BTreeMap<u32, Cpu>, parties: usize) {
        let exists = self.processor.is_some_and(|id| processors.contains_key(&id));
        if !exists {
            self.processor = processors.keys().next().copied();
        }
        self.party = self.party.min(parties.saturating_sub(1));
    }
}
