//! [`State`]: what was seen of the processors, and what follows from the next look at them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use hotadd_core::HardwareId;

use super::kernel::Errno;
use super::options::Intruders;
use super::plugged::Plugged;
use super::quiet::Fresh;
use crate::CpuList;
use crate::hardware::uevents::{Action, Uevent};

/// How many times in a row one processor is taken offline again. Who insists may be a program, and then neither would end.
const REVOCATIONS: u32 = 3;

#[derive(Debug)]
pub(super) struct State {
    /// Those in the partition, each with the number of the last uevent before it came: what is said of it by later ones
    /// it has done as a member.
    members: BTreeMap<HardwareId, u64>,
    /// The processors that were online at the last look, or that we have switched since.
    seen: BTreeSet<HardwareId>,
    /// Members that were taken offline or pulled out since the last look. They may be back already.
    left: BTreeSet<HardwareId>,
    /// Those that the kernel would not take offline again, or that we have given up on, as long as they are online.
    stays: BTreeSet<HardwareId>,
    /// How often each was taken offline again since we last switched it with everybody's consent.
    revoked: BTreeMap<HardwareId, u32>,
    /// The last look saw nothing.
    blind: bool,
    plugged: Plugged,
    pub(super) fresh: Fresh,
    /// What becomes of intruders.
    pub(super) intruders: Intruders,
}

/// What a look has found, before anything is done about it. Ascending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Members that have gone, also those that are back.
    pub(super) vanished: Vec<HardwareId>,
    /// Those that run and are no members, or have been away.
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

    /// These are the members. `sequence` was read before they were.
    pub(super) fn begin(&mut self, online: &CpuList, plugged: Plugged, sequence: u64) {
        self.plugged = plugged;
        self.members = online.ids().iter().map(|id| (*id, sequence)).collect();
        self.seen = online.ids().iter().copied().collect();
    }

    pub(super) fn is_member(&self, id: HardwareId) -> bool {
        self.members.contains_key(&id)
    }

    /// It was started. `sequence` was read before it was.
    pub(super) fn started(&mut self, id: HardwareId, sequence: u64) {
        self.members.insert(id, sequence);
        self.seen.insert(id);
        self.forgive(id);
    }

    /// It was stopped.
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

    /// Takes note of a uevent. Says whether it ends somebody's wait.
    pub(super) fn heard(&mut self, event: Uevent, binds_last: bool) -> bool {
        // Without a number it is a word that somebody put into the kernel's mouth, or half of one. The look that
        // follows sees what there is to be seen.
        let Some(sequence) = event.sequence else { return false };
        let since = self.members.get(&event.id);
        // Earlier ones are of our own stops, or of before it joined.
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

    /// Whether events alone say that there is something to look at more closely.
    pub(super) fn has_news(&self) -> bool {
        !self.left.is_empty() || self.plugged.has_heard()
    }

    /// Whether there is something to look at more closely, if this is what is online and plugged in.
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

    /// What is online cannot be told. Said once.
    pub(super) fn blinded(&mut self, errno: Errno) -> Option<String> {
        let said = std::mem::replace(&mut self.blind, true);
        let errno = super::raw(errno);
        (!said).then(|| format!("which processors are online cannot be read: {errno}"))
    }

    /// Compares what is online with what is expected. Those expected that have stayed are the members. `sequence` was read
    /// before the list was.
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

    /// Those that were plugged in since the last look, if these are plugged in. `sequence` was read after the list was.
    pub(super) fn appeared(
        &mut self,
        present: &CpuList,
        sequence: u64,
        has_switch: impl Fn(HardwareId) -> bool,
    ) -> Vec<HardwareId> {
        self.plugged.look(present, sequence, has_switch)
    }

    /// Whether to take an intruder offline again. Counts it; if not, says why.
    pub(super) fn revoke(&mut self, id: HardwareId) -> Result<(), String> {
        let times = self.revoked.entry(id).or_default();
        if *times >= REVOCATIONS {
            return Err(format!("it was taken offline {times} times already"));
        }
        *times += 1;
        Ok(())
    }

    /// An intruder was taken offline again.
    pub(super) fn revoked(&mut self, id: HardwareId) {
        self.seen.remove(&id);
    }

    /// Whether this intruder is one that we have given up on.
    pub(super) fn stays(&self, id: HardwareId) -> bool {
        self.stays.contains(&id)
    }

    /// An intruder stays. `sequence` was read before the list that it was found in.
    pub(super) fn joined(&mut self, id: HardwareId, sequence: u64) {
        self.stays.insert(id);
        self.members.insert(id, sequence);
    }
}
