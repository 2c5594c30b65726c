//! A thread's system affinity: the processors on which a driver wants the calling thread to run, and how it is
//! reverted.
//!
//! A thread has one system affinity, or none and then runs on the whole partition (its user affinity). The old
//! functions apply to group 0.

use hotadd::ProcessorNumber;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::rule::Rule;
use crate::ground::thread::{self, Confined};
use crate::ground::types::GroupAffinity;
use crate::ground::{caller, groups, probe, world};
use crate::kernel::ke::processors::{maximum_count, maximum_groups};

nt! {
    /// Confines the calling thread to some processors of a group.
    fn KeSetSystemGroupAffinityThread(affinity: In<GroupAffinity>, previous: Out<GroupAffinity>) {
        set_group(affinity.get(), previous);
    }

    /// Restores the calling thread's previous system affinity, or, for zeros, removes it.
    fn KeRevertToUserGroupAffinityThread(previous: In<GroupAffinity>) {
        revert_group(previous.get());
    }

    /// Confines the calling thread to some processors of group 0.
    fn KeSetSystemAffinityThread(mask: u64) {
        set("KeSetSystemAffinityThread", 0, mask);
    }

    /// Confines the calling thread to some processors of group 0. Returns its previous affinity, or 0 if it had none.
    fn KeSetSystemAffinityThreadEx(mask: u64) -> u64 {
        let before = thread::confined();
        set("KeSetSystemAffinityThreadEx", 0, mask);
        before.map_or(0, |before| before.mask)
    }

    /// Removes the calling thread's system affinity.
    fn KeRevertToUserAffinityThread() {
        thread::release();
    }

    /// Confines the calling thread to these processors of group 0, or, for 0, removes its system affinity.
    fn KeRevertToUserAffinityThreadEx(mask: u64) {
        revert("KeRevertToUserAffinityThreadEx", 0, mask);
    }
}

/// A group affinity as it was passed. Breaches are reported, and what Windows tolerates is accepted.
fn group_of(who: &str, affinity: GroupAffinity) -> (u16, u64) {
    if affinity.reserved != [0; 3] {
        caller::breach_of(Rule::Reserved, format!("{who}: GROUP_AFFINITY.Reserved is not zero"));
    }
    (affinity.group, affinity.mask)
}

fn set_group(affinity: GroupAffinity, previous: Out<GroupAffinity>) {
    const WHO: &str = "KeSetSystemGroupAffinityThread";
    let before = thread::confined();
    let (group, mask) = group_of(WHO, affinity);
    let done = set(WHO, group, mask);
    // Zeros mean that there was no affinity, or that nothing was changed.
    let before = before.filter(|_| done);
    previous.put_if_wanted(before.map_or_else(GroupAffinity::default, |before| GroupAffinity {
        mask: before.mask,
        group: before.group,
        reserved: [0; 3],
    }));
}

fn revert_group(previous: GroupAffinity) {
    const WHO: &str = "KeRevertToUserGroupAffinityThread";
    // With a mask of 0 the other fields are ignored.
    let (group, mask) = if previous.mask == 0 { (0, 0) } else { group_of(WHO, previous) };
    revert(WHO, group, mask);
}

fn revert(who: &str, group: u16, mask: u64) {
    if mask == 0 {
        thread::release();
    } else if thread::confined().is_none() {
        // This is documented to have no effect.
        caller::breach(&format!("{who}: this thread has no system affinity"));
    } else {
        set(who, group, mask);
    }
}

/// Confines the thread to the active ones of these processors, if that is allowed. Returns whether it was.
fn set(who: &str, group: u16, mask: u64) -> bool {
    let active = world::get().partition.active();
    let refuse = |why: &str| {
        caller::breach_of(Rule::Affinity, format!("{who}: group {group}, mask {mask:#x}: {why}"));
        false
    };
    if group >= maximum_groups(&active) {
        return refuse("there is no such group");
    }
    let possible = match maximum_count(&active, group) {
        64.. => u64::MAX,
        count => (1 << count) - 1,
    };
    if mask == 0 {
        return refuse("the mask is empty");
    }
    if mask & !possible != 0 {
        return refuse("the group does not have these processors");
    }
    let mask = mask & groups::mask(&active, group);
    if mask == 0 {
        return refuse("none of them is active");
    }
    if mask.is_power_of_two() {
        #[expect(clippy::cast_possible_truncation, reason = "below 64")]
        let number = mask.trailing_zeros() as u8;
        probe::named(
            groups::index(ProcessorNumber { group, number }).map(hotadd::ProcessorIndex::get),
        );
    }
    let ids = (0..64_u8)
        .filter(|number| mask & 1 << number != 0)
        .filter_map(|number| active.by_index(groups::index(ProcessorNumber { group, number })?))
        .map(|processor| processor.id);
    match thread::confine(Confined { group, mask }, ids) {
        Ok(()) => true,
        Err(error) => refuse(&format!("the kernel refuses: {error}")),
    }
}
