//! Misuse of tables, queues, requests and the like is reported by name and ends its process (L3).

use crate::ground::abi::Abi;
use crate::tests::{Memory, call, routine, stopped};

routine! { fn nonsense(_table: usize, _first: usize, _second: usize) -> u32 { 7 } }
routine! { fn less(_table: usize, _first: usize, _second: usize) -> u32 { 0 } }
routine! { fn allocate(_table: usize, size: u32) -> usize {
    call!(Abi::SysV, ExAllocatePool2(0x40 => u64, size as usize => usize, 1 => u32) -> usize)
} }

/// A table with one element, which compares by this routine.
fn table(compare: usize) -> &'static Memory<0x68> {
    let table: &'static Memory<0x68> = Box::leak(Box::new(Memory::new()));
    call!(Abi::SysV, RtlInitializeGenericTableAvl(
        table.at() => *mut u8, compare => usize, allocate(Abi::SysV) => usize, 0 => usize, 0 => usize,
    ));
    insert(table);
    table
}

fn insert(table: &Memory<0x68>) -> usize {
    call!(Abi::SysV, RtlInsertElementGenericTableAvl(
        table.at() => *mut u8, &1_u32 => *const u32, 4 => u32, 0 => usize,
    ) -> usize)
}

fn put<T>(at: usize, offset: usize, value: T) {
    // SAFETY: a field of an object that the test has made.
    unsafe { ((at + offset) as *mut T).write_volatile(value) };
}

fn request(stack_size: i8) -> usize {
    call!(Abi::SysV, IoAllocateIrp(stack_size => i8, 0 => u8) -> usize)
}

fn complete(irp: usize) {
    call!(Abi::SysV, IofCompleteRequest(irp => usize, 0 => i8));
}

