//! Pages, memory descriptor lists, and looking up functions by name.

use std::ffi::c_void;
use std::ptr;

use windows_sys::Wdk::Foundation::MDL as Mdl;

use crate::ground::abi::Abi;
use crate::ground::counts;
use crate::ground::images::{Image, Missing};
use crate::ground::types::{Counted, UnicodeString};
use crate::kernel::exports;
use crate::tests::{BOTH, Memory, call, scene};

fn routine(abi: Abi, name: &str) -> *const c_void {
    let mut units: Vec<u16> = name.encode_utf16().collect();
    let length = u16::try_from(size_of_val(&*units)).unwrap();
    let name = Counted { length, maximum_length: length, buffer: units.as_mut_ptr() };
    call!(abi, MmGetSystemRoutineAddress(&raw const name => *const UnicodeString) -> *const c_void)
}

#[test]
fn every_function_is_found_by_name_in_the_callers_convention() {
    for abi in BOTH {
        for name in [
            "KeRegisterProcessorChangeCallback",
            "KeDeregisterProcessorChangeCallback",
            "DbgPrint",
            "wcslen",
            "MmGetSystemRoutineAddress",
        ] {
            let expected = exports::find(name).unwrap().address(abi);
            assert_eq!(routine(abi, name), expected, "{name}");
            assert_ne!(
                routine(Abi::Win64, name),
                routine(Abi::SysV, name),
                "{name} has two conventions"
            );
        }
        assert_eq!(routine(abi, "KeNoSuchFunction"), ptr::null());
        let variable = (&raw const counts::KeNumberProcessors).cast();
        assert_eq!(routine(abi, "KeNumberProcessors"), variable, "the address of the variable");
    }
}

