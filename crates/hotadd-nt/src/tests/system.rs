//! The state and features of processors, processes and threads by their ids, named events, pages with descriptions.

use std::sync::mpsc::channel;

use windows_sys::Wdk::Foundation::MDL as Mdl;

use crate::ground::abi::Abi;
use crate::ground::types::{Counted, UnicodeString};
use crate::tests::{BOTH, Memory, call, routine, scene};

#[test]
fn the_floating_point_state_is_restored() {
    scene();
    for abi in BOTH {
        let (mut save, changed) = (0_u32, 0x7f80_u32);
        let mut state = 0_u32;
        // SAFETY: it reads the control and status register.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut state) };
        assert_eq!(call!(abi, KeSaveFloatingPointState(&raw mut save => *mut u32) -> i32), 0);
        // SAFETY: rounds towards zero, until it is restored.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const changed) };
        assert_eq!(call!(abi, KeRestoreFloatingPointState(&raw mut save => *mut u32) -> i32), 0);
        let mut now = 0_u32;
        // SAFETY: it reads the control and status register.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut now) };
        assert_eq!(now, state);
    }
}

#[test]
fn the_extended_state_is_saved_in_memory_and_freed_when_it_is_restored() {
    scene();
    for abi in BOTH {
        let save = Memory::<0x38>::new();
        // XSTATE_MASK_LEGACY and XSTATE_MASK_GSSE.
        let mask = if std::arch::is_x86_feature_detected!("avx") { 7_u64 } else { 3 };
        assert_eq!(
            call!(abi, KeSaveExtendedProcessorState(mask => u64, save.at() => *mut u8) -> i32),
            0
        );
        assert_eq!(save.read::<u64>(0x18), mask);
        let (length, area): (u32, usize) = (save.read(0x20), save.read(0x28));
        assert!(length >= 576 && area.is_multiple_of(64), "{length} bytes at {area:#x}");
        call!(abi, KeRestoreExtendedProcessorState(save.at() => *mut u8));
    }
}

#[test]
fn processor_features_are_those_of_this_machine() {
    scene();
    for abi in BOTH {
        let has = |feature: u32| call!(abi, ExIsProcessorFeaturePresent(feature => u32) -> u8);
        assert_eq!(
            [has(2), has(3), has(6), has(8), has(9), has(10), has(23)],
            [1; 7],
            "all for x64 have these"
        );
        assert_eq!(
            [has(0), has(1), has(18), has(1000)],
            [0; 4],
            "errata, emulation, another processor's, unknown"
        );
        assert_eq!(has(39), u8::from(std::arch::is_x86_feature_detected!("avx")));
        assert_eq!(has(14), u8::from(std::arch::is_x86_feature_detected!("cmpxchg16b")));
    }
}

#[test]
fn a_thread_attaches_to_the_only_process_and_detaches_again() {
    scene();
    for abi in BOTH {
        let (outer, inner) = (Memory::<0x30>::new(), Memory::<0x30>::new());
        let process = call!(abi, PsGetCurrentProcess() -> usize);
        call!(abi, KeStackAttachProcess(process => usize, outer.at() => *mut u8));
        call!(abi, KeStackAttachProcess(process => usize, inner.at() => *mut u8));
        assert_eq!(inner.read::<usize>(0x20), process, "Process");
        assert_eq!(call!(abi, PsGetCurrentProcess() -> usize), process);
        call!(abi, KeUnstackDetachProcess(inner.at() => *mut u8));
        call!(abi, KeUnstackDetachProcess(outer.at() => *mut u8));
    }
}

#[test]
fn the_process_and_its_threads_are_found_by_their_ids() {
    const INVALID_CID: i32 = 0xC000_000B_u32.cast_signed();
    scene();
    for abi in BOTH {
        let mut found = 0_usize;
        let mut process = |id: usize| {
            let status = call!(abi, PsLookupProcessByProcessId(id => usize, &raw mut found => *mut usize) -> i32);
            (status, found)
        };
        let id = call!(abi, PsGetCurrentProcessId() -> usize);
        let own = call!(abi, PsGetCurrentProcess() -> usize);
        assert_eq!(process(id), (0, own));
        assert_eq!(process(id + 1).0, INVALID_CID);
        call!(abi, ObfDereferenceObject(own => usize) -> isize);

        let thread = |id: usize| {
            let mut found = 0_usize;
            let status = call!(abi, PsLookupThreadByThreadId(id => usize, &raw mut found => *mut usize) -> i32);
            if status == 0 {
                call!(abi, ObfDereferenceObject(found => usize) -> isize);
            }
            (status, found)
        };
        let (to_test, from_thread) = channel();
        let (to_thread, from_test) = channel::<()>();
        let other = std::thread::spawn(move || {
            let ids = call!(abi, PsGetCurrentThreadId() -> usize);
            to_test.send((ids, call!(abi, KeGetCurrentThread() -> usize))).unwrap();
            let _ = from_test.recv();
        });
        let (id, object) = from_thread.recv().unwrap();
        assert_eq!(thread(id), (0, object));
        drop(to_thread);
        other.join().unwrap();
        assert_eq!(thread(id).0, INVALID_CID, "it has ended");
    }
}

