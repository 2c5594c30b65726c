//! [`State`]: the last known state of the cpuset, and the changes that follow from the next check.

use std::collections::{BTreeMap, BTreeSet};

use hotadd_core::HardwareId;

use super::kernel::{Errno, Standing};
use super::look::Look;
use crate::CpuList;
use crate::hardware::holding::{Arrivals, Hold, Mask, Means};
use crate::hardware::uevents::{Action, Uevent};

#[derive(Debug)]
pub(super) struct State {
    /// Holds the threads to the effective processors.
    pub(super) hold: Hold,
    pub(super) arrivals: Arrivals,
    /// The processors of the cgroup above at the last check.
    pub(super) above: CpuList,
    /// The members of the partition, each with the number of the last uevent before it joined: later uevents describe what
    /// happened to it as a member.
    members: BTreeMap<HardwareId, u64>,
    /// Members that went offline since the last check. They may be back already.
    left: BTreeSet<HardwareId>,
    /// The expected state, from the last check and the changes since.
    seen: Look,
    /// The last check could not read anything.
    blind: bool,
    /// Reports for the next check.
    pub(super) unsaid: Vec<String>,
}

impl State {
    /// The effective processors are the members. `sequence` was read before they were.
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

    /// Sets this as the initial state. What is known of its threads is kept.
    pub(super) fn restart(&mut self, seen: Look, sequence: u64) {
        self.members = seen.effective.ids().iter().map(|id| (*id, sequence)).collect();
        self.hold.set_is(mask(&seen.effective));
        self.left.clear();
        self.seen = seen;
    }

    /// The effective processors at the last check.
    pub(super) fn effective(&self) -> &CpuList {
        &self.seen.effective
    }

    pub(super) fn is_member(&self, id: HardwareId) -> bool {
        self.members.contains_key(&id)
    }

    /// The written list at the last check, whether this or another process had written it.
    pub(super) fn written(&self) -> &CpuList {
        &self.seen.cpus
    }

    /// Records that a processor was started. `sequence` was read before the start.
    pub(super) fn started(&mut self, id: HardwareId, sequence: u64, after: Look) {
        self.members.insert(id, sequence);
        self.changed(id, after);
    }

    /// Records that a processor was stopped.
    pub(super) fn stopped(&mut self, id: HardwareId, after: Look) {
        self.members.remove(&id);
        self.changed(id, after);
    }

    /// Other changes are left to the next check, so only the members are recorded as seen.
    fn changed(&mut self, id: HardwareId, after: Look) {
        self.left.remove(&id);
        self.seen.effective = self.members.keys().copied().collect();
        self.seen.cpus = after.cpus;
        self.hold.set_is(mask(&self.seen.effective));
    }

    /// Records a uevent.
    pub(super) fn heard(&mut self, event: Uevent) {
        // A uevent without a number was sent by a process, not by the kernel. One with a lower number was sent before the processor
        // joined.
        let as_member = |since: &u64| event.sequence.is_some_and(|sequence| sequence > *since);
        let gone = matches!(event.action, Action::Offline | Action::Remove);
        if gone && self.members.get(&event.id).is_some_and(as_member) {
            self.left.insert(event.id);
        }
    }

    /// Whether a check is necessary, given this state of the files.
    pub(super) fn is_due(&self, look: Result<&Look, Errno>) -> bool {
        look.map_or(!self.blind, |look| {
            self.blind || !self.left.is_empty() || !self.unsaid.is_empty() || *look != self.seen
        }) || self.hold.has_reports()
            || self.arrivals.has_news()
    }

    /// Records that nothing can be read. It is reported once.
    pub(super) fn blinded(&mut self, errno: Errno) -> Option<String> {
        let said = std::mem::replace(&mut self.blind, true);
        let errno = super::raw(errno);
        (!said).then(|| format!("the cpuset cannot be read: {errno}"))
    }

    /// Returns the processors that went offline since the last check, and clears the list.
    pub(super) fn take_left(&mut self) -> BTreeSet<HardwareId> {
        self.blind = false;
        std::mem::take(&mut self.left)
    }

    /// Records the state that was read. The effective processors are the members. Those in `stayed` were members all the time.
    /// For the others, uevents up to `sequence` are old.
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

    /// The report of a change of the standing since the last check, if there was one.
    pub(super) fn turned(&self, now: &Standing) -> Option<String> {
        let before = &self.seen.standing;
        if now == before {
            return None;
        }
        let (was, is) = (before.kind, now.kind);
        Some(match (now.complaint(), &before.invalid) {
            (Some(reason), _) => {
                format!("the cpuset is no longer a valid {is}, and shares its processors: {reason}")
            }
            (None, _) if was != is => {
                format!("another process made the cpuset a {is}; it was a {was}")
            }
            (None, _) => format!("the cpuset is a valid {is} again"),
        })
    }
}

/// Converts a list to a mask.
pub(super) fn mask(list: &CpuList) -> Mask {
    Mask::of(list.ids().iter().copied())
}
