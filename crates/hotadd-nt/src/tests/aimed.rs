//! DPCs that target a processor before it has joined, and after it has left (A5, X1).

use hotadd::HardwareId;

use crate::ground::abi::Abi;
use crate::ground::types::ProcessorNumber;
use crate::ground::world;
use crate::tests::changes::{COMPLETE, FAILURE, Listener, START};
use crate::tests::dpcs::{Context, aim, dpc, insert, tell};
use crate::tests::events::wait;
use crate::tests::{BOTH, Memory, RUNNING, alone, call, scene};

/// A processor that these tests rehearse and never add.
const SPARE_ID: HardwareId = HardwareId(RUNNING + 20);

fn number_of(abi: Abi, index: u32) -> ProcessorNumber {
    let mut number = ProcessorNumber::default();
    let status = call!(abi, KeGetProcessorNumberFromIndex(
        index => u32, &raw mut number => *mut ProcessorNumber,
    ) -> i32);
    assert_eq!(status, 0, "A5: the index {index} translates");
    number
}

fn aim_at(abi: Abi, dpc: &Memory<0x40>, number: ProcessorNumber) -> i32 {
    call!(abi, KeSetTargetProcessorDpcEx(
        dpc.at() => *mut u8, &raw const number => *const ProcessorNumber,
    ) -> i32)
}

fn aim_old(abi: Abi, dpc: &Memory<0x40>, number: i8) {
    call!(abi, KeSetTargetProcessorDpc(dpc.at() => *mut u8, number => i8));
}

/// The processors that the DPC ran on, after all queued DPCs have run.
fn ran_on(abi: Abi, context: &Context) -> Vec<u32> {
    call!(abi, KeFlushQueuedDpcs());
    context.calls().iter().map(|calls| calls.0).collect()
}

#[test]
fn a5_a_dpc_targeted_in_add_start_runs_while_add_complete_waits_for_it() {
    scene();
    let _alone = alone();
    for (abi, ids) in [(Abi::Win64, RUNNING..RUNNING + 10), (Abi::SysV, RUNNING + 10..RUNNING + 20)]
    {
        let context = Context::new(abi);
        let dpc = dpc(abi, tell(abi), &context);
        let listener = Listener::new(abi, |change| match change.state {
            START => match aim_at(abi, &dpc, number_of(abi, change.index)) {
                0 => None,
                status => Some(status.cast_unsigned()),
            },
            COMPLETE => {
                assert_eq!(
                    insert(abi, &dpc, change.index as usize),
                    1,
                    "A5: it can be queued from AddComplete on"
                );
                wait(abi, context.done.at(), true);
                None
            }
            _ => None,
        });
        for id in ids {
            let change = world::get().partition.add(HardwareId(id));
            let joined =
                change.expect("A5: it can be a target, so no driver refuses").processor.index;
            assert_eq!(
                context.calls(),
                [(joined.get(), 2, joined.as_usize(), 7)],
                "it ran there, and AddComplete saw it"
            );
        }
        drop(listener);
        call!(abi, KeFlushQueuedDpcs());
    }
}

#[test]
fn a5_a_dpc_queued_for_a_processor_that_has_not_joined_is_refused_and_reported() {
    let scene = scene();
    let _alone = alone();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpc = dpc(abi, tell(abi), &context);
        let newcomer = world::get().partition.count();
        let named = format!("processor {newcomer}, which has not joined (A5)");
        let refused = |when: &str| {
            assert_eq!(insert(abi, &dpc, 0), 0, "{when}: the DPC is not queued");
            let breaches = scene.breaches(&named);
            assert_eq!(breaches.len(), 1, "{when}: the breach is reported: {breaches:?}");
            assert!(breaches[0].starts_with("breach: queues the DPC at "), "{breaches:?}");
        };
        let listener = Listener::new(abi, |change| {
            match change.state {
                START => {
                    assert_eq!(change.index, newcomer);
                    assert_eq!(
                        aim_at(abi, &dpc, change.number),
                        0,
                        "A5: the processor can be a target"
                    );
                    refused("in AddStart");
                }
                FAILURE => refused("in AddFailure"),
                _ => {}
            }
            None
        });
        world::get().partition.rehearse(SPARE_ID).unwrap();
        refused("after AddFailure");
        drop(listener);
        assert_eq!(call!(abi, KeRemoveQueueDpc(dpc.at() => *mut u8) -> u8), 0, "it is in no queue");
        assert_eq!(ran_on(abi, &context), [0_u32; 0], "it ran nowhere");
        assert_eq!(aim(abi, &dpc, 3), 0);
        assert_eq!(insert(abi, &dpc, 0), 1, "with another target it can be queued");
        assert_eq!(ran_on(abi, &context), [3]);
    }
}

