//! The answers that drivers get about processors, in partitions with more than one group.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(unsafe_code, reason = "drivers' functions are C functions")]

mod common;

use std::ptr;
use std::sync::{Arc, Mutex, OnceLock};

use hotadd::hardware::Simulated;
use hotadd::{Errno, HardwareId, Notice, Partition, State};
use windows_sys::Wdk::System::SystemServices::{
    KeGetProcessorIndexFromNumber, KeGetProcessorNumberFromIndex, KeQueryActiveGroupCount,
    KeQueryActiveProcessorCount, KeQueryActiveProcessorCountEx, KeQueryActiveProcessors,
    KeQueryGroupAffinity, KeQueryHighestNodeNumber, KeQueryLogicalProcessorRelationship,
    KeQueryMaximumGroupCount, KeQueryMaximumProcessorCount, KeQueryMaximumProcessorCountEx,
    KeQueryNodeActiveAffinity, KeQueryNodeMaximumProcessorCount,
};
use windows_sys::Win32::Foundation::{
    STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};
use windows_sys::Win32::System::Kernel::PROCESSOR_NUMBER;
use windows_sys::Win32::System::SystemInformation::{
    GROUP_AFFINITY, RelationAll, RelationCache, RelationGroup, RelationNumaNode,
    RelationProcessorCore, RelationProcessorPackage, SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX,
};

const ALL: u16 = 0xffff;

/// 126 processors, and 14 that can be added. All tests together add at most three.
fn partition() -> (Partition, Arc<Simulated>) {
    static SIMULATED: OnceLock<Arc<Simulated>> = OnceLock::new();
    let hardware = SIMULATED.get_or_init(|| Simulated::new(126, 14).unwrap());
    let make = || Partition::simulated(hardware).unwrap();
    (common::world(false, make).0, Arc::clone(hardware))
}

/// Tests that change the partition or count in it run one at a time.
static ONE: Mutex<()> = Mutex::new(());

fn number(index: u32) -> Result<(u16, u8), i32> {
    let mut number = PROCESSOR_NUMBER { Group: 9, Number: 9, Reserved: 9 };
    // SAFETY: its own number to write to.
    match unsafe { KeGetProcessorNumberFromIndex(index, &mut number) } {
        STATUS_SUCCESS => {
            assert_eq!(number.Reserved, 0, "the reserved byte is cleared");
            Ok((number.Group, number.Number))
        }
        status => Err(status),
    }
}

fn index(group: u16, number: u8) -> u32 {
    let number = PROCESSOR_NUMBER { Group: group, Number: number, Reserved: 0xcc };
    // SAFETY: reads that number.
    unsafe { KeGetProcessorIndexFromNumber(&number) }
}

fn active(group: u16) -> u32 {
    // SAFETY: takes a number.
    unsafe { KeQueryActiveProcessorCountEx(group) }
}

#[test]
fn a5_a_processor_being_added_translates_but_is_not_counted_until_it_joined() {
    let _one = ONE.lock().unwrap();
    let (partition, hardware) = partition();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let driver = move |notice: &Notice| {
        let at = notice.processor().index.get();
        let (group, within) = ((at / 64) as u16, (at % 64) as u8);
        let told = (number(at), index(group, within), active(ALL), active(group));
        record.lock().unwrap().push((notice.state(), told));
        Ok(())
    };
    let registration = partition.registration("queries").without_replay().register(driver).unwrap();
    let before = partition.count();
    let at = before; // no index was given to one that left
    let id = HardwareId(at);
    hardware.fail_start(id, Errno::EIO);
    partition.add(id).unwrap_err();
    hardware.heal(id);
    partition.add(id).unwrap();
    drop(registration);
    let (group, within) = ((at / 64) as u16, (at % 64) as u8);
    let in_group = u32::from(within);
    let expect = |count, in_group| (Ok((group, within)), at, count, in_group);
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (State::AddStart, expect(before, in_group)),
            (State::AddFailure, expect(before, in_group)),
            (State::AddStart, expect(before, in_group)),
            (State::AddComplete, expect(before + 1, in_group + 1)),
        ],
        "translation holds from AddStart until after AddFailure, and AddComplete counts it (A5)"
    );
}

