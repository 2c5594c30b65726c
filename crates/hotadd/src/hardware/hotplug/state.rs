//! [`State`]: the last known state of the processors, and the changes that follow from the next check.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use hotadd_core::HardwareId;

use super::kernel::Errno;
use super::options::Intruders;
use super::plugged::Plugged;
use super::quiet::Fresh;
use crate::CpuList;
use crate::hardware::uevents::{Action, Uevent};

/// How many times in a row a processor is taken offline again. A program may keep bringing it online, and then neither
/// side would stop.
const REVOCATIONS: u32 = 3;

#[derive(Debug)]
pub(super) struct State {
    /// The members of the partition, each with the number of the last uevent before it joined: later uevents describe
    /// what happened to it as a member.
    members: BTreeMap<HardwareId, u64>,
    /// The processors that were online at the last check, or that this process has switched on since.
    seen: BTreeSet<HardwareId>,
    /// Members that were taken offline or unplugged since the last check. They may be back already.
    left: BTreeSet<HardwareId>,
    /// The intruders that are left online, as long as they are online: for example, because the kernel refused to
    /// take them offline again.
    stays: BTreeSet<HardwareId>,
    /// How often each was taken offline again since it was last switched with the consent of all parties.
    revoked: BTreeMap<HardwareId, u32>,
    /// The last check could not read anything.
    blind: bool,
    plugged: Plugged,
    pub(super) fresh: Fresh,
    /// What happens to intruders.
    pub(super) intruders: Intruders,
}

/// The result of a check, before anything is done about it. Ascending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Members that have gone, including those that are back.
    pub(super) vanished: Vec<HardwareId>,
    /// The processors that run and are not members, or have been away.
    pub(super) intruded: Vec<HardwareId>,
    /// Whether any of the members is left.
    pub(super) remain: bool,
}

impl State {
    pub(super) fn new(fresh: Fresh, intruders: Intruders) -> Self {
        Self {
            members: BTreeMap::new(),
            seen: BTreeSet::new(),
            left: BTreeSet::new(),
            stays: BTreeSet::new(),
            revoked: BTreeMap::new(),
            blind: false,
            plugged: Plugged::default(),
            fresh,
            intruders,
        }
    }

    /// Sets these as the members. `sequence` was read before they were.
    pub(super) fn begin(&mut self, online: &CpuList, plugged: Plugged, sequence: u64) {
        self.plugged = plugged;
        self.members = online.ids().iter().map(|id| (*id, sequence)).collect();
        self.seen = online.ids().iter().copied().collect();
    }

    pub(super) fn is_member(&self, id: HardwareId) -> bool {
        self.members.contains_key(&id)
    }

    /// Records that a processor was started. `sequence` was read before the start.
    pub(super) fn started(&mut self, id: HardwareId, sequence: u64) {
        self.members.insert(id, sequence);
        self.seen.insert(id);
        self.forgive(id);
    }

    /// Records that a processor was stopped.
    pub(super) fn stopped(&mut self, id: HardwareId) {
        self.members.remove(&id);
        self.seen.remove(&id);
        self.forgive(id);
    }

    fn forgive(&mut self, id: HardwareId) {
        self.left.remove(&id);
        self.stays.remove(&id);
        self.revoked.remove(&id);
    }

    /// Records a uevent. Returns whether it may end a wait.
    pub(super) fn heard(&mut self, event: Uevent, binds_last: bool) -> bool {
        // A uevent without a number was sent by a process and not by the kernel, or is incomplete. The check
        // that follows reads the actual state.
        let Some(sequence) = event.sequence else { return false };
        let since = self.members.get(&event.id);
        // An earlier uevent is about this process's own stops, or is older than the membership.
        let as_member = since.is_some_and(|since| sequence > *since);
        if as_member && matches!(event.action, Action::Offline | Action::Remove) {
            self.left.insert(event.id);
        }
        match event.action {
            Action::Add => {
                self.plugged.heard(event.id, sequence);
                if binds_last {
                    self.fresh.added(event.id, Instant::now());
                }
            }
            Action::Bind if binds_last => return self.fresh.settled(event.id),
            Action::Remove => {
                self.plugged.gone(event.id, sequence);
                return self.fresh.settled(event.id);
            }
            _ => {}
        }
        false
    }

