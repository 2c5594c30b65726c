//! [`Plugged`]: which processors are plugged in, and which were plugged in just now. Each is news once.

use std::collections::{BTreeMap, BTreeSet};

use hotadd_core::HardwareId;

use crate::CpuList;

#[derive(Debug, Default)]
pub(super) struct Plugged {
    /// Those that were there at the last look, and had a switch.
    seen: BTreeSet<HardwareId>,
    /// Whose add events were heard since. They may have been pulled out and plugged in again meanwhile.
    heard: BTreeSet<HardwareId>,
    /// The number of the last uevent when one was news: an event up to that says no more.
    known: BTreeMap<HardwareId, u64>,
    /// The same, for all.
    began: u64,
}

impl Plugged {
    /// These are there from the beginning, and no news. `sequence` was read after the list was.
    pub(super) fn begin(present: &CpuList, sequence: u64) -> Self {
        let seen = present.ids().iter().copied().collect();
        Self { seen, began: sequence, ..Self::default() }
    }

    /// The kernel says that it was plugged in.
    pub(super) fn heard(&mut self, id: HardwareId, sequence: u64) {
        if self.is_later(id, sequence) {
            self.heard.insert(id);
        }
    }

    /// The kernel says that it was pulled out. If it is there at the next look, it was plugged in meanwhile: its switch goes
    /// before the kernel says this.
    pub(super) fn gone(&mut self, id: HardwareId, sequence: u64) {
        if self.is_later(id, sequence) {
            self.seen.remove(&id);
        }
    }

    /// Whether an event says something that is not known yet.
    fn is_later(&self, id: HardwareId, sequence: u64) -> bool {
        sequence > self.known.get(&id).map_or(self.began, |known| self.began.max(*known))
    }

    /// Whether an event was news.
    pub(super) fn has_heard(&self) -> bool {
        !self.heard.is_empty()
    }

    /// Whether there is news, if these are plugged in. Those that were pulled out are none: they are forgotten.
    pub(super) fn is_due(&mut self, present: &CpuList) -> bool {
        self.seen.retain(|id| present.contains(*id));
        !self.heard.is_empty() || self.seen.len() < present.len()
    }

    /// Those that are new, ascending. `sequence` was read after the list was. One that has no switch yet is news when it has:
    /// the kernel lists a processor before it makes its files.
    pub(super) fn look(
        &mut self,
        present: &CpuList,
        sequence: u64,
        has_switch: impl Fn(HardwareId) -> bool,
    ) -> Vec<HardwareId> {
        let heard = std::mem::take(&mut self.heard);
        self.seen.retain(|id| present.contains(*id));
        let fresh = |id: &HardwareId| heard.contains(id) || !self.seen.contains(id);
        let mut new: Vec<_> = present.ids().iter().copied().filter(fresh).collect();
        new.retain(|id| has_switch(*id));
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
    fn one_is_news_once_whether_its_event_or_the_list_comes_first() {
        let mut plugged = Plugged::begin(&list("0-1"), 100);
        assert!(!plugged.is_due(&list("0-1")), "what was there from the beginning is no news");
        assert!(plugged.is_due(&list("0-2")));
        assert_eq!(plugged.look(&list("0-2"), 102, |_| true), [TWO]);
        plugged.heard(TWO, 101);
        assert!(!plugged.is_due(&list("0-2")), "its event comes late, and says what is known");
        plugged.heard(TWO, 110);
        assert_eq!(plugged.look(&list("0-2"), 110, |_| true), [TWO], "pulled and plugged again");
        assert_eq!(plugged.look(&list("0-2"), 110, |_| true), [], "once");
        assert!(!plugged.is_due(&list("0-1")), "one that is pulled out is no news");
        assert!(plugged.is_due(&list("0-2")), "and is, when it comes back without an event");
    }

    #[test]
    fn one_that_was_said_to_be_pulled_is_news_when_it_is_there_again() {
        let mut plugged = Plugged::begin(&list("0-2"), 100);
        plugged.gone(TWO, 101);
        assert_eq!(plugged.look(&list("0-2"), 101, |_| false), [], "it is on its way out");
        assert_eq!(plugged.look(&list("0-2"), 103, |_| true), [TWO], "its add event was lost");
        plugged.gone(TWO, 101);
        plugged.gone(TWO, 103);
        assert_eq!(plugged.look(&list("0-2"), 103, |_| true), [], "that was known");
    }

    #[test]
    fn an_event_of_before_the_beginning_is_no_news() {
        let mut plugged = Plugged::begin(&list("0-1"), 100);
        plugged.heard(HardwareId(1), 100);
        assert_eq!(plugged.look(&list("0-1"), 100, |_| true), []);
    }

    #[test]
    fn one_without_a_switch_is_news_when_it_has_one() {
        let mut plugged = Plugged::begin(&list("0-1"), 100);
        assert_eq!(plugged.look(&list("0-2"), 101, |_| false), []);
        assert!(plugged.is_due(&list("0-2")), "it is looked at again");
        assert_eq!(plugged.look(&list("0-2"), 102, |_| true), [TWO]);
    }
}
