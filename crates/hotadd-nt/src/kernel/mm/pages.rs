//! Whole pages of memory, and questions about addresses. Nothing here is a device's: a physical address is a stand-in.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use crate::ground::caller;
use crate::ground::export::nt;
use crate::ground::memory::PAGE;
use crate::ground::types::Boolean;

/// What was given, and how large it is.
static GIVEN: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

nt! {
    /// Memory for a device that wants it in one piece.
    fn MmAllocateContiguousMemory(size: usize, _highest: i64) -> *mut c_void { allocate(size) }

    /// Memory for a device that wants it in one piece.
    fn MmAllocateContiguousMemorySpecifyCache(
        size: usize, _lowest: i64, _highest: i64, _boundary: i64, _cache: u32,
    ) -> *mut c_void {
        allocate(size)
    }

    /// Memory for a device that wants it in one piece.
    fn MmAllocateContiguousMemorySpecifyCacheNode(
        size: usize, _lowest: i64, _highest: i64, _boundary: i64, _cache: u32, _node: u32,
    ) -> *mut c_void {
        allocate(size)
    }

    /// Memory for a device that wants it in one piece.
    fn MmAllocateContiguousNodeMemory(
        size: usize, _lowest: i64, _highest: i64, _boundary: i64, _protect: u32, _node: u32,
    ) -> *mut c_void {
        allocate(size)
    }

    /// Memory that is not cached, on Windows.
    fn MmAllocateNonCachedMemory(size: usize) -> *mut c_void { allocate(size) }

    /// Frees.
    fn MmFreeContiguousMemory(memory: *mut c_void) { free("MmFreeContiguousMemory", memory, None) }

    /// Frees.
    fn MmFreeContiguousMemorySpecifyCache(memory: *mut c_void, size: usize, _cache: u32) {
        free("MmFreeContiguousMemorySpecifyCache", memory, Some(size));
    }

    /// Frees.
    fn MmFreeNonCachedMemory(memory: *mut c_void, size: usize) {
        free("MmFreeNonCachedMemory", memory, Some(size));
    }

    /// Whether an address can be read.
    fn MmIsAddressValid(address: usize) -> Boolean { u8::from(is_readable(address)) }

    /// A stand-in: the address itself, or 0 of one that is not valid.
    fn MmGetPhysicalAddress(address: usize) -> usize { if is_readable(address) { address } else { 0 } }

    /// There is no device whose memory could be mapped.
    fn MmMapIoSpace(_address: i64, _size: usize, _cache: u32) -> *mut c_void { ptr::null_mut() }

    /// As `MmMapIoSpace`.
    fn MmMapIoSpaceEx(_address: i64, _size: usize, _protect: u32) -> *mut c_void { ptr::null_mut() }

    /// Nothing was mapped.
    fn MmUnmapIoSpace(_address: *mut c_void, _size: usize) {}

    /// There is much memory: `MmLargeSystem`.
    fn MmQuerySystemSize() -> u32 { 2 }

    /// Nothing of a driver is ever paged out, so its code is locked as it is.
    fn MmLockPagableDataSection(address: *mut c_void) -> *mut c_void { address }

    /// See `MmLockPagableDataSection`.
    fn MmUnlockPagableImageSection(_handle: *mut c_void) {}

    /// See `MmLockPagableDataSection`.
    fn MmPageEntireDriver(address: *mut c_void) -> *mut c_void { address }

    /// See `MmLockPagableDataSection`.
    fn MmResetDriverPaging(_address: *mut c_void) {}
}

fn allocate(size: usize) -> *mut c_void {
    let Some(size) = size.checked_next_multiple_of(PAGE).filter(|size| *size != 0) else {
        return ptr::null_mut();
    };
    // SAFETY: a page is a power of two, and the size a multiple of it.
    let memory = unsafe { libc::aligned_alloc(PAGE, size) };
    if !memory.is_null() {
        GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(memory as usize, size);
    }
    memory
}

fn free(who: &str, memory: *mut c_void, size: Option<usize>) {
    let given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&(memory as usize));
    let Some(given) = given else {
        caller::fault(format!("calls {who} for {memory:p}, which was not allocated so"))
    };
    if let Some(size) = size.filter(|size| size.checked_next_multiple_of(PAGE) != Some(given)) {
        caller::breach(&format!("{who}: {size} bytes of a block of {given}"));
    }
    // SAFETY: given by `allocate`, and no longer in the table.
    unsafe { libc::free(memory) };
}

/// How many blocks of pages nobody has freed.
pub(crate) fn left() -> usize {
    GIVEN.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// Whether an address can be read. The kernel is asked to read there, by a call that goes no further: it looks at the new
/// signal mask before it finds that there is no such way to set it.
pub(crate) fn is_readable(address: usize) -> bool {
    const NO_SUCH_WAY: libc::c_int = -1;
    const MASK: usize = 8;
    let mask = (address & !(MASK - 1)) as *const c_void;
    if mask.is_null() {
        // It would read none.
        return false;
    }
    let nothing = ptr::null::<c_void>();
    // SAFETY: nothing is changed, and an address that cannot be read is an error.
    let failed =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, NO_SUCH_WAY, mask, nothing, MASK) };
    failed == -1 && errno() == libc::EINVAL
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Where the system's addresses begin. All of this process is the system's, so that a driver that checks whether an address is
/// finds that its own are; and a program's too, so that one that probes them finds that they may be (`ProbeForRead`).
pub(crate) mod data {
    #![allow(non_upper_case_globals, reason = "the documentation's names")]

    const BEGIN: usize = 0x10000;

    #[unsafe(no_mangle)]
    pub(crate) static MmSystemRangeStart: usize = BEGIN;

    #[unsafe(no_mangle)]
    pub(crate) static MmHighestUserAddress: usize = BEGIN - 1;

    #[unsafe(no_mangle)]
    pub(crate) static MmUserProbeAddress: usize = 0x7fff_ffff_0000;

    crate::ground::export::data!(MmSystemRangeStart, MmHighestUserAddress, MmUserProbeAddress);
}
