//! When the processing of a DPC queue begins: "Organization of DPC Queues" and `KeSetImportanceDpc`.

use std::sync::atomic::{AtomicU32, Ordering};

use hotadd::HardwareId;

use crate::ground::abi::Abi;
use crate::ground::{thread, world};
use crate::kernel::ke::dpc_queue;
use crate::tests::dpcs::{Busy, Context, aim, dpc, insert, keep_busy, tell};
use crate::tests::{BOTH, Memory, call, routine, scene};

/// `LowImportance` to `MediumHighImportance`, by value, with whether a DPC of the current processor runs at once.
const IMPORTANCES: [(i32, bool); 4] = [(0, false), (1, true), (2, true), (3, true)];

/// Runs on a thread of its own that a driver has bound to a processor. Each test has processors of its own, because the
/// DPCs of another would run together with its own.
fn on_processor(here: u32, test: impl FnOnce() + Send) {
    let processor = world::get().partition.active().by_id(HardwareId(here)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            thread::pin(processor).unwrap();
            test();
        });
    });
}

fn set_importance(abi: Abi, dpc: &Memory<0x40>, importance: i32) {
    call!(abi, KeSetImportanceDpc(dpc.at() => *mut u8, importance => i32));
}

#[test]
fn a_dpc_of_the_current_processor_runs_before_the_call_returns_unless_its_importance_is_low() {
    const HERE: u32 = 41;
    scene();
    for abi in BOTH {
        for (importance, at_once) in IMPORTANCES {
            for aimed in [false, true] {
                on_processor(HERE, || {
                    // The queue's own thread cannot run it.
                    let busy = keep_busy(HERE);
                    let context = Context::new(abi);
                    let dpc = dpc(abi, tell(abi), &context);
                    set_importance(abi, &dpc, importance);
                    if aimed {
                        aim(abi, &dpc, HERE);
                    }
                    for round in 0..200 {
                        assert_eq!(insert(abi, &dpc, round), 1, "it is not queued");
                        let ran = context.calls();
                        let expected: &[_] = if at_once { &[(HERE, 2, round, 7)] } else { &[] };
                        assert_eq!(ran, expected, "importance {importance}, aimed: {aimed}");
                        assert_eq!(call!(abi, KeGetCurrentIrql() -> u8), 0, "as before");
                        if !at_once {
                            assert_eq!(call!(abi, KeRemoveQueueDpc(dpc.at() => *mut u8) -> u8), 1);
                        }
                    }
                    drop(busy);
                });
            }
        }
    }
}

#[test]
fn at_dispatch_level_a_dpc_of_the_current_processor_runs_when_the_level_falls() {
    const HERE: u32 = 43;
    const LEVELS: [u8; 3] = [2, 12, 15];
    scene();
    for abi in BOTH {
        for level in LEVELS {
            for (importance, at_once) in IMPORTANCES {
                on_processor(HERE, || {
                    let busy = keep_busy(HERE);
                    let context = Context::new(abi);
                    let dpc = dpc(abi, tell(abi), &context);
                    set_importance(abi, &dpc, importance);
                    let old = call!(abi, KfRaiseIrql(level => u8) -> u8);
                    insert(abi, &dpc, 1);
                    let what = format!("importance {importance}, level {level}");
                    assert_eq!(context.calls(), [], "{what}: not at this level");
                    if level > 2 {
                        call!(abi, KeLowerIrql(2 => u8));
                        assert_eq!(context.calls(), [], "{what}: not at DISPATCH_LEVEL");
                    }
                    call!(abi, KeLowerIrql(old => u8));
                    let ran = if at_once { vec![(HERE, 2, 1, 7)] } else { vec![] };
                    assert_eq!(context.calls(), ran, "{what}: when the level has fallen");
                    assert_eq!(call!(abi, KeGetCurrentIrql() -> u8), 0, "{what}");
                    call!(abi, KeRemoveQueueDpc(dpc.at() => *mut u8) -> u8);
                    drop(busy);
                });
            }
        }
    }
}