/// Creates or opens an event with a name: the event, and a handle.
fn named(abi: Abi, synchronization: bool, name: &str) -> (usize, usize) {
    let mut units: Vec<u16> = name.encode_utf16().collect();
    let length = u16::try_from(size_of_val(&*units)).unwrap();
    let name = Counted { length, maximum_length: length, buffer: units.as_mut_ptr() };
    let mut handle = 0_usize;
    let event = if synchronization {
        call!(abi, IoCreateSynchronizationEvent(
            &raw const name => *const UnicodeString, &raw mut handle => *mut usize,
        ) -> usize)
    } else {
        call!(abi, IoCreateNotificationEvent(
            &raw const name => *const UnicodeString, &raw mut handle => *mut usize,
        ) -> usize)
    };
    (event, handle)
}

#[test]
fn events_with_one_name_are_one_event_until_the_last_handle_is_closed() {
    scene();
    for abi in BOTH {
        let name = format!(r"\BaseNamedObjects\Hotadd{abi:?}");
        let (event, first) = named(abi, true, &name);
        let (again, second) = named(abi, true, &name.to_uppercase());
        assert!(event != 0 && event == again && first != second, "shared by name");
        assert_eq!(call!(abi, KeReadStateEvent(event => usize) -> i32), 1, "a new event is set");
        let wait = |handle: usize| call!(abi, ZwWaitForSingleObject(handle => usize, 0 => u8, &0_i64 => *const i64) -> i32);
        assert_eq!(
            (wait(first), wait(second)),
            (0, 0x102),
            "the wait resets it, as it synchronises"
        );
        let close = |handle: usize| call!(abi, ZwClose(handle => usize) -> i32);
        assert_eq!((close(first), close(second)), (0, 0));
        let (other, handle) = named(abi, false, &name);
        assert_eq!(
            (wait(handle), wait(handle)),
            (0, 0),
            "another event by this name, which stays set"
        );
        assert_eq!(close(handle), 0);
        assert_ne!(other, 0);
    }
}

#[test]
fn pages_for_an_mdl_are_zeroed_and_freed_apart_from_it() {
    scene();
    for abi in BOTH {
        let allocate = |size: usize, flags: u32| {
            call!(abi, MmAllocatePagesForMdlEx(
                0 => i64, -1 => i64, 0 => i64, size => usize, 1 => u32, flags => u32,
            ) -> *mut Mdl)
        };
        let mdl = call!(abi, MmAllocatePagesForMdl(0 => i64, -1 => i64, 0 => i64, 5000 => usize) -> *mut Mdl);
        // SAFETY: what was just allocated.
        let value = unsafe { mdl.read() };
        assert_eq!((value.ByteCount, value.MdlFlags & 2), (8192, 2), "whole pages, locked");
        let mapped = call!(abi, MmMapLockedPagesSpecifyCache(
            mdl => *mut Mdl, 0 => u8, 1 => u32, 0 => usize, 0 => u32, 16 => u32,
        ) -> *mut [u8; 8192]);
        // SAFETY: the pages of the description.
        assert!(unsafe { mapped.read() }.iter().all(|byte| *byte == 0), "zeroed");
        call!(abi, MmUnmapLockedPages(mapped => *mut [u8; 8192], mdl => *mut Mdl));
        call!(abi, MmFreePagesFromMdl(mdl => *mut Mdl));
        call!(abi, ExFreePool(mdl => *mut Mdl));
        assert!(allocate(0, 0).is_null());
        assert!(allocate(1 << 40, 4).is_null(), "MM_ALLOCATE_FULLY_REQUIRED");
        assert!(allocate(usize::MAX, 0).is_null());
    }
}

#[test]
fn the_ranges_of_physical_memory_end_with_an_empty_one() {
    scene();
    for abi in BOTH {
        let ranges = call!(abi, MmGetPhysicalMemoryRanges() -> *mut [[u64; 2]; 2]);
        // SAFETY: one range and the end.
        let [[_, bytes], end] = unsafe { ranges.read() };
        assert!(bytes > 1 << 20 && bytes.is_multiple_of(4096) && end == [0, 0], "{bytes} {end:?}");
        call!(abi, ExFreePool(ranges => *mut [[u64; 2]; 2]));
    }
}

#[test]
fn an_address_of_code_belongs_to_its_image() {
    scene();
    routine! { fn code() {} }
    for abi in BOTH {
        let code = code(Abi::Win64);
        let mut base = 1_usize;
        let mut find = |at: usize| call!(abi, RtlPcToFileHeader(at => usize, &raw mut base => *mut usize) -> usize);
        assert_eq!((find(code), find(0x1000)), (code, 0));
        assert_eq!(base, 0, "NULL if no image contains it");
    }
}

#[test]
fn a_stack_trace_of_a_program_without_drivers_is_empty() {
    scene();
    for abi in BOTH {
        let (mut frames, mut hash) = ([7_usize; 4], 7_u32);
        let count = call!(abi, RtlCaptureStackBackTrace(
            0 => u32, 4 => u32, frames.as_mut_ptr() => *mut usize, &raw mut hash => *mut u32,
        ) -> u16);
        assert_eq!((count, frames, hash), (0, [7; 4], 0));
    }
}
