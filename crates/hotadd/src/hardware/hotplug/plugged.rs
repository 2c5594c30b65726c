//! [`Plugged`]: the processors that are plugged in, and those that were plugged in since the last check. Each
//! is returned once.

use std::collections::{BTreeMap, BTreeSet};

use hotadd_core::HardwareId;

use crate::CpuList;

#[derive(Debug, Default)]
pub(super) struct Plugged {
    /// The processors that were present at the last check, and had a switch.
    seen: BTreeSet<HardwareId>,
    /// The processors whose add events have arrived since. They may have been unplugged and plugged in again meanwhile.
    heard: BTreeSet<HardwareId>,
    /// The number of the last uevent when a processor was returned as new: an event up to that number is old.
    known: BTreeMap<HardwareId, u64>,
    /// The same number, for all processors.
    began: u64,
}

impl Plugged {
    /// These processors are present at the start and are not new. `sequence` was read after the list was.
    pub(super) fn begin(present: &CpuList, sequence: u64) -> Self {
        let seen = present.ids().iter().copied().collect();
        Self { seen, began: sequence, ..Self::default() }
    }

    /// Handles the kernel's event that a processor was plugged in.
    pub(super) fn heard(&mut self, id: HardwareId, sequence: u64) {
        if self.is_later(id, sequence) {
            self.heard.insert(id);
        }
    }

    /// Handles the kernel's event that a processor was unplugged. If it is present at the next check, it was plugged in
    /// meanwhile: its switch is removed before the kernel sends this event.
    pub(super) fn gone(&mut self, id: HardwareId, sequence: u64) {
        if self.is_later(id, sequence) {
            self.seen.remove(&id);
        }
    }

    /// Whether an event is newer than what is known.
    fn is_later(&self, id: HardwareId, sequence: u64) -> bool {
        sequence > self.known.get(&id).map_or(self.began, |known| self.began.max(*known))
    }

    /// Whether an add event has arrived that was new.
    pub(super) fn has_heard(&self) -> bool {
        !self.heard.is_empty()
    }

    /// Whether there are new processors, if these are plugged in. Processors that were unplugged are not new,
    /// and are forgotten.
    pub(super) fn is_due(&mut self, present: &CpuList) -> bool {
        self.seen.retain(|id| present.contains(*id));
        !self.heard.is_empty() || self.seen.len() < present.len()
    }

    /// The new processors, ascending. `sequence` is read after the list was, and only if there are any. A processor without a switch counts as new when
    /// it has one: the kernel lists a processor before it creates its files.
    pub(super) fn look(
        &mut self,
        present: &CpuList,
        sequence: impl FnOnce() -> u64,
        has_switch: impl Fn(HardwareId) -> bool,
    ) -> Vec<HardwareId> {
        let heard = std::mem::take(&mut self.heard);
        self.seen.retain(|id| present.contains(*id));
        let fresh = |id: &HardwareId| heard.contains(id) || !self.seen.contains(id);
        let mut new: Vec<_> = present.ids().iter().copied().filter(fresh).collect();
        new.retain(|id| has_switch(*id));
        if new.is_empty() {
            return new;
        }
        let sequence = sequence();
        self.seen.extend(&new);
        self.known.extend(new.iter().map(|id| (*id, sequence)));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: HardwareId = HardwareId(2);

    fn list(text: &str) -> CpuList {
        text.parse().unwrap()
    }

    #[test]
    fn a_plugged_processor_is_reported_once_whether_event_or_list_comes_first() {
        let mut plugged = Plugged::begin(&list("0-1"), 100);
        assert!(
            !plugged.is_due(&list("0-1")),
            "a processor that is there from the beginning does not appear"
        );
        assert!(plugged.is_due(&list("0-2")));
        assert_eq!(plugged.look(&list("0-2"), || 102, |_| true), [TWO]);
        plugged.heard(TWO, 101);
        assert!(!plugged.is_due(&list("0-2")), "its event comes late, and says what is known");
        plugged.heard(TWO, 110);
        assert_eq!(plugged.look(&list("0-2"), || 110, |_| true), [TWO], "pulled and plugged again");
        assert_eq!(plugged.look(&list("0-2"), || 110, |_| true), [], "once");
        assert!(!plugged.is_due(&list("0-1")), "an unplugged processor does not appear");
        assert!(plugged.is_due(&list("0-2")), "it appears when it comes back without an event");
    }

    #[test]
    fn a_pulled_processor_is_reported_when_it_is_plugged_in_again() {
        let mut plugged = Plugged::begin(&list("0-2"), 100);
        plugged.gone(TWO, 101);
        assert_eq!(plugged.look(&list("0-2"), || 101, |_| false), [], "it is on its way out");
        assert_eq!(plugged.look(&list("0-2"), || 103, |_| true), [TWO], "its add event was lost");
        plugged.gone(TWO, 101);
        plugged.gone(TWO, 103);
        assert_eq!(plugged.look(&list("0-2"), || 103, |_| true), [], "that was known");
    }

    #[test]
    fn an_event_from_before_the_start_is_ignored() {
        let mut plugged = Plugged::begin(&list("0-1"), 100);
        plugged.heard(HardwareId(1), 100);
        assert_eq!(plugged.look(&list("0-1"), || 100, |_| true), []);
    }

    #[test]
    fn a_processor_is_reported_when_its_switch_exists() {
        let mut plugged = Plugged::begin(&list("0-1"), 100);
        assert_eq!(plugged.look(&list("0-2"), || 101, |_| false), []);
        assert!(plugged.is_due(&list("0-2")), "it is looked at again");
        assert_eq!(plugged.look(&list("0-2"), || 102, |_| true), [TWO]);
    }
}