stopped! { "misuse":
    using_a_table_that_was_not_initialised: "uses a table that was not initialised" => || {
        let table = Memory::<0x68>::new();
        // SAFETY: its own memory.
        unsafe { table.at().write_bytes(0, 0x68) };
        insert(&table);
    };
    comparing_with_a_result_that_does_not_exist: "returned 7 from a CompareRoutine" => || {
        insert(table(nonsense(Abi::SysV)));
    };
    walking_through_a_table_with_a_cycle: "uses a table whose links are damaged" => || {
        let table = table(less(Abi::SysV));
        let root: usize = table.read(0x10);
        put(root, 8, root);
        insert(table);
    };
    using_a_table_with_a_balance_that_cannot_be: "uses a table whose links are damaged" => || {
        let table = table(less(Abi::SysV));
        put(table.read(0x10), 24, 100_i8);
        insert(table);
    };
    a_device_queue_whose_list_is_damaged: "uses a list whose links are damaged (CORRUPT_LIST_ENTRY)" => || {
        let (queue, entry) = (Memory::<0x28>::new(), Memory::<0x18>::new());
        call!(Abi::SysV, KeInitializeDeviceQueue(queue.at() => *mut u8));
        put(queue.at() as usize, 0x20, 1_u8);
        put(queue.at() as usize, 16, entry.at());
        put(entry.at() as usize, 0, entry.at());
        call!(Abi::SysV, KeRaiseIrqlToDpcLevel() -> u8);
        call!(Abi::SysV, KeInsertDeviceQueue(queue.at() => *mut u8, entry.at() => *mut u8) -> u8);
    };
    restoring_a_floating_point_state_twice: "calls KeRestoreFloatingPointState for a state that this thread did not save" => || {
        let mut save = 0_u32;
        call!(Abi::SysV, KeSaveFloatingPointState(&raw mut save => *mut u32) -> i32);
        call!(Abi::SysV, KeRestoreFloatingPointState(&raw mut save => *mut u32) -> i32);
        call!(Abi::SysV, KeRestoreFloatingPointState(&raw mut save => *mut u32) -> i32);
    };
    detaching_from_a_process_without_attaching: "calls KeUnstackDetachProcess with a state that" => || {
        let state = Memory::<0x30>::new();
        call!(Abi::SysV, KeUnstackDetachProcess(state.at() => *mut u8));
    };
    attaching_to_something_else: "which is not a process" => || {
        let state = Memory::<0x30>::new();
        call!(Abi::SysV, KeStackAttachProcess(0x1000 => usize, state.at() => *mut u8));
    };
    leaving_a_guarded_region_as_a_critical_one: "calls KeLeaveCriticalRegion outside of any critical region" => || {
        call!(Abi::SysV, KeEnterGuardedRegion());
        call!(Abi::SysV, KeLeaveCriticalRegion());
    };
    acquiring_a_mutex_too_often: "0xc0000191 calls KeWaitForSingleObject for a mutex that this thread has acquired 2^31 times" => || {
        let mutex = Memory::<0x38>::new();
        call!(Abi::SysV, KeInitializeMutant(mutex.at() => *mut u8, 1 => u8));
        put(mutex.at() as usize, 4, i32::MIN);
        call!(Abi::SysV, KeWaitForSingleObject(mutex.at() => *mut u8, 0 => i32, 0 => i8, 0 => u8, 0 => usize) -> i32);
    };
    completing_a_request_twice: "that is already completed" => || {
        let irp = request(0);
        complete(irp);
        complete(irp);
    };
    passing_on_a_request_without_a_location: "(NO_MORE_IRP_STACK_LOCATIONS)" => || {
        let mut driver = [0_usize; 42];
        let mut device = 0_usize;
        call!(Abi::SysV, IoCreateDevice(
            driver.as_mut_ptr() => *mut usize, 0 => u32, 0 => usize, 0 => u32, 0 => u32, 0 => u8, &raw mut device => *mut usize,
        ) -> i32);
        call!(Abi::SysV, IofCallDriver(device => usize, request(0) => usize) -> i32);
    };
    calling_a_driver_with_memory_that_is_no_request: "which is not a request" => || {
        let memory = Memory::<0xd0>::new();
        call!(Abi::SysV, IofCallDriver(0x1000 => usize, memory.at() => *mut u8) -> i32);
    };
    calling_a_driver_without_a_dispatch_routine: "has no dispatch routine for the major function 0x3" => || {
        let mut driver = [0_usize; 42];
        let mut device = 0_usize;
        call!(Abi::SysV, IoCreateDevice(
            driver.as_mut_ptr() => *mut usize, 0 => u32, 0 => usize, 0 => u32, 0 => u32, 0 => u8, &raw mut device => *mut usize,
        ) -> i32);
        let irp = request(1);
        put(irp, 0xd0, 3_u8);
        call!(Abi::SysV, IofCallDriver(device => usize, irp => usize) -> i32);
    };
    freeing_a_request_twice: "which is not a request" => || {
        let irp = request(1);
        call!(Abi::SysV, IoFreeIrp(irp => usize));
        call!(Abi::SysV, IoFreeIrp(irp => usize));
    };
    initialising_a_request_in_too_little_memory: "calls IoInitializeIrp with 100 bytes" => || {
        let memory = Memory::<0xd0>::new();
        call!(Abi::SysV, IoInitializeIrp(memory.at() => *mut u8, 100 => u16, 1 => i8));
    };
    releasing_a_remove_lock_too_often: "for a remove lock more often than it was acquired" => || {
        let lock = Memory::<0x20>::new();
        call!(Abi::SysV, IoInitializeRemoveLockEx(lock.at() => *mut u8, 0 => u32, 0 => u32, 0 => u32, 0x20 => u32));
        call!(Abi::SysV, IoReleaseRemoveLockEx(lock.at() => *mut u8, 0 => usize, 0x20 => u32));
    };
    answering_with_more_data_than_the_caller_has_room_for: "completes a request with 9 bytes of data; the caller's buffer has 4" => || {
        let mut driver = [0_usize; 42];
        let (mut device, mut output, mut block) = (0_usize, [0_u8; 4], [0_usize; 2]);
        call!(Abi::SysV, IoCreateDevice(
            driver.as_mut_ptr() => *mut usize, 0 => u32, 0 => usize, 0 => u32, 0 => u32, 0 => u8, &raw mut device => *mut usize,
        ) -> i32);
        let irp = call!(Abi::SysV, IoBuildDeviceIoControlRequest(
            0 => u32, device => usize, 0 => usize, 0 => u32, output.as_mut_ptr() => *mut u8, 4 => u32, 0 => u8, 0 => usize,
            block.as_mut_ptr() => *mut usize,
        ) -> usize);
        put(irp, 0x38, 9_usize);
        complete(irp);
    };
    freeing_a_request_of_the_system: "calls IoFreeIrp for a request that the system frees" => || {
        let mut driver = [0_usize; 42];
        let (mut device, mut block) = (0_usize, [0_usize; 2]);
        call!(Abi::SysV, IoCreateDevice(
            driver.as_mut_ptr() => *mut usize, 0 => u32, 0 => usize, 0 => u32, 0 => u32, 0 => u8, &raw mut device => *mut usize,
        ) -> i32);
        let irp = call!(Abi::SysV, IoBuildSynchronousFsdRequest(
            9 => u32, device => usize, 0 => usize, 0 => u32, 0 => usize, 0 => usize, block.as_mut_ptr() => *mut usize,
        ) -> usize);
        call!(Abi::SysV, IoFreeIrp(irp => usize));
    };
    returning_from_a_cancel_routine_with_the_lock: "without releasing the cancel spin lock" => || {
        routine! { fn keeps(_device: usize, _irp: usize) {} }
        let irp = request(1);
        put(irp, 0x68, keeps(Abi::SysV));
        call!(Abi::SysV, IoCancelIrp(irp => usize) -> u8);
    };
}