#[test]
fn releasing_a_spin_lock_runs_the_dpc_that_was_queued_under_it() {
    const HERE: u32 = 45;
    scene();
    for abi in BOTH {
        on_processor(HERE, || {
            let lock = Memory::<8>::new();
            call!(abi, KeInitializeSpinLock(lock.at() => *mut u8));
            let context = Context::new(abi);
            let dpc = dpc(abi, tell(abi), &context);
            let old = call!(abi, KeAcquireSpinLockRaiseToDpc(lock.at() => *mut u8) -> u8);
            insert(abi, &dpc, 4);
            assert_eq!(context.calls(), []);
            call!(abi, KeReleaseSpinLock(lock.at() => *mut u8, old => u8));
            assert_eq!(context.calls(), [(HERE, 2, 4, 7)]);
        });
    }
}

#[test]
fn dpcs_of_low_importance_run_at_once_when_the_queue_is_deep() {
    const HERE: u32 = 47;
    /// The documented default of Windows.
    const DEPTH: usize = 4;
    scene();
    for abi in BOTH {
        on_processor(HERE, || {
            let busy = keep_busy(HERE);
            let context = Context::new(abi);
            let dpcs: Vec<_> = (0..=DEPTH).map(|_| dpc(abi, tell(abi), &context)).collect();
            for (at, dpc) in dpcs.iter().enumerate() {
                set_importance(abi, dpc, 0);
                assert_eq!(context.calls(), [], "a queue of {at} is not deep");
                insert(abi, dpc, at);
            }
            let order: Vec<_> = context.calls().iter().map(|call| call.2).collect();
            assert_eq!(order, [0, 1, 2, 3, 4], "all run, in their order");
            drop(busy);
        });
    }
}

#[test]
fn what_was_queued_before_runs_with_an_important_dpc_and_after_it() {
    const HERE: u32 = 49;
    scene();
    for abi in BOTH {
        on_processor(HERE, || {
            let busy = keep_busy(HERE);
            let context = Context::new(abi);
            let [low, high] = [0, 1].map(|_| dpc(abi, tell(abi), &context));
            set_importance(abi, &low, 0);
            set_importance(abi, &high, 2);
            insert(abi, &low, 1);
            insert(abi, &high, 2);
            let order: Vec<_> = context.calls().iter().map(|call| call.2).collect();
            assert_eq!(
                order,
                [2, 1],
                "HighImportance goes to the front, and the queue is processed"
            );
            drop(busy);
        });
    }
}

#[test]
fn a_dpc_for_another_processor_does_not_run_on_this_one() {
    const HERE: u32 = 51;
    scene();
    for abi in BOTH {
        for (importance, _) in IMPORTANCES {
            on_processor(HERE, || {
                let busy: Busy = keep_busy(HERE + 1);
                let context = Context::new(abi);
                let dpc = dpc(abi, tell(abi), &context);
                set_importance(abi, &dpc, importance);
                aim(abi, &dpc, HERE + 1);
                insert(abi, &dpc, 0);
                assert_eq!(context.calls(), [], "importance {importance}");
                drop(busy);
                call!(abi, KeFlushQueuedDpcs());
                assert_eq!(context.calls(), [(HERE + 1, 2, 0, 7)], "importance {importance}");
            });
        }
    }
}

#[test]
fn a_dpc_that_interrupts_a_thread_is_not_blamed_for_what_the_thread_holds() {
    const HERE: u32 = 53;
    scene();
    for abi in BOTH {
        on_processor(HERE, || {
            let mutex = Memory::<0x38>::new();
            call!(abi, KeInitializeMutex(mutex.at() => *mut u8, 0 => u32));
            call!(abi, KeEnterCriticalRegion());
            crate::tests::events::wait(abi, mutex.at(), true);
            let context = Context::new(abi);
            let dpc = dpc(abi, tell(abi), &context);
            insert(abi, &dpc, 3);
            assert_eq!(context.calls(), [(HERE, 2, 3, 7)]);
            call!(abi, KeReleaseMutex(mutex.at() => *mut u8, 0 => u8) -> i32);
            call!(abi, KeLeaveCriticalRegion());
        });
    }
}

