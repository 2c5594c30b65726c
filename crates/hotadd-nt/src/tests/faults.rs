//! A fault that a driver cannot continue from is reported by name and ends its process and nothing else (L3).

use std::sync::atomic::AtomicUsize;

use crate::ground::abi::Abi;
use crate::tests::{Memory, call, routine, stopped};

stopped! { "faults":
    lowering_the_irql_upwards: "to lower the IRQL from 0 to 2" => || call!(Abi::Win64, KeLowerIrql(2 => u8));
    raising_the_irql_downwards: "to raise the IRQL from 2 to 1" => || {
        call!(Abi::Win64, KeRaiseIrqlToDpcLevel() -> u8);
        call!(Abi::Win64, KfRaiseIrql(1 => u8) -> u8);
    };
    waiting_at_dispatch_level: "calls KeWaitForSingleObject at IRQL 2, where waiting is not allowed" => || {
        let event = Memory::<0x18>::new();
        call!(Abi::Win64, KeInitializeEvent(event.at() => *mut u8, 0 => i32, 1 => u8));
        call!(Abi::Win64, KeRaiseIrqlToDpcLevel() -> u8);
        call!(Abi::Win64, KeWaitForSingleObject(
            event.at() => *mut u8, 0 => i32, 0 => i8, 0 => u8, std::ptr::null() => *const i64,
        ) -> i32);
    };
    waiting_for_memory_that_is_not_an_object: "which is not an event, mutex, semaphore, timer or thread" => || {
        let memory = Memory::<0x18>::new();
        call!(Abi::SysV, KeWaitForSingleObject(
            memory.at() => *mut u8, 0 => i32, 0 => i8, 0 => u8, std::ptr::null() => *const i64,
        ) -> i32);
    };
    releasing_a_semaphore_beyond_its_limit: "0xc0000047 releases a semaphore by 2 from 1, beyond its limit 2" => || {
        let semaphore = Memory::<0x20>::new();
        call!(Abi::SysV, KeInitializeSemaphore(semaphore.at() => *mut u8, 1 => i32, 2 => i32));
        call!(Abi::SysV, KeReleaseSemaphore(semaphore.at() => *mut u8, 0 => i32, 2 => i32, 0 => u8) -> i32);
    };
    releasing_a_mutex_that_is_not_owned: "0xc0000046 calls KeReleaseMutex for a mutex that this thread does not own" => || {
        let mutex = Memory::<0x38>::new();
        call!(Abi::SysV, KeInitializeMutex(mutex.at() => *mut u8, 0 => u32));
        call!(Abi::SysV, KeReleaseMutex(mutex.at() => *mut u8, 0 => u8) -> i32);
    };
    acquiring_a_spin_lock_twice: "which this thread already holds" => || {
        let lock = 0_usize;
        call!(Abi::Win64, KeAcquireSpinLockRaiseToDpc(&raw const lock => *const usize) -> u8);
        call!(Abi::Win64, KeAcquireSpinLockAtDpcLevel(&raw const lock => *const usize));
    };
    releasing_a_spin_lock_that_is_free: "which this thread does not hold (SPIN_LOCK_NOT_OWNED)" => || {
        let lock = 0_usize;
        call!(Abi::Win64, KeReleaseSpinLock(&raw const lock => *const usize, 0 => u8));
    };
    leaving_a_region_that_was_not_entered: "calls KeLeaveCriticalRegion outside of any" => || {
        call!(Abi::Win64, KeLeaveCriticalRegion());
    };
    freeing_pool_twice: "a block of tag 'Test' that is already freed (BAD_POOL_CALLER)" => || {
        let block = call!(Abi::Win64, ExAllocatePoolWithTag(0 => u32, 100 => usize, TEST => u32) -> usize);
        call!(Abi::Win64, ExFreePool(block => usize));
        call!(Abi::Win64, ExFreePool(block => usize));
    };
    freeing_with_another_tag: "with tag 'Some' for a block of tag 'Test'" => || {
        let block = call!(Abi::Win64, ExAllocatePoolWithTag(0 => u32, 100 => usize, TEST => u32) -> usize);
        call!(Abi::Win64, ExFreePoolWithTag(block => usize, u32::from_le_bytes(*b"Some") => u32));
    };
    freeing_memory_that_is_not_pool: "0x1000, which is not a pool block" => || {
        call!(Abi::Win64, ExFreePool(0x1000 => usize));
    };
    writing_beyond_a_block: "wrote beyond its block of 100 bytes of pool, tag 'Test'; found by ExFreePoolWithTag" => || {
        let block = call!(Abi::Win64, ExAllocatePoolWithTag(0 => u32, 100 => usize, TEST => u32) -> usize);
        poke(block + 100);
        call!(Abi::Win64, ExFreePoolWithTag(block => usize, TEST => u32));
    };
    writing_in_front_of_a_block: "wrote in front of its block of 100 bytes" => || {
        let block = call!(Abi::Win64, ExAllocatePoolWithTag(0 => u32, 100 => usize, TEST => u32) -> usize);
        poke(block - 1);
        call!(Abi::Win64, ExFreePoolWithTag(block => usize, TEST => u32));
    };
    writing_to_freed_pool: "wrote to byte 7 of its block of 100 bytes of pool, tag 'Test', after freeing it" => || {
        let block = call!(Abi::Win64, ExAllocatePoolWithTag(0 => u32, 100 => usize, TEST => u32) -> usize);
        call!(Abi::Win64, ExFreePool(block => usize));
        poke(block + 7);
        for _ in 0..2000 {
            let other = call!(Abi::Win64, ExAllocatePoolWithTag(0 => u32, 100 => usize, TEST => u32) -> usize);
            call!(Abi::Win64, ExFreePool(other => usize));
        }
    };
    allocating_more_than_there_is_with_raise_on_failure: "0xc000009a cannot get 300000000 bytes of pool, tag 'Test', and had \
     asked for an exception on failure (POOL_FLAG_RAISE_ON_FAILURE)" => || {
        call!(Abi::Win64, ExAllocatePool2(0x60 => u64, 300_000_000 => usize, TEST => u32) -> usize);
    };
    queueing_a_dpc_that_was_not_initialised: "which was not initialised" => || {
        let dpc = Memory::<0x40>::new();
        call!(Abi::Win64, KeInsertQueueDpc(dpc.at() => *mut u8, 0 => usize, 0 => usize) -> u8);
    };
    waiting_in_a_dpc: "calls KeWaitForSingleObject at IRQL 2, where waiting is not allowed" => || {
        routine! { fn waits(_dpc: usize, context: usize, _first: usize, _second: usize) {
            call!(Abi::Win64, KeWaitForSingleObject(
                context => usize, 0 => i32, 0 => i8, 0 => u8, std::ptr::null() => *const i64,
            ) -> i32);
        } }
        run_dpc(waits(Abi::Win64));
    };
    returning_from_a_dpc_with_a_spin_lock: "returned from its DPC holding the spin lock at" => || {
        routine! { fn holds(_dpc: usize, _context: usize, _first: usize, _second: usize) {
            static LOCK: AtomicUsize = AtomicUsize::new(0);
            call!(Abi::Win64, KeAcquireSpinLockAtDpcLevel(&LOCK => &AtomicUsize));
        } }
        run_dpc(holds(Abi::Win64));
    };
    returning_from_a_dpc_at_another_irql: "returned from its DPC at IRQL 5" => || {
        routine! { fn raised(_dpc: usize, _context: usize, _first: usize, _second: usize) {
            call!(Abi::Win64, KfRaiseIrql(5 => u8) -> u8);
        } }
        run_dpc(raised(Abi::Win64));
    };
    forgetting_to_signal_a_generic_call: "of which 0 called KeSignalCallDpcDone" => || {
        routine! { fn nothing(_dpc: usize, _context: usize, _first: usize, _second: usize) {} }
        call!(Abi::Win64, KeGenericCallDpc(nothing(Abi::Win64) => usize, 0 => usize));
    };
    freeing_a_timer_that_is_set: "frees with ExFreePool a timer that is set" => || {
        let timer = call!(Abi::Win64, ExAllocatePoolWithTag(0 => u32, 0x40 => usize, TEST => u32) -> usize);
        call!(Abi::Win64, KeInitializeTimer(timer => usize));
        call!(Abi::Win64, KeSetTimer(timer => usize, -36_000_000_000 => i64, 0 => usize) -> u8);
        call!(Abi::Win64, ExFreePool(timer => usize));
    };
    acquiring_a_fast_mutex_twice: "which this thread already owns" => || {
        let mutex = Memory::<0x38>::new();
        call!(Abi::Win64, KeInitializeGuardedMutex(mutex.at() => *mut u8));
        call!(Abi::Win64, ExAcquireFastMutex(mutex.at() => *mut u8));
        call!(Abi::Win64, ExAcquireFastMutex(mutex.at() => *mut u8));
    };
    releasing_a_guarded_mutex_that_is_not_owned: "which this thread does not own" => || {
        let mutex = Memory::<0x38>::new();
        call!(Abi::Win64, KeInitializeGuardedMutex(mutex.at() => *mut u8));
        call!(Abi::Win64, KeReleaseGuardedMutex(mutex.at() => *mut u8));
    };
    acquiring_a_push_lock_twice: "calls ExAcquirePushLockExclusiveEx for the push lock at" => || {
        let lock = AtomicUsize::new(0);
        call!(Abi::Win64, ExAcquirePushLockSharedEx(&lock => &AtomicUsize, 0 => u32));
        call!(Abi::Win64, ExAcquirePushLockExclusiveEx(&lock => &AtomicUsize, 0 => u32));
    };
    releasing_a_push_lock_that_is_not_held: "which this thread does not hold in this mode" => || {
        let lock = AtomicUsize::new(0);
        call!(Abi::Win64, ExReleasePushLockEx(&lock => &AtomicUsize, 0 => u32));
    };
    releasing_a_resource_that_is_not_held: "which this thread does not hold (RESOURCE_NOT_OWNED)" => || {
        let resource = Memory::<0x68>::new();
        call!(Abi::Win64, ExInitializeResourceLite(resource.at() => *mut u8) -> i32);
        call!(Abi::Win64, ExReleaseResourceLite(resource.at() => *mut u8));
    };
    deleting_a_resource_that_is_held: "calls ExDeleteResourceLite for the resource at" => || {
        let resource = Memory::<0x68>::new();
        call!(Abi::Win64, ExInitializeResourceLite(resource.at() => *mut u8) -> i32);
        call!(Abi::Win64, ExAcquireResourceSharedLite(resource.at() => *mut u8, 1 => u8) -> u8);
        call!(Abi::Win64, ExDeleteResourceLite(resource.at() => *mut u8) -> i32);
    };
    ending_rundown_protection_that_was_not_begun: "more often than it was acquired" => || {
        let reference = AtomicUsize::new(0);
        call!(Abi::Win64, ExReleaseRundownProtection(&reference => &AtomicUsize));
    };
    queueing_a_work_item_twice: "which is already queued or was not initialised (WORKER_INVALID)" => || {
        let item = Memory::<0x20>::new();
        call!(Abi::Win64, ExQueueWorkItem(item.at() => *mut u8, 1 => i32));
    };
    returning_from_a_work_item_at_another_irql: "returned from a work item at IRQL 2" => || {
        routine! { fn raised(_context: usize) {
            call!(Abi::Win64, KfRaiseIrql(2 => u8) -> u8);
        } }
        let item = Memory::<0x20>::new();
        for (at, value) in [(0, 0), (16, raised(Abi::Win64)), (24, 0)] {
            // SAFETY: within the memory.
            unsafe { item.at().wrapping_add(at).cast::<usize>().write(value) };
        }
        call!(Abi::Win64, ExQueueWorkItem(item.at() => *mut u8, 1 => i32));
        loop {
            std::thread::park();
        }
    };
    dereferencing_too_often: "more often than it was referenced" => || {
        call!(Abi::Win64, ObfDereferenceObject(0x1000 => usize) -> isize);
    };
    ending_a_thread_with_a_mutex: "ended its thread holding the mutex at" => || {
        routine! { fn takes(mutex: usize) {
            call!(Abi::Win64, KeWaitForSingleObject(
                mutex => usize, 0 => i32, 0 => i8, 0 => u8, std::ptr::null() => *const i64,
            ) -> i32);
            call!(Abi::Win64, PsTerminateSystemThread(0 => i32) -> i32);
        } }
        let mutex = Memory::<0x38>::new();
        call!(Abi::Win64, KeInitializeMutex(mutex.at() => *mut u8, 0 => u32));
        make_thread(takes(Abi::Win64), mutex.at() as usize);
    };
    ending_a_thread_inside_of_a_callback: "calls PsTerminateSystemThread inside a callback" => || {
        routine! { fn ends(_context: usize, _first: usize, _second: usize) {
            call!(Abi::Win64, PsTerminateSystemThread(0 => i32) -> i32);
        } }
        routine! { fn tells(_context: usize) {
            let mut object = 0_usize;
            call!(Abi::Win64, ExCreateCallback(
                &raw mut object => *mut usize, 0 => usize, 1 => u8, 1 => u8,
            ) -> i32);
            call!(Abi::Win64, ExRegisterCallback(object => usize, ends(Abi::Win64) => usize, 0 => usize) -> usize);
            call!(Abi::Win64, ExNotifyCallback(object => usize, 0 => usize, 0 => usize));
        } }
        make_thread(tells(Abi::Win64), 0);
    };
    allocating_paged_pool_at_dispatch_level: "at IRQL 2, but the maximum is 1" => || {
        call!(Abi::Win64, KeRaiseIrqlToDpcLevel() -> u8);
        call!(Abi::Win64, ExAllocatePool2(0x100 => u64, 10 => usize, TEST => u32) -> usize);
    };
}

