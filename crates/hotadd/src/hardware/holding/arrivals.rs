//! [`Arrivals`]: which processors have appeared (H2): within reach now, and not before.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use hotadd_core::HardwareId;

/// How long a processor that somebody put into a mask is not asked for again because of masks alone: a program that goes on
/// widening its own mask is not to keep everybody busy.
const AGAIN: Duration = Duration::from_secs(10);

/// The processors within reach, and those of them that are news.
#[derive(Debug, Default)]
pub(in crate::hardware) struct Arrivals {
    reachable: BTreeSet<HardwareId>,
    news: BTreeSet<HardwareId>,
    requested: HashMap<HardwareId, Instant>,
}

impl Arrivals {
    /// What is within reach at the beginning is no news.
    pub(in crate::hardware) fn new(reachable: impl IntoIterator<Item = HardwareId>) -> Self {
        Self { reachable: reachable.into_iter().collect(), ..Self::default() }
    }

    /// These are within reach now. Those that were not before are news, unless they are in the partition.
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

    /// These have been out of reach, if only for a moment.
    pub(in crate::hardware) fn forget(&mut self, ids: &BTreeSet<HardwareId>) {
        self.reachable.retain(|id| !ids.contains(id));
    }

    /// This one comes within reach by our own doing, which is no news.
    pub(in crate::hardware) fn expect(&mut self, id: HardwareId) {
        self.reachable.insert(id);
    }

    /// Somebody put these into a mask: a request (H3). It is news of those that are within reach, also if they were before.
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

    /// The news so far, ascending. Each is told once.
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
    fn h2_what_comes_within_reach_has_appeared_once_and_again_when_it_comes_back() {
        let mut arrivals = Arrivals::new(ids(&[0, 1]));
        assert!(!arrivals.has_news(), "what was there at the beginning is no news");
        let none = |_| false;
        arrivals.reach(ids(&[0, 1, 3]), none);
        assert_eq!(arrivals.take(), ids(&[3]));
        arrivals.reach(ids(&[0, 1, 3]), none);
        assert_eq!(arrivals.take(), [], "once");
        arrivals.reach(ids(&[0, 1]), none);
        arrivals.reach(ids(&[0, 1, 3]), none);
        assert_eq!(arrivals.take(), ids(&[3]), "it is back");
        arrivals.reach(ids(&[0, 1, 3, 4]), |id| id == HardwareId(4));
        assert_eq!(arrivals.take(), [], "a member is no news");
        arrivals.reach(ids(&[0, 1, 3, 4, 5]), none);
        arrivals.reach(ids(&[0]), none);
        assert_eq!(arrivals.take(), [], "gone before anybody was told");
    }

    #[test]
    fn h3_a_mask_is_a_request_and_not_one_every_time_it_is_put_back() {
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