#[test]
fn a5_a_queued_dpc_keeps_its_processor_when_its_target_changes() {
    let scene = scene();
    let _alone = alone();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpc = dpc(abi, tell(abi), &context);
        let newcomer = world::get().partition.count();
        let listener = Listener::new(abi, |change| {
            if change.state == START {
                let busy = crate::tests::dpcs::keep_busy(16);
                assert_eq!((aim(abi, &dpc, 16), insert(abi, &dpc, 1)), (0, 1));
                assert_eq!(aim_at(abi, &dpc, change.number), 0);
                assert_eq!(insert(abi, &dpc, 2), 0, "as documented, it is not queued twice");
                drop(busy);
            }
            None
        });
        world::get().partition.rehearse(SPARE_ID).unwrap();
        drop(listener);
        assert_eq!(ran_on(abi, &context), [16], "on its target at the time of queueing");
        let named = format!("processor {newcomer}, which has not joined");
        assert_eq!(scene.breaches(&named), [""; 0], "no breach");
    }
}

#[test]
fn a5_a_timers_dpc_for_a_processor_that_has_not_joined_does_not_run_and_is_reported_once() {
    let scene = scene();
    let _alone = alone();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpc = dpc(abi, tell(abi), &context);
        let newcomer = world::get().partition.count();
        let listener = Listener::new(abi, |change| {
            if change.state == START {
                assert_eq!(aim_at(abi, &dpc, change.number), 0);
            }
            None
        });
        world::get().partition.rehearse(SPARE_ID).unwrap();
        drop(listener);
        let timer = Memory::<0x40>::new();
        call!(abi, KeInitializeTimerEx(timer.at() => *mut u8, 1 => i32));
        call!(abi, KeSetTimerEx(
            timer.at() => *mut u8, -10_000 => i64, 1 => i32, dpc.at() => *mut u8,
        ) -> u8);
        for _ in 0..5 {
            assert_eq!(wait(abi, timer.at(), true), 0, "the timer still expires");
        }
        assert_eq!(ran_on(abi, &context), [0_u32; 0], "its DPC runs nowhere");
        assert_eq!(aim(abi, &dpc, 17), 0);
        wait(abi, context.done.at(), true);
        call!(abi, KeCancelTimer(timer.at() => *mut u8) -> u8);
        assert!(ran_on(abi, &context).contains(&17), "with another target it runs when it is due");
        let named = format!("processor {newcomer}, which has not joined (A5)");
        let breaches = scene.breaches(&named);
        assert_eq!(breaches.len(), 1, "reported once, not at each expiry: {breaches:?}");
    }
}

#[test]
fn x1_a_dpc_for_a_processor_that_has_left_runs_elsewhere_under_its_index() {
    scene();
    let _alone = alone();
    let (partition, id) = (&world::get().partition, HardwareId(RUNNING + 23));
    let joined = partition.add(id).unwrap().processor.index.get();
    for abi in BOTH {
        let context = Context::new(abi);
        let (before, after) = (dpc(abi, tell(abi), &context), dpc(abi, tell(abi), &context));
        assert_eq!(aim(abi, &before, joined), 0);
        partition.remove(id).unwrap();
        assert_eq!(insert(abi, &before, 0), 1, "drivers are not told that it left");
        assert_eq!(aim(abi, &after, joined), 0, "X3: it keeps its index, so it can be a target");
        assert_eq!(insert(abi, &after, 0), 1);
        assert_eq!(ran_on(abi, &context), [joined, joined]);
        // Indexes are dense, and other tests depend on that.
        partition.add(id).unwrap();
    }
}

#[test]
fn the_old_function_reports_a_number_beyond_the_count_and_changes_nothing() {
    let scene = scene();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpc = dpc(abi, tell(abi), &context);
        aim_old(abi, &dpc, 18);
        // Group 0 is full: its numbers end at 63, whatever other groups contain.
        for number in [64, 69, 127, -1] {
            aim_old(abi, &dpc, number);
            let named = format!("KeSetTargetProcessorDpc for processor {number},");
            let breaches = scene.breaches(&named);
            assert_eq!(breaches.len(), 1, "{number}: {breaches:?}");
        }
        assert_eq!(insert(abi, &dpc, 0), 1);
        assert_eq!(ran_on(abi, &context), [18], "the target is unchanged");
    }
}
