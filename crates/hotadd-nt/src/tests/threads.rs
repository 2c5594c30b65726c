//! Threads of drivers, handles and references, work items and callback objects.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::ground::abi::Abi;
use crate::ground::types::UnicodeString;
use crate::kernel::ex::work;
use crate::kernel::ob;
use crate::tests::events::{event, set, wait};
use crate::tests::{BOTH, Memory, call, routine, scene};

const INVALID_HANDLE: i32 = 0xC000_0008_u32.cast_signed();
const INVALID_PARAMETER: i32 = 0xC000_000D_u32.cast_signed();
const NAME_NOT_FOUND: i32 = 0xC000_0034_u32.cast_signed();

/// Creates a thread. Returns its handle and its number.
fn create(abi: Abi, routine: usize, context: usize) -> (usize, usize) {
    let (mut handle, mut id) = (0_usize, [0_usize; 2]);
    let status = call!(abi, PsCreateSystemThread(
        &raw mut handle => *mut usize, 0 => u32, 0 => usize, 0 => usize, &raw mut id => *mut [usize; 2],
        routine => usize, context => usize,
    ) -> i32);
    assert_eq!(status, 0);
    assert_eq!(id[0], std::process::id() as usize);
    (handle, id[1])
}

fn reference(abi: Abi, handle: usize) -> (i32, usize) {
    let mut object = 1_usize;
    let status = call!(abi, ObReferenceObjectByHandle(
        handle => usize, 0 => u32, 0 => usize, 0 => i8, &raw mut object => *mut usize, 0 => usize,
    ) -> i32);
    (status, object)
}

fn close(abi: Abi, handle: usize) -> i32 {
    call!(abi, ZwClose(handle => usize) -> i32)
}

/// The context of a thread of these tests.
struct Seen {
    abi: Abi,
    thread: AtomicUsize,
    number: AtomicUsize,
    after: AtomicU32,
}

impl Seen {
    fn new(abi: Abi) -> Self {
        let [thread, number] = [(); 2].map(|()| AtomicUsize::new(0));
        Self { abi, thread, number, after: AtomicU32::new(0) }
    }

    fn look(&self) {
        let thread = call!(self.abi, KeGetCurrentThread() -> usize);
        let by_gs: usize;
        // SAFETY: gs points to a block on every thread that runs driver code.
        unsafe {
            std::arch::asm!("mov {}, gs:[0x188]", out(reg) by_gs, options(nostack, readonly));
        };
        assert_eq!(thread, by_gs, "both ways to ask say the same");
        self.thread.store(thread, Ordering::SeqCst);
        let number = call!(self.abi, PsGetCurrentThreadId() -> usize);
        self.number.store(number, Ordering::SeqCst);
    }
}

routine! {
    fn returns(context: usize) {
        // SAFETY: the context that these tests create their threads with.
        unsafe { &*(context as *const Seen) }.look();
    }
}

routine! {
    fn terminates(context: usize) {
        // SAFETY: the context that these tests create their threads with.
        let seen = unsafe { &*(context as *const Seen) };
        seen.look();
        deeper(seen, 20);
        seen.after.fetch_add(1, Ordering::SeqCst);
    }
}

/// Frames of the driver in between, with registers in use.
#[inline(never)]
fn deeper(seen: &Seen, levels: u32) -> u32 {
    if levels == 0 {
        call!(seen.abi, PsTerminateSystemThread(42 => i32) -> i32);
        seen.after.fetch_add(1, Ordering::SeqCst);
    }
    std::hint::black_box(deeper(seen, levels.wrapping_sub(1))) + levels
}

#[test]
fn a_thread_runs_and_a_waiter_sees_its_end() {
    scene();
    for abi in BOTH {
        for routine in [returns(abi), terminates(abi)] {
            let seen = Seen::new(abi);
            let (handle, number) = create(abi, routine, &raw const seen as usize);
            let (status, object) = reference(abi, handle);
            assert_eq!(status, 0);
            assert_eq!(close(abi, handle), 0, "the reference stays valid");
            assert_eq!(wait(abi, object as *mut u8, true), 0);
            assert_eq!(seen.thread.load(Ordering::SeqCst), object);
            assert_eq!(seen.number.load(Ordering::SeqCst), number);
            assert_eq!(call!(abi, PsGetThreadId(object => usize) -> usize), number);
            assert_eq!(seen.after.load(Ordering::SeqCst), 0, "nothing runs after its end");
            assert_eq!(wait(abi, object as *mut u8, true), 0, "it stays ended");
            call!(abi, ObfDereferenceObject(object => usize) -> isize);
        }
    }
}

