//! DPCs run on their target processor at DISPATCH_LEVEL, and broadcasts run on all processors.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc;

use hotadd::{HardwareId, ProcessorIndex};

use crate::ground::abi::Abi;
use crate::ground::types::{GroupAffinity, ProcessorNumber};
use crate::ground::{thread, world};
use crate::kernel::ke::dpc_queue;
use crate::tests::events::{event, set, wait};
use crate::tests::{BOTH, Memory, RUNNING, SPARE, call, routine, scene};

/// What a DPC of these tests reports: its processor, its level and its arguments.
pub(super) type Told = (u32, u8, usize, usize);

/// The context of a DPC.
pub(super) struct Context {
    pub(super) abi: Abi,
    calls: Mutex<Vec<Told>>,
    pub(super) done: Memory<0x18>,
}

impl Context {
    pub(super) fn new(abi: Abi) -> Self {
        Self { abi, calls: Mutex::default(), done: event(abi, 1, 0) }
    }

    pub(super) fn calls(&self) -> Vec<Told> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

/// Reads the processor block as a driver with inlined code does.
fn number_by_gs() -> u32 {
    let number: u32;
    // SAFETY: gs points to a block on every thread that runs driver code.
    unsafe { std::arch::asm!("mov {:e}, gs:[0x1a4]", out(reg) number, options(nostack, readonly)) };
    number
}

routine! {
    pub(super) fn tell(_dpc: usize, context: usize, first: usize, second: usize) {
        // SAFETY: what these tests make their DPCs with.
        let context = unsafe { &*(context as *const Context) };
        let level = call!(context.abi, KeGetCurrentIrql() -> u8);
        let here = call!(context.abi, KeGetCurrentProcessorNumberEx(std::ptr::null_mut() => *mut u32) -> u32);
        assert_eq!(here, number_by_gs(), "the call and the processor block agree");
        context.calls.lock().unwrap().push((here, level, first, second));
        set(context.abi, &context.done);
    }
}

pub(super) fn dpc(abi: Abi, routine: usize, context: &Context) -> Memory<0x40> {
    let dpc = Memory::new();
    let context = std::ptr::from_ref(context) as usize;
    call!(abi, KeInitializeDpc(dpc.at() => *mut u8, routine => usize, context => usize));
    dpc
}

pub(super) fn insert(abi: Abi, dpc: &Memory<0x40>, first: usize) -> u8 {
    call!(abi, KeInsertQueueDpc(dpc.at() => *mut u8, first => usize, 7 => usize) -> u8)
}

pub(super) fn aim(abi: Abi, dpc: &Memory<0x40>, index: u32) -> i32 {
    let number = ProcessorNumber {
        group: u16::try_from(index / 64).unwrap(),
        number: u8::try_from(index % 64).unwrap(),
        reserved: 0,
    };
    call!(abi, KeSetTargetProcessorDpcEx(
        dpc.at() => *mut u8, &raw const number => *const ProcessorNumber,
    ) -> i32)
}

/// Keeps a processor busy until it is dropped, so that DPCs queued there stay queued.
pub(super) struct Busy(#[expect(dead_code, reason = "dropped")] mpsc::Sender<()>);

pub(super) fn keep_busy(index: u32) -> Busy {
    let (busy, free) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    dpc_queue::call(ProcessorIndex::new(index).unwrap(), move || {
        begun.send(()).unwrap();
        let _ = free.recv();
    });
    has_begun.recv().unwrap();
    Busy(busy)
}

#[test]
fn a_dpc_runs_on_its_processor_at_dispatch_level_with_its_arguments() {
    scene();
    for abi in BOTH {
        for index in [0, 1, 63, 64, 69] {
            let context = Context::new(abi);
            let dpc = dpc(abi, tell(abi), &context);
            assert_eq!(aim(abi, &dpc, index), 0);
            assert_eq!(insert(abi, &dpc, 5), 1);
            wait(abi, context.done.at(), true);
            assert_eq!(context.calls(), [(index, 2, 5, 7)]);
            call!(abi, KeFlushQueuedDpcs());
        }
    }
}

#[test]
fn a_dpc_without_a_target_runs_where_it_was_queued() {
    scene();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpc = dpc(abi, tell(abi), &context);
        let processor = world::get().partition.active().by_id(HardwareId(66)).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                thread::pin(processor).unwrap();
                insert(abi, &dpc, 0);
                wait(abi, context.done.at(), true);
            });
        });
        assert_eq!(context.calls(), [(66, 2, 0, 7)]);
        call!(abi, KeFlushQueuedDpcs());
    }
}

