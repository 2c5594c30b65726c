//! Queries about processors: how many there are, which ones, their numbers, and the current one (Q1, A5).
//!
//! As since Windows 7, the functions without groups apply to group 0. Memory nodes are unknown here: each group
//! counts as one.

use std::sync::Arc;

use hotadd::{ActiveSet, Processor, ProcessorIndex, Status};

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::rule::Rule;
use crate::ground::types::{GroupAffinity, NtStatus, ProcessorNumber, nt_status};
use crate::ground::{caller, groups, probe, thread, world};
use crate::kernel::ke::relationship;

/// `ALL_PROCESSOR_GROUPS`.
pub(crate) const ALL_GROUPS: u16 = 0xffff;

/// `INVALID_PROCESSOR_INDEX`.
const INVALID_INDEX: u32 = 0xffff_ffff;

nt! {
    /// Converts an index to group and number. Also works for a processor that is being added (A5).
    fn KeGetProcessorNumberFromIndex(index: u32, number: Out<ProcessorNumber>) -> NtStatus {
        nt_status(number_from_index(index, number))
    }

    /// Converts group and number to the index. Also works for a processor that is being added (A5).
    fn KeGetProcessorIndexFromNumber(number: In<ProcessorNumber>) -> u32 {
        index_from_number(number.get())
    }

    /// The number and the mask of the active processors of group 0.
    fn KeQueryActiveProcessorCount(mask: Out<u64>) -> u32 {
        count_and_mask(mask)
    }

    /// The number of active processors of a group, or of all groups.
    fn KeQueryActiveProcessorCountEx(group: u16) -> u32 {
        about(group, active_count)
    }

    /// The maximum number of processors of group 0.
    fn KeQueryMaximumProcessorCount() -> u32 {
        maximum_count(&active(), 0)
    }

    /// The maximum number of processors of a group, or of all groups.
    fn KeQueryMaximumProcessorCountEx(group: u16) -> u32 {
        about(group, maximum_count)
    }

    /// The number of groups that have active processors.
    fn KeQueryActiveGroupCount() -> u16 {
        active_groups(&active())
    }

    /// The maximum number of groups.
    fn KeQueryMaximumGroupCount() -> u16 {
        maximum_groups(&active())
    }

    /// The active processors of a group; 0 for a group that does not exist.
    fn KeQueryGroupAffinity(group: u16) -> u64 {
        groups::mask(&active(), group)
    }

    /// The active processors of group 0.
    fn KeQueryActiveProcessors() -> u64 {
        groups::mask(&active(), 0)
    }

    /// The number of the current processor if it is in group 0; otherwise the number of some processor of group 0.
    fn KeGetCurrentProcessorNumber() -> u32 {
        legacy_number(&active(), thread::current_processor())
    }

    /// The index of the current processor, and optionally its group and number.
    fn KeGetCurrentProcessorNumberEx(number: Out<ProcessorNumber>) -> u32 {
        current(number)
    }

    /// The index of the current processor.
    fn KeGetCurrentProcessorIndex() -> u32 {
        thread::current_processor().map_or(0, |processor| processor.index.get())
    }

    /// The active processors of a memory node, and their number. Each group is a node.
    fn KeQueryNodeActiveAffinity(node: u16, affinity: Out<GroupAffinity>, count: Out<u16>) {
        node_affinity(node, affinity, count);
    }

    /// The highest possible number of a memory node.
    fn KeQueryHighestNodeNumber() -> u16 {
        maximum_groups(&active()) - 1
    }

    /// The maximum number of processors of a memory node.
    fn KeQueryNodeMaximumProcessorCount(node: u16) -> u16 {
        node_maximum(node)
    }

    /// The memory node of the current processor.
    fn KeGetCurrentNodeNumber() -> u16 {
        thread::current_processor().map_or(0, |processor| groups::number(processor.index).group)
    }

    /// The relationships between processors.
    fn KeQueryLogicalProcessorRelationship(
        number: In<ProcessorNumber>, relationship: u32, information: Out<u8>, length: Out<u32>,
    ) -> NtStatus {
        relationship::query(number, relationship, information, length)
    }
}

