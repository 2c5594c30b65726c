//! Memory that functions give to drivers: pool, which they may also free as such, and which is counted.

use std::ffi::c_void;

use crate::kernel::ex::pool;

/// `POOL_FLAG_NON_PAGED`
const NON_PAGED: u64 = 0x40;

/// What the memory is for, as its tag.
#[derive(Clone, Copy)]
pub(crate) struct Use([u8; 4]);

pub(crate) const STRING: Use = Use(*b"Strg");
pub(crate) const MDL: Use = Use(*b"Mdl ");
pub(crate) const EXTENSION: Use = Use(*b"DrvE");
pub(crate) const WORK: Use = Use(*b"IoWI");

/// So many bytes, zero. `None` if there are none.
pub(crate) fn allocate(what: Use, size: usize) -> Option<*mut c_void> {
    // SAFETY: takes numbers only.
    let memory =
        unsafe { pool::ExAllocatePool2(NON_PAGED, size.max(1), u32::from_le_bytes(what.0)) };
    (memory != 0).then_some(memory as *mut c_void)
}

/// Gives it back.
pub(crate) fn free(memory: *mut c_void) {
    if !memory.is_null() {
        // SAFETY: whatever the address, it is looked up first.
        unsafe { pool::ExFreePoolWithTag(memory as usize, 0) };
    }
}