#[test]
fn a_threaded_dpc_runs_at_passive_level() {
    scene();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpc = Memory::<0x40>::new();
        let address = &raw const context as usize;
        call!(abi, KeInitializeThreadedDpc(dpc.at() => *mut u8, tell(abi) => usize, address => usize));
        aim(abi, &dpc, 3);
        insert(abi, &dpc, 0);
        wait(abi, context.done.at(), true);
        assert_eq!(context.calls(), [(3, 0, 0, 7)]);
        call!(abi, KeFlushQueuedDpcs());
    }
}

#[test]
fn a_dpc_is_queued_once_and_can_be_removed_until_it_runs() {
    scene();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpc = dpc(abi, tell(abi), &context);
        aim(abi, &dpc, 11);
        let busy = keep_busy(11);
        assert_eq!(insert(abi, &dpc, 1), 1);
        assert_eq!(insert(abi, &dpc, 2), 0, "queued already");
        assert_eq!(call!(abi, KeRemoveQueueDpc(dpc.at() => *mut u8) -> u8), 1);
        assert_eq!(call!(abi, KeRemoveQueueDpc(dpc.at() => *mut u8) -> u8), 0, "it is not queued");
        assert_eq!(insert(abi, &dpc, 3), 1);
        drop(busy);
        call!(abi, KeFlushQueuedDpcs());
        assert_eq!(context.calls(), [(11, 2, 3, 7)], "the removed DPC did not run");
    }
}

#[test]
fn a_dpc_runs_on_its_processor_after_an_earlier_one_changed_the_affinity() {
    routine! {
        fn goes_away(_dpc: usize, context: usize, _first: usize, _second: usize) {
            // SAFETY: what this test makes its DPC with.
            let context = unsafe { &*(context as *const Context) };
            let affinity = GroupAffinity { mask: 1 << 5, ..GroupAffinity::default() };
            call!(context.abi, KeSetSystemGroupAffinityThread(
                &raw const affinity => *const GroupAffinity, std::ptr::null_mut() => *mut GroupAffinity,
            ));
        }
    }
    scene();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpcs = [dpc(abi, goes_away(abi), &context), dpc(abi, tell(abi), &context)];
        let busy = keep_busy(15);
        for dpc in &dpcs {
            aim(abi, dpc, 15);
            insert(abi, dpc, 0);
        }
        drop(busy);
        call!(abi, KeFlushQueuedDpcs());
        assert_eq!(context.calls(), [(15, 2, 0, 7)]);
    }
}

#[test]
fn an_important_dpc_runs_before_those_queued() {
    scene();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpcs: Vec<_> = (0..3).map(|_| dpc(abi, tell(abi), &context)).collect();
        call!(abi, KeSetImportanceDpc(dpcs[2].at() => *mut u8, 2 => i32));
        let busy = keep_busy(12);
        for (at, dpc) in dpcs.iter().enumerate() {
            aim(abi, dpc, 12);
            insert(abi, dpc, at);
        }
        drop(busy);
        call!(abi, KeFlushQueuedDpcs());
        let order: Vec<usize> = context.calls().iter().map(|calls| calls.2).collect();
        assert_eq!(order, [2, 0, 1]);
    }
}

#[test]
fn an_inactive_processor_cannot_be_the_target_of_a_dpc() {
    const INVALID_PARAMETER: i32 = 0xC000_000D_u32.cast_signed();
    scene();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpc = dpc(abi, tell(abi), &context);
        for index in [RUNNING + SPARE, 2047] {
            assert_eq!(aim(abi, &dpc, index), INVALID_PARAMETER, "{index}");
        }
        for (group, number, reserved) in [(0, 64, 0), (40, 0, 0), (0, 1, 1)] {
            let number = ProcessorNumber { group, number, reserved };
            let status = call!(abi, KeSetTargetProcessorDpcEx(
                dpc.at() => *mut u8, &raw const number => *const ProcessorNumber,
            ) -> i32);
            assert_eq!(status, INVALID_PARAMETER, "{number:?}");
        }
        insert(abi, &dpc, 0);
        call!(abi, KeFlushQueuedDpcs());
        assert_eq!(context.calls(), [(0, 2, 0, 7)], "it still has no target");
    }
}

#[test]
fn a_dpc_may_queue_itself_again_and_none_is_lost() {
    routine! {
        fn again(dpc: usize, context: usize, first: usize, _second: usize) {
            // SAFETY: what this test makes its DPC with.
            let context = unsafe { &*(context as *const Context) };
            if first == 0 {
                set(context.abi, &context.done);
            } else {
                call!(context.abi, KeInsertQueueDpc(
                    dpc as *mut u8 => *mut u8, first - 1 => usize, 0 => usize,
                ) -> u8);
            }
        }
    }
    scene();
    for abi in BOTH {
        let context = Context::new(abi);
        let dpc = dpc(abi, again(abi), &context);
        aim(abi, &dpc, 13);
        insert(abi, &dpc, 1000);
        wait(abi, context.done.at(), true);
        call!(abi, KeFlushQueuedDpcs());
    }
}

