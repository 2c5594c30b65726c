//! One rule for every function that takes a processor's name or reports about processors (A5). Names
//! translate from AddStart until after AddFailure. Counts and masks include a processor, and it can run work,
//! from AddComplete on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hotadd::HardwareId;

use crate::ground::abi::Abi;
use crate::ground::types::{GroupAffinity, ProcessorNumber};
use crate::ground::world;
use crate::tests::changes::{COMPLETE, Change, FAILURE, Listener, START};
use crate::tests::dpcs::{Context, aim, dpc, insert, tell};
use crate::tests::events::wait;
use crate::tests::{Memory, RUNNING, alone, call, routine, scene};

/// From when on a function includes the processor.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Knows {
    /// It converts names, or does not depend on the active set.
    Always,
    /// It counts active processors or runs something on them.
    FromAddComplete,
}

/// A function, from when on it includes the processor, and whether it does now.
type Row = (&'static str, Knows, fn(Abi, Change) -> bool);

const ALL: u16 = 0xffff;

/// The argument of a function that runs on several processors: the processor to look for, and whether it was found.
struct Sought {
    abi: Abi,
    index: u32,
    found: AtomicBool,
}

impl Sought {
    fn new(abi: Abi, change: Change) -> Self {
        Self { abi, index: change.index, found: AtomicBool::new(false) }
    }

    fn look(&self) {
        if here(self.abi) == self.index {
            self.found.store(true, Ordering::SeqCst);
        }
    }
}

fn here(abi: Abi) -> u32 {
    call!(abi, KeGetCurrentProcessorNumberEx(std::ptr::null_mut() => *mut u32) -> u32)
}

routine! {
    fn every(_dpc: usize, sought: usize, count: usize, _together: usize) {
        // SAFETY: what the row passes.
        let sought = unsafe { &*(sought as *const Sought) };
        sought.look();
        call!(sought.abi, KeSignalCallDpcDone(count => usize));
    }
}

routine! {
    fn interrupt(sought: usize) -> usize {
        // SAFETY: what the row passes.
        unsafe { &*(sought as *const Sought) }.look();
        0
    }
}

/// The record of one relationship of the processor, or of all processors.
fn relationship(abi: Abi, of: Option<&ProcessorNumber>, kind: u32) -> Option<Vec<u8>> {
    let mut records = vec![0; 8192];
    let mut length = 8192_u32;
    let of = of.map_or(std::ptr::null(), std::ptr::from_ref);
    let status = call!(abi, KeQueryLogicalProcessorRelationship(
        of => *const ProcessorNumber, kind => u32, records.as_mut_ptr() => *mut u8,
        &raw mut length => *mut u32,
    ) -> i32);
    records.truncate(length as usize);
    (status == 0).then_some(records)
}

/// Queues a DPC with the processor as its target, in one of two ways. Returns whether it ran there.
fn runs(abi: Abi, change: Change, start: impl FnOnce(&Memory<0x40>, &Context) -> bool) -> bool {
    let context = Context::new(abi);
    let dpc = dpc(abi, tell(abi), &context);
    assert_eq!(
        aim(abi, &dpc, change.index),
        0,
        "A5: the processor can be a target from AddStart on"
    );
    let started = start(&dpc, &context);
    call!(abi, KeFlushQueuedDpcs());
    let calls = context.calls();
    assert!(
        calls.iter().all(|calls| calls.0 == change.index),
        "never on another processor: {calls:?}"
    );
    assert_eq!(started, !calls.is_empty(), "the result of queueing is correct");
    started
}

const ROWS: &[Row] = &[
    ("KeGetProcessorNumberFromIndex", Knows::Always, |abi, change| {
        let mut number = ProcessorNumber::default();
        let status = call!(abi, KeGetProcessorNumberFromIndex(
            change.index => u32, &raw mut number => *mut ProcessorNumber,
        ) -> i32);
        status == 0 && number == change.number
    }),
    ("KeGetProcessorIndexFromNumber", Knows::Always, |abi, change| {
        let number = &raw const change.number;
        let index =
            call!(abi, KeGetProcessorIndexFromNumber(number => *const ProcessorNumber) -> u32);
        index == change.index
    }),
    ("KeSetTargetProcessorDpcEx", Knows::Always, |abi, change| {
        let context = Context::new(abi);
        aim(abi, &dpc(abi, tell(abi), &context), change.index) == 0
    }),
    ("KeQueryMaximumProcessorCountEx", Knows::Always, |abi, change| {
        call!(abi, KeQueryMaximumProcessorCountEx(ALL => u16) -> u32) > change.index
    }),
    ("KeQueryNodeMaximumProcessorCount", Knows::Always, |abi, change| {
        let most = call!(abi, KeQueryNodeMaximumProcessorCount(change.number.group => u16) -> u16);
        most > u16::from(change.number.number)
    }),
    ("KeQueryHighestNodeNumber", Knows::Always, |abi, change| {
        call!(abi, KeQueryHighestNodeNumber() -> u16) >= change.number.group
    }),
    ("MmAllocateContiguousNodeMemory", Knows::Always, |abi, change| {
        let memory = call!(abi, MmAllocateContiguousNodeMemory(
            64 => usize, 0 => i64, -1 => i64, 0 => i64, 4 => u32,
            u32::from(change.number.group) => u32,
        ) -> usize);
        call!(abi, MmFreeContiguousMemory(memory => usize));
        memory != 0
    }),
    ("KeQueryActiveProcessorCountEx, of all", Knows::FromAddComplete, |abi, change| {
        let count = call!(abi, KeQueryActiveProcessorCountEx(ALL => u16) -> u32);
        assert!((change.index..=change.index + 1).contains(&count), "indexes are dense: {count}");
        count > change.index
    }),
    ("KeQueryActiveProcessorCountEx, of a group", Knows::FromAddComplete, |abi, change| {
        let group = change.number.group;
        let count = call!(abi, KeQueryActiveProcessorCountEx(group => u16) -> u32);
        count > u32::from(change.number.number)
    }),
    ("KeQueryGroupAffinity", Knows::FromAddComplete, |abi, change| {
        let mask = call!(abi, KeQueryGroupAffinity(change.number.group => u16) -> u64);
        mask >> change.number.number & 1 == 1
    }),
    ("KeQueryNodeActiveAffinity", Knows::FromAddComplete, |abi, change| {
        let (mut affinity, mut count) = (GroupAffinity::default(), 0_u16);
        call!(abi, KeQueryNodeActiveAffinity(
            change.number.group => u16, &raw mut affinity => *mut GroupAffinity,
            &raw mut count => *mut u16,
        ));
        let counted = count > u16::from(change.number.number);
        assert_eq!(
            affinity.mask >> change.number.number & 1 == 1,
            counted,
            "the mask and the count agree"
        );
        counted
    }),
    ("KeQueryLogicalProcessorRelationship, of it", Knows::FromAddComplete, |abi, change| {
        // Its core, its memory node and its package.
        let known = [0, 1, 3].map(|kind| relationship(abi, Some(&change.number), kind).is_some());
        assert!(known.iter().all(|one| *one == known[0]), "all relations agree: {known:?}");
        known[0]
    }),
    ("KeQueryLogicalProcessorRelationship, of all", Knows::FromAddComplete, |abi, change| {
        let cores = relationship(abi, None, 0).unwrap().len() / 48;
        cores > change.index as usize
    }),
    ("KeSetSystemGroupAffinityThread", Knows::FromAddComplete, |abi, change| {
        let mut before = GroupAffinity { mask: 0xa5, group: 0xa5, reserved: [0xa5; 3] };
        let to = GroupAffinity {
            mask: 1 << change.number.number,
            group: change.number.group,
            reserved: [0; 3],
        };
        call!(abi, KeSetSystemGroupAffinityThread(
            &raw const to => *const GroupAffinity, &raw mut before => *mut GroupAffinity,
        ));
        assert_eq!(before, GroupAffinity::default(), "no previous affinity, and zeros if it fails");
        let there = here(abi) == change.index;
        call!(abi, KeRevertToUserGroupAffinityThread(&raw const before => *const GroupAffinity));
        there
    }),
    ("KeInsertQueueDpc", Knows::FromAddComplete, |abi, change| {
        runs(abi, change, |dpc, _| insert(abi, dpc, 0) == 1)
    }),
    ("KeSetTimer", Knows::FromAddComplete, |abi, change| {
        runs(abi, change, |dpc, context| {
            let timer = Memory::<0x40>::new();
            call!(abi, KeInitializeTimer(timer.at() => *mut u8));
            call!(abi, KeSetTimer(timer.at() => *mut u8, -1 => i64, dpc.at() => *mut u8) -> u8);
            wait(abi, timer.at(), true);
            // The call that cancels the timer queues its DPC before another thread can set one.
            call!(abi, KeCancelTimer(timer.at() => *mut u8) -> u8);
            call!(abi, KeFlushQueuedDpcs());
            wait(abi, context.done.at(), false) == 0
        })
    }),
    ("KeGenericCallDpc", Knows::FromAddComplete, |abi, change| {
        let sought = Sought::new(abi, change);
        let context = &raw const sought as usize;
        call!(abi, KeGenericCallDpc(every(abi) => usize, context => usize));
        sought.found.into_inner()
    }),
    ("KeIpiGenericCall", Knows::FromAddComplete, |abi, change| {
        let sought = Sought::new(abi, change);
        let context = &raw const sought as usize;
        call!(abi, KeIpiGenericCall(interrupt(abi) => usize, context => usize) -> usize);
        sought.found.into_inner()
    }),
];

#[test]
fn a5_names_translate_from_add_start_and_counts_masks_and_work_from_add_complete() {
    let scene = scene();
    let _alone = alone();
    for (abi, id) in [(Abi::Win64, RUNNING + 21), (Abi::SysV, RUNNING + 22)] {
        let wrong = Mutex::new(Vec::new());
        let calls = AtomicUsize::new(0);
        let listener = Listener::new(abi, |change| {
            calls.fetch_add(1, Ordering::SeqCst);
            for (name, knows, does) in ROWS {
                let expected = match knows {
                    Knows::Always => true,
                    Knows::FromAddComplete => change.state == COMPLETE,
                };
                if does(abi, change) != expected {
                    wrong.lock().unwrap().push((change.state, *name, *knows));
                }
            }
            None
        });
        // AddStart and AddFailure; AddStart and AddComplete.
        world::get().partition.rehearse(HardwareId(id)).unwrap();
        let change = world::get().partition.add(HardwareId(id)).unwrap();
        drop(listener);
        assert_eq!(calls.into_inner(), 4, "{START}, {FAILURE}, {START}, {COMPLETE}");
        assert_eq!(
            wrong.into_inner().unwrap(),
            [],
            "{abi:?}: by state, function, and what it knows"
        );
        let index = change.processor.index;
        let not_there = scene.breaches(&format!("processor {index}, which has not joined"));
        assert_eq!(not_there.len(), 6, "a queue and a timer, three times: {not_there:?}");
        let none = scene.breaches("none of them is active");
        assert_eq!(none.len(), 3, "three times: {none:?}");
    }
}