#[test]
fn many_threads_end_in_both_ways_and_every_wait_returns() {
    scene();
    for abi in BOTH {
        let seen: Vec<Seen> = (0..40).map(|_| Seen::new(abi)).collect();
        let handles = seen.iter().enumerate().map(|(at, seen)| {
            let routine = if at % 2 == 0 { returns(abi) } else { terminates(abi) };
            create(abi, routine, std::ptr::from_ref(seen) as usize).0
        });
        for handle in handles.collect::<Vec<_>>() {
            let waited =
                call!(abi, ZwWaitForSingleObject(handle => usize, 0 => u8, 0 => usize) -> i32);
            assert_eq!((waited, close(abi, handle)), (0, 0));
        }
    }
}

#[test]
fn only_a_thread_that_a_driver_made_can_be_ended() {
    scene();
    for abi in BOTH {
        assert_eq!(call!(abi, PsTerminateSystemThread(0 => i32) -> i32), INVALID_PARAMETER);
    }
}

#[test]
fn a_closed_handle_is_invalid() {
    scene();
    for abi in BOTH {
        let seen = Seen::new(abi);
        let (handle, _) = create(abi, returns(abi), &raw const seen as usize);
        let waited = call!(abi, ZwWaitForSingleObject(handle => usize, 0 => u8, 0 => usize) -> i32);
        assert_eq!(waited, 0);
        assert_eq!(close(abi, handle), 0);
        assert_eq!(close(abi, handle), INVALID_HANDLE, "closed already");
        assert_eq!(reference(abi, handle), (INVALID_HANDLE, 0));
        // NtCurrentThread() stands for the calling thread.
        let (status, object) = reference(abi, usize::MAX - 1);
        assert_eq!((status, object), (0, call!(abi, KeGetCurrentThread() -> usize)));
        call!(abi, ObfDereferenceObject(object => usize) -> isize);
    }
}

#[test]
fn a_handle_is_refused_for_another_object_type() {
    const TYPE_MISMATCH: i32 = 0xC000_0024_u32.cast_signed();
    scene();
    for abi in BOTH {
        let seen = Seen::new(abi);
        let (handle, _) = create(abi, returns(abi), &raw const seen as usize);
        let of_type = |kind: usize| {
            let mut object = 0_usize;
            call!(abi, ObReferenceObjectByHandle(
                handle => usize, 0 => u32, kind => usize, 0 => i8, &raw mut object => *mut usize, 0 => usize,
            ) -> i32)
        };
        assert_eq!(of_type(ob::types::variables::PsProcessType.address()), TYPE_MISMATCH);
        assert_eq!(of_type(ob::types::variables::PsThreadType.address()), 0);
        let waited = call!(abi, ZwWaitForSingleObject(handle => usize, 0 => u8, 0 => usize) -> i32);
        assert_eq!((waited, close(abi, handle)), (0, 0));
    }
}

#[test]
fn references_are_counted() {
    scene();
    for abi in BOTH {
        let object = Memory::<16>::new();
        let add = || call!(abi, ObfReferenceObject(object.at() => *mut u8) -> isize);
        let drop = || call!(abi, ObfDereferenceObject(object.at() => *mut u8) -> isize);
        assert_eq!([add(), add(), drop(), drop()], [1, 2, 1, 0]);
        let mut handle = 0_usize;
        let status = call!(abi, ObOpenObjectByPointer(
            object.at() => *mut u8, 0 => u32, 0 => usize, 0 => u32, 0 => usize, 0 => i8, &raw mut handle => *mut usize,
        ) -> i32);
        assert_eq!((status, reference(abi, handle)), (0, (0, object.at() as usize)));
        assert_eq!((close(abi, handle), drop()), (0, 0));
    }
}

#[test]
fn a_threads_priority_can_be_set_and_read() {
    scene();
    for abi in BOTH {
        let me = call!(abi, KeGetCurrentThread() -> usize);
        let was = call!(abi, KeSetPriorityThread(me => usize, 17 => i32) -> i32);
        assert_eq!(call!(abi, KeQueryPriorityThread(me => usize) -> i32), 17);
        assert_eq!(call!(abi, KeSetPriorityThread(me => usize, was => i32) -> i32), 17);
        assert_eq!(call!(abi, KeSetBasePriorityThread(me => usize, 2 => i32) -> i32), 0);
        assert_eq!(call!(abi, KeSetBasePriorityThread(me => usize, 0 => i32) -> i32), 2);
    }
}