#[test]
fn unknown_processors_get_the_documented_results() {
    partition();
    assert_eq!(number(2047), Err(STATUS_INVALID_PARAMETER));
    assert_eq!(number(u32::MAX), Err(STATUS_INVALID_PARAMETER));
    assert_eq!(index(31, 63), u32::MAX, "INVALID_PROCESSOR_INDEX");
    assert_eq!(index(0, 64), u32::MAX, "there is no number 64, and it is not number 0 of group 1");
    assert_eq!(index(ALL, 0), u32::MAX);
    assert_eq!(number(65), Ok((1, 1)));
    assert_eq!(index(1, 1), 65);
}

#[test]
fn functions_without_groups_report_group_0() {
    let _one = ONE.lock().unwrap();
    let (partition, _) = partition();
    let mut mask = 0;
    // SAFETY: its own mask to write to.
    assert_eq!(unsafe { KeQueryActiveProcessorCount(&mut mask) }, 64);
    assert_eq!(mask, usize::MAX);
    // SAFETY: the mask is optional.
    assert_eq!(unsafe { KeQueryActiveProcessorCount(ptr::null_mut()) }, 64);
    // SAFETY: takes nothing.
    assert_eq!(unsafe { KeQueryActiveProcessors() }, usize::MAX);
    // SAFETY: takes nothing.
    assert_eq!(unsafe { KeQueryMaximumProcessorCount() }, 64);
    assert_eq!(active(0), 64);
    assert_eq!(active(ALL), partition.count(), "all groups together");
    assert_eq!(active(7), 0, "zero for a group that does not exist");
}

#[test]
fn maximum_counts_are_those_of_the_hardware_and_constant() {
    partition();
    // SAFETY: takes a number.
    let maximum = |group| unsafe { KeQueryMaximumProcessorCountEx(group) };
    assert_eq!([0, 1, 2, 3, ALL].map(maximum), [64, 64, 12, 0, 140]);
    // SAFETY: takes nothing.
    assert_eq!(unsafe { KeQueryMaximumGroupCount() }, 3);
    // SAFETY: takes nothing.
    assert_eq!(unsafe { KeQueryHighestNodeNumber() }, 2, "a node is a group");
    // SAFETY: takes a number.
    let node = |node| unsafe { KeQueryNodeMaximumProcessorCount(node) };
    assert_eq!([0, 2, 3, ALL].map(node), [64, 12, 0, 0]);
}

#[test]
fn a_group_is_active_from_its_first_processor() {
    let _one = ONE.lock().unwrap();
    let (partition, _) = partition();
    // SAFETY: takes nothing.
    let groups = || unsafe { KeQueryActiveGroupCount() };
    // SAFETY: takes a number.
    let mask = |group| unsafe { KeQueryGroupAffinity(group) };
    while partition.count() < 128 {
        assert_eq!((groups(), mask(2)), (2, 0));
        partition.add(HardwareId(partition.count())).unwrap();
    }
    let inside = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&inside);
    let ask = move |notice: &Notice| {
        // SAFETY: takes nothing.
        record.lock().unwrap().push((notice.state(), unsafe { KeQueryActiveGroupCount() }));
        Ok(())
    };
    let registration = partition.registration("groups").without_replay().register(ask).unwrap();
    partition.add(HardwareId(128)).unwrap();
    let expected = [(State::AddStart, 2), (State::AddComplete, 3)];
    assert_eq!(*inside.lock().unwrap(), expected, "a new group counts with its processor (A5)");
    drop(registration);
    assert_eq!(groups(), 3);
    assert_eq!(mask(2), 1);
    assert_eq!(mask(31), 0);
}

#[test]
fn each_group_is_a_node() {
    let _one = ONE.lock().unwrap();
    let (partition, _) = partition();
    let mut affinity = GROUP_AFFINITY { Mask: 7, Group: 7, Reserved: [7; 3] };
    let mut count = 0;
    // SAFETY: writes to these.
    unsafe { KeQueryNodeActiveAffinity(1, &mut affinity, &mut count) };
    assert_eq!((affinity.Group, affinity.Reserved), (1, [0; 3]));
    assert_eq!(affinity.Mask.count_ones(), u32::from(count));
    assert_eq!(u32::from(count), partition.active().group_mask(1).count_ones());
    // SAFETY: both are optional.
    unsafe { KeQueryNodeActiveAffinity(1, ptr::null_mut(), ptr::null_mut()) };
}

