//! [`Arrivals`]: which processors were plugged in, and who is to be told.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};

use hotadd_core::HardwareId;

/// Which processors were plugged in, and who is to be told.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    listeners: Vec<Sender<HardwareId>>,
    /// Those that were there at the last look, each with the number of the last uevent before it was first seen.
    known: BTreeMap<HardwareId, u64>,
}

impl Arrivals {
    /// One more listener. These are there already; `sequence` was read before they were.
    pub(super) fn listen(&mut self, present: &[HardwareId], sequence: u64) -> Receiver<HardwareId> {
        if self.listeners.is_empty() {
            self.known = present.iter().map(|id| (*id, sequence)).collect();
        }
        let (sender, receiver) = channel();
        self.listeners.push(sender);
        receiver
    }

    pub(super) const fn has_listeners(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// A uevent of this number says that it was pulled out. If it is there at the next look, it is another one.
    pub(super) fn removed(&mut self, id: HardwareId, sequence: u64) {
        if self.known.get(&id).is_some_and(|since| sequence > *since) {
            self.known.remove(&id);
        }
    }

    /// These are there now; `sequence` was read before they were.
    pub(super) fn look(&mut self, present: &[HardwareId], sequence: u64) {
        self.known.retain(|id, _| present.binary_search(id).is_ok());
        for id in present {
            if !self.known.contains_key(id) {
                self.known.insert(*id, sequence);
                self.listeners.retain(|listener| listener.send(*id).is_ok());
            }
        }
    }
}