    /// Whether the events alone show that a check is necessary.
    pub(super) fn has_news(&self) -> bool {
        !self.left.is_empty() || self.plugged.has_heard()
    }

    /// Whether a check is necessary, given the processors that are online and plugged in.
    pub(super) fn is_due(
        &mut self,
        online: Result<&CpuList, Errno>,
        present: Result<&CpuList, Errno>,
    ) -> bool {
        if !self.blind && present.is_ok_and(|present| self.plugged.is_due(present)) {
            return true;
        }
        online.map_or(!self.blind, |online| {
            self.blind || !self.left.is_empty() || !self.seen.iter().eq(online.ids())
        })
    }

    /// Records that the online processors cannot be read. It is reported once.
    pub(super) fn blinded(&mut self, errno: Errno) -> Option<String> {
        let said = std::mem::replace(&mut self.blind, true);
        let errno = super::raw(errno);
        (!said).then(|| format!("the list of online processors cannot be read: {errno}"))
    }

    /// Whether every one of the online processors is expected, is a member, and has not been away.
    pub(super) fn has_started_all(&self, expected: &[HardwareId], online: &CpuList) -> bool {
        let known = |id| self.members.contains_key(id) && !self.left.contains(id);
        online.ids().iter().all(|id| known(id) && expected.contains(id))
    }

    /// Compares the online processors with the expected ones. The expected ones that have stayed are the members.
    /// `sequence` was read before the list was.
    pub(super) fn look(
        &mut self,
        expected: &[HardwareId],
        online: &CpuList,
        sequence: u64,
    ) -> Found {
        self.blind = false;
        let left = std::mem::take(&mut self.left);
        self.stays.retain(|id| online.contains(*id) && !left.contains(id));
        self.seen = online.ids().iter().copied().collect();
        let stayed: BTreeSet<HardwareId> = expected
            .iter()
            .copied()
            .filter(|id| online.contains(*id) && !left.contains(id))
            .collect();
        let mut vanished: Vec<HardwareId> =
            expected.iter().copied().filter(|id| !stayed.contains(id)).collect();
        vanished.sort_unstable();
        self.members.retain(|id, _| stayed.contains(id));
        for id in &stayed {
            self.members.entry(*id).or_insert(sequence);
        }
        let mut intruded: Vec<HardwareId> = online.ids().to_vec();
        intruded.retain(|id| !stayed.contains(id));
        Found { vanished, intruded, remain: !stayed.is_empty() }
    }

    /// The processors that were plugged in since the last check, if these are present. `sequence` is read after the
    /// list was, and only if there are any.
    pub(super) fn appeared(
        &mut self,
        present: &CpuList,
        sequence: impl FnOnce() -> u64,
        has_switch: impl Fn(HardwareId) -> bool,
    ) -> Vec<HardwareId> {
        self.plugged.look(present, sequence, has_switch)
    }

    /// Whether to take an intruder offline again. Counts the attempt. If not, returns why.
    pub(super) fn revoke(&mut self, id: HardwareId) -> Result<(), String> {
        let times = self.revoked.entry(id).or_default();
        if *times >= REVOCATIONS {
            return Err(format!("it was already taken offline {times} times"));
        }
        *times += 1;
        Ok(())
    }

    /// Records that an intruder was taken offline again.
    pub(super) fn revoked(&mut self, id: HardwareId) {
        self.seen.remove(&id);
    }

    /// Whether this intruder is one that is left online.
    pub(super) fn stays(&self, id: HardwareId) -> bool {
        self.stays.contains(&id)
    }

    /// Records that an intruder stays. `sequence` was read before the list in which it was found.
    pub(super) fn joined(&mut self, id: HardwareId, sequence: u64) {
        self.stays.insert(id);
        self.members.insert(id, sequence);
    }
}