#[test]
fn no_dpc_runs_on_the_processor_of_a_thread_at_dispatch_level() {
    /// Not atomic: two threads at a time would lose counts.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    routine! {
        fn count(_dpc: usize, _context: usize, _first: usize, _second: usize) {
            COUNT.store(COUNT.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }
    const ROUNDS: usize = 2_000;
    scene();
    for abi in BOTH {
        COUNT.store(0, Ordering::SeqCst);
        let processor = world::get().partition.active().by_id(HardwareId(20)).unwrap();
        let context = Context::new(abi);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    thread::pin(processor).unwrap();
                    for _ in 0..ROUNDS {
                        let old = call!(abi, KeRaiseIrqlToDpcLevel() -> u8);
                        COUNT.store(COUNT.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                        call!(abi, KeLowerIrql(old => u8));
                    }
                });
            }
            let dpc = dpc(abi, count(abi), &context);
            aim(abi, &dpc, 20);
            for _ in 0..ROUNDS {
                while insert(abi, &dpc, 0) == 0 {
                    std::thread::yield_now();
                }
            }
            call!(abi, KeFlushQueuedDpcs());
        });
        assert_eq!(COUNT.load(Ordering::SeqCst), 3 * ROUNDS, "no count was lost");
    }
}

#[test]
fn a_generic_call_runs_on_every_active_processor_and_synchronizes_them() {
    struct All {
        abi: Abi,
        seen: Mutex<Vec<u32>>,
        before: AtomicU32,
        leaders: AtomicU32,
    }
    routine! {
        fn everywhere(_dpc: usize, context: usize, count: usize, together: usize) {
            // SAFETY: what this test calls it with.
            let all = unsafe { &*(context as *const All) };
            let here = call!(all.abi, KeGetCurrentProcessorNumberEx(std::ptr::null_mut() => *mut u32) -> u32);
            assert_eq!(call!(all.abi, KeGetCurrentIrql() -> u8), 2);
            all.seen.lock().unwrap().push(here);
            all.before.fetch_add(1, Ordering::SeqCst);
            let leads = call!(all.abi, KeSignalCallDpcSynchronize(together => usize) -> i32);
            let met = all.before.load(Ordering::SeqCst);
            assert!(met >= RUNNING, "all have arrived before any continues: {met}");
            all.leaders.fetch_add(leads.unsigned_abs(), Ordering::SeqCst);
            call!(all.abi, KeSignalCallDpcDone(count => usize));
        }
    }
    scene();
    for abi in BOTH {
        let all = All {
            abi,
            seen: Mutex::default(),
            before: AtomicU32::new(0),
            leaders: AtomicU32::new(0),
        };
        let context = &raw const all as usize;
        call!(abi, KeGenericCallDpc(everywhere(abi) => usize, context => usize));
        let mut seen = all.seen.into_inner().unwrap();
        seen.sort_unstable();
        // Other tests may add processors meanwhile.
        let first: Vec<u32> = (0..RUNNING).collect();
        assert_eq!(seen[..RUNNING as usize], first, "each processor of both groups, once");
        assert!(seen.windows(2).all(|two| two[0] < two[1]), "no processor twice: {seen:?}");
        assert_eq!(all.leaders.into_inner(), 1, "exactly one is the leader");
    }
}

#[test]
fn an_ipi_broadcast_runs_on_all_processors_at_once() {
    struct All {
        abi: Abi,
        met: AtomicU32,
        expected: AtomicU32,
    }
    routine! {
        fn meet(context: usize) -> usize {
            // SAFETY: what this test calls it with.
            let all = unsafe { &*(context as *const All) };
            assert_eq!(call!(all.abi, KeGetCurrentIrql() -> u8), 14, "IPI_LEVEL");
            all.met.fetch_add(1, Ordering::SeqCst);
            // This ends only if all processors are here at the same time.
            while all.met.load(Ordering::SeqCst) < all.expected.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            number_by_gs() as usize + 1000
        }
    }
    scene();
    for abi in BOTH {
        let all = All { abi, met: AtomicU32::new(0), expected: AtomicU32::new(RUNNING) };
        let context = &raw const all as usize;
        // Also while a DPC keeps one of them busy.
        let _busy = keep_busy(14);
        let result = call!(abi, KeIpiGenericCall(meet(abi) => usize, context => usize) -> usize);
        assert_eq!(result, 1000, "the result of the calling processor");
        assert!(all.met.into_inner() >= RUNNING);
        assert_eq!(call!(abi, KeGetCurrentIrql() -> u8), 0, "the IRQL is restored");
    }
}
