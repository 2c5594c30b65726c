//! [`Arrivals`]: the processors that have appeared (H2): they are within reach now, and were not before.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use hotadd_core::HardwareId;

/// After a request by a mask, how long further masks do not request the same processor again. Otherwise a program that
/// keeps widening its own mask would keep all parties busy.
const AGAIN: Duration = Duration::from_secs(10);

/// The processors within reach, and those of them that are new.
#[derive(Debug, Default)]
pub(in crate::hardware) struct Arrivals {
    reachable: BTreeSet<HardwareId>,
    news: BTreeSet<HardwareId>,
    requested: HashMap<HardwareId, Instant>,
}

impl Arrivals {
    /// The processors that are within reach at the start are not new.
    pub(in crate::hardware) fn new(reachable: impl IntoIterator<Item = HardwareId>) -> Self {
        Self { reachable: reachable.into_iter().collect(), ..Self::default() }
    }

    /// Records the processors within reach now. Those that were not within reach before are new, unless they
    /// are in the partition.
    pub(in crate::hardware) fn reach(
        &mut self,
        reachable: impl IntoIterator<Item = HardwareId>,
        is_member: impl Fn(HardwareId) -> bool,
    ) {
        let now: BTreeSet<HardwareId> = reachable.into_iter().collect();
        self.news.extend(now.difference(&self.reachable));
        self.news.retain(|id| now.contains(id) && !is_member(*id));
        self.requested.retain(|id, _| now.contains(id));
        self.reachable = now;
    }

    /// Records that these processors have been out of reach, if only for a moment.
    pub(in crate::hardware) fn forget(&mut self, ids: &BTreeSet<HardwareId>) {
        self.reachable.retain(|id| !ids.contains(id));
    }

    /// Records a processor that the partition itself brings within reach. It is not new.
    pub(in crate::hardware) fn expect(&mut self, id: HardwareId) {
        self.reachable.insert(id);
    }

    /// Records that a thread's mask was set to contain these processors: a request (H3). Those within reach are new, even
    /// if they were within reach before.
    pub(in crate::hardware) fn request(
        &mut self,
        ids: impl IntoIterator<Item = HardwareId>,
        now: Instant,
    ) {
        for id in ids {
            let recent = self.requested.get(&id).is_some_and(|last| now < *last + AGAIN);
            if self.reachable.contains(&id) && !recent {
                self.requested.insert(id, now);
                self.news.insert(id);
            }
        }
    }

    pub(in crate::hardware) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// The new processors, ascending. Each is returned once.
    pub(in crate::hardware) fn take(&mut self) -> Vec<HardwareId> {
        std::mem::take(&mut self.news).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u32]) -> Vec<HardwareId> {
        ids.iter().copied().map(HardwareId).collect()
    }

    #[test]
    fn h2_a_processor_appears_once_and_again_after_it_was_gone() {
        let mut arrivals = Arrivals::new(ids(&[0, 1]));
        assert!(
            !arrivals.has_news(),
            "a processor that is there from the beginning does not appear"
        );
        let none = |_| false;
        arrivals.reach(ids(&[0, 1, 3]), none);
        assert_eq!(arrivals.take(), ids(&[3]));
        arrivals.reach(ids(&[0, 1, 3]), none);
        assert_eq!(arrivals.take(), [], "once");
        arrivals.reach(ids(&[0, 1]), none);
        arrivals.reach(ids(&[0, 1, 3]), none);
        assert_eq!(arrivals.take(), ids(&[3]), "it is back");
        arrivals.reach(ids(&[0, 1, 3, 4]), |id| id == HardwareId(4));
        assert_eq!(arrivals.take(), [], "a member does not appear");
        arrivals.reach(ids(&[0, 1, 3, 4, 5]), none);
        arrivals.reach(ids(&[0]), none);
        assert_eq!(arrivals.take(), [], "gone before anybody was told");
    }

    #[test]
    fn h3_a_widened_mask_counts_as_one_request_however_often_it_is_put_back() {
        let mut arrivals = Arrivals::new(ids(&[0, 1]));
        let now = Instant::now();
        arrivals.request(ids(&[1, 7]), now);
        assert_eq!(arrivals.take(), ids(&[1]), "7 cannot be had");
        arrivals.request(ids(&[1]), now + AGAIN / 2);
        assert_eq!(arrivals.take(), []);
        arrivals.request(ids(&[1]), now + AGAIN);
        assert_eq!(arrivals.take(), ids(&[1]), "later it is a new request");
    }
}