#[test]
fn a_threaded_dpc_that_waits_does_not_hold_up_the_dpcs_of_its_processor() {
    static STEP: AtomicU32 = AtomicU32::new(0);
    routine! {
        fn waits(_dpc: usize, _context: usize, _first: usize, _second: usize) {
            STEP.store(1, Ordering::SeqCst);
            while STEP.load(Ordering::SeqCst) != 2 {
                std::thread::yield_now();
            }
        }
    }
    scene();
    for abi in BOTH {
        STEP.store(0, Ordering::SeqCst);
        let context = Context::new(abi);
        let threaded = Memory::<0x40>::new();
        call!(abi, KeInitializeThreadedDpc(threaded.at() => *mut u8, waits(abi) => usize, 0 => usize));
        aim(abi, &threaded, 29);
        insert(abi, &threaded, 0);
        while STEP.load(Ordering::SeqCst) != 1 {
            std::thread::yield_now();
        }
        let dpc = dpc(abi, tell(abi), &context);
        aim(abi, &dpc, 29);
        insert(abi, &dpc, 9);
        crate::tests::events::wait(abi, context.done.at(), true);
        assert_eq!(context.calls(), [(29, 2, 9, 7)]);
        STEP.store(2, Ordering::SeqCst);
        call!(abi, KeFlushQueuedDpcs());
    }
}

#[test]
fn a_flush_waits_for_a_dpc_that_runs_on_the_thread_that_queued_it() {
    const HERE: u32 = 55;
    static STEP: AtomicU32 = AtomicU32::new(0);
    routine! {
        fn slow(_dpc: usize, _context: usize, _first: usize, _second: usize) {
            STEP.store(1, Ordering::SeqCst);
            for _ in 0..1_000 {
                std::thread::yield_now();
            }
            STEP.store(2, Ordering::SeqCst);
        }
    }
    scene();
    for abi in BOTH {
        STEP.store(0, Ordering::SeqCst);
        let context = Context::new(abi);
        let slow = dpc(abi, slow(abi), &context);
        std::thread::scope(|scope| {
            scope.spawn(|| on_processor(HERE, || assert_eq!(insert(abi, &slow, 0), 1)));
            while STEP.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            dpc_queue::flush();
            assert_eq!(STEP.load(Ordering::SeqCst), 2, "the DPC has returned");
        });
    }
}

#[test]
fn a_dpc_can_be_queued_in_an_ipi_and_runs_after_it() {
    routine! {
        fn queues(context: usize) -> usize {
            // SAFETY: what this test calls it with.
            let (abi, dpcs) = unsafe { &*(context as *const (Abi, Vec<Memory<0x40>>)) };
            let here = call!(*abi, KeGetCurrentProcessorNumberEx(std::ptr::null_mut() => *mut u32) -> u32);
            if let Some(dpc) = dpcs.get(here as usize) {
                assert_eq!(insert(*abi, dpc, 6), 1);
            }
            0
        }
    }
    scene();
    for abi in BOTH {
        let contexts: Vec<_> = (0..4).map(|_| Context::new(abi)).collect();
        let dpcs: Vec<_> = contexts.iter().map(|context| dpc(abi, tell(abi), context)).collect();
        let both = (abi, dpcs);
        let context = &raw const both as usize;
        call!(abi, KeIpiGenericCall(queues(abi) => usize, context => usize) -> usize);
        call!(abi, KeFlushQueuedDpcs());
        for (here, context) in contexts.iter().enumerate() {
            let here = u32::try_from(here).unwrap();
            assert_eq!(context.calls(), [(here, 2, 6, 7)], "on its processor");
        }
    }
}
