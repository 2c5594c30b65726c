//! `KeQueryLogicalProcessorRelationship`: records of variable length that describe how processors are related.
//!
//! A partition knows groups and no other relationship. So every processor is a core of its own, all are in one
//! package, a group is a memory node, and no caches are reported.

use hotadd::{ActiveSet, Processor, Status};

use crate::ground::foreign::{In, Out};
use crate::ground::types::{NtStatus, ProcessorNumber, nt_status};
use crate::ground::{groups, world};
use crate::kernel::ke::processors::{self, active_groups, maximum_count, maximum_groups};

/// `STATUS_INFO_LENGTH_MISMATCH`.
const INFO_LENGTH_MISMATCH: Status = Status::from_raw(0xC000_0004);

/// `LOGICAL_PROCESSOR_RELATIONSHIP`.
mod relation {
    pub(super) const CORE: u32 = 0;
    pub(super) const NODE: u32 = 1;
    pub(super) const CACHE: u32 = 2;
    pub(super) const PACKAGE: u32 = 3;
    pub(super) const GROUP: u32 = 4;
    pub(super) const DIE: u32 = 5;
    pub(super) const NODE_EX: u32 = 6;
    pub(super) const ALL: u32 = 0xffff;
}

/// Follows the documented protocol: the required length is always returned, and nothing is written that does not fit.
pub(crate) fn query(
    number: In<ProcessorNumber>,
    relationship: u32,
    to: Out<u8>,
    length: Out<u32>,
) -> NtStatus {
    let of = match number.non_null() {
        None => None,
        // A processor that is being added has no records: they consist of masks, which do not contain it (A5).
        Some(number) => match processors::by_number(number.get())
            .and_then(|processor| processors::joined(processor.index))
        {
            None => return nt_status(Status::INVALID_PARAMETER),
            some => some,
        },
    };
    let Some(records) = records(&world::get().partition.active(), relationship, of) else {
        return nt_status(Status::INVALID_PARAMETER);
    };
    let room = length.get() as usize;
    length.put(u32::try_from(records.len()).unwrap_or(u32::MAX));
    if room < records.len() || to.as_ptr().is_null() {
        return nt_status(INFO_LENGTH_MISMATCH);
    }
    to.put_all(&records);
    nt_status(Status::SUCCESS)
}

/// The concatenated records. `None` for an unknown relationship.
fn records(active: &ActiveSet, relationship: u32, of: Option<Processor>) -> Option<Vec<u8>> {
    let all = relationship == relation::ALL;
    let wants = |one| all || relationship == one;
    let mut records = Vec::new();
    if wants(relation::CORE) {
        let cores = active.iter().filter(|processor| of.is_none_or(|of| of == *processor));
        for number in cores.map(|processor| groups::number(processor.index)) {
            records.extend(kin(relation::CORE, &[(number.group, 1 << number.number)]));
        }
    }
    let groups = || (0..active_groups(active)).map(|group| (group, groups::mask(active, group)));
    let ours = |group: u16| of.is_none_or(|of| groups::number(of.index).group == group);
    for relation in [relation::NODE, relation::NODE_EX] {
        // "All" contains one kind of node records.
        if relationship == relation || (all && relation == relation::NODE) {
            for (group, mask) in groups().filter(|(group, _)| ours(*group)) {
                records.extend(node(relation::NODE, group, mask));
            }
        }
    }
    for relation in [relation::PACKAGE, relation::DIE] {
        if wants(relation) {
            records.extend(kin(relation, &groups().collect::<Vec<_>>()));
        }
    }
    if wants(relation::GROUP) {
        records.extend(group_record(active));
    }
    let known = relationship <= relation::NODE_EX || all;
    // No caches are known, and an empty answer is valid.
    debug_assert!(relationship != relation::CACHE || records.is_empty());
    known.then_some(records)
}

/// A `SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX`: its header followed by its body.
fn record(relationship: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap_or(u32::MAX);
    [&relationship.to_le_bytes(), &size.to_le_bytes(), body].concat()
}

/// A `GROUP_AFFINITY`.
fn affinity((group, mask): (u16, u64)) -> [u8; 16] {
    let mut affinity = [0; 16];
    affinity[..8].copy_from_slice(&mask.to_le_bytes());
    affinity[8..10].copy_from_slice(&group.to_le_bytes());
    affinity
}

/// A `PROCESSOR_RELATIONSHIP`: flags and efficiency class 0.
fn kin(relationship: u32, groups: &[(u16, u64)]) -> Vec<u8> {
    let mut body = vec![0; 22];
    body.extend(u16::try_from(groups.len()).unwrap_or(u16::MAX).to_le_bytes());
    body.extend(groups.iter().flat_map(|group| affinity(*group)));
    record(relationship, &body)
}

/// A `NUMA_NODE_RELATIONSHIP`.
fn node(relationship: u32, group: u16, mask: u64) -> Vec<u8> {
    let mut body = u32::from(group).to_le_bytes().to_vec();
    body.extend([0; 18]);
    body.extend(1_u16.to_le_bytes());
    body.extend(affinity((group, mask)));
    record(relationship, &body)
}

/// A `GROUP_RELATIONSHIP`, with a `PROCESSOR_GROUP_INFO` for each active group.
fn group_record(active: &ActiveSet) -> Vec<u8> {
    let mut body = maximum_groups(active).to_le_bytes().to_vec();
    body.extend(active_groups(active).to_le_bytes());
    body.extend([0; 20]);
    for group in 0..active_groups(active) {
        let mask = groups::mask(active, group);
        let small = |count: u32| u8::try_from(count).unwrap_or(u8::MAX);
        body.extend([small(maximum_count(active, group)), small(mask.count_ones())]);
        body.extend([0; 38]);
        body.extend(mask.to_le_bytes());
    }
    record(relation::GROUP, &body)
}