/// A work item, and its action: it sets its event when all items have begun.
struct Work {
    abi: Abi,
    item: Memory<0x20>,
    begun: AtomicU32,
    all: Memory<0x18>,
}

#[test]
fn work_items_run_and_may_wait_for_one_another() {
    routine! {
        fn begin(work: usize) {
            // SAFETY: the argument that this test creates its items with.
            let work = unsafe { &*(work as *const Work) };
            if work.begun.fetch_add(1, Ordering::SeqCst) == 9 {
                set(work.abi, &work.all);
            }
            wait(work.abi, work.all.at(), true);
            work.begun.fetch_add(100, Ordering::SeqCst);
        }
    }
    scene();
    for abi in BOTH {
        let (all, item) = (event(abi, 0, 0), Memory::new());
        let work = Work { abi, item, begun: AtomicU32::new(0), all };
        let items: Vec<Memory<0x20>> = (0..9).map(|_| Memory::new()).collect();
        for item in items.iter().chain([&work.item]) {
            // As the macro ExInitializeWorkItem does.
            for (at, value) in [(0, 0), (16, begin(abi)), (24, &raw const work as usize)] {
                // SAFETY: within the memory.
                unsafe { item.at().wrapping_add(at).cast::<usize>().write(value) };
            }
            call!(abi, ExQueueWorkItem(item.at() => *mut u8, 1 => i32));
        }
        while work::count() != 0 {
            std::thread::yield_now();
        }
        assert_eq!(work.begun.load(Ordering::SeqCst), 1010, "ten began and ended");
        assert_eq!(items[0].read::<usize>(0), 0, "it can be queued again");
    }
}

/// Opens a callback object by its name.
pub(super) fn open(abi: Abi, name: &str, create: u8, several: u8) -> (i32, usize) {
    let mut units: Vec<u16> = name.encode_utf16().collect();
    let bytes = u16::try_from(units.len() * 2).unwrap();
    let name = UnicodeString { length: bytes, maximum_length: bytes, buffer: units.as_mut_ptr() };
    let attributes = [0x30, 0, &raw const name as usize, 0x40, 0, 0];
    let mut object = 0_usize;
    let status = call!(abi, ExCreateCallback(
        &raw mut object => *mut usize, attributes.as_ptr() => *const usize, create => u8, several => u8,
    ) -> i32);
    (status, object)
}

routine! {
    fn add(sum: usize, first: usize, second: usize) {
        // SAFETY: the argument that these tests register with.
        unsafe { &*(sum as *const AtomicUsize) }.fetch_add(first * 100 + second, Ordering::SeqCst);
    }
}

fn register(abi: Abi, object: usize, sum: &AtomicUsize) -> usize {
    let context = std::ptr::from_ref(sum) as usize;
    call!(abi, ExRegisterCallback(object => usize, add(abi) => usize, context => usize) -> usize)
}

fn notify(abi: Abi, object: usize, first: usize, second: usize) {
    call!(abi, ExNotifyCallback(object => usize, first => usize, second => usize));
}

#[test]
fn a_callback_object_calls_all_registered_functions() {
    scene();
    for abi in BOTH {
        let name = format!("\\Callback\\Test{abi:?}");
        assert_eq!(open(abi, &name, 0, 0).0, NAME_NOT_FOUND);
        let (status, object) = open(abi, &name, 1, 1);
        assert_eq!(status, 0);
        assert_eq!(open(abi, &name.to_uppercase(), 0, 0), (0, object), "the same one");
        let sums = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let handles = [register(abi, object, &sums[0]), register(abi, object, &sums[1])];
        notify(abi, object, 3, 4);
        call!(abi, ExUnregisterCallback(handles[0] => usize));
        notify(abi, object, 1, 1);
        call!(abi, ExUnregisterCallback(handles[1] => usize));
        notify(abi, object, 9, 9);
        assert_eq!(sums.map(AtomicUsize::into_inner), [304, 405]);
        for _ in 0..2 {
            call!(abi, ObfDereferenceObject(object => usize) -> isize);
        }
        assert_eq!(open(abi, &name, 0, 0).0, NAME_NOT_FOUND, "there are no more references to it");

        let (_, single) = open(abi, &name, 1, 0);
        let sum = AtomicUsize::new(0);
        let handle = register(abi, single, &sum);
        assert_ne!(handle, 0);
        assert_eq!(register(abi, single, &sum), 0, "it takes one only");
        call!(abi, ExUnregisterCallback(handle => usize));
        call!(abi, ObfDereferenceObject(single => usize) -> isize);
    }
}
