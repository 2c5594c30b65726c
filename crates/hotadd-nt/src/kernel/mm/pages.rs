//! Whole pages of memory, and queries about addresses. No memory belongs to a device: a physical address is a
//! placeholder.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::memory::PAGE;
use crate::ground::probe;
use crate::ground::types::Boolean;

/// The allocated blocks by address, with their sizes.
static GIVEN: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

nt! {
    /// Allocates contiguous memory for a device.
    fn MmAllocateContiguousMemory(size: usize, _highest: i64) -> *mut c_void { allocate(size) }

    /// Allocates contiguous memory for a device.
    fn MmAllocateContiguousMemorySpecifyCache(
        size: usize, _lowest: i64, _highest: i64, _boundary: i64, _cache: u32,
    ) -> *mut c_void {
        allocate(size)
    }

    /// Allocates contiguous memory for a device.
    fn MmAllocateContiguousMemorySpecifyCacheNode(
        size: usize, _lowest: i64, _highest: i64, _boundary: i64, _cache: u32, _node: u32,
    ) -> *mut c_void {
        allocate(size)
    }

    /// Allocates contiguous memory for a device.
    fn MmAllocateContiguousNodeMemory(
        size: usize, _lowest: i64, _highest: i64, _boundary: i64, _protect: u32, _node: u32,
    ) -> *mut c_void {
        allocate(size)
    }

    /// Allocates memory that is uncached on Windows.
    fn MmAllocateNonCachedMemory(size: usize) -> *mut c_void { allocate(size) }

    /// Frees memory.
    fn MmFreeContiguousMemory(memory: *mut c_void) {
        free("MmFreeContiguousMemory", memory, None);
    }

    /// Frees memory.
    fn MmFreeContiguousMemorySpecifyCache(memory: *mut c_void, size: usize, _cache: u32) {
        free("MmFreeContiguousMemorySpecifyCache", memory, Some(size));
    }

    /// Frees memory.
    fn MmFreeNonCachedMemory(memory: *mut c_void, size: usize) {
        free("MmFreeNonCachedMemory", memory, Some(size));
    }

    /// Whether an address is readable.
    fn MmIsAddressValid(address: usize) -> Boolean { u8::from(is_readable(address)) }

    /// A placeholder: the address itself, or 0 for an invalid one.
    fn MmGetPhysicalAddress(address: usize) -> usize { if is_readable(address) { address } else { 0 } }

    /// There is no device memory to map.
    fn MmMapIoSpace(_address: i64, _size: usize, _cache: u32) -> *mut c_void { ptr::null_mut() }

    /// As `MmMapIoSpace`.
    fn MmMapIoSpaceEx(_address: i64, _size: usize, _protect: u32) -> *mut c_void { ptr::null_mut() }

    /// Nothing was mapped.
    fn MmUnmapIoSpace(_address: *mut c_void, _size: usize) {}

    /// There is much memory: `MmLargeSystem`.
    fn MmQuerySystemSize() -> u32 { 2 }

    /// A driver is never paged out, so its code is always locked.
    fn MmLockPagableDataSection(address: *mut c_void) -> *mut c_void { address }

    /// See `MmLockPagableDataSection`.
    fn MmUnlockPagableImageSection(_handle: *mut c_void) {}

    /// See `MmLockPagableDataSection`.
    fn MmPageEntireDriver(address: *mut c_void) -> *mut c_void { address }

    /// See `MmLockPagableDataSection`.
    fn MmResetDriverPaging(_address: *mut c_void) {}
}

pub(super) fn allocate(size: usize) -> *mut c_void {
    if probe::fails() {
        return ptr::null_mut();
    }
    let Some(size) = size.checked_next_multiple_of(PAGE).filter(|size| *size != 0) else {
        return ptr::null_mut();
    };
    // SAFETY: a page is a power of two, and the size is a multiple of it.
    let memory = unsafe { libc::aligned_alloc(PAGE, size) };
    if !memory.is_null() {
        GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(memory as usize, size);
    }
    memory
}

/// Frees a block. Returns its size.
pub(super) fn free(who: &str, memory: *mut c_void, size: Option<usize>) -> usize {
    let given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&(memory as usize));
    let Some(given) = given else {
        caller::fault(format!(
            "calls {who} for {memory:p}, which was not allocated by the matching function"
        ))
    };
    if let Some(size) = size.filter(|size| size.checked_next_multiple_of(PAGE) != Some(given)) {
        caller::breach(&format!("{who}: the size is {size} bytes, but the block has {given}"));
    }
    // SAFETY: `allocate` returned it, and it is no longer in the table.
    unsafe { libc::free(memory) };
    given
}

/// How many blocks of pages are not freed.
pub(crate) fn count() -> usize {
    GIVEN.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// Whether an address is readable. It asks the kernel to read there, with a call that has no effect: the kernel reads
/// the new signal mask before it finds that the operation is invalid.
pub(crate) fn is_readable(address: usize) -> bool {
    const NO_SUCH_WAY: libc::c_int = -1;
    const MASK: usize = 8;
    let mask = (address & !(MASK - 1)) as *const c_void;
    if mask.is_null() {
        // The kernel would read no mask.
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

/// The bounds of system addresses. All of this process counts as the system's, so a driver that checks its own
/// addresses accepts them. It also counts as a program's, so a driver that probes program addresses accepts them
/// (`ProbeForRead`).
pub(crate) mod data {

    const BEGIN: usize = 0x10000;

    #[unsafe(no_mangle)]
    pub(crate) static MmSystemRangeStart: usize = BEGIN;

    #[unsafe(no_mangle)]
    pub(crate) static MmHighestUserAddress: usize = BEGIN - 1;

    #[unsafe(no_mangle)]
    pub(crate) static MmUserProbeAddress: usize = 0x7fff_ffff_0000;

    crate::ground::declare::data!(MmSystemRangeStart, MmHighestUserAddress, MmUserProbeAddress);
}