pub(crate) const TEST: u32 = u32::from_le_bytes(*b"Test");

/// Runs a DPC and waits until it has returned.
fn run_dpc(routine: usize) {
    let (dpc, event) = (Memory::<0x40>::new(), Memory::<0x18>::new());
    call!(Abi::Win64, KeInitializeEvent(event.at() => *mut u8, 0 => i32, 0 => u8));
    call!(Abi::Win64, KeInitializeDpc(dpc.at() => *mut u8, routine => usize, event.at() => *mut u8));
    call!(Abi::Win64, KeInsertQueueDpc(dpc.at() => *mut u8, 0 => usize, 0 => usize) -> u8);
    call!(Abi::Win64, KeFlushQueuedDpcs());
}

/// Makes a thread and waits for its end.
fn make_thread(routine: usize, context: usize) {
    let mut handle = 0_usize;
    call!(Abi::Win64, PsCreateSystemThread(
        &raw mut handle => *mut usize, 0 => u32, 0 => usize, 0 => usize, 0 => usize, routine => usize, context => usize,
    ) -> i32);
    call!(Abi::Win64, ZwWaitForSingleObject(handle => usize, 0 => u8, 0 => usize) -> i32);
}

/// Writes to memory of the pool that must not be written to.
fn poke(address: usize) {
    // SAFETY: mapped memory of the pool. That a driver must not write to it is what the test is about.
    unsafe { (address as *mut u8).write_volatile(1) };
}