#[test]
fn no_name_is_exported_twice() {
    let mut names: Vec<&str> = exports::exports().map(|export| export.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn an_address_is_valid_if_it_is_readable() {
    let here = 5_u8;
    for abi in BOTH {
        let valid = |at: usize| call!(abi, MmIsAddressValid(at => usize) -> u8);
        assert_eq!(valid(&raw const here as usize), 1);
        assert_eq!(valid(valid_text()), 1, "read-only memory is valid");
        assert_eq!(
            [valid(0), valid(0x1000), valid(0xffff_f800_0000_0000), valid(0x8000_0000_0000_0000)],
            [0; 4]
        );
    }
    // SAFETY: a new mapping.
    let page = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        libc::mmap(ptr::null_mut(), 4096, libc::PROT_NONE, flags, -1, 0)
    };
    assert_eq!(call!(Abi::SysV, MmIsAddressValid(page as usize => usize) -> u8), 0, "a guard page");
    // SAFETY: the mapping of above.
    unsafe { libc::munmap(page, 4096) };
}

fn valid_text() -> usize {
    valid_text as *const () as usize
}

#[test]
fn page_allocations_are_aligned_and_absurd_sizes_fail() {
    for abi in BOTH {
        let memory = call!(abi, MmAllocateContiguousMemory(5000 => usize, -1 => i64) -> *mut u8);
        assert_eq!(memory as usize % 4096, 0);
        let last = memory.wrapping_add(4999);
        // SAFETY: within that many bytes.
        unsafe { last.write(1) };
        call!(abi, MmFreeContiguousMemory(memory => *mut u8));
        assert!(call!(abi, MmAllocateNonCachedMemory(0 => usize) -> *mut u8).is_null());
        assert!(call!(abi, MmAllocateNonCachedMemory(usize::MAX => usize) -> *mut u8).is_null());
    }
}

#[test]
fn an_mdl_covers_the_pages_of_its_memory() {
    scene();
    let memory = Memory::<0x3000>::new();
    let address = memory.at() as usize + 0x123;
    for abi in BOTH {
        let mdl = call!(abi, IoAllocateMdl(
            address => usize, 0x2000 => u32, 0 => u8, 0 => u8, ptr::null_mut() => *mut c_void,
        ) -> *mut Mdl);
        // SAFETY: what was just allocated.
        let read = || unsafe { mdl.read() };
        let (start, offset) = (address & !0xfff, (address & 0xfff) as u32);
        let value = read();
        assert_eq!(
            (value.StartVa as usize, value.ByteOffset, value.ByteCount, value.MdlFlags),
            (start, offset, 0x2000, 0)
        );
        let pages = (offset as usize + 0x2000).div_ceil(0x1000);
        assert_eq!(value.Size as usize, 48 + 8 * pages);
        let size = call!(abi, MmSizeOfMdl(address => usize, 0x2000 => usize) -> usize);
        assert_eq!(size, value.Size as usize);
        call!(abi, MmProbeAndLockPages(mdl => *mut Mdl, 0 => u8, 1 => u32));
        assert_eq!(read().MdlFlags, 0x82, "locked for writing");
        let mapped = call!(abi, MmMapLockedPagesSpecifyCache(
            mdl => *mut Mdl, 0 => u8, 1 => u32, ptr::null_mut() => *mut c_void, 0 => u32, 16 => u32,
        ) -> usize);
        assert_eq!(
            (mapped, read().MappedSystemVa as usize, read().MdlFlags),
            (address, address, 0x83)
        );
        call!(abi, MmUnlockPages(mdl => *mut Mdl));
        assert_eq!(read().MdlFlags, 0);
        call!(abi, MmBuildMdlForNonPagedPool(mdl => *mut Mdl));
        assert_eq!((read().MdlFlags, read().MappedSystemVa as usize), (4, address));
        let part = call!(abi, IoAllocateMdl(
            address + 8 => usize, 16 => u32, 0 => u8, 0 => u8, ptr::null_mut() => *mut c_void,
        ) -> *mut Mdl);
        call!(abi, IoBuildPartialMdl(mdl => *mut Mdl, part => *mut Mdl, address + 8 => usize, 16 => u32));
        // SAFETY: what was just allocated.
        let partial = unsafe { part.read() };
        assert_eq!(
            (partial.MdlFlags, partial.MappedSystemVa as usize, partial.ByteCount),
            (0x14, address + 8, 16)
        );
        call!(abi, IoFreeMdl(part => *mut Mdl));
        call!(abi, IoFreeMdl(mdl => *mut Mdl));
    }
}

#[test]
fn the_mdls_of_a_request_form_a_list() {
    scene();
    for abi in BOTH {
        let mut irp = [0_usize; 8];
        let mut add = |secondary: u8| {
            call!(abi, IoAllocateMdl(
                0x1000 => usize, 16 => u32, secondary => u8, 0 => u8, irp.as_mut_ptr() => *mut usize,
            ) -> *mut Mdl)
        };
        let (first, second, third) = (add(0), add(1), add(1));
        assert_eq!(irp[1], first as usize, "MdlAddress");
        // SAFETY: what was just allocated.
        assert_eq!(unsafe { first.read() }.Next, second);
        // SAFETY: what was just allocated.
        assert_eq!(unsafe { second.read() }.Next, third);
        for mdl in [first, second, third] {
            call!(abi, IoFreeMdl(mdl => *mut Mdl));
        }
    }
}

#[test]
fn functions_that_raise_are_found_by_name_in_the_form_that_a_sys_imports() {
    let image =
        Image::native("none".into(), 0x10, 1, Vec::new(), Missing::default(), &exports::SERVICES);
    for name in ["KeReleaseMutex", "ExAllocatePoolWithTag", "memcpy"] {
        let bound = (image.services.find)(name, Abi::Win64).unwrap().address(Abi::Win64);
        let mut units: Vec<u16> = name.encode_utf16().collect();
        let length = u16::try_from(size_of_val(&*units)).unwrap();
        let string = Counted { length, maximum_length: length, buffer: units.as_mut_ptr() };
        let found = call!(Abi::Win64, MmGetSystemRoutineAddress(
            &raw const string => *const UnicodeString,
        ) -> *const c_void);
        assert_eq!(found, bound, "{name}");
    }
}