fn active() -> Arc<ActiveSet> {
    world::get().partition.active()
}

fn number_from_index(index: u32, to: Out<ProcessorNumber>) -> Status {
    let found = ProcessorIndex::new(index).and_then(|index| active().by_index(index));
    probe::named(found.map(|processor| processor.index.get()));
    match found {
        Some(processor) => {
            to.put(groups::number(processor.index).into());
            Status::SUCCESS
        }
        None => Status::INVALID_PARAMETER,
    }
}

fn index_from_number(number: ProcessorNumber) -> u32 {
    if number.reserved != 0 && probe::get().is_some() {
        let what = "KeGetProcessorIndexFromNumber: PROCESSOR_NUMBER.Reserved is not zero";
        caller::breach_of(Rule::Reserved, what);
    }
    let index = by_number(number).map(|processor| processor.index.get());
    probe::named(index);
    index.unwrap_or(INVALID_INDEX)
}

/// The processor of this group and number. The reserved byte is ignored, because drivers leave it uninitialised.
pub(crate) fn by_number(number: ProcessorNumber) -> Option<Processor> {
    let ProcessorNumber { group, number, .. } = number;
    active().by_index(groups::index(hotadd::ProcessorNumber { group, number })?)
}

/// The processor of this index if it is or was active; `None` while it is being added for the first time (A5).
pub(crate) fn joined(index: ProcessorIndex) -> Option<Processor> {
    thread::joined_in(&active(), index)
}

fn count_and_mask(to: Out<u64>) -> u32 {
    let mask = groups::mask(&active(), 0);
    to.put_if_wanted(mask);
    mask.count_ones()
}

/// Answers a question about a group.
fn about(group: u16, answer: fn(&ActiveSet, u16) -> u32) -> u32 {
    probe::asks_about(group);
    answer(&active(), group)
}

fn active_count(active: &ActiveSet, group: u16) -> u32 {
    if group == ALL_GROUPS { active.count() } else { groups::mask(active, group).count_ones() }
}

/// Indexes have no gaps, so groups fill up one after the other.
pub(crate) fn maximum_count(active: &ActiveSet, group: u16) -> u32 {
    if group == ALL_GROUPS {
        return active.maximum();
    }
    active.maximum().saturating_sub(u32::from(group) * groups::size()).min(groups::size())
}

/// The number of groups up to the last one with an active processor. A processor that is being added does not count
/// (A5).
pub(crate) fn active_groups(active: &ActiveSet) -> u16 {
    let last = (0..maximum_groups(active)).rfind(|group| groups::mask(active, *group) != 0);
    last.map_or(0, |last| last + 1)
}

pub(crate) fn maximum_groups(active: &ActiveSet) -> u16 {
    u16::try_from(active.maximum().div_ceil(groups::size())).unwrap_or(u16::MAX).max(1)
}

fn legacy_number(active: &ActiveSet, processor: Option<Processor>) -> u32 {
    let Some(number) = processor.map(|processor| groups::number(processor.index)) else { return 0 };
    match number.group {
        0 => u32::from(number.number),
        _ => u32::from(number.number) % groups::mask(active, 0).count_ones().max(1),
    }
}

fn current(to: Out<ProcessorNumber>) -> u32 {
    let Some(processor) = thread::current_processor() else {
        to.put_if_wanted(ProcessorNumber::default());
        return 0;
    };
    to.put_if_wanted(groups::number(processor.index).into());
    processor.index.get()
}

fn node_affinity(node: u16, affinity: Out<GroupAffinity>, count: Out<u16>) {
    let mask = groups::mask(&active(), node);
    affinity.put_if_wanted(GroupAffinity { mask, group: node, reserved: [0; 3] });
    #[expect(clippy::cast_possible_truncation, reason = "64 at most")]
    count.put_if_wanted(mask.count_ones() as u16);
}

fn node_maximum(node: u16) -> u16 {
    // "All groups" is not a node.
    let count = if node == ALL_GROUPS { 0 } else { maximum_count(&active(), node) };
    #[expect(clippy::cast_possible_truncation, reason = "64 at most")]
    let count = count as u16;
    count
}