// Functions that stop the process or answer.
stopped! { "faults":
    stopping_the_system: "0xc0000183 bugcheck 0xe2 (MANUALLY_INITIATED_CRASH) (0x1, 0x2, 0x3, 0x4)" => || {
        call!(Abi::Win64, KeBugCheckEx(0xe2 => u32, 1 => usize, 2 => usize, 3 => usize, 4 => usize));
    };
    a_callback_before_the_system_stops_runs_and_may_stop_it_itself: "bugcheck 0x7 (0x64, 0x8, 0x0, 0x0)" => || {
        unsafe extern "C" fn callback(buffer: usize, length: u32) {
            call!(Abi::SysV, KeBugCheckEx(7 => u32, buffer => usize, length as usize => usize, 0 => usize, 0 => usize));
        }
        let mut record = [0_usize; 8];
        call!(Abi::SysV, KeRegisterBugCheckCallback(
            record.as_mut_ptr() => *mut usize, callback as *const () as usize => usize, 100 => usize, 8 => u32, 0 => usize,
        ) -> u8);
        call!(Abi::Win64, KeBugCheck(0xe2 => u32));
    };
    a_failed_assertion: "assertion failed: a == b (file.c, line 7): they differ" => || {
        call!(Abi::SysV, RtlAssert(
            c"a == b".as_ptr() => *const i8, c"file.c".as_ptr() => *const i8, 7 => u32,
            c"they differ".as_ptr() => *const i8,
        ));
    };
    breaking_without_a_debugger: "0x80000003 stops at a breakpoint with 0x7" => || {
        call!(Abi::Win64, DbgBreakPointWithStatus(7 => u32));
    };
    passing_null: "0xc0000005 passes NULL to KeGetProcessorIndexFromNumber, which does not allow it" => || {
        call!(Abi::Win64, KeGetProcessorIndexFromNumber(std::ptr::null() => *const u32) -> u32);
    };
    deleting_an_invalid_device: "which is not a device" => || {
        call!(Abi::SysV, IoDeleteDevice(0x1000 => usize));
    };
    freeing_invalid_pages: "calls MmFreeContiguousMemory for 0x1000" => || {
        call!(Abi::Win64, MmFreeContiguousMemory(0x1000 => usize));
    };
    locking_invalid_memory: "0xc0000005 calls MmProbeAndLockPages for 0x1000" => || {
        let none = std::ptr::null_mut();
        let mdl = call!(Abi::Win64, IoAllocateMdl(0x1008 => usize, 8 => u32, 0 => u8, 0 => u8, none => *mut u8) -> usize);
        call!(Abi::Win64, MmProbeAndLockPages(mdl => usize, 0 => u8, 0 => u32));
    };
    queueing_an_invalid_work_item: "queues 0x1000, which is not a work item" => || {
        call!(Abi::SysV, IoQueueWorkItem(0x1000 => usize, 0x1000 => usize, 0 => u32, 0 => usize));
    };
    completing_a_request_that_was_never_made: "completes a request" => || {
        call!(Abi::SysV, IofCompleteRequest(0 => usize, 0 => i8));
    };
}
