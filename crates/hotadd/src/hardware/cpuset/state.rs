//! [`State`]: what was seen of the cpuset, and what follows from the next look at it.

use std::collections::{BTreeMap, BTreeSet};

use hotadd_core::HardwareId;

use super::kernel::{Errno, Standing};
use super::look::Look;
use crate::CpuList;
use crate::hardware::holding::{Arrivals, Hold, Mask, Means};
use crate::hardware::uevents::{Action, Uevent};

#[derive(Debug)]
pub(super) struct State {
    /// Holds the threads to what is effective.
    pub(super) hold: Hold,
    pub(super) arrivals: Arrivals,
    /// What the cgroup above had when it was last seen.
    pub(super) above: CpuList,
    /// Those in the partition, each with the number of the last uevent before it came: what is said of it by later ones it has
    /// done as a member.
    members: BTreeMap<HardwareId, u64>,
    /// Members that went offline since the last look. They may be back already.
    left: BTreeSet<HardwareId>,
    /// How it should look, by what was seen last and done since.
    seen: Look,
    /// The last look saw nothing.
    blind: bool,
    /// What is to be said at the next look.
    pub(super) unsaid: Vec<String>,
}

impl State {
    /// The effective ones are the members. `sequence` was read before they were.
    pub(super) fn new(seen: Look, sequence: u64) -> Self {
        let members = seen.effective.ids().iter().map(|id| (*id, sequence)).collect();
        Self {
            hold: Hold::new(mask(&seen.effective), Means::Cpuset),
            arrivals: Arrivals::default(),
            above: CpuList::default(),
            members,
            left: BTreeSet::new(),
            seen,
            blind: false,
            unsaid: Vec::new(),
        }
    }

    /// It looks like this now, and that is the beginning. What is known of its threads stays.
    pub(super) fn restart(&mut self, seen: Look, sequence: u64) {
        self.members = seen.effective.ids().iter().map(|id| (*id, sequence)).collect();
        self.hold.set_is(mask(&seen.effective));
        self.left.clear();
        self.seen = seen;
    }

    /// What was effective when it was last seen.
    pub(super) fn effective(&self) -> &CpuList {
        &self.seen.effective
    }

    pub(super) fn is_member(&self, id: HardwareId) -> bool {
        self.members.contains_key(&id)
    }

    /// What we, or somebody else since, had written at the last look.
    pub(super) fn written(&self) -> &CpuList {
        &self.seen.cpus
    }

    /// It was started. `sequence` was read before it was.
    pub(super) fn started(&mut self, id: HardwareId, sequence: u64, after: Look) {
        self.members.insert(id, sequence);
        self.changed(id, after);
    }

    /// It was stopped.
    pub(super) fn stopped(&mut self, id: HardwareId, after: Look) {
        self.members.remove(&id);
        self.changed(id, after);
    }

    /// What else has changed meanwhile is for the next look, so only the members count as seen.
    fn changed(&mut self, id: HardwareId, after: Look) {
        self.left.remove(&id);
        self.seen.effective = self.members.keys().copied().collect();
        self.seen.cpus = after.cpus;
        self.hold.set_is(mask(&self.seen.effective));
    }

    /// Takes note of a uevent.
    pub(super) fn heard(&mut self, event: Uevent) {
        // Without a number it is a word that somebody put into the kernel's mouth; earlier ones are of before it joined.
        let as_member = |since: &u64| event.sequence.is_some_and(|sequence| sequence > *since);
        let gone = matches!(event.action, Action::Offline | Action::Remove);
        if gone && self.members.get(&event.id).is_some_and(as_member) {
            self.left.insert(event.id);
        }
    }

    /// Whether there is something to look at more closely, if it looks like this.
    pub(super) fn is_due(&self, look: Result<&Look, Errno>) -> bool {
        look.map_or(!self.blind, |look| {
            self.blind || !self.left.is_empty() || !self.unsaid.is_empty() || *look != self.seen
        }) || self.hold.has_reports()
            || self.arrivals.has_news()
    }

    /// Nothing can be read. Said once.
    pub(super) fn blinded(&mut self, errno: Errno) -> Option<String> {
        let said = std::mem::replace(&mut self.blind, true);
        let errno = super::raw(errno);
        (!said).then(|| format!("the cpuset cannot be read: {errno}"))
    }

    /// Those that went offline since the last look. They are forgotten.
    pub(super) fn take_left(&mut self) -> BTreeSet<HardwareId> {
        self.blind = false;
        std::mem::take(&mut self.left)
    }

    /// It looks like this now. Those effective are the members; `stayed` have been so all along, and of the others what was said
    /// up to `sequence` is old.
    pub(super) fn looked(&mut self, look: Look, stayed: &BTreeSet<HardwareId>, sequence: u64) {
        self.members.retain(|id, _| stayed.contains(id));
        for id in look.effective.ids() {
            self.members.entry(*id).or_insert(sequence);
        }
        if look.effective != self.seen.effective {
            self.hold.set_is(mask(&look.effective));
        }
        self.seen = look;
    }

    /// What is to be said of how the standing has changed since the last look.
    pub(super) fn turned(&self, now: &Standing) -> Option<String> {
        let before = &self.seen.standing;
        if now == before {
            return None;
        }
        let (was, is) = (before.kind, now.kind);
        Some(match (now.complaint(), &before.invalid) {
            (Some(reason), _) => {
                format!("the cpuset is no valid {is} any more, and shares its processors: {reason}")
            }
            (None, _) if was != is => {
                format!("another process made the cpuset a {is}; it was a {was}")
            }
            (None, _) => format!("the cpuset is a valid {is} again"),
        })
    }
}

/// A list as a mask.
pub(super) fn mask(list: &CpuList) -> Mask {
    Mask::of(list.ids().iter().copied())
}