/// The documented protocol of a caller: request the length, then the records.
fn relationship(of: *const PROCESSOR_NUMBER, relation: i32) -> Result<Vec<(i32, Vec<u8>)>, i32> {
    let mut length = 0;
    // SAFETY: without a buffer, only the length is written.
    let status =
        unsafe { KeQueryLogicalProcessorRelationship(of, relation, ptr::null_mut(), &mut length) };
    if status != STATUS_INFO_LENGTH_MISMATCH {
        return Err(status);
    }
    let mut buffer = vec![0_u64; (length as usize).div_ceil(8)];
    let information = buffer.as_mut_ptr().cast::<SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX>();
    let needed = length;
    length = needed - 1;
    // SAFETY: a buffer of at least this length.
    let status =
        unsafe { KeQueryLogicalProcessorRelationship(of, relation, information, &mut length) };
    assert_eq!(status, STATUS_INFO_LENGTH_MISMATCH, "one byte too few");
    assert_eq!(length, needed, "the required length is returned again");
    assert!(buffer.iter().all(|word| *word == 0), "nothing is written");
    // SAFETY: a buffer of this length.
    let status =
        unsafe { KeQueryLogicalProcessorRelationship(of, relation, information, &mut length) };
    assert_eq!((status, length), (STATUS_SUCCESS, needed));
    let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_le_bytes()).collect();
    let (mut rest, mut records) = (&bytes[..needed as usize], Vec::new());
    while !rest.is_empty() {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let (kind, size) = (word(0).cast_signed(), word(4) as usize);
        records.push((kind, rest[8..size].to_vec()));
        rest = &rest[size..];
    }
    Ok(records)
}

#[test]
fn relationships_follow_the_documented_protocol_and_layout() {
    let _one = ONE.lock().unwrap();
    let (partition, _) = partition();
    let set = partition.active();
    let groups = relationship(ptr::null(), RelationGroup).unwrap();
    let [(kind, body)] = &groups[..] else { panic!("one record of groups: {groups:?}") };
    assert_eq!(*kind, RelationGroup);
    let active_groups = u16::from_le_bytes([body[2], body[3]]);
    assert_eq!(u16::from_le_bytes([body[0], body[1]]), 3, "MaximumGroupCount");
    assert_eq!(body.len(), 24 + 48 * usize::from(active_groups), "one PROCESSOR_GROUP_INFO each");
    for group in 0..active_groups {
        let info = &body[24 + 48 * usize::from(group)..][..48];
        let mask = u64::from_le_bytes(info[40..].try_into().unwrap());
        assert_eq!(mask, set.group_mask(group), "ActiveProcessorMask of group {group}");
        assert_eq!(u32::from(info[1]), mask.count_ones(), "ActiveProcessorCount");
    }
    let cores = relationship(ptr::null(), RelationProcessorCore).unwrap();
    assert_eq!(cores.len(), set.count() as usize, "each processor is a separate core");
    let (kind, last) = &cores[65];
    assert_eq!((*kind, last.len()), (RelationProcessorCore, 40));
    assert_eq!(last[22..24], [1, 0], "GroupCount");
    assert_eq!(last[24..34], [2, 0, 0, 0, 0, 0, 0, 0, 1, 0], "mask 2 in group 1");
    let packages = relationship(ptr::null(), RelationProcessorPackage).unwrap();
    assert_eq!(packages.len(), 1, "all are in one package");
    assert_eq!(packages[0].1.len(), 24 + 16 * usize::from(active_groups));
    let all = relationship(ptr::null(), RelationAll).unwrap();
    for one in [&cores, &groups, &packages] {
        assert!(one.iter().all(|record| all.contains(record)), "RelationAll has them all");
    }
    let one = PROCESSOR_NUMBER { Group: 1, Number: 1, Reserved: 0 };
    assert_eq!(relationship(&one, RelationProcessorCore).unwrap(), [cores[65].clone()]);
    let nodes = relationship(&one, RelationNumaNode).unwrap();
    assert_eq!((nodes.len(), nodes[0].1[0]), (1, 1), "the processor's node is its group");
    let none = PROCESSOR_NUMBER { Group: 31, Number: 1, Reserved: 0 };
    assert_eq!(relationship(&none, RelationAll), Err(STATUS_INVALID_PARAMETER));
    assert_eq!(relationship(ptr::null(), 0x7777), Err(STATUS_INVALID_PARAMETER));
}

#[test]
fn no_caches_are_reported() {
    partition();
    let (mut length, mut byte) = (0, 0_u64);
    let to = (&raw mut byte).cast();
    // SAFETY: a buffer of which nothing may be used.
    let status =
        unsafe { KeQueryLogicalProcessorRelationship(ptr::null(), RelationCache, to, &mut length) };
    assert_eq!((status, length), (STATUS_SUCCESS, 0));
}
