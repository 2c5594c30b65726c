//! DPCs that are aimed at a processor before it has joined, and after it has left (A5, X1).

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

/// Which processors the DPC ran on, when all that was queued has run.
fn ran_on(abi: Abi, context: &Context) -> Vec<u32> {
    call!(abi, KeFlushQueuedDpcs());
    context.told().iter().map(|told| told.0).collect()
}

#[test]
fn a5_a_dpc_aimed_in_add_start_runs_there_while_add_complete_waits_for_it() {
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
                assert_eq!(insert(abi, &dpc, change.index as usize), 1, "A5: it may be queued now");
                wait(abi, context.done.at(), true);
                None
            }
            _ => None,
        });
        for id in ids {
            let change = world::get().partition.add(HardwareId(id));
            let joined = change.expect("A5: it can be aimed, so nobody refuses").processor.index;
            assert_eq!(
                context.told(),
                [(joined.get(), 2, joined.as_usize(), 7)],
                "it ran there, and AddComplete saw it"
            );
        }
        drop(listener);
        call!(abi, KeFlushQueuedDpcs());
    }
}

#[test]
fn a5_a_dpc_queued_for_a_processor_that_has_not_joined_is_refused_reported_and_runs_nowhere() {
    let scene = scene();
    let _alone = alone();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpc = dpc(abi, tell(abi), &context);
        let newcomer = world::get().partition.count();
        let named = format!("processor {newcomer}, which has not joined (A5)");
        let refused = |when: &str| {
            assert_eq!(insert(abi, &dpc, 0), 0, "{when}: it is not queued");
            let breaches = scene.breaches(&named);
            assert_eq!(breaches.len(), 1, "{when}: and that is reported: {breaches:?}");
            assert!(breaches[0].starts_with("breach: queues the DPC at "), "{breaches:?}");
        };
        let listener = Listener::new(abi, |change| {
            match change.state {
                START => {
                    assert_eq!(change.index, newcomer);
                    assert_eq!(aim_at(abi, &dpc, change.number), 0, "A5: it can be aimed");
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
        assert_eq!(insert(abi, &dpc, 0), 1, "aimed elsewhere, it is like any other");
        assert_eq!(ran_on(abi, &context), [3]);
    }
}

#[test]
fn a5_a_dpc_that_is_queued_already_stays_queued_when_it_is_aimed_at_a_newcomer() {
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
                assert_eq!(insert(abi, &dpc, 2), 0, "as documented: it is queued already");
                drop(busy);
            }
            None
        });
        world::get().partition.rehearse(SPARE_ID).unwrap();
        drop(listener);
        assert_eq!(ran_on(abi, &context), [16], "where it was aimed when it was queued");
        let named = format!("processor {newcomer}, which has not joined");
        assert_eq!(scene.breaches(&named), [""; 0], "nothing was done wrong");
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
            assert_eq!(wait(abi, timer.at(), true), 0, "the timer goes on");
        }
        assert_eq!(ran_on(abi, &context), [0_u32; 0], "its DPC runs nowhere");
        assert_eq!(aim(abi, &dpc, 17), 0);
        wait(abi, context.done.at(), true);
        call!(abi, KeCancelTimer(timer.at() => *mut u8) -> u8);
        assert!(ran_on(abi, &context).contains(&17), "aimed elsewhere, it runs when it is due");
        let named = format!("processor {newcomer}, which has not joined (A5)");
        let breaches = scene.breaches(&named);
        assert_eq!(breaches.len(), 1, "once, and not each time that it is due: {breaches:?}");
    }
}

#[test]
fn x1_a_dpc_aimed_at_a_processor_that_has_left_runs_elsewhere_under_its_name() {
    scene();
    let _alone = alone();
    let (partition, id) = (&world::get().partition, HardwareId(RUNNING + 23));
    let joined = partition.add(id).unwrap().processor.index.get();
    for abi in BOTH {
        let context = Context::new(abi);
        let (before, after) = (dpc(abi, tell(abi), &context), dpc(abi, tell(abi), &context));
        assert_eq!(aim(abi, &before, joined), 0);
        partition.remove(id).unwrap();
        assert_eq!(insert(abi, &before, 0), 1, "no driver has heard that it left");
        assert_eq!(aim(abi, &after, joined), 0, "X3: it keeps its name, so it can be aimed at");
        assert_eq!(insert(abi, &after, 0), 1);
        assert_eq!(ran_on(abi, &context), [joined, joined]);
        // Indexes are dense, and other tests count on that.
        partition.add(id).unwrap();
    }
}

#[test]
fn the_old_function_changes_nothing_for_a_number_at_or_above_the_count_and_that_is_reported() {
    let scene = scene();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpc = dpc(abi, tell(abi), &context);
        aim_old(abi, &dpc, 18);
        // Group 0 is full: its numbers end at 63, whatever other groups have.
        for number in [64, 69, 127, -1] {
            aim_old(abi, &dpc, number);
            let named = format!("KeSetTargetProcessorDpc for processor {number},");
            let breaches = scene.breaches(&named);
            assert_eq!(breaches.len(), 1, "{number}: {breaches:?}");
        }
        assert_eq!(insert(abi, &dpc, 0), 1);
        assert_eq!(ran_on(abi, &context), [18], "aimed where it was before");
    }
}
